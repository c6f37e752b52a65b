"""The schema of each event that xAI's dialects send, in wire order. How schemas are written: dialects/schema.py.

An object that the service echoes as the client sent it may be any object here.
"""

from __future__ import annotations

from collections.abc import Mapping

from mockserver.dialects.schema import Events, Schema

TEXT = (str, None)

_GREETED = {
    "id": str,
    "object": "realtime.session",
    "instructions": "",
    "voice": str,
    "modalities": [str],
    "turn_detection": {"type": None},
    "tools": [dict],
    "model": str,
}
_FUNCTION = {"type": "function", "function": {"name": str, "description?": TEXT, "parameters?": (dict, None)}}
_SIDE = {"format": dict, "transport": ("json", "binary"), "transcription?": dict, "speed?": (int, float)}
_CONFIGURED = {
    "instructions": str,
    "voice?": str,
    "enable_noise_suppression": bool,
    "turn_detection?": dict,
    "reasoning?": {"effort": ("high", "none")},
    "model": str,
    "tools?": [(_FUNCTION, dict)],
    "keep_context": False,
    "enable_phonetic_spelling": False,
    "input_audio_transcription": (dict, None),
    "modalities": [str],
    "input_audio_format": "not specified",
    "output_audio_format": "not specified",
    "tool_choice": "auto",
    "temperature": float,
    "max_response_output_tokens": "inf",
    "replace?": dict,
    "audio": {"input": _SIDE, "output": _SIDE},
}


def _head(kind: str, *roles: str) -> dict[str, Schema]:
    status = ("in_progress", "completed", "incomplete", "cancelled")
    return {"id": str, "object": "realtime.item", "type": kind, "status": status, "role": roles}


_PARTS = [({"type": str, "text": str}, {"type": str, "transcript": str})]
_CALLED = {"call_id": str, "name": str, "arguments": str}
_ADDED = (
    {**_head("message", "user", "assistant", "system"), "content": _PARTS},
    {**_head("function_call", "tool"), **_CALLED},
    {**_head("function_call_output", "tool"), "call_id": str, "output": str},
)
_PUT_OUT = (_head("message", "assistant"), {**_head("function_call", "user"), **_CALLED})
_SPOKEN = {**_head("message", "assistant"), "content": [{"type": "audio", "transcript": str}]}
_RESPONSE = {
    "id": str,
    "object": "realtime.response",
    "output": [(_SPOKEN, _PUT_OUT[1])],
    "status": ("in_progress", "completed", "cancelled", "failed", "incomplete"),
    "metadata?": dict,
    "status_details": "unimplemented",
    "usage": {},
}
_TOKENS = {"text_tokens": int, "audio_tokens": int, "grok_tokens": int}
_USAGE = {
    "input_tokens": int,
    "input_token_details": _TOKENS,
    "output_tokens": int,
    "output_token_details": _TOKENS,
    "total_tokens": int,
    "output_audio_seconds": float,
    "billable_audio_seconds": int,
}
_ERROR = {"type": str, "code": str, "message": str, "param": TEXT, "event_id": str}

_INDEXED = {"content_index": 0, "output_index": 0}
_IN_ITEM = {"item_id": str, "response_id": str}
_AUDIO = {"rid": str, "latency?": str, "audio_duration_ms": int, "ts": int}
_HEARD = {"item_id": str, "transcript": str, "content_index": 0}
_PUT = {"item": _PUT_OUT, "response_id": str, "output_index": 0}
_MCP_CALL = {"response_id": str, "item_id": str, "call_id": str}
_MCP_STAGE = {"item_id": str, "output_index": 0}
_FAILED = {"error": {"type": str, "message": str}}
_TRANSCRIPTION = "conversation.item.input_audio_transcription"

