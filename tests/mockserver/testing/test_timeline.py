from __future__ import annotations

import json
from base64 import b64encode

import pytest

from mockserver.testing.timeline import MOST_ROWS, conversation_text
from replay.cassette.frames import Close, Reset, Text
from tests.mockserver.testing.test_assertions import Call

AUDIO = "response.output_audio.delta"
WORDS = "response.output_audio_transcript.delta"


def rows(call: Call) -> list[str]:
    """The lines below the heading, their blanks as one."""
    return [" ".join(line.split()) for line in conversation_text([call.log]).splitlines()[1:]]


def test_runs_of_sound_and_words_are_a_line_each():
    call = Call().created(0.1)
    for at, word in ((0.2, "Let me "), (0.3, "see.")):
        call.server(at, WORDS, delta=word).delta(at)
    call.done(0.4)
    assert rows(call)[2:] == [
        f"0.200 s server {WORDS} ×2, until 0.300 s Let me see.",
        f"0.200 s server {AUDIO} ×2, until 0.300 s 0.20 s of audio",
        "0.400 s server response.done",
    ]


def test_sound_is_told_in_seconds_of_the_declared_format():
    formats = {"audio": {"input": {"format": {"type": "audio/pcmu"}}}}
    call = Call().client(0.0, "session.update", session=formats)
    call.client(0.1, "input_audio_buffer.append", audio=b64encode(bytes(4000)).decode())
    assert rows(call)[1] == "0.100 s client input_audio_buffer.append 0.50 s of audio"


def test_how_a_session_ended_stands_in_its_heading():
    call = Call()
    assert conversation_text([call.log]).splitlines()[0] == "session 1 (s1): still open"
    call.log.outbound(0.5, Close(4001, "enough"))
    call.log.ended(0.5, 4001, "enough")
    assert conversation_text([call.log]).splitlines()[0] == "session 1 (s1): closed with 4001 after 0.500 s (enough)"
    assert rows(call) == ["0.500 s server (close) 4001 enough"]


def test_a_lost_connection_and_a_message_that_is_no_event_are_told():
    call = Call()
    call.log.inbound(0.1, "{")
    call.log.outbound(0.2, Reset())
    assert rows(call) == [
        "0.100 s client (text) {",
        "0.200 s server (reset) the connection was lost without a close frame",
    ]


def test_a_long_conversation_keeps_its_beginning_and_more_of_its_end():
    call = Call()
    for number in range(1000):
        call.client(float(number), "response.cancel")
    lines = conversation_text([call.log]).splitlines()
    assert len(lines) == MOST_ROWS + 2
    assert lines[41] == f"    … {1000 - MOST_ROWS} more …"
    assert "999.000 s" in lines[-1]


def test_around_an_instant_its_line_is_marked_and_what_is_left_out_is_counted():
    call = Call()
    for number in range(100):
        call.client(float(number), "response.cancel")
    lines = conversation_text([call.log], around_s=50.0, rows=6).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["…", "46"],
        ["46.000", "s"],
        ["47.000", "s"],
        ["48.000", "s"],
        ["49.000", "s"],
        ["→", "50.000"],
        ["51.000", "s"],
        ["…", "48"],
    ]


@pytest.mark.parametrize("way", ["whole", "in pieces"])
def test_keys_are_blotted_out_however_they_come(way: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a-key-of-no-known-form")
    secret = "xai-abcdefghijklmnop123456 and a-key-of-no-known-form"
    call = Call()
    if way == "whole":
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": secret}]}
        call.client(0.1, "conversation.item.create", item=item)
    else:
        for piece in (secret[:9], secret[9:30], secret[30:]):
            call.log.outbound(0.2, Text(json.dumps({"type": WORDS, "delta": piece}).encode()))
    assert "scrubbed" in conversation_text([call.log])
    assert "klmnop" not in conversation_text([call.log])
    assert "no-known-form" not in conversation_text([call.log])


def test_nobody_came():
    assert conversation_text([]) == "no client has connected"
