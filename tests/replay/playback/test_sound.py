"""The loudness of a client's audio, however it is cut into messages."""

from __future__ import annotations

import json
import random
from base64 import b64encode

import pytest

from replay.cassette.recording import Moment, message
from replay.cassette.strip_audio import peak
from replay.playback.sound import LOUD, PIECE_MS, SoundClock, Speech, Utterance, peaks


def append(data: bytes) -> Moment:
    return message(json.dumps({"type": "input_audio_buffer.append", "audio": b64encode(data).decode()}), 0.0)


def speech(encoding: str, bytes_per_s: int) -> Speech:
    clock = SoundClock()
    clock.encoding, clock.bytes_per_s = encoding, bytes_per_s
    return Speech(clock)


def plainly(data: bytes, size: int, encoding: str) -> tuple[int, ...]:
    """The peaks of an Utterance, piece by piece."""
    all_peaks = [peak(data[at : at + size], encoding) for at in range(0, len(data), size)]
    loud = [at for at, each in enumerate(all_peaks) if each >= LOUD]
    return tuple(all_peaks[loud[0] : loud[-1] + 1]) if loud else ()


@pytest.mark.parametrize(("encoding", "silence"), [("pcm", b"\0"), ("pcmu", b"\xff"), ("pcma", b"\xd5")])
@pytest.mark.parametrize("length", [0, 1, 2, 399, 401, 2399, 2401, 12_007])
def test_the_loudest_sample_of_each_piece_is_that_of_all_its_samples(encoding: str, silence: bytes, length: int):
    size = 400
    data = silence * 1_201 + random.Random(length).randbytes(length) + silence * 2_000
    whole = len(data) // size * size
    assert peaks(data[:whole], size, encoding).tolist() == [
        peak(data[at : at + size], encoding) for at in range(0, whole, size)
    ]
    expected = plainly(data, size, encoding)
    for cut in (1, 7, 1_000, len(data)):
        heard = speech(encoding, 8_000)
        for at in range(0, len(data), cut):
            heard.take(append(data[at : at + cut]))
        assert heard.end().peaks == expected


def test_the_lowest_sample_counts_as_the_loudest_one():
    assert peaks(b"\x00\x80\x01\x80\xff\x7f\xff\xff", 2, "pcm").tolist() == [32767, 32767, 32767, 1]


def test_silence_before_speech_does_not_count():
    heard = speech("pcm", 48_000)
    heard.take(append(bytes(2 * 2400) + b"\x00\x10" * 1200 + bytes(2400)))
    assert heard.loud_ms == heard.ms - 2 * PIECE_MS
    assert heard.end() == Utterance(2.0 * PIECE_MS, (4096,))
