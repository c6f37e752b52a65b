"""A call plays what the session sends, on its own clock, and tells when it begins, ends and is cut."""

from __future__ import annotations

import numpy as np
import pytest

from mockserver.audio.formats import Samples
from mockserver.responders.base import Say
from tests.mockserver.calls.phoned import CALL_ID, Phoned, voice
from tests.mockserver.talk import Script

LONG = "The quick brown fox jumps over the lazy dog, and then it goes on for a while before it stops."


def played(phoned: Phoned) -> Samples:
    """All that the caller's side got, silence left out."""
    return np.concatenate([each for each in phoned.heard if each is not None])


def sent(phoned: Phoned) -> Samples:
    """All sound that the session sent."""
    return np.frombuffer(b"".join(each.data for each in phoned.sound), "<i2")


def test_the_session_has_the_calls_id() -> None:
    phoned = Phoned(Script())
    assert phoned.sent[0][1]["session"]["id"] == CALL_ID.replace("rtc_", "sess_")


@pytest.mark.parametrize("pacing", ["live", "realtime", "burst"])
def test_an_answer_is_played_sample_for_sample(pacing: str) -> None:
    phoned = Phoned(Script([Say(LONG)]), pacing=pacing)
    phoned.send("response.create")
    phoned.run(10)
    whole = sent(phoned)
    assert len(whole) > 24_000
    assert np.array_equal(played(phoned)[: len(whole)], whole)
    assert not played(phoned)[len(whole) :].any()
    types = phoned.types()
    started, done = types.index("output_audio_buffer.started"), types.index("response.output_audio.done")
    assert started < done
    assert types.index("rate_limits.updated") < types.index("output_audio_buffer.stopped") == len(types) - 1
    first = next(at for at, each in phoned.sent if each["type"] == "response.output_audio_transcript.delta")
    (start, _), (stop, event) = phoned.of("output_audio_buffer.started")[0], phoned.of("output_audio_buffer.stopped")[0]
    assert first <= start
    assert stop - start == pytest.approx(len(whole) / 24_000, abs=0.041)
    assert list(event) == ["type", "event_id", "response_id"]
    assert len(event["event_id"]) == len("event_") + 16
    assert "response.output_audio.delta" not in {each["type"] for _, each in phoned.sent}


def test_speech_over_what_is_played_cuts_it() -> None:
    """The response was sent whole before: nothing is cancelled."""
    phoned = Phoned(Script([Say(LONG)]), pacing="burst")
    phoned.send("response.create")
    phoned.run(1.0)
    assert "response.done" in phoned.types()
    since = phoned.now
    phoned.run(1.0, voice())
    types = phoned.types(since)
    assert types[:3] == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    assert "output_audio_buffer.stopped" not in phoned.types()
    at, _ = phoned.of("output_audio_buffer.cleared")[0]
    start, _ = phoned.of("output_audio_buffer.started")[0]
    truncated = phoned.of("conversation.item.truncated")[0][1]
    assert truncated["audio_end_ms"] == pytest.approx((at - start) * 1000, abs=21)
    assert not any(each is not None for each in phoned.heard[round(at * 50) :])


def test_speech_over_a_response_that_goes_on_cancels_it_last() -> None:
    phoned = Phoned(Script([Say(LONG * 4)]), pacing="live")
    phoned.send("response.create")
    phoned.run(1.0)
    since = phoned.now
    phoned.run(1.0, voice())
    types = phoned.types(since)
    assert types[:3] == [
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
    ]
    assert types.index("response.done") > types.index("conversation.item.truncated")
    assert phoned.of("response.done")[0][1]["response"]["status_details"]["reason"] == "turn_detected"


def test_the_client_clears_what_is_played() -> None:
    phoned = Phoned(Script([Say(LONG)]), pacing="burst")
    phoned.send("response.create")
    phoned.run(1.0)
    since = phoned.now
    phoned.send("output_audio_buffer.clear")
    assert phoned.types(since) == ["output_audio_buffer.cleared", "conversation.item.truncated"]


def test_speech_does_not_cut_where_the_client_forbids_it() -> None:
    phoned = Phoned(Script([Say(LONG)]), pacing="burst")
    detection = {"type": "server_vad", "interrupt_response": False, "create_response": False}
    phoned.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
    phoned.send("response.create")
    phoned.run(1.0)
    phoned.run(9.0, voice())
    types = phoned.types()
    assert "input_audio_buffer.speech_started" in types
    assert "output_audio_buffer.cleared" not in types
    assert "output_audio_buffer.stopped" in types


def test_formats_of_the_session_are_without_effect() -> None:
    phoned = Phoned(Script([Say("Yes.")]), pacing="burst")
    form = {"type": "audio/pcmu"}
    phoned.send(
        "session.update", session={"type": "realtime", "audio": {"input": {"format": form}, "output": {"format": form}}}
    )
    assert phoned.of("session.updated")[0][1]["session"]["audio"]["output"]["format"] == form
    phoned.send("response.create")
    phoned.run(3.0, voice())
    plain = Phoned(Script([Say("Yes.")]), pacing="burst")
    plain.send("response.create")
    plain.run(3.0, voice())
    assert len(sent(plain))
    assert np.array_equal(sent(phoned), sent(plain))
    assert len(phoned.of("input_audio_buffer.speech_started")) == 1


@pytest.mark.parametrize("dialect", ["openai@2026-10", "xai@2026-10"])
def test_audio_cannot_be_appended(dialect: str) -> None:
    phoned = Phoned(Script(), dialect=dialect)
    phoned.send("input_audio_buffer.append", audio="AAAA")
    assert "on the audio track" in phoned.sent[-1][1]["error"]["message"]


@pytest.mark.parametrize("dialect", ["openai@2026-10", "xai@2026-10"])
def test_keys_are_told(dialect: str) -> None:
    phoned = Phoned(Script(), dialect=dialect)
    phoned.run(1.5)
    phoned.press("#")
    event = phoned.of("input_audio_buffer.dtmf_event_received")[0][1]
    assert (event["event"], event["received_at"]) == ("#", 1_785_214_081)
    assert ("event_id" in event) == dialect.startswith("xai")
    with pytest.raises(ValueError, match="no key of a telephone"):
        phoned.press("E")
