"""What `session.update` takes from real clients, and what xAI's `session.updated` makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.mockserver.talk import Talk

WEATHER = {"name": "look", "description": "Look outside.", "parameters": {"type": "object", "b": 1, "a": 2}}
NESTED = {"type": "function", "function": WEATHER}

# One value for each field that clients of OpenAI and its relatives send in `session` and xAI ignores: session types
# of SDKs, of LiveKit, Pipecat, LiteLLM, the AI SDK and the agents SDKs.
FOREIGN: dict[str, Any] = {
    "type": "realtime",
    "output_modalities": ["audio"],
    "modalities": ["text", "audio"],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "max_output_tokens": "inf",
    "max_response_output_tokens": 4096,
    "temperature": 0.8,
    "input_audio_format": "pcm16",
    "output_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "whisper-1"},
    "input_audio_noise_reduction": None,
    "speed": 1.0,
    "tracing": "auto",
    "truncation": "auto",
    "include": ["item.input_audio_transcription.logprobs"],
    "prompt": None,
    "object": "realtime.session",
    "id": "sess_1",
}
FOREIGN_AUDIO = {
    "input": {"noise_reduction": None, "turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
    "output": {"voice": "marin", "speed": 1},
}


def echo(*updates: dict[str, Any]) -> dict[str, Any]:
    talk = Talk()
    for update in updates:
        talk.send("session.update", session=update)
    session: dict[str, Any] = talk.of("session.updated")[-1]["session"]
    return session


def test_an_empty_update_shows_the_whole_normal_form_in_order():
    assert list(echo({}).items()) == list(
        {
            "instructions": "",
            "enable_noise_suppression": True,
            "turn_detection": {"type": None},
            "model": "grok-voice-latest",
            "keep_context": False,
            "enable_phonetic_spelling": False,
            "input_audio_transcription": None,
            "modalities": ["audio"],
            "input_audio_format": "not specified",
            "output_audio_format": "not specified",
            "tool_choice": "auto",
            "temperature": -1.0,
            "max_response_output_tokens": "inf",
            "audio": {
                "input": {"format": {"type": "audio/pcm", "rate": 24000}, "transport": "json"},
                "output": {"format": {"type": "audio/pcm", "rate": 24000}, "transport": "json"},
            },
        }.items()
    )


def test_the_temperature_is_a_float_on_the_wire():
    talk = Talk()
    talk.session.receive('{"type":"session.update","session":{}}', 0.0)
    (updated,) = talk.session.take_output(0.0)
    assert b'"temperature":-1.0,' in getattr(updated.frame, "data", b"")


@pytest.mark.parametrize(
    "detection",
    [
        {"type": "server_vad"},
        {"type": "server_vad", "create_response": True, "interrupt_response": True},
        {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 200},
        {"silence_duration_ms": 0, "type": "server_vad"},
        {"type": None},
    ],
)
def test_turn_detection_comes_back_as_it_was_sent(detection: dict[str, Any]):
    assert list(echo({"turn_detection": detection})["turn_detection"].items()) == list(detection.items())


def test_a_null_idle_timeout_is_dropped_from_the_echo():
    sent = {"type": "server_vad", "idle_timeout_ms": None}
    assert echo({"turn_detection": sent})["turn_detection"] == {"type": "server_vad"}


@pytest.mark.parametrize("off", [None, {"type": None}])
def test_manual_turns_are_shown_as_a_null_type(off: Any):
    assert echo({"turn_detection": {"type": "server_vad"}}, {"turn_detection": off})["turn_detection"] == {"type": None}


@pytest.mark.parametrize("tool", [{"type": "function", **WEATHER}, NESTED])
def test_tools_come_back_nested_whichever_way_they_were_sent(tool: dict[str, Any]):
    session = echo({"tools": [tool]})
    (shown,) = session["tools"]
    assert shown == NESTED
    assert list(shown["function"]) == ["name", "description", "parameters"]
    assert list(shown["function"]["parameters"]) == ["type", "b", "a"]
    assert list(session)[3:5] == ["model", "tools"]


def test_reasoning_stands_behind_turn_detection():
    assert list(echo({"reasoning": {"effort": "none"}}))[2:4] == ["turn_detection", "reasoning"]


def test_what_is_not_shown_is_not_shown():
    sent = {"voice": "carina", "resumption": {"enabled": True}, "tools": [], "type": "realtime"}
    assert not {"id", "object", "voice", "resumption", "type", "expires_at", "tools"} & set(echo(sent))


def test_a_transcription_is_shown_twice():
    asked = {"model": "grok-transcribe", "language_hint": "en", "keyterms": ["Zahn"]}
    session = echo({"audio": {"input": {"transcription": asked}}})
    assert session["input_audio_transcription"] == session["audio"]["input"]["transcription"] == asked
    assert list(session["audio"]["input"]) == ["format", "transport", "transcription"]


def test_an_update_changes_only_what_it_names():
    first = {"instructions": "Be kind.", "turn_detection": {"type": "server_vad"}, "tools": [NESTED]}
    session = echo(first, {"audio": {"output": {"transport": "binary"}}}, {"audio": {"output": {"speed": 1.2}}})
    assert (session["instructions"], session["turn_detection"]["type"]) == ("Be kind.", "server_vad")
    assert session["audio"]["output"]["transport"] == "binary"
    assert session["tools"] == [NESTED]


@pytest.mark.parametrize(
    ("set", "blank", "key"),
    [
        ({"instructions": "Be kind."}, {"instructions": None}, "instructions"),
        ({"tools": [NESTED]}, {"tools": None}, "tools"),
        ({"reasoning": {"effort": "none"}}, {"reasoning": None}, "reasoning"),
        (
            {"audio": {"input": {"format": {"type": "audio/pcmu"}}}},
            {"audio": {"input": {"format": None}}},
            "audio",
        ),
    ],
)
def test_a_null_leaves_a_field_as_it_is_in_the_echo_too(set: dict[str, Any], blank: dict[str, Any], key: str):
    assert echo(set, blank).get(key) == echo(set)[key]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_field_of_other_services_is_taken_in_silence(name: str):
    shown = echo({"instructions": "Hi.", name: FOREIGN[name]})
    if name != "modalities":  # the only one that comes back: asked for text, it says so and speaks all the same
        assert shown == echo({"instructions": "Hi."})


def test_foreign_fields_of_the_audio_sides_are_taken_in_silence():
    assert echo({"audio": FOREIGN_AUDIO})["turn_detection"] == {"type": None}


def test_asked_for_text_it_says_so_and_speaks():
    talk = Talk(update={"modalities": ["text"]})
    assert talk.events[-1]["session"]["modalities"] == ["text"]
    talk.send("response.create", response={"modalities": ["text"], "conversation": "auto", "max_output_tokens": 5})
    assert talk.until("response.output_audio.delta")


@pytest.mark.parametrize("voice", ["Eve", "no-such-voice", ""])
def test_any_voice_is_accepted(voice: str):
    talk = Talk(update={"voice": voice})
    talk.say("Hi.")
    assert talk.until("response.output_audio.delta")


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "session.update", "event_id": "e1", "session": {}},
        {"type": "response.create", "event_id": "e2", "response": None},
        {"type": "response.create", "response": {"output_modalities": ["audio"], "tools": [], "input": []}},
        {"type": "conversation.item.create", "previous_item_id": None, "item": {
            "type": "message", "role": "system", "object": "realtime.item", "status": "completed",
            "content": [{"type": "input_text", "text": "Be kind."}]}},
        {"type": "conversation.item.create", "item": {
            "type": "force_message", "content": [{"type": "input_text", "text": "Hi."}]}},
        {"type": "conversation.item.create", "item": {
            "type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "AAAA"}]}},
        {"type": "input_audio_buffer.append", "audio": "", "event_id": "e3"},
    ],
)  # fmt: skip
def test_frames_of_real_clients_are_accepted(frame: dict[str, Any]):
    talk = Talk()
    talk.send(**frame)
    talk.rest()
    assert talk.of("error") == []
