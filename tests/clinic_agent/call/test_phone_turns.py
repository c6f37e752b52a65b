"""The turns of a telephone call, without a socket."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from clinic_agent.call.connection import CallFailed
from clinic_agent.call.phone_turns import MAX_TIMEOUTS, PhoneTurns
from clinic_agent.call.turn import END_CALL, TRANSFER, ToolRun


class Line:
    """A call whose service says what a test says."""

    def __init__(self, *, transfers: bool = True) -> None:
        self.turns = PhoneTurns("Be kind.\n", transfers=transfers)
        self.turns.begin("Greet.\n", 0.0)

    def take(self, at_s: float, kind: str, **fields: Any) -> None:
        self.turns.take({"type": kind, **fields}, at_s)

    def says(self, at_s: float, name: str, text: str, status: str = "completed") -> None:
        self.take(at_s, "response.created", response={"id": name})
        if text:
            self.take(at_s, "response.output_audio_transcript.delta", response_id=name, item_id=f"i-{name}", delta=text)
        self.take(at_s, "response.done", response={"id": name, "status": status})

    def calls(self, at_s: float, tool: str, result: dict[str, Any]) -> list[dict[str, Any]]:
        name = f"{tool}-{at_s}"
        self.take(at_s, "response.created", response={"id": name})
        self.take(
            at_s, "response.function_call_arguments.done", response_id=name, call_id=name, name=tool, arguments="{}"
        )
        self.take(at_s, "response.done", response={"id": name, "status": "completed"})
        return self.turns.ran([ToolRun(tool, {}, result, 0.0)], at_s)


def test_the_greeting_is_asked_for_in_the_instructions_of_the_first_response_alone():
    line = Line()
    line.says(1.0, "r1", "Hello.")
    assert line.turns.due(1.0) == []
    line.calls(3.0, "check_availability", {})
    assert line.turns.due(3.0) == [{"type": "response.create"}]
    fresh = PhoneTurns("Be kind.\n", transfers=True)
    (create,) = fresh.begin("Greet.\n", 0.0)
    assert create == {"type": "response.create", "response": {"instructions": "Be kind.\nGreet.\n"}}


def test_of_two_responses_that_play_one_after_another_the_last_one_decides_when_the_call_ends():
    line = Line()
    line.calls(1.0, END_CALL, {"ended": True})
    line.turns.due(1.0)
    line.take(1.1, "output_audio_buffer.started", response_id="before")
    line.says(1.2, "bye", "Goodbye, and thank you for the call.")
    line.take(3.0, "output_audio_buffer.stopped", response_id="before")
    assert line.turns.ends(3.0) is None
    line.take(3.0, "output_audio_buffer.started", response_id="bye")
    line.take(5.0, "output_audio_buffer.stopped", response_id="bye")
    assert line.turns.ends(5.0) == "hang up"
    assert line.turns.playout.heard_s == pytest.approx(1.9 + 2.0)


def test_without_word_of_the_playback_its_length_is_that_of_the_sound_else_that_of_the_text():
    line = Line()
    line.calls(1.0, END_CALL, {"ended": True})
    line.turns.due(1.0)
    line.says(1.0, "bye", "x" * 30)
    assert (line.turns.ends(2.9), line.turns.next_due, line.turns.ends(3.0)) == (None, 3.0, "hang up")
    delta = b64encode(bytes(48_000 * 4)).decode()
    line.take(3.0, "response.output_audio.delta", response_id="bye", item_id="i", delta=delta)
    assert (line.turns.next_due, line.turns.ends(6.9), line.turns.ends(7.0)) == (7.0, None, "hang up")


def test_an_end_of_the_playback_that_never_comes_is_not_waited_for_longer_than_the_words_last():
    line = Line()
    line.calls(1.0, END_CALL, {"ended": True})
    line.turns.due(1.0)
    line.take(1.0, "output_audio_buffer.started", response_id="bye")
    line.says(1.0, "bye", "Goodbye.")
    assert line.turns.ends(10.0) is None
    due_s = line.turns.next_due
    assert due_s is not None and due_s < 20 and line.turns.ends(due_s) == "hang up"


def test_a_caller_who_speaks_into_the_goodbye_has_not_finished_but_an_emergency_is_handed_over():
    line = Line()
    line.calls(1.0, END_CALL, {"ended": True})
    line.turns.due(1.0)
    line.says(1.0, "bye", "Goodbye.")
    line.take(1.2, "input_audio_buffer.speech_started", item_id="u")
    assert line.turns.ends(60.0) is None
    line.take(2.0, "input_audio_buffer.speech_stopped", item_id="u")
    assert line.turns.ends(60.0) is None
    line.turns.emergency(2.0)
    assert (line.turns.ends(6.9), line.turns.ends(7.0)) == (None, "hand over")
    line.turns.not_handed_over("busy", 8.0)
    line.turns.emergency(8.0)
    (create,) = line.turns.due(8.0)
    assert "failed: busy" in create["response"]["instructions"]
    line.says(9.0, "sorry", "I am sorry.")
    assert line.turns.ends(60.0) is None


def test_a_transfer_that_was_promised_is_made_once_it_was_said_and_not_if_the_tool_failed():
    for result, ends in (({"transferred_to": "the nurse"}, "hand over"), ({"error": "nobody"}, None)):
        line = Line()
        line.calls(1.0, TRANSFER, result)
        line.turns.due(1.0)
        line.says(1.0, "r", "One moment.")
        assert line.turns.ends(30.0) == ends


def test_a_caller_who_says_nothing_is_asked_some_times_and_then_the_line_is_closed():
    line = Line()
    line.says(0.0, "hello", "Hello.")
    for number in range(MAX_TIMEOUTS):
        assert line.turns.ends(100.0 * number + 90) is None
        line.take(100.0 * number + 100, "input_audio_buffer.timeout_triggered", item_id=f"u{number}")
        line.says(100.0 * number + 101, f"r{number}", "Are you there?")
    assert line.turns.ends(500.0) == "hang up"


def test_a_failed_response_is_requested_again_once():
    line = Line()
    line.says(1.0, "r1", "", status="failed")
    assert (line.turns.due(1.5), line.turns.due(2.0)) == ([], [{"type": "response.create"}])
    with pytest.raises(CallFailed, match="failed to answer twice"):
        line.says(3.0, "r2", "", status="failed")


def test_after_a_lost_sideband_results_that_were_not_confirmed_are_sent_again():
    line = Line()
    (result,) = line.calls(1.0, "check_availability", {"slots": []})
    assert line.turns.reattached(2.0) == [result]
    assert line.turns.due(2.0) == [{"type": "response.create"}]
    line.take(2.1, "conversation.item.added", item=result["item"])
    assert line.turns.reattached(3.0) == []
    assert (line.turns.due(3.0), line.turns.due(6.0)) == ([], [{"type": "response.create"}])
