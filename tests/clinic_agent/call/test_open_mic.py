"""Who may speak, and what is owed to the service: server events in, client events out, on a clock of the test's own."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import date
from typing import Any

import pytest

from clinic_agent.call.connection import CallFailed
from clinic_agent.call.cost import Cost
from clinic_agent.call.open_mic import OpenMic
from clinic_agent.call.turn import MAX_TOOL_ROUNDS, tool_run


class Service:
    """Says to an OpenMic what a service would; `sent` is what came back, in order."""

    def __init__(self) -> None:
        self.mic = OpenMic()
        self.sent: list[dict[str, Any]] = []

    def event(self, at_s: float, type: str, **fields: Any) -> None:
        self.sent += self.mic.due(at_s)
        self.sent += self.mic.take({"type": type, **fields}, at_s)
        if calls := self.mic.requested_tools:
            self.sent += self.mic.ran([tool_run(call, {"ran": call.name}, 0.0) for call in calls], at_s)

    def caller(self, began_s: float, ended_s: float | None = None, item: str = "user-1") -> None:
        self.event(began_s, "input_audio_buffer.speech_started", item_id=item)
        if ended_s is not None:
            self.event(ended_s, "input_audio_buffer.speech_stopped", item_id=item)

    def begins(self, at_s: float, response: str) -> None:
        self.event(at_s, "response.created", response={"id": response})

    def speaks(self, at_s: float, response: str, ms: int, item: str = "") -> None:
        item, sound = item or f"{response}-item", b64encode(b"\1\0" * 24 * ms).decode()
        self.event(at_s, "response.output_audio.delta", response_id=response, item_id=item, delta=sound)

    def says(self, at_s: float, response: str, text: str, item: str = "") -> None:
        item = item or f"{response}-item"
        self.event(at_s, "response.output_audio_transcript.delta", response_id=response, item_id=item, delta=text)

    def hears(self, at_s: float, text: str, item: str = "user-1") -> None:
        kind = "conversation.item.input_audio_transcription.completed"
        self.event(at_s, kind, item_id=item, transcript=text)

    def resumed(self, at_s: float) -> None:
        """The line was lost, and the conversation resumed on another one."""
        self.sent += self.mic.resumed(at_s)
        self.sent += self.mic.due(at_s)

    def calls(self, at_s: float, response: str, name: str) -> None:
        type = "response.function_call_arguments.done"
        self.event(at_s, type, response_id=response, call_id=f"{response}-call", name=name, arguments="{}")

    def done(self, at_s: float, response: str, status: str = "completed") -> None:
        self.event(at_s, "response.done", response_id=response, response={"id": response, "status": status})

    @property
    def kinds(self) -> list[str]:
        return [event["type"] for event in self.sent]


@pytest.fixture
def service() -> Service:
    """One that has heard the caller's first turn and now answers."""
    service = Service()
    service.caller(0.0, 1.0)
    service.begins(1.5, "r1")
    return service


def test_speaking_over_the_answer_silences_it_and_says_how_much_was_heard(service):
    service.speaks(2.0, "r1", ms=5000)
    service.caller(3.25, item="user-2")
    assert service.sent == [
        {"type": "conversation.item.truncate", "item_id": "r1-item", "content_index": 0, "audio_end_ms": 1250}
    ]
    assert service.mic.playback.ends_s == pytest.approx(3.25)
    assert service.mic.turns[1].heard_ms == 1250


def test_the_answer_is_cut_although_the_service_had_sent_it_whole_long_before(service):
    service.speaks(2.0, "r1", ms=9000)
    service.done(2.1, "r1")
    service.caller(4.0, item="user-2")
    assert service.kinds == ["conversation.item.truncate"]
    assert service.mic.turns[1].status == "completed"
    assert service.mic.turns[1].heard_ms == 2000


def test_speaking_after_the_answer_was_heard_cuts_nothing(service):
    service.speaks(2.0, "r1", ms=1000)
    service.caller(3.0, item="user-2")
    assert service.sent == []
    assert service.mic.turns[1].heard_ms is None


