"""xAI on the wire: keys in the recorded order, constants, types, ids. See test_xai_settings.py, test_refusals.py."""

from __future__ import annotations

import re
import uuid
from typing import Any

import pytest

from mockserver.responders.base import Call, Say, Step
from tests.mockserver.talk import Event, Script, Talk

# Section 4.1 of the wire sheet: the keys of each event in wire order.
LINK = "previous_item_id"
KEYS = {
    "session.created": "type event_id session",
    "conversation.created": f"type event_id conversation {LINK}",
    "ping": f"type event_id timestamp {LINK}",
    "session.updated": f"session type event_id {LINK}",
    "conversation.item.added": f"type event_id item {LINK}",
    "input_audio_buffer.speech_started": f"type event_id item_id audio_start_ms {LINK}",
    "input_audio_buffer.speech_stopped": f"type event_id item_id audio_end_ms {LINK}",
    "input_audio_buffer.committed": f"type event_id item_id {LINK}",
    "conversation.item.input_audio_transcription.updated": f"type event_id item_id transcript content_index {LINK}",
    "conversation.item.input_audio_transcription.completed": (
        f"type event_id item_id transcript content_index status {LINK}"
    ),
    "response.created": f"type event_id response {LINK}",
    "response.output_item.added": f"type event_id item response_id output_index {LINK}",
    "response.content_part.added": f"type event_id item_id {LINK} part response_id content_index output_index",
    "response.output_audio.delta": (
        f"type event_id item_id response_id delta content_index output_index rid audio_duration_ms ts {LINK}"
    ),
    "response.output_audio_transcript.delta": (
        f"type event_id item_id response_id delta content_index output_index rid start_time {LINK}"
    ),
    "response.output_audio_transcript.done": (
        f"type event_id item_id transcript response_id content_index output_index {LINK}"
    ),
    "response.content_part.done": f"type event_id item_id response_id content_index output_index {LINK}",
    "response.output_audio.done": f"type event_id item_id response_id content_index output_index {LINK}",
    "response.output_item.done": f"type event_id item response_id output_index {LINK}",
    "response.function_call_arguments.delta": f"type event_id item_id response_id delta call_id {LINK}",
    "response.function_call_arguments.done": (
        f"type event_id item_id response_id output_index call_id name arguments {LINK}"
    ),
    "response.done": f"type event_id response response_id usage {LINK}",
}
UPDATE = {
    "instructions": "Be brief.",
    "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
    "audio": {"input": {"transcription": {"model": "grok-transcribe"}}},
}


@pytest.fixture
def call() -> Talk:
    """A spoken turn with an answer in two segments, and a function call."""
    reply: list[Step] = [Say("It is foggy and 12 degrees in London. Bye."), Call("look", {"city": "London"})]
    talk = Talk(Script(reply, heard=["Hello, my name is Marcelo."]), update=UPDATE)
    talk.speak()
    talk.hush(900)
    talk.rest()
    return talk


def test_every_recorded_event_has_its_keys_in_wire_order(call: Talk):
    for event in call.events:
        keys = [key for key in event if key != "latency"]
        assert keys == KEYS[event["type"]].split(), event
    assert set(call.types) == set(KEYS)


def test_links_are_null_but_for_items_and_the_one_real_zero(call: Talk):
    for event in call.events:
        match event["type"]:
            case "response.content_part.added":
                assert event[LINK] == "0"
            case "session.created" | "conversation.item.added":
                pass
            case _:
                assert event[LINK] is None


def test_latency_is_a_text_on_the_first_sound_alone_between_rid_and_duration(call: Talk):
    first, *others = call.of("response.output_audio.delta")
    assert re.fullmatch(r"\d\.\d\d", first["latency"])
    assert list(first)[7:10] == ["rid", "latency", "audio_duration_ms"]
    assert not any("latency" in delta for delta in others)


def test_a_segments_sound_carries_the_event_id_of_its_words(call: Talk):
    words = call.of("response.output_audio_transcript.delta")
    assert [delta["rid"] for delta in words] == [delta["event_id"] for delta in words]
    assert {delta["rid"] for delta in call.of("response.output_audio.delta")} == {delta["rid"] for delta in words}


def test_transcript_deltas_join_to_the_transcript_and_start_on_the_grid(call: Talk):
    words = call.of("response.output_audio_transcript.delta")
    done = call.of("response.output_audio_transcript.done")[0]
    assert "".join(delta["delta"] for delta in words) == done["transcript"]
    assert words[0]["start_time"] == 0.0
    assert all(delta["start_time"] * 50 == pytest.approx(round(delta["start_time"] * 50)) for delta in words)
    assert all(delta["delta"].startswith(" ") for delta in words[1:])


def test_indexes_are_zero_also_for_the_second_item(call: Talk):
    found = [event[key] for event in call.events for key in ("output_index", "content_index") if key in event]
    assert set(found) == {0}


def test_ids_are_version_4_uuids_but_for_sessions_and_calls(call: Talk):
    ids = [event["event_id"] for event in call.events]
    assert len(ids) == len(set(ids))
    others = [event[key] for event in call.events for key in ("item_id", "response_id", "rid") if key in event]
    assert all(str(uuid.UUID(id)) == id and uuid.UUID(id).version == 4 for id in ids + others)
    assert re.fullmatch("[0-9a-f]{32}", call.events[0]["session"]["id"])
    call_id = call.of("response.function_call_arguments.done")[0]["call_id"]
    assert len(call_id) == 43 and uuid.UUID(call_id[5:-2]).version == 4 and call_id.startswith("call-")


