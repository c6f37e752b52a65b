"""OpenAI on the wire: keys in the recorded order, ids, the session object, obfuscation, the links of items."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mockserver.responders.base import Call, Say
from tests.mockserver.talk import Event, Script, Talk, kinds

KEYS = {
    "session.created": "session",
    "session.updated": "session",
    "input_audio_buffer.speech_started": "audio_start_ms item_id",
    "input_audio_buffer.speech_stopped": "audio_end_ms item_id",
    "input_audio_buffer.committed": "previous_item_id item_id",
    "conversation.item.added": "previous_item_id item",
    "conversation.item.done": "previous_item_id item",
    "conversation.item.input_audio_transcription.delta": "item_id content_index delta obfuscation",
    "conversation.item.input_audio_transcription.completed": "item_id content_index transcript usage",
    "response.created": "response",
    "response.output_item.added": "response_id output_index item",
    "response.content_part.added": "response_id item_id output_index content_index part",
    "response.output_audio_transcript.delta": "response_id item_id output_index content_index delta obfuscation",
    "response.output_audio.delta": "response_id item_id output_index content_index delta",
    "response.output_audio.done": "response_id item_id output_index content_index",
    "response.output_audio_transcript.done": "response_id item_id output_index content_index transcript",
    "response.content_part.done": "response_id item_id output_index content_index part",
    "response.output_item.done": "response_id output_index item",
    "response.function_call_arguments.delta": "response_id item_id output_index call_id delta obfuscation",
    "response.function_call_arguments.done": "response_id item_id output_index call_id name arguments",
    "response.done": "response",
    "rate_limits.updated": "rate_limits",
}
SPOKEN = {"type": "realtime", "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper"}}}}
WRITTEN = {"type": "realtime", "output_modalities": ["text"]}


def talk_to(*replies: Any, **settings: Any) -> Talk:
    return Talk(Script(*replies, heard=settings.pop("heard", ())), dialect="openai", **settings)


def at_end(talk: Talk, type: str) -> Event:
    event: Event = talk.of(type)[-1]
    return event


@pytest.fixture
def call() -> Talk:
    """A spoken turn, answered in words and with a function call."""
    reply = [Say("It is foggy in London. Let me look again."), Call("look", {"city": "London"})]
    talk = talk_to(reply, heard=["Hello, my name is Marcelo."], update=SPOKEN)
    talk.speak()
    talk.hush(900)
    talk.rest()
    return talk


def test_every_recorded_event_has_its_keys_in_wire_order(call: Talk):
    for event in call.events:
        assert list(event) == ["type", "event_id", *KEYS[event["type"]].split()], event
    assert set(call.types) == set(KEYS)


def test_a_spoken_turn_is_answered_at_once_and_transcribed_beside(call: Talk):
    heard = "conversation.item.input_audio_transcription"
    order = [kind for kind in kinds(call.events[2:]) if not kind.startswith(heard)]
    assert order[:6] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]
    created, done = call.types.index("response.created"), call.types.index("response.done")
    assert created < call.types.index(f"{heard}.completed") < done


def test_all_is_closed_at_the_end_the_sound_before_its_words(call: Talk):
    assert kinds(call.events)[-10:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]


def test_the_transcript_runs_ahead_of_the_sound(call: Talk):
    words, sound = "response.output_audio_transcript.delta", "response.output_audio.delta"
    run = [event["type"] for event in call.events if event["type"] in (words, sound)]
    assert run[:4] == [words, words, words, sound]
    last_word = max(at for at, kind in enumerate(run) if kind == words)
    assert set(run[last_word + 1 :]) == {sound}


def test_deltas_are_filled_to_sixteen_characters(call: Talk):
    padded = [event for event in call.events if "obfuscation" in event]
    assert padded and all((len(event["delta"]) + len(event["obfuscation"])) % 16 == 0 for event in padded)
    assert all(re.fullmatch("[0-9A-Za-z]*", event["obfuscation"]) for event in padded)


def test_ids_tell_the_second_they_were_made_in(call: Talk):
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def second(id: str) -> int:
        value = 0
        for digit in id.split("_")[1][:5]:
            value = value * 62 + digits.index(digit)
        return value + 1_576_800_000

    created = call.events[0]
    assert second(created["event_id"]) == created["session"]["expires_at"] - 3600 == 1_785_214_080
    assert second(at_end(call, "response.done")["event_id"]) == 1_785_214_080 + int(call.now - 0.043)
    assert all(re.fullmatch("event_[0-9A-Za-z]{21}", event["event_id"]) for event in call.events)
    assert re.fullmatch("call_[0-9A-Za-z]{16}", at_end(call, "response.function_call_arguments.done")["call_id"])


def test_sound_is_counted_in_fifty_milliseconds(call: Talk):
    tokens = at_end(call, "response.done")["response"]["usage"]["output_token_details"]["audio_tokens"]
    assert tokens * 0.05 == pytest.approx(call.heard_seconds)


# The session object.


@pytest.mark.parametrize(
    ("model", "voice", "silence_ms"),
    [
        ("gpt-realtime", "alloy", 200),
        ("gpt-realtime-mini", "alloy", 200),
        ("gpt-realtime-2025-08-28", "alloy", 200),
        ("gpt-realtime-2.1", "marin", 500),
    ],
)
def test_a_model_brings_its_voice_and_its_patience(model: str, voice: str, silence_ms: int):
    session = talk_to(model=model).events[0]["session"]
    assert (session["model"], session["audio"]["output"]["voice"]) == (model, voice)
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == silence_ms


def test_an_update_changes_what_it_names_and_fills_what_it_leaves_out():
    talk = talk_to(update={"type": "realtime", "instructions": "Be brief.", "model": "gpt-other"})
    tool = {"type": "function", "parameters": {"type": "object"}, "name": "look"}
    talk.send("session.update", session={"type": "realtime", "tools": [tool]})
    detection = {"type": "server_vad", "silence_duration_ms": 400}
    talk.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
    session = at_end(talk, "session.updated")["session"]
    assert (session["model"], session["instructions"]) == ("gpt-realtime", "Be brief.")
    assert session["tools"] == [
        {"type": "function", "name": "look", "description": None, "parameters": {"type": "object"}}
    ]
    assert list(session["tools"][0]) == ["type", "name", "description", "parameters"]
    assert list(session["audio"]["input"]["turn_detection"].values()) == ["server_vad", 0.5, 300, 400, None, True, True]


def test_empty_instructions_bring_the_service_s_own_back():
    talk = talk_to(update={"type": "realtime", "instructions": "Be brief."})
    session = talk.send("session.update", session={"type": "realtime", "instructions": ""})[0]["session"]
    assert session["instructions"] == talk.events[0]["session"]["instructions"]


def test_semantic_vad_is_echoed_and_waits_longer_for_the_patient():
    ends = []
    for eagerness in ("high", "low"):
        detection = {"type": "semantic_vad", "eagerness": eagerness}
        talk = talk_to(update={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})
        shown = at_end(talk, "session.updated")["session"]["audio"]["input"]["turn_detection"]
        assert shown == {**detection, "create_response": True, "interrupt_response": True}
        talk.speak("Hello there.")
        talk.hush(2500)
        ends.append(at_end(talk, "input_audio_buffer.speech_stopped")["audio_end_ms"])
        talk.rest()
    assert ends[0] < ends[1]


# Items.


def test_the_link_of_the_second_item_is_lost_at_its_end_and_no_other():
    talk = talk_to([Say("One.")], [Say("Two.")])
    talk.say("First.")
    talk.rest()
    talk.say("Second.")
    talk.rest()
    links = [(event["type"][18:], event["previous_item_id"]) for event in talk.events if "previous_item_id" in event]
    ids = [event["item"]["id"] for event in talk.of("conversation.item.added")]
    assert links == [
        ("added", None),
        ("done", None),
        ("added", ids[0]),
        ("done", None),
        ("added", ids[1]),
        ("done", ids[1]),
        ("added", ids[2]),
        ("done", ids[2]),
    ]


def test_a_written_answer_has_text_and_no_sound():
    talk = talk_to([Say("Hi there!")], update=WRITTEN)
    talk.say("Hello.")
    talk.rest()
    assert kinds(talk.events)[4:] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
        "rate_limits.updated",
    ]
    response = at_end(talk, "response.done")["response"]
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Hi there!"}]
    assert response["output_modalities"] == ["text"]
    assert response["usage"]["output_token_details"] == {"text_tokens": 5, "audio_tokens": 0}


def test_the_second_generation_says_whether_a_call_follows():
    talk = talk_to([Say("I will look."), Call("look")], [Say("Found.")], model="gpt-realtime-2.1", update=WRITTEN)
    talk.say("Hello.")
    talk.rest()
    call_id = at_end(talk, "response.function_call_arguments.done")["call_id"]
    talk.create("function_call_output", call_id=call_id, output="3")
    talk.send("response.create")
    talk.rest()
    messages = [event["item"] for event in talk.of("response.output_item.done") if event["item"]["type"] == "message"]
    assert [message["phase"] for message in messages] == ["commentary", "final_answer"]
    assert list(messages[0])[-1] == "phase"


def test_client_items_come_back_as_they_are_known():
    talk = talk_to()
    talk.write("Hello.", "user")
    talk.write("Hi.", "assistant")
    talk.write("Be kind.", "system", previous_item_id="root")
    talk.create("function_call", call_id="c-1", name="look", arguments="{}")
    talk.create("function_call_output", call_id="c-1", output="3")
    items = [event["item"] for event in talk.of("conversation.item.done")]
    assert [item.get("role") for item in items] == ["user", "assistant", "system", None, None]
    assert list(items[-1]) == ["id", "type", "call_id", "output"]
    assert talk.of("conversation.item.added")[2]["previous_item_id"] is None


def twice(dialect: str) -> Talk:
    """An item comes under an id that is taken."""
    talk = Talk(dialect=dialect)
    for text in ("one", "two"):
        content = [{"type": "input_text", "text": text}]
        talk.create("message", id="mine", role="user", content=content)
    return talk


def test_an_id_that_is_taken_is_refused_and_its_item_stays():
    talk = twice("openai")
    assert talk.error == {
        "type": "invalid_request_error",
        "code": "item_create_duplicate_item_id",
        "message": "Error adding item: an item with id 'mine' already exists.",
        "param": None,
        "event_id": None,
    }
    shown = talk.send("conversation.item.retrieve", item_id="mine")[0]["item"]
    assert [part["text"] for part in shown["content"]] == ["one"]
    assert len(talk.of("conversation.item.added")) == 1


def test_at_an_older_date_an_id_came_twice_and_followed_itself():
    talk = twice("openai@2026-08")
    assert [event["previous_item_id"] for event in talk.of("conversation.item.added")] == [None, "mine"]