def test_what_still_comes_of_a_cut_answer_is_counted_and_not_heard(service):
    service.speaks(2.0, "r1", ms=500)
    service.caller(2.2, item="user-2")
    service.speaks(2.3, "r1", ms=500)
    service.done(2.3, "r1", "cancelled")
    assert service.mic.playback.ends_s == pytest.approx(2.2)
    assert service.mic.received_samples == 24_000
    assert [turn.status for turn in service.mic.turns[1:]] == ["cancelled", "in_progress"]


def test_an_answer_that_begins_while_the_caller_speaks_is_not_heard_and_the_next_one_is(service):
    service.caller(2.0, item="user-2")
    service.begins(2.1, "late")
    service.speaks(2.2, "late", ms=500)
    assert service.mic.playback.segments == []
    service.event(3.0, "input_audio_buffer.speech_stopped", item_id="user-2")
    service.begins(3.5, "r2")
    service.speaks(4.0, "r2", ms=500)
    assert [segment.item_id for segment in service.mic.playback.segments] == ["r2-item"]


def test_results_go_out_at_once_and_their_answer_is_asked_for_when_the_preamble_was_heard(service):
    service.speaks(2.0, "r1", ms=1500)
    service.calls(2.1, "r1", "look")
    service.done(2.2, "r1")
    assert service.kinds == ["conversation.item.create"]
    assert json.loads(service.sent[0]["item"]["output"]) == {"ran": "look"}
    assert service.mic.next_due == 3.5
    assert service.mic.due(3.4) == []
    assert service.mic.due(3.5) == [{"type": "response.create"}]
    assert service.mic.next_due is None


def test_a_caller_who_speaks_over_the_preamble_is_answered_by_the_service_and_not_twice(service):
    service.speaks(2.0, "r1", ms=1500)
    service.calls(2.1, "r1", "look")
    service.done(2.2, "r1")
    service.caller(3.0, 4.0, item="user-2")
    service.begins(4.5, "r2")
    assert "response.create" not in service.kinds
    assert service.mic.next_due is None


def test_results_of_an_answer_that_ended_as_the_caller_began_are_told_and_not_answered_twice(service):
    service.calls(2.0, "r1", "look")
    service.caller(2.1, item="user-2")
    service.done(2.1, "r1")
    assert service.kinds == ["conversation.item.create"]
    assert service.mic.next_due is None


def test_a_service_that_goes_on_by_itself_after_the_results_is_not_asked_to(service):
    service.speaks(2.0, "r1", ms=1500)
    service.calls(2.1, "r1", "look")
    service.done(2.2, "r1")
    service.begins(2.3, "r2")
    service.done(9.0, "r2")
    assert "response.create" not in service.kinds


def test_a_call_of_an_answer_that_was_cut_is_not_carried_out(service):
    service.calls(2.0, "r1", "book")
    service.caller(2.1, item="user-2")
    service.done(2.1, "r1", "cancelled")
    assert service.sent == []
    assert service.mic.turns[1].tools == []


def test_a_pause_in_a_sentence_does_not_make_two_turns_of_it(service):
    service.speaks(1.8, "r1", ms=100)
    service.calls(2.0, "r1", "book")
    service.caller(2.1, 3.0, item="user-1")  # the first answer is dropped without a response.done
    service.begins(3.5, "r2")
    service.speaks(4.0, "r2", ms=100)
    service.done(4.0, "r2")
    assert len(service.mic.turns) == 2
    assert service.sent == []
    assert service.mic.turns[1].finish(5.0, None).first_audio_ms == 1000


def test_a_service_that_calls_tools_without_end_is_left():
    service = Service()
    with pytest.raises(CallFailed, match="check the prompt for a loop"):
        for number in range(MAX_TOOL_ROUNDS + 1):
            service.begins(number, f"r{number}")
            service.calls(number, f"r{number}", "look")
            service.done(number, f"r{number}")
    assert service.kinds.count("response.create") == MAX_TOOL_ROUNDS


def test_a_service_that_fails_to_answer_is_left(service):
    with pytest.raises(CallFailed, match="call again"):
        service.done(2.0, "r1", "failed")


def test_what_was_said_stands_where_it_was_heard(service):
    service.event(1.2, "conversation.item.input_audio_transcription.completed", item_id="user-1", transcript="Hello?")
    service.speaks(2.0, "r1", ms=100)
    service.event(2.0, "response.output_audio_transcript.delta", response_id="r1", item_id="r1-item", delta="Yes?")
    assert [
        (each.at_s, each.label) for each in service.mic.caller_utterances() + service.mic.assistant_utterances()
    ] == [
        (0.0, "Hello?"),
        (2.0, "Yes?"),
    ]


