from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.cassette.frames import Binary, Text
from replay.cassette.records import StrippedAudio, StrippedMessage
from replay.cassette.strip_audio import peak, restore_audio, strip_audio, tone

LOUD = b"\x00\x40\x00\xc0" * 600
QUIET = b"\x10\x00\xf0\xff" * 600


def append(sound: bytes, **more: object) -> Text:
    return Text(json.dumps({"type": "input_audio_buffer.append", "audio": b64encode(sound).decode(), **more}).encode())


@settings(max_examples=60)
@given(st.binary(min_size=12, max_size=400), st.sampled_from(["pcm", "pcmu", "pcma", "opus"]))
def test_a_restored_frame_has_the_length_and_keys_of_the_recorded_one(sound: bytes, encoding: str):
    frame = append(sound, n=1e5, b=[1.0])
    outlined = strip_audio(frame, encoding)
    assert isinstance(outlined, StrippedMessage)
    restored = restore_audio(outlined)
    assert len(restored.data) == len(frame.data)
    ours, theirs = json.loads(restored.data), json.loads(frame.data)
    assert list(ours) == list(theirs)
    assert len(b64decode(ours["audio"])) == len(sound)
    assert {**ours, "audio": 0} == {**theirs, "audio": 0}
    assert restore_audio(outlined) == restored


def test_no_sound_is_left_in_an_outline():
    assert b64encode(LOUD)[:32] not in repr(strip_audio(append(LOUD), "pcm")).encode()
    assert strip_audio(Binary(LOUD), "pcm") == StrippedMessage(
        "binary", (StrippedAudio(2400, sha256(LOUD).digest(), "pcm", 16384),)
    )


@pytest.mark.parametrize("sound", [LOUD, QUIET, bytes(2400)])
def test_a_tone_is_as_loud_as_the_sound_was(sound: bytes):
    assert peak(tone(StrippedAudio(2400, b"\x05" * 32, "pcm", peak(sound, "pcm"))), "pcm") == pytest.approx(
        peak(sound, "pcm"), rel=0.02
    )


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
@pytest.mark.parametrize("loudness", [0, 1000, 32767])
def test_a_tone_is_as_loud_in_companded_sound(encoding: str, loudness: int):
    made = tone(StrippedAudio(800, b"\x05" * 32, encoding, loudness))
    assert len(made) == 800
    assert peak(made, encoding) == pytest.approx(loudness, rel=0.05, abs=8)


@pytest.mark.parametrize(
    "frame",
    [
        b'{"type":"response.output_audio_transcript.delta","delta":"abcdefghijklmnopqrstuvwx"}',
        b'{"type":"session.update","session":{"audio":{"input":{"format":{"type":"audio/pcm"}}},"voice":"ara"}}',
        b'{"type":"response.create"}',
        b"no JSON",
    ],
)
def test_a_frame_without_sound_stays_as_it_is(frame: bytes):
    assert strip_audio(Text(frame), "pcm") == Text(frame)


def test_sound_in_an_item_and_with_escaped_slashes_is_found_too():
    frame = Text(b'{"item":{"content":[{"type":"input_audio","audio":"' + b"A\\/BC" * 10 + b'"}]},"x":1e5}')
    outlined = strip_audio(frame, "pcm")
    assert isinstance(outlined, StrippedMessage)
    begin, sound, end = outlined.parts
    assert begin == b'{"item":{"content":[{"type":"input_audio","audio":"'
    assert isinstance(sound, StrippedAudio)
    assert sound.length == 30
    assert end == b'"}]},"x":1e5}'
