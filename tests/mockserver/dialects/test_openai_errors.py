"""What OpenAI refuses: code, path and words; the client's event id comes back, and the session lives on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mockserver.responders.base import Say
from tests.mockserver.talk import Script, Talk

SESSION: dict[str, Any] = {"type": "realtime"}


@pytest.fixture
def talk() -> Talk:
    return Talk(Script([Say("This is a rather long answer to a short question.")]), dialect="openai")


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({**SESSION, "bogus_field": 1}, "unknown_parameter", "session.bogus_field"),
        ({**SESSION, "modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({**SESSION, "turn_detection": None}, "unknown_parameter", "session.turn_detection"),
        ({**SESSION, "audio": {"output": {"voice": "bob"}}}, "invalid_value", "session.audio.output.voice"),
        (
            {**SESSION, "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}},
            "integer_below_min_value",
            "session.audio.input.format.rate",
        ),
        (
            {**SESSION, "audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 1}}}},
            "integer_below_min_value",
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({**SESSION, "audio": {"output": {"speed": 9.5}}}, "decimal_above_max_value", "session.audio.output.speed"),
        (
            {**SESSION, "truncation": {"type": "retention_ratio", "retention_ratio": 2}},
            "decimal_above_max_value",
            "session.truncation.retention_ratio",
        ),
        (
            {**SESSION, "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "decimal_above_max_value",
            "session.audio.input.turn_detection.threshold",
        ),
        ({**SESSION, "max_output_tokens": 5000}, "integer_above_max_value", "session.max_output_tokens"),
        ({**SESSION, "tool_choice": {"type": "function"}}, "missing_required_parameter", "session.tool_choice.name"),
        ({**SESSION, "output_modalities": ["audio", "text"]}, "invalid_value", "session.output_modalities"),
        ({**SESSION, "instructions": 3}, "invalid_type", "session.instructions"),
        ({**SESSION, "tools": [{"type": "function"}]}, "missing_required_parameter", "session.tools[0].name"),
        (
            {**SESSION, "tools": [{"type": "mcp", "server_label": "billing"}]},
            "missing_required_parameter",
            "session.tools[0].server_url",
        ),
        (
            {
                **SESSION,
                "audio": {"input": {"transcription": {"model": "gpt-realtime-whisper", "prompt": "Doctor Weber"}}},
            },
            "invalid_value",
            "session.audio.input.transcription.prompt",
        ),
        ({"type": "transcription", "audio": {}, "instructions": ""}, "unknown_parameter", "session.instructions"),
    ],
)
def test_an_update_with_one_bad_member_is_refused_whole(talk: Talk, session: Any, code: str, param: str | None):
    talk.send("session.update", session={"instructions": "Be brief.", **session}, event_id="mine")
    error = talk.error
    assert (error["type"], error["code"], error["param"]) == ("invalid_request_error", code, param)
    assert error["event_id"] == "mine"
    assert list(error) == ["type", "code", "message", "param", "event_id"]
    assert "session.updated" not in talk.types
    assert talk.send("session.update", session=SESSION)[0]["session"]["instructions"].startswith("Your knowledge")


@pytest.mark.parametrize(
    "address", [{"server_url": "https://mcp.example"}, {"connector_id": "connector_gmail"}, {"tunnel_id": "tunnel_1"}]
)
def test_a_server_of_tools_has_one_of_three_addresses(talk: Talk, address: dict[str, str]):
    tool = {"type": "mcp", "server_label": "billing", **address}
    assert talk.send("session.update", session={**SESSION, "tools": [tool]})[0]["session"]["tools"] == [tool]


def test_a_response_s_server_of_tools_needs_an_address_as_well(talk: Talk):
    talk.send("response.create", response={"tools": [{"type": "mcp", "server_label": "billing"}]})
    assert talk.error["param"] == "response.tools[0].server_url"


def test_a_session_keeps_its_kind(talk: Talk):
    talk.send("session.update", session={"type": "transcription"})
    assert talk.error["code"] == "invalid_parameter"


def test_the_words_are_the_services(talk: Talk):
    talk.send("session.update", session={**SESSION, "bogus_field": 1})
    assert talk.error["message"] == "Unknown parameter: 'session.bogus_field'."
    talk.send("session.update", session={**SESSION, "audio": {"output": {"voice": "bob"}}})
    assert talk.error["message"] == (
        "Invalid value: 'bob'. Supported values are: 'alloy', 'ash', 'ballad', 'coral', 'echo', 'sage', 'shimmer',"
        " 'verse', 'marin', and 'cedar'."
    )
    form = {"type": "audio/pcm", "rate": 16000}
    talk.send("session.update", session={**SESSION, "audio": {"input": {"format": form}}})
    assert "Expected a value >= 24000" in talk.error["message"]


@pytest.mark.parametrize(
    ("frame", "code", "param", "words"),
    [
        ("not json", "invalid_json", None, "failed to parse JSON value"),
        ("[]", "invalid_event", None, "JSON object"),
        ("{}", "invalid_event", None, "'type'"),
        (b"\0\0", "invalid_event", None, "Expected a text WebSocket message; binary frames are not supported."),
        ('{"type": "transcription_session.update"}', "invalid_value", "type", "and 'response.cancel'."),
        ('{"type": "session.close"}', "invalid_event", "type", "translation"),
        ('{"type": "input_audio_buffer.append", "audio": ""}', "invalid_value", "audio", "but got empty bytes"),
        ('{"type": "input_audio_buffer.append", "audio": "?"}', "invalid_value", "audio", "but got an invalid value"),
        ('{"type": "input_audio_buffer.append"}', "missing_required_parameter", "audio", "'audio'"),
        ("[" * 100_000, "invalid_json", None, "Invalid event"),
    ],
)
def test_a_frame_that_is_no_request_is_explained(talk: Talk, frame: Any, code: str, param: str | None, words: str):
    talk.send_raw(frame)
    error = talk.error
    assert (error["code"], error["param"]) == (code, param)
    assert words in error["message"]


@pytest.mark.parametrize(
    ("event", "code", "words"),
    [
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", "only has 0.00ms of audio."),
        ({"type": "response.cancel"}, "response_cancel_not_active", "Cancellation failed: no active response found"),
        ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id", "id 'x' does not"),
        ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id", "id 'x' does not"),
        (
            {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1},
            "item_truncate_invalid_item_id",
            "Item with item_id not found: x",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "call_1", "output": ""},
            },
            "invalid_tool_call_id",
            "Tool call ID 'call_1' not found in conversation.",
        ),
        (
            {
                "type": "conversation.item.create",
                "previous_item_id": "x",
                "item": {"type": "message", "role": "user", "content": []},
            },
            "item_create_invalid_previous_item_id",
            "the previous item with id 'x' does not exist.",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {
                    "type": "message",
                    "role": "assistant",
                    "content": [{"type": "output_audio", "transcript": "Hi"}],
                },
            },
            "missing_required_parameter",
            "item.content[0].text",
        ),
        (
            {
                "type": "conversation.item.create",
                "item": {"type": "function_call_output", "call_id": "c" * 33, "output": ""},
            },
            "string_above_max_length",
            "got a string with length 33",
        ),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_in_the_service_s_words(talk: Talk, event: Any, code: str, words: str):
    """A request that does not read names the client's event in its refusal, and so does one about a response. What
    fails on the items, or on the buffer, names neither event nor parameter."""
    talk.send_raw(json.dumps({**event, "event_id": "mine"}))
    error = talk.error
    met = error["param"] is not None or event["type"].startswith("response.")
    assert (error["code"], error["event_id"]) == (code, "mine" if met else None)
    assert words in error["message"]


def test_a_second_response_is_refused_by_the_first_one_s_id(talk: Talk):
    talk.say("Hello.")
    running = talk.until("response.created")["response"]["id"]
    talk.send("response.create", event_id="second")
    error = talk.error
    assert error["code"] == "conversation_already_has_active_response"
    assert f"progress: {running}. Wait" in error["message"]
    talk.rest()
    assert talk.types.count("response.created") == 1


def test_a_commit_of_too_little_stays_in_the_buffer(talk: Talk):
    talk.send("session.update", session={**SESSION, "audio": {"input": {"turn_detection": None}}})
    talk.hush(60)
    talk.send("input_audio_buffer.commit")
    assert "only has 60.00ms" in talk.error["message"]
    talk.hush(60)
    assert talk.send("input_audio_buffer.commit")[0]["type"] == "input_audio_buffer.committed"


def test_the_voice_is_free_until_it_has_spoken(talk: Talk):
    voice = {**SESSION, "audio": {"output": {"voice": "cedar"}}}
    talk.send("session.update", session=voice)
    talk.say("Hello.")
    talk.rest()
    talk.send("session.update", session=voice)
    assert talk.types[-1] == "session.updated"
    talk.send("session.update", session={**SESSION, "audio": {"output": {"voice": "ash"}}})
    assert talk.error["code"] == "cannot_update_voice"


def test_only_what_was_spoken_can_be_truncated_and_not_beyond_its_end(talk: Talk):
    user = talk.write("Hello.")[0]["item"]["id"]
    talk.send("response.create")
    spoken = talk.until("response.output_item.done")["item"]["id"]
    talk.rest()
    cut: dict[str, Any] = {"content_index": 0}
    talk.send("conversation.item.truncate", item_id=user, audio_end_ms=1, **cut)
    assert talk.error["code"] == "unsupported_content_type"
    talk.send("conversation.item.truncate", item_id=spoken, audio_end_ms=57_340, **cut)
    length = round(talk.heard_seconds * 1000)
    assert talk.error["message"] == f"Audio content of {length}ms is already shorter than 57340ms"
    events = talk.send("conversation.item.truncate", item_id=spoken, audio_end_ms=400, **cut)
    assert [list(event.values())[2:] for event in events] == [[spoken, 0, 400]]
    talk.send("conversation.item.truncate", item_id=spoken, audio_end_ms=500, **cut)
    assert talk.error["message"].startswith("Audio content of 400ms")