def cut_off(service: Service) -> None:
    """The answer breaks off after 2 s and four words; the line is back 1.5 s later."""
    service.hears(1.4, "What is free?")
    service.speaks(1.6, "r1", 2000)
    service.says(1.6, "r1", "I have nine thirty,")
    service.resumed(3.1)


def heard(service: Service) -> list[Any]:
    return [(each.item_id, each.start_s, each.end_s) for each in service.mic.playback.segments]


def said(service: Service) -> str:
    return service.mic.turns[-1].finish(99.0, Cost("m", date(2026, 7, 1))).said


def test_of_an_answer_that_is_given_again_only_the_rest_is_played(service):
    cut_off(service)
    assert service.kinds == ["conversation.item.create", "response.create"]  # at once: the rest is to follow
    service.begins(3.3, "r2")
    service.speaks(3.4, "r2", 1500)
    service.says(3.4, "r2", "I have nine ")
    service.speaks(3.5, "r2", 2500)
    assert heard(service) == [("r1-item", 1.6, 3.6)]  # not known yet whether it is the same
    service.says(3.5, "r2", "thirty, eleven and half past two.")
    service.done(3.6, "r2")
    assert heard(service) == [("r1-item", 1.6, 3.6), ("r2-item", 3.6, pytest.approx(5.6))]
    assert said(service) == "I have nine thirty, eleven and half past two."
    assert [(each.at_s, each.label) for each in service.mic.assistant_utterances()] == [(1.6, said(service))]


def test_another_answer_is_played_whole(service):
    cut_off(service)
    service.begins(3.3, "r2")
    service.speaks(3.4, "r2", 1500)
    service.says(3.4, "r2", "Nothing is free.")
    service.done(3.5, "r2")
    assert heard(service) == [("r1-item", 1.6, 3.6), ("r2-item", 3.6, pytest.approx(5.1))]
    assert said(service) == "I have nine thirty, Nothing is free."


def test_an_answer_without_words_is_played_when_it_has_ended(service):
    cut_off(service)
    service.begins(3.3, "r2")
    service.speaks(3.4, "r2", 1500)
    service.done(3.5, "r2")
    assert heard(service) == [("r1-item", 1.6, 3.6), ("r2-item", 3.6, pytest.approx(5.1))]


def test_a_line_that_is_lost_in_the_repetition_too_repeats_nothing_that_was_heard(service):
    cut_off(service)
    service.begins(3.3, "r2")
    service.speaks(3.4, "r2", 1000)
    service.says(3.4, "r2", "I have nine")
    service.resumed(5.0)
    service.begins(5.2, "r3")
    service.speaks(5.3, "r3", 3000)
    service.says(5.3, "r3", "I have nine thirty, and eleven.")
    service.done(5.4, "r3")
    assert heard(service) == [("r1-item", 1.6, 3.6), ("r3-item", 5.3, pytest.approx(6.3))]
    assert said(service) == "I have nine thirty, and eleven."


def test_a_caller_who_interrupts_a_repeated_answer_has_heard_both_parts_of_it(service):
    cut_off(service)
    service.begins(3.3, "r2")
    service.speaks(3.4, "r2", 4000)
    service.says(3.4, "r2", "I have nine thirty, eleven and half past two.")
    service.caller(4.1, item="user-2")
    (truncate,) = [event for event in service.sent if event["type"] == "conversation.item.truncate"]
    assert (truncate["item_id"], truncate["audio_end_ms"]) == ("r2-item", 2500)


def test_an_answer_that_the_caller_interrupted_is_not_taken_for_the_beginning_of_the_next(service):
    service.speaks(1.6, "r1", 2000)
    service.says(1.6, "r1", "I have nine thirty,")
    service.caller(2.0, 3.0, item="user-2")
    service.done(3.1, "r1", "cancelled")
    service.hears(3.2, "Say it again, please.", item="user-2")
    service.resumed(5.0)
    service.begins(5.2, "r2")
    service.speaks(5.3, "r2", 3000)
    service.says(5.3, "r2", "I have nine thirty, and eleven.")
    assert heard(service)[-1] == ("r2-item", 5.3, pytest.approx(8.3))
