"""The objects inside OpenAI's events: items, parts and responses, in wire key order."""

from __future__ import annotations

from collections.abc import Mapping

import pybase64
from typing_extensions import assert_never

from mockserver.dialects.openai.session_object import VOICES, Json
from mockserver.dialects.openai.usage import usage
from mockserver.protocol.commands import Part, ServerTool
from mockserver.protocol.conversation import Item, ToolError
from mockserver.protocol.facts import Response


def item_shown(item: Item) -> Json:
    """An item in events that add or close it: without the transcript of the user's speech."""
    return _with_content(item, [_content(item, part) for part in item.parts])


def item_retrieved(item: Item) -> Json:
    """An item as `conversation.item.retrieved` shows it: with its transcript, and its audio as far as that is kept. The
    vendor's example has the beta's names (`audio`, with a `format`); these are the names that clients read."""
    content = []
    for part in item.parts:
        shown = _content(item, part)
        if part.kind == "input_audio":
            shown["transcript"] = part.text or None
        if part.is_audio and (audio := part.audio or item.audio):
            shown["audio"] = pybase64.b64encode_as_string(audio)
        content.append(shown)
    return _with_content(item, content)


def item_begun(item: Item) -> Json:
    """An output item that has no content yet."""
    return _with_content(item, [])


def _with_content(item: Item, content: list[Json]) -> Json:
    match item.kind:
        case "call":
            return {
                "id": item.id,
                "type": "function_call",
                "status": item.status,
                "name": item.name,
                "call_id": item.call_id,
                "arguments": item.arguments,
            }
        case "result":
            return {"id": item.id, "type": "function_call_output", "call_id": item.call_id, "output": item.output}
        case "hosted":
            return {
                "id": item.id,
                "type": "mcp_call",
                "server_label": item.server,
                "name": item.name,
                "arguments": item.arguments,
                "approval_request_id": item.request_id or None,
                "output": item.output if item.status == "completed" else None,
                "error": _tool_error(item.error),
            }
        case "request":
            call = {"server_label": item.server, "name": item.name, "arguments": item.arguments}
            return {"id": item.id, "type": "mcp_approval_request", **call}
        case "approval":
            answer = {"approval_request_id": item.request_id, "approve": item.approved, "reason": item.output or None}
            return {"id": item.id, "type": "mcp_approval_response", **answer}
        case "listing":
            tools = [_tool(tool) for tool in item.tools]
            return {"id": item.id, "type": "mcp_list_tools", "server_label": item.server, "tools": tools}
        case "message":
            status = item.status if item.role == "assistant" else "completed"
            shown: Json = {"id": item.id, "type": "message", "status": status, "role": item.role, "content": content}
            return {**shown, "phase": item.phase} if item.phase else shown
        case _:
            assert_never(item.kind)


def _tool(tool: ServerTool) -> Json:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "input_schema": tool.schema, "annotations": tool.annotations}


def _tool_error(error: ToolError | None) -> Json | None:
    """The documented types; a server that cannot be reached is none of them: that it is an `http_error` is a guess."""
    if error is None:
        return None
    if error.type == "tool_execution_error":
        return {"type": error.type, "message": error.message}
    kind = "http_error" if error.type == "connection_error" else error.type
    return {"type": kind, "code": error.code or 0, "message": error.message}


def _content(item: Item, part: Part) -> Json:
    if part.kind == "input_audio":
        return {"type": "input_audio", "transcript": None}
    if part.kind == "input_image":  # how an image is echoed is unknown
        return {"type": "input_image", "image_url": part.image, "detail": part.detail}
    if item.role != "assistant":
        return {"type": "input_text", "text": part.text}
    if part.is_audio:
        return {"type": "output_audio", "transcript": part.text}
    return {"type": "output_text", "text": part.text}


def part_shown(*, spoken: bool, text: str) -> Json:
    """A content part; its type has a shorter name than in an item."""
    return {"type": "audio", "transcript": text} if spoken else {"type": "text", "text": text}


def response_shown(response: Response, conversation_id: str, *, zero: bool) -> Json:
    """A response as `response.created` and `response.done` show it; with `zero`, also that it reasoned 0 tokens."""
    settings, form = response.settings, response.settings.output_format
    format = {"type": "audio/pcm", "rate": form.rate} if form.kind == "pcm" else {"type": f"audio/{form.kind}"}
    done = response.status != "in_progress"
    voice = settings.voice if settings.voice in VOICES else {"id": settings.voice}
    return {
        "object": "realtime.response",
        "id": response.id,
        "status": response.status,
        "status_details": _details(response),
        "output": [item_shown(item) for item in response.output] if done else [],
        "conversation_id": None if response.aside else conversation_id,
        "output_modalities": ["audio" if settings.speaks else "text"],
        "max_output_tokens": "inf" if settings.max_output_tokens is None else settings.max_output_tokens,
        "audio": {"output": {"format": format, "voice": voice}},
        "usage": usage(response.tokens, zero=zero) if done else None,
        "metadata": None if response.metadata is None else dict(response.metadata),
    }


_FAILED_AS: Mapping[str | None, str] = {
    "insufficient_quota": "insufficient_quota",
    "rate_limit_exceeded": "invalid_request_error",
}
"""The types of failed responses by code, where they are not `server_error` (clients' logs)."""


def _details(response: Response) -> Json | None:
    match response.status:
        case "cancelled" | "incomplete":
            return {"type": response.status, "reason": response.reason}
        case "failed":
            assert response.error is not None
            # The specification has no message, but it was on the wire, and pipecat reads it.
            code, message = response.error.code, response.error.message
            kind = response.error.type or _FAILED_AS.get(code, "server_error")
            return {"type": "failed", "error": {"type": kind, "code": code, "message": message}}
        case _:
            return None