def test_a_calls_role_is_tool_in_the_conversation_and_user_in_the_response(call: Talk):
    added = call.of("conversation.item.added")[-1]
    assert list(added["item"]) == "id object type status role call_id name arguments".split()
    assert (added["item"]["role"], added["item"]["arguments"], added[LINK]) == ("tool", "", None)
    shown = [call.of("response.output_item.added")[1], call.of("response.output_item.done")[1]]
    assert [(event["item"]["role"], event["item"]["arguments"]) for event in shown] == [
        ("user", ""),
        ("user", '{"city":"London"}'),
    ]
    assert call.of("response.done")[0]["response"]["output"][1]["role"] == "user"


def test_a_message_has_content_only_in_the_conversation_and_at_the_end(call: Talk):
    for type in ("response.output_item.added", "response.output_item.done"):
        assert list(call.of(type)[0]["item"]) == "id object type status role".split()
    assert call.of("conversation.item.added")[1]["item"]["content"] == []
    message = call.of("response.done")[0]["response"]["output"][0]
    assert list(message["content"][0]) == ["type", "transcript"] and message["content"][0]["type"] == "audio"


def test_the_response_object_is_bare_and_its_usage_stands_beside_it(call: Talk):
    created, done = call.of("response.created")[0]["response"], call.of("response.done")[0]
    assert list(created) == list(done["response"]) == "id object output status status_details usage".split()
    assert created["output"] == [] and created["status"] == "in_progress"
    assert created["status_details"] == done["response"]["status_details"] == "unimplemented"
    assert done["response"]["usage"] == {}


def test_numbers_have_the_recorded_types(call: Talk):
    types = {
        (event["type"], key): type(event[key])
        for event in call.events
        for key in ("timestamp", "audio_start_ms", "audio_end_ms", "audio_duration_ms", "ts", "start_time")
        if key in event
    }
    assert {key for key, kind in types.items() if kind is float} == {
        ("response.output_audio_transcript.delta", "start_time")
    }
    assert set(types.values()) == {int, float}
    assert isinstance(call.of("response.done")[0]["usage"]["output_audio_seconds"], float)


def test_ts_is_the_time_of_sending_in_unix_milliseconds(call: Talk):
    deltas = call.of("response.output_audio.delta")
    assert deltas[0]["ts"] - call.of("ping")[0]["timestamp"] == pytest.approx(
        (0.3 + float(deltas[0]["latency"])) * 1000, abs=1
    )
    assert [delta["ts"] for delta in deltas] == sorted(delta["ts"] for delta in deltas)


# Dates.


@pytest.mark.parametrize(
    ("dialect", "asked", "model", "voice"),
    [
        ("xai@2026-07", None, "grok-voice-latest", "ara"),
        ("xai@2026-07", "grok-voice-latest", "grok-voice-latest", "ara"),
        ("xai@2026-07", "grok-voice-think-fast-2.0", "grok-voice-think-fast-2.0", "ara"),
        ("xai@2026-07", "no-such-model", "grok-voice-latest", "ara"),
        ("xai@2026-09", None, "grok-voice-think-fast-2.0", "xai_ara"),
        ("xai@2026-09", "grok-voice-latest", "grok-voice-think-fast-2.0", "xai_ara"),
        ("xai@2026-09", "no-such-model", "grok-voice-think-fast-2.0", "xai_ara"),
    ],
)
def test_each_date_greets_with_its_model_and_voice(dialect: str, asked: str | None, model: str, voice: str):
    talk = Talk(dialect=dialect, model=asked, update={"model": "grok-voice-think-fast-1.0"})
    created, updated = talk.events[0]["session"], talk.events[3]["session"]
    assert list(created) == "id object instructions voice modalities turn_detection tools model".split()
    assert (created["model"], created["voice"], created["turn_detection"]) == (model, voice, {"type": None})
    assert updated["model"] == model


# What is documented and was never recorded.


def test_unrecorded_events_start_and_end_like_the_others():
    talk = Talk(Script([Say("One two three.")]))
    events: list[Event] = talk.send("input_audio_buffer.clear")
    talk.say("Count.")
    item_id = talk.until("response.output_item.done")["item"]["id"]
    talk.rest()
    events += talk.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1)
    events += talk.send("conversation.item.delete", item_id=item_id)
    events += talk.send("response.cancel")
    assert [list(event)[:2] + list(event)[-1:] for event in events] == [["type", "event_id", LINK]] * 4
    assert list(events[1])[2:-1] == "item_id content_index audio_end_ms transcript".split()
    assert talk.error["event_id"] == events[3]["event_id"]


@pytest.mark.parametrize("value", [10**30, 2**63])
@pytest.mark.parametrize("field", ["content_index", "audio_end_ms"])
def test_a_truncation_far_beyond_the_end_is_survived(field: str, value: Any):
    talk = Talk(Script([Say("One two three.")]))
    talk.say("Count.")
    item_id = talk.until("response.output_item.done")["item"]["id"]
    talk.rest()
    talk.send("conversation.item.truncate", **{"item_id": item_id, "content_index": 0, "audio_end_ms": 1, field: value})
    talk.of("error")
