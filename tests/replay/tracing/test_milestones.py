"""What a trace reads of the services' events."""

from __future__ import annotations

import json
from typing import Any

from replay.tracing.milestones import (
    MOST,
    ErrorCame,
    FirstOutput,
    Milestone,
    Milestones,
    ResponseBegan,
    ResponseEnded,
    ToolRan,
    Transcribed,
)


def read(*events: dict[str, Any] | bytes) -> list[Milestone]:
    """What events mean that come a second apart."""
    reader = Milestones()
    found = []
    for at, event in enumerate(events):
        found.append(reader.read(float(at), event if isinstance(event, bytes) else json.dumps(event).encode()))
    return [each for each in found if each is not None]


def test_the_first_piece_of_each_response_counts_also_if_two_go_on_at_once():
    created = [{"type": "response.created", "response": {"id": id}} for id in ("a", "b")]
    pieces = [
        {"type": "response.output_text.delta", "response_id": "b", "delta": "x"},
        {"type": "response.output_audio.delta", "response_id": "a", "delta": "AA=="},
        {"type": "response.output_audio.delta", "response_id": "a", "delta": "AA=="},
        {"type": "response.output_audio.delta", "response_id": "unknown", "delta": "AA=="},
    ]
    first = [FirstOutput("b", False), FirstOutput("a", True)]
    assert read(*created, *pieces) == [ResponseBegan("a"), ResponseBegan("b"), *first]


def test_a_failed_response_names_its_error():
    error = {"type": "server_error", "code": "model_overloaded"}
    response = {"id": "r", "status": "failed", "status_details": {"type": "failed", "error": error}, "usage": {"a": 1}}
    assert read({"type": "response.done", "response": response}) == [
        ResponseEnded("r", "failed", "model_overloaded", {"a": 1})
    ]
    plain = {"id": "r", "status": "failed", "status_details": "unimplemented"}
    assert read({"type": "response.done", "response": plain}) == [ResponseEnded("r", "failed", "failed")]


def test_a_tool_of_the_client_runs_from_its_call_to_its_result():
    call = {"type": "function_call", "name": "look_up", "call_id": "c", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c", "output": "3"}
    events = [
        {"type": "response.output_item.done", "item": call},
        {"type": "conversation.item.added", "item": {**result, "call_id": "of another"}},
        {"type": "conversation.item.added", "item": result},
    ]
    assert read(*events) == [ToolRan("look_up", "c", 0.0, arguments="{}", result="3")]


def test_a_tool_of_an_mcp_server_runs_in_either_dialect():
    named = {"type": "mcp_call", "id": "m", "name": "search", "server_label": "docs"}
    openai: list[dict[str, Any] | bytes] = [
        {"type": "response.output_item.added", "item": named},
        {"type": "response.mcp_call_arguments.done", "item_id": "m", "arguments": "{}"},
        {"type": "response.mcp_call.completed", "item_id": "m"},
    ]
    xai: list[dict[str, Any] | bytes] = [
        {"type": "response.mcp_call_arguments.done", "item_id": "m", "name": "search", "arguments": "{}"},
        {"type": "response.mcp_call.failed", "item_id": "m", "error": {"type": "http_error"}},
    ]
    assert read(*openai) == [ToolRan("search", "m", 0.0, True, arguments="{}")]
    assert read(*xai) == [ToolRan("search", "m", 0.0, True, "tool_error", "{}")]


def test_a_transcript_takes_from_the_end_of_the_turn():
    done = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "transcript": "hi"}
    failed = {"type": "conversation.item.input_audio_transcription.failed", "item_id": "i", "error": {"code": "bad"}}
    committed = {"type": "input_audio_buffer.committed", "item_id": "i"}
    assert read(committed, done) == [Transcribed("i", 0.0)]
    assert read(committed, failed) == [Transcribed("i", 0.0, "bad")]
    ended = read(committed, done, {"type": "response.done", "response": {"id": "r", "status": "completed"}})[-1]
    assert ended == ResponseEnded("r", "completed", asked=("hi",))


def test_odd_frames_mean_nothing_and_nothing_grows():
    reader = Milestones()
    for data in (
        b"",
        b"{",
        b"[]",
        b'{"type":',
        b'{"type":"response.created"',
        b'{"type":7}',
        b'{"x":{"type":"error"}}',
    ):
        assert reader.read(0.0, data) is None
    assert read({"event_id": "e", "type": "error", "error": {"code": None, "type": "invalid"}}) == [
        ErrorCame("invalid")
    ]
    for number in range(MOST + 50):
        item = {"type": "function_call", "name": "f", "call_id": str(number)}
        reader.read(0.0, json.dumps({"type": "response.output_item.done", "item": item}).encode())
    assert len(reader.unfinished()) == MOST
