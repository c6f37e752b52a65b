"""One turn, folded from server events. origin: hand."""

from __future__ import annotations

from base64 import b64encode
from datetime import date

import pytest

from clinic_agent.call.cost import Cost
from clinic_agent.call.turn import FunctionCall, TurnInProgress, tool_run

NOTHING = Cost("grok-voice-think-fast-1.0", date(2026, 7, 1))


def audio(pcm: bytes, rid: str) -> dict[str, object]:
    return {"type": "response.output_audio.delta", "item_id": "a", "delta": b64encode(pcm).decode(), "rid": rid}


def text(delta: str, item: str = "a") -> dict[str, object]:
    return {"type": "response.output_audio_transcript.delta", "item_id": item, "delta": delta}


def test_sound_stays_in_the_order_it_came_even_where_a_segment_s_text_overtook_it():
    turn = TurnInProgress()
    for event in [audio(b"1a", "x"), text("Right"), text(" away."), audio(b"1b", "x"), audio(b"2a", "y")]:
        turn.take(event, 1.0)
    done = turn.finish(2.0, NOTHING)
    assert (done.audio, done.said) == (b"1a1b2a", "Right away.")


def test_the_items_of_a_turn_are_said_one_after_the_other():
    turn = TurnInProgress()
    for event in [text("One"), text(" moment."), text("Nine", "b"), text(" thirty.", "b")]:
        turn.take(event, 0.0)
    assert turn.finish(0.0, NOTHING).said == "One moment. Nine thirty."


def test_only_the_first_sound_counts_for_the_time_to_it():
    turn = TurnInProgress(requested_s=10.0)
    turn.take(audio(b"ab", "x"), 10.5)
    turn.take(audio(b"cd", "x"), 11.0)
    done = turn.finish(12.0, NOTHING)
    assert (done.first_audio_ms, done.total_ms) == (500.0, 2000.0)


def test_usage_is_read_at_the_top_level_and_where_it_is_not_there_inside_the_response():
    turn = TurnInProgress()
    turn.take({"type": "response.done", "response": {"status": "completed", "usage": {}}, "usage": {"n": 1}}, 0.0)
    turn.take({"type": "response.done", "response": {"status": "completed", "usage": {"n": 2}}}, 0.0)
    assert turn.usage == [{"n": 1}, {"n": 2}]


def test_an_answer_without_end_is_refused():
    turn = TurnInProgress(audio=bytearray(24_000 * 2 * 600))
    with pytest.raises(ValueError, match="over 600 s"):
        turn.take(audio(b"ab", "x"), 0.0)


@pytest.mark.parametrize("arguments", ["{", "[1]", "[" * 100_000])
def test_arguments_that_are_no_object_are_logged_as_they_came(arguments):
    assert tool_run(FunctionCall("c", "look", arguments), {}, 1.0).arguments == arguments