_BETWEEN: Events = {
    "conversation.created": {"conversation": {"id": str, "object": "realtime.conversation"}},
    "ping": {"timestamp": int},
    "conversation.item.deleted": {"item_id": ""},
    "conversation.item.truncated": {"item_id": str, "content_index": int, "audio_end_ms": int, "transcript": str},
    f"{_TRANSCRIPTION}.updated": _HEARD,
    f"{_TRANSCRIPTION}.completed": {**_HEARD, "status": ("in_progress", "completed")},
    "input_audio_buffer.speech_started": {"item_id": str, "audio_start_ms": int},
    "input_audio_buffer.speech_stopped": {"item_id": str, "audio_end_ms": int},
    "input_audio_buffer.cleared": {},
    "input_audio_buffer.timeout_triggered": {"item_id": str, "audio_start_ms": int, "audio_end_ms": int},
    "input_audio_buffer.dtmf_event_received": {"event": str, "received_at": int},
    "response.created": {"response": _RESPONSE},
    "response.output_item.added": _PUT,
    "response.output_item.done": _PUT,
    "response.output_audio.delta": {**_IN_ITEM, "delta": str, **_INDEXED, **_AUDIO},
    "response.output_audio_transcript.delta": {
        **_IN_ITEM,
        "delta": str,
        **_INDEXED,
        "rid": str,
        "start_time": float,
    },
    "response.output_audio_transcript.done": {
        "item_id": str,
        "transcript": str,
        "response_id": str,
        **_INDEXED,
    },
    "response.content_part.done": {**_IN_ITEM, **_INDEXED},
    "response.output_audio.done": {**_IN_ITEM, **_INDEXED},
    "response.function_call_arguments.delta": {**_IN_ITEM, "delta": str, "call_id": str},
    "response.function_call_arguments.done": {**_IN_ITEM, "output_index": 0, **_CALLED},
    "response.done": {"response": _RESPONSE, "response_id": str, "usage": _USAGE},
    "response.mcp_call_arguments.delta": {**_MCP_CALL, "delta": str},
    "response.mcp_call_arguments.done": {**_MCP_CALL, "name": str, "arguments": str},
    "response.mcp_call.in_progress": _MCP_STAGE,
    "response.mcp_call.completed": _MCP_STAGE,
    "response.mcp_call.failed": {**_MCP_STAGE, **_FAILED},
    "mcp_list_tools.in_progress": {"item_id": str},
    "mcp_list_tools.completed": {"item_id": str},
    "mcp_list_tools.failed": {"item_id": str, **_FAILED},
    "error": {"error": _ERROR},
}
EVENTS: Events = {
    **{type: {"type": type, "event_id": str, **rest, "previous_item_id": None} for type, rest in _BETWEEN.items()},
    "session.created": {"type": "session.created", "event_id": str, "session": _GREETED},
    "session.updated": {"session": _CONFIGURED, "type": "session.updated", "event_id": str, "previous_item_id": None},
    "input_audio_buffer.committed": {
        "type": "input_audio_buffer.committed",
        "event_id": str,
        "item_id": str,
        "previous_item_id": TEXT,
    },
    "conversation.item.added": {
        "type": "conversation.item.added",
        "event_id": str,
        "item": _ADDED,
        "previous_item_id": TEXT,
    },
    "response.content_part.added": {
        "type": "response.content_part.added",
        "event_id": str,
        "item_id": str,
        "previous_item_id": "0",
        "part": {"type": "audio", "transcript": ""},
        "response_id": str,
        **_INDEXED,
    },
}
"""All but a few events end with a null link."""


def _marked(schema: Schema) -> Schema:
    """The schema with `replayed` as the last key of each item."""
    if isinstance(schema, Mapping):
        marked = {key: _marked(part) for key, part in schema.items()}
        return {**marked, "replayed": bool} if schema.get("object") == "realtime.item" else marked
    if isinstance(schema, (tuple, list)):
        return type(schema)(map(_marked, schema))
    return schema


EVENTS_2026_09: Events = {type: _marked(each) for type, each in EVENTS.items()}
