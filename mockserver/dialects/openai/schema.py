"""The schema of each event that OpenAI's dialect sends, in wire order. How schemas are written: dialects/schema.py."""

from __future__ import annotations

from mockserver.dialects.schema import Events, Schema

TEXT = (str, None)
COUNT = (int, None)
NUMBER = (int, float)

FORMAT = ({"type": "audio/pcm", "rate": int}, {"type": "audio/pcmu"}, {"type": "audio/pcma"})
VOICE = (str, {"id": str})
_ANSWERS = {"create_response": bool, "interrupt_response": bool}
_SERVER_VAD = {"type": "server_vad", "threshold": NUMBER, "prefix_padding_ms": int, "silence_duration_ms": int}
DETECTION = (
    {**_SERVER_VAD, "idle_timeout_ms": COUNT, **_ANSWERS},
    _SERVER_VAD,  # of a session that only transcribes
    {"type": "semantic_vad", "eagerness": str, **_ANSWERS},
    {"type": "semantic_vad", "eagerness": str},
    None,
)
_TRANSCRIPTION = {
    "model": TEXT,
    "language": TEXT,
    "prompt": TEXT,
    "languages?": ([str], None),
    "keywords?": ([str], None),
    "delay?": TEXT,
}
_INPUT = {
    "format": FORMAT,
    "transcription": (_TRANSCRIPTION, None),
    "noise_reduction": ({"type": str}, None),
    "turn_detection": DETECTION,
}
_TOOLS = [({"type": "function", "name": str, "description": TEXT, "parameters": (dict, None)}, dict)]
_CHOICE = (str, {"type": "function", "name": str}, {"type": "mcp", "server_label": str, "name?": TEXT})
REALTIME = {
    "type": "realtime",
    "object": "realtime.session",
    "id": str,
    "model": str,
    "output_modalities": [str],
    "instructions": str,
    "tools": _TOOLS,
    "tool_choice": _CHOICE,
    "max_output_tokens": ("inf", int),
    "tracing": ("auto", dict, None),
    "truncation": ("auto", "disabled", dict),
    "prompt": (dict, None),
    "expires_at": int,
    "audio": {"input": _INPUT, "output": {"format": FORMAT, "voice": VOICE, "speed": float}},
    "include": ([str], None),
}
TRANSCRIBING = {
    "type": "transcription",
    "object": "realtime.transcription_session",
    "id": str,
    "expires_at": int,
    "audio": {"input": _INPUT},
    "include": ([str], None),
}
SESSION = (REALTIME, TRANSCRIBING)

_CONTENT = [
    (
        {"type": "input_text", "text": str},
        {"type": "input_audio", "transcript": TEXT},
        {"type": "input_image", "image_url": str, "detail": str},
        {"type": "output_text", "text": str},
        {"type": "output_audio", "transcript": str},
    )
]
_RETRIEVED = [
    (
        {"type": "input_text", "text": str},
        {"type": "input_audio", "transcript": TEXT, "audio?": str},
        {"type": "input_image", "image_url": str, "detail": str},
        {"type": "output_text", "text": str},
        {"type": "output_audio", "transcript": str, "audio?": str},
    )
]
_OTHERS: tuple[Schema, ...] = (
    {"id": str, "type": "function_call", "status": str, "name": str, "call_id": str, "arguments": str},
    {"id": str, "type": "function_call_output", "call_id": str, "output": str},
    {
        "id": str,
        "type": "mcp_call",
        "server_label": str,
        "name": str,
        "arguments": str,
        "approval_request_id": TEXT,
        "output": TEXT,
        "error": ({"type": str, "code?": int, "message": str}, None),
    },
    {
        "id": str,
        "type": "mcp_list_tools",
        "server_label": str,
        "tools": [{"name": str, "description?": str, "input_schema": dict, "annotations": (dict, None)}],
    },
    {"id": str, "type": "mcp_approval_request", "server_label": str, "name": str, "arguments": str},
    {"id": str, "type": "mcp_approval_response", "approval_request_id": str, "approve": bool, "reason": TEXT},
)


def _items(content: Schema) -> tuple[Schema, ...]:
    message = {"id": str, "type": "message", "status": str, "role": str, "content": content, "phase?": str}
    return (message, *_OTHERS)


ITEM = _items(_CONTENT)
PART = ({"type": "text", "text": str}, {"type": "audio", "transcript": str})
_CACHED = {"text_tokens": int, "audio_tokens": int, "image_tokens": int}
USAGE = {
    "total_tokens": int,
    "input_tokens": int,
    "output_tokens": int,
    "input_token_details": {**_CACHED, "cached_tokens": int, "cached_tokens_details": _CACHED},
    "output_token_details": {"text_tokens": int, "audio_tokens": int, "reasoning_tokens?": int},
}
_DETAILS = (
    {"type": "cancelled", "reason": ("turn_detected", "client_cancelled")},
    {"type": "incomplete", "reason": str},
    {"type": "failed", "error": {"type": str, "code": TEXT, "message": str}},
    None,
)
RESPONSE = {
    "object": "realtime.response",
    "id": str,
    "status": ("in_progress", "completed", "cancelled", "failed", "incomplete"),
    "status_details": _DETAILS,
    "output": [ITEM],
    "conversation_id": TEXT,
    "output_modalities": [str],
    "max_output_tokens": ("inf", int),
    "audio": {"output": {"format": FORMAT, "voice": VOICE}},
    "usage": (USAGE, None),
    "metadata": (dict, None),
}
_LOGPROBS = [{"token": str, "logprob": NUMBER, "bytes": [int]}]
_TOKENS = {
    "type": "tokens",
    "total_tokens": int,
    "input_tokens": int,
    "input_token_details": {"text_tokens": int, "audio_tokens": int},
    "output_tokens": int,
}

