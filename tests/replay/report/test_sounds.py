from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from replay.cassette.cut_sound import SOUND_FIELDS, cut_sound
from replay.cassette.frames import Binary, Text
from replay.cassette.records import Record, Way
from replay.report.sounds import SoundCheck


def delta(ms: float, **more: Any) -> dict[str, Any]:
    sound = b64encode(bytes(round(48 * ms))).decode()
    return {"type": "response.output_audio.delta", "response_id": "r", "delta": sound, **more}


def done(tokens: int) -> dict[str, Any]:
    usage = {"output_token_details": {"audio_tokens": tokens}}
    return {"type": "response.done", "response": {"id": "r", "status": "completed", "usage": usage}}


def problems(*events: dict[str, Any], way: Way = "received") -> list[str]:
    """What is found, the same whether sound is parsed with its event or cut out."""
    parsed, cut = SoundCheck(), SoundCheck()
    found: list[str] = []
    again: list[str] = []
    for event in events:
        data = json.dumps(event, separators=(",", ":")).encode()
        record = Record(0, 0, way, Text(data))
        found += parsed.take(lambda: "here", record, event["type"], event, None)
        read = cut_sound(data, SOUND_FIELDS[event["type"]]) if event["type"] in SOUND_FIELDS else None
        again += cut.take(lambda: "here", record, event["type"], read.event if read else event, read and read.sound)
    found += parsed.ended()
    again += cut.ended()
    assert again == found
    return found


@pytest.mark.parametrize("key", ["audio", "delta"])
def test_sound_in_which_a_key_was_found_is_named(key: str):
    kind = "input_audio_buffer.append" if key == "audio" else "response.output_audio.delta"
    way: Way = "sent" if key == "audio" else "received"
    damaged = {"type": kind, key: "AAAA<scrubbed:api-key>AAAA"}
    assert [each for each in problems(damaged, way=way) if "taken for a key" in each]


def test_sound_that_does_not_decode_is_named():
    assert "does not decode" in problems({**delta(20), "delta": "AA*A"})[0]


def test_a_client_may_send_what_is_no_base64():
    assert problems({"type": "input_audio_buffer.append", "audio": "**"}, way="sent") == []


def test_a_piece_that_is_shorter_than_it_says_is_named():
    assert problems(delta(100, audio_duration_ms=100), delta(40, audio_duration_ms=100)) == [
        "here: 40 ms of sound, and it says 100 ms; a part of it is missing"
    ]


def test_a_response_that_lost_a_piece_is_named():
    assert problems(delta(500), done(10), delta(500), delta(500), done(30)) == [
        "here: 1.00 s of sound, and its usage tells 1.50 s; a part of it is missing"
    ]


def test_half_a_sample_is_named():
    assert "ends within a sample (3 bytes)" in problems(delta(100), {**delta(0), "delta": "AAAA"})[0]


def test_a_recording_that_was_shortened_throughout_is_as_its_publisher_wanted_it():
    assert problems(delta(1, audio_duration_ms=100), delta(2, audio_duration_ms=100), done(40)) == []


def test_whole_sound_has_no_problem():
    assert problems(delta(100, audio_duration_ms=100), delta(50.3, audio_duration_ms=50), done(3)) == []
    assert list(SoundCheck().take(str, Record(0, 0, "sent", Binary(b"abc")), "", None, None)) == []
