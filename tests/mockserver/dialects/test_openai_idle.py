"""A caller who says nothing after an answer: OpenAI makes a turn of the silence, and asks for a word."""

from __future__ import annotations

import pytest

from mockserver.responders.base import Say
from tests.mockserver.talk import Event, Script, Talk

TIMEOUT = "input_audio_buffer.timeout_triggered"
HEARD = "conversation.item.input_audio_transcription.completed"


def idle(transcriber: str | None = "gpt-realtime-whisper") -> Talk:
    """An answer has ended, and 5 seconds of silence after it make a turn."""
    heard = {"transcription": transcriber and {"model": transcriber}}
    detection = {"type": "server_vad", "idle_timeout_ms": 5000}
    update = {"type": "realtime", "audio": {"input": {"turn_detection": detection, **heard}}}
    talk = Talk(Script([Say("Hi there.")], [Say("Are you still there?")]), dialect="openai", update=update)
    talk.say("Say hi.")
    talk.until("response.done")
    return talk


def streaming(talk: Talk) -> Event:
    """The caller's microphone streams silence until the idle time is over."""
    while not talk.of(TIMEOUT):
        talk.hush(100)
        talk.wait(0.1)
    return talk.of(TIMEOUT)[0]


def test_the_idle_time_begins_when_the_answer_has_played_and_is_measured_in_the_audio_that_arrived():
    talk = idle()
    done, played_s = talk.now, talk.session.ledger.audio_out_s
    event = streaming(talk)
    assert talk.now == pytest.approx(done + float(played_s) + 5, abs=0.11)
    start_ms, end_ms = event["audio_start_ms"], event["audio_end_ms"]
    assert start_ms % 32 == end_ms % 32 == 0
    appended_ms = sum('"input_audio_buffer.append"' in line for line in talk.log) * 100
    assert end_ms == appended_ms // 32 * 32
    assert 5000 <= end_ms - start_ms <= 5000 + 132


def test_the_server_writes_a_message_before_the_silent_turn_and_each_follows_the_one_before():
    talk = idle()
    answer = talk.of("response.done")[0]["response"]["output"][0]["id"]
    event = streaming(talk)
    talk.until("response.done")
    after = talk.events[talk.events.index(event) :]
    assert [each["type"] for each in after[:7]] == [
        TIMEOUT,
        "conversation.item.added",
        "conversation.item.done",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    told, committed, spoken = after[1], after[3], after[4]
    assert (told["previous_item_id"], told["item"]["role"]) == (answer, "system")
    assert told["item"]["content"][0]["type"] == "input_text"
    assert (committed["previous_item_id"], committed["item_id"]) == (told["item"]["id"], event["item_id"])
    assert (spoken["previous_item_id"], spoken["item"]["id"]) == (told["item"]["id"], event["item_id"])
    assert spoken["item"]["content"] == [{"type": "input_audio", "transcript": None}]
    assert after[6]["response"]["metadata"] is None
    assert not {"input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped"} & set(talk.types)


def test_silence_is_billed_as_audio_and_its_empty_transcript_comes_amid_the_answer():
    talk = idle()
    event = streaming(talk)
    talk.until("response.done")
    heard = talk.of(HEARD)[0]
    assert (heard["transcript"], heard["usage"]) == ("", {"type": "duration", "seconds": 0})
    assert talk.of("conversation.item.input_audio_transcription.delta") == []
    places = [talk.types.index(type) for type in ("response.created", HEARD)]
    assert places == sorted(places) and places[1] < len(talk.types) - 1 - talk.types[::-1].index("response.done")
    first, second = (done["response"]["usage"] for done in talk.of("response.done"))
    silence = (event["audio_end_ms"] - event["audio_start_ms"]) // 100
    spoken = first["output_token_details"]["audio_tokens"]
    assert second["input_token_details"]["audio_tokens"] == silence + spoken
    assert talk.session.ledger.transcribed_s == {"gpt-realtime-whisper": 0}


def test_without_transcription_the_silent_turn_has_no_transcript():
    talk = idle(None)
    streaming(talk)
    talk.until("response.done")
    assert talk.of(HEARD) == []


def test_a_client_that_sends_no_audio_is_asked_all_the_same():
    talk = idle()
    event = talk.until(TIMEOUT)
    assert (event["audio_start_ms"], event["audio_end_ms"]) == (0, 4992)
    assert talk.until("response.done")