_LINKED = {"previous_item_id": TEXT, "item": ITEM}
_IN_RESPONSE = {"response_id": str, "output_index": int, "item": ITEM}
_PLACE = {"response_id": str, "item_id": str, "output_index": int, "content_index": int}
_CALL = {"response_id": str, "item_id": str, "output_index": int, "call_id": str}
_MCP_CALL = {"response_id": str, "item_id": str, "output_index": int}
_DELTA = {"delta": str, "obfuscation": str}
_HEARD = {"item_id": str, "content_index": int}
_LIMIT = {"name": str, "limit": int, "remaining": int, "reset_seconds": NUMBER}
_ERROR = {"type": str, "code": TEXT, "message": str, "param": TEXT, "event_id": TEXT}

_AFTER_HEAD: Events = {
    "session.created": {"session": SESSION},
    "session.updated": {"session": SESSION},
    "input_audio_buffer.speech_started": {"audio_start_ms": int, "item_id": str},
    "input_audio_buffer.speech_stopped": {"audio_end_ms": int, "item_id": str},
    "input_audio_buffer.committed": {"previous_item_id": TEXT, "item_id": str},
    "input_audio_buffer.cleared": {},
    "input_audio_buffer.timeout_triggered": {"audio_start_ms": int, "audio_end_ms": int, "item_id": str},
    "output_audio_buffer.started": {"response_id": str},
    "output_audio_buffer.stopped": {"response_id": str},
    "output_audio_buffer.cleared": {"response_id": str},
    "conversation.item.added": _LINKED,
    "conversation.item.done": _LINKED,
    "conversation.item.retrieved": {"item": _items(_RETRIEVED)},
    "conversation.item.truncated": {"item_id": str, "content_index": int, "audio_end_ms": int},
    "conversation.item.deleted": {"item_id": str},
    "conversation.item.input_audio_transcription.delta": {**_HEARD, **_DELTA, "logprobs?": _LOGPROBS},
    "conversation.item.input_audio_transcription.completed": {
        **_HEARD,
        "transcript": str,
        "usage": (_TOKENS, {"type": "duration", "seconds": int}),
        "logprobs?": _LOGPROBS,
    },
    "conversation.item.input_audio_transcription.failed": {
        **_HEARD,
        "error": {"type": str, "code": TEXT, "message": str, "param": None},
    },
    "response.created": {"response": RESPONSE},
    "response.done": {"response": RESPONSE},
    "response.output_item.added": _IN_RESPONSE,
    "response.output_item.done": _IN_RESPONSE,
    "response.content_part.added": {**_PLACE, "part": PART},
    "response.content_part.done": {**_PLACE, "part": PART},
    "response.output_text.delta": {**_PLACE, **_DELTA},
    "response.output_text.done": {**_PLACE, "text": str},
    "response.output_audio_transcript.delta": {**_PLACE, **_DELTA},
    "response.output_audio_transcript.done": {**_PLACE, "transcript": str},
    "response.output_audio.delta": {**_PLACE, "delta": str},
    "response.output_audio.done": _PLACE,
    "response.function_call_arguments.delta": {**_CALL, **_DELTA},
    "response.function_call_arguments.done": {**_CALL, "name": str, "arguments": str},
    "response.mcp_call_arguments.delta": {**_MCP_CALL, **_DELTA},
    "response.mcp_call_arguments.done": {**_MCP_CALL, "arguments": str},
    "response.mcp_call.in_progress": {"output_index": int, "item_id": str},
    "response.mcp_call.completed": {"output_index": int, "item_id": str},
    "response.mcp_call.failed": {"output_index": int, "item_id": str},
    "mcp_list_tools.in_progress": {"item_id": str},
    "mcp_list_tools.completed": {"item_id": str},
    "mcp_list_tools.failed": {"item_id": str},
    "rate_limits.updated": {"rate_limits": [_LIMIT]},
    "error": {"error": _ERROR},
}
_TWINS = ("response.content_part.added", "response.content_part.done")
"""Events that show a part a second time on Azure, as `content`."""
_DTMF = "input_audio_buffer.dtmf_event_received"
EVENTS: Events = {
    **{type: {"type": type, "event_id": str, **rest} for type, rest in _AFTER_HEAD.items()},
    _DTMF: {"type": _DTMF, "event": str, "received_at": int},
}
AZURE_EVENTS: Events = {**EVENTS, **{type: {**EVENTS[type], "content": PART} for type in _TWINS}}
