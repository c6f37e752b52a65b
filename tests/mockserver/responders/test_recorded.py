"""A recording given again by a session: its words, calls, pauses and sound, in frames of the session's own."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mockserver.responders.base import Call, Fail, Pause, Say, Turn
from mockserver.responders.recorded import NO_FURTHER_RESPONSE, RecordedResponder
from replay.cassette.content import recorded_conversations
from replay.cassette.recording import Line, Recording
from replay.formats import pydantic_ai
from tests.mockserver.talk import Talk
from tests.replay.recordings import Told, line

TALK = Recording.of(pydantic_ai.read(Path(__file__).parents[2] / "replay" / "talk.yaml"))
SOUND = (np.sin(np.arange(48_000) / 20) * 9000).astype("<i2")
"""Two seconds."""


def tape(*told: Told) -> RecordedResponder:
    recording = Recording("tape", "xai", "hand", (line(*told),))
    return RecordedResponder(recorded_conversations(recording)[0])


def event(type: str, **fields: object) -> dict[str, object]:
    return {"type": type, "response_id": "r", "item_id": "i", **fields}


def response(*told: Told) -> tuple[Told, ...]:
    return (("<", 0.0, {"type": "response.created", "response": {"id": "r"}}), *told)


def audio(samples: Any, rid: str, ms: float | None = None) -> dict[str, object]:
    told = {} if ms is None else {"audio_duration_ms": ms}
    return event("response.output_audio.delta", delta=base64.b64encode(samples.tobytes()).decode(), rid=rid, **told)


def words(text: str, rid: str) -> dict[str, object]:
    return event("response.output_audio_transcript.delta", delta=text, rid=rid)


TWO_SEGMENTS = response(
    ("<", 0.5, audio(SOUND[:20_000], "a")),
    ("<", 0.5, words("Hello.", "a")),
    ("<", 0.6, audio(SOUND[20_000:24_000], "a")),
    ("<", 0.6, words(" How are you?", "b")),
    ("<", 0.7, audio(SOUND[24_000:], "b")),
)


def test_the_recorded_sound_is_played_sample_by_sample_and_cut_at_the_recorded_segments():
    talk = Talk(tape(*TWO_SEGMENTS))
    talk.send("response.create")
    done = talk.until("response.done")
    deltas = talk.of("response.output_audio.delta")
    played = np.frombuffer(b"".join(base64.b64decode(delta["delta"]) for delta in deltas), "<i2")
    assert np.array_equal(played, SOUND)
    told = talk.of("response.output_audio_transcript.delta")
    assert [each["delta"] for each in told] == ["Hello.", " How are you?"]
    of_first = [delta for delta in deltas if delta["rid"] == told[0]["rid"]]
    assert sum(len(base64.b64decode(delta["delta"])) for delta in of_first) == 48_000
    assert done["usage"]["output_audio_seconds"] == pytest.approx(2.0)


def test_the_recorded_answer_can_be_cut_and_is_billed_as_far_as_it_was_sent():
    talk = Talk(tape(*TWO_SEGMENTS))
    talk.send("response.create")
    talk.until("response.output_audio.delta")
    talk.send("response.cancel")
    done = talk.until("response.done")
    assert done["response"]["status"] == "cancelled"
    assert done["usage"]["output_audio_seconds"] == pytest.approx(talk.heard_seconds)
    assert 0 < talk.heard_seconds < 2


def test_sound_that_whoever_kept_it_has_cut_is_spoken_anew():
    responder = tape(*response(("<", 0.5, audio(SOUND[:20], "a", ms=490)), ("<", 0.5, words("Hello.", "a"))))
    assert list(responder.reply(Turn(0, None))) == [Say("Hello.")]


def test_without_segments_the_sound_is_one_piece():
    responder = tape(
        *response(("<", 0.1, audio(SOUND, "")), ("<", 0.1, words("One ", "")), ("<", 0.2, words("two.", "")))
    )
    (say,) = responder.reply(Turn(0, None))
    assert isinstance(say, Say)
    assert [(segment.text, len(segment.samples)) for segment in say.segments] == [("One two.", 48_000)]


def test_calls_pauses_and_failures_come_back():
    failed = {"id": "r", "status": "failed", "status_details": {"error": {"code": "overloaded"}}}
    responder = tape(
        *response(
            ("<", 0.1, event("response.output_item.added", item={"id": "i", "type": "message"})),
            ("<", 0.2, words("Let me see.", "a")),
            ("<", 0.9, event("response.output_item.added", item={"id": "j", "type": "function_call"})),
            ("<", 0.9, event("response.function_call_arguments.done", name="look", arguments='{"a": 1e5}')),
            ("<", 1.1, {"type": "response.done", "response": failed}),
        )
    )
    steps = list(responder.reply(Turn(0, None)))
    assert steps == [Say("Let me see."), Pause(700), Call("look", '{"a": 1e5}'), Fail("overloaded", "")]


def test_spoken_turns_are_heard_as_recorded_however_late_the_transcript_came():
    heard = "conversation.item.input_audio_transcription.completed"
    responder = tape(
        ("<", 0.0, event("input_audio_buffer.committed", item_id="u1")),
        *response(),
        ("<", 0.1, event("input_audio_buffer.committed", item_id="u2")),
        ("<", 0.2, event(heard, item_id="u1", transcript="Good morning.")),
    )
    assert [responder.hear(0), responder.hear(1), responder.hear(2)] == ["Good morning.", None, None]


def test_after_the_last_recorded_response_it_says_so_and_counts():
    responder = tape(*response(("<", 0.1, words("Hi.", "a"))))
    assert responder.unserved == 1
    assert [list(responder.reply(Turn(0, None))) for _ in range(3)] == [
        [Say("Hi.")],
        [Say(NO_FURTHER_RESPONSE)],
        [Say(NO_FURTHER_RESPONSE)],
    ]
    assert (responder.unserved, responder.unmatched) == (0, 2)


def test_what_a_client_had_spoken_itself_is_no_answer():
    message = {"type": "conversation.item.create", "item": {"type": "force_message"}}
    responder = tape(
        (">", 0.0, message),
        *response(("<", 0.1, words("Welcome.", "a"))),
        ("<", 0.2, {"type": "response.created", "response": {"id": "s"}}),
        ("<", 0.3, {**words("Yes?", "b"), "response_id": "s", "item_id": "j"}),
    )
    assert list(responder.reply(Turn(0, None))) == [Say("Yes?")]


def conversation(id: str | None, says: str) -> Line:
    created = {"type": "conversation.created", "conversation": {"id": id}}
    told = [("<", 0.0, created)] if id else []
    return line(*told, *response(("<", 0.1, words(says, "a"))))


def test_a_connection_that_resumes_goes_on_with_the_conversation_and_any_other_is_one_of_its_own():
    lines = (
        conversation("c1", "One."),
        conversation("c1", "Two."),
        conversation("c2", "Three."),
        conversation(None, "4"),
    )
    found = recorded_conversations(Recording("tape", "xai", "hand", lines))
    replies = [[exchange.steps[0] for exchange in chapter.exchanges] for chapter in found]
    assert [[getattr(step, "text", "") for step in steps] for steps in replies] == [["One.", "Two."], ["Three."], ["4"]]


def test_the_conversation_comes_back_with_ids_of_its_own_and_waits_for_a_slower_client():
    talk = Talk(RecordedResponder(recorded_conversations(TALK)[0]))
    talk.say("anything")
    talk.until("response.done")
    (call,) = talk.of("response.function_call_arguments.done")
    assert (call["name"], call["arguments"]) == ("find_room", '{"day":"Monday"}')
    talk.wait(60)
    talk.create("function_call_output", call_id=call["call_id"], output="room 4")
    talk.send("response.create")
    talk.until("response.done")
    mine = {each["response"]["id"] for each in talk.of("response.created")}
    theirs = {each["response"]["id"] for each in TALK.received() if each["type"] == "response.created"}
    assert len(mine) == len(theirs) == 2
    assert mine.isdisjoint(theirs)
    said = [each["transcript"] for each in talk.of("response.output_audio_transcript.done")]
    assert said == ["One moment. Let me look.", "Room four."]
