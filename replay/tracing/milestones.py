"""What a trace or a log tells of a session, read from the events that the service sends.

Cheap where much goes by: of most frames only the type is read, at the front.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import orjson

from replay.cassette.json_text import Event
from replay.cassette.json_values import object_at, objects, text_at

MOST = 200
"""Responses, tool calls and spoken turns of one session that may wait for their end. The oldest is given up first."""
MOST_TEXT = 40_000
"""Characters that are kept of a text: twice those of a span, so that no secret is cut in two before it is removed."""
T = TypeVar("T")

LONGEST = 4 << 20
"""Bytes of an event above which it is not read."""
_RESPONSE = re.compile(rb'"response_id"\s*:\s*"([^"]*)"')
_SOUND = "response.output_audio.delta"
WANTED = frozenset(
    """session.created conversation.created response.created response.done response.output_item.added
    response.mcp_call_arguments.done response.mcp_call.completed response.mcp_call.failed response.output_item.done
    conversation.item.added conversation.item.created input_audio_buffer.committed
    conversation.item.input_audio_transcription.completed conversation.item.input_audio_transcription.failed
    error""".split()
)
"""The types of events that are parsed."""
FIRST = (_SOUND, "response.output_text.delta", "response.output_audio_transcript.delta")
"""The types of events with pieces of a response."""


@dataclass(frozen=True, slots=True)
class SessionNamed:
    """The service said which session, or which conversation, this is. Empty: the event does not say."""

    session: str = ""
    conversation: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class ResponseBegan:
    """A response was created."""

    id: str


@dataclass(frozen=True, slots=True)
class FirstOutput:
    """The first piece of a response came: `audio`, or text."""

    response: str
    audio: bool


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """A response is over. `status`: such as `completed`. `error`: the code of what failed, else empty. `output`: its
    items. `asked`: what the user typed and said before, as far as it is known by now."""

    id: str
    status: str
    error: str = ""
    usage: Mapping[str, object] = field(default_factory=dict)
    output: tuple[Event, ...] = ()
    asked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolRan:
    """A tool was called at `began`, and its result is known. `hosted`: the service ran it. `error`: why it failed."""

    name: str
    call_id: str
    began: float
    hosted: bool = False
    error: str = ""
    arguments: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript of a turn that ended at `began` is complete. `error`: the code of what failed, else empty."""

    item: str
    began: float
    error: str = ""
    usage: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ErrorCame:
    """The service sent an `error` event."""

    code: str


Milestone = SessionNamed | ResponseBegan | FirstOutput | ResponseEnded | ToolRan | Transcribed | ErrorCame


class Milestones:
    """Reads one session. Times are seconds since it opened."""

    def __init__(self) -> None:
        self._silent: dict[str, None] = {}
        """Responses that have sent nothing yet."""
        self._called: dict[str, ToolRan] = {}
        """Calls without a result, by their id."""
        self._hosted: dict[str, ToolRan] = {}
        """Calls that the service runs itself, by the id of their items."""
        self._committed: dict[str, float] = {}
        """When a spoken turn ended, by the id of its item."""
        self._asked: list[str] = []

    def sound(self) -> FirstOutput | None:
        """Audio came that no event carries."""
        return FirstOutput(self._silent.popitem()[0], True) if self._silent else None

    def read(self, at: float, data: bytes) -> Milestone | None:
        """What an event of the service means; None for most of them."""
        kind = _kind(data)
        if kind in FIRST:
            named = _RESPONSE.search(data) if self._silent else None
            return None if named is None else self._first(kind, named[1].decode(errors="replace"))
        return self.take(at, kind, _event(data)) if kind in WANTED else None

    def take(self, at: float, kind: str, event: Event) -> Milestone | None:
        """The same of an event of that type that is parsed already."""
        if kind in FIRST:
            return self._first(kind, text_at(event, "response_id"))
        match kind:
            case "session.created":
                session = object_at(event, "session")
                return SessionNamed(text_at(session, "id"), "", text_at(session, "model"))
            case "conversation.created":
                return SessionNamed("", text_at(event, "conversation", "id"))
            case "response.created":
                id = text_at(object_at(event, "response"), "id")
                if id:
                    add_newest(self._silent, id, None)
                    return ResponseBegan(id)
            case "response.done":
                return self._ended(event)
            case "response.output_item.added":
                item = object_at(event, "item")
                if text_at(item, "type") == "mcp_call":
                    self._hosts(at, item, text_at(item, "id"))
            case "response.mcp_call_arguments.done":
                self._hosts(at, event, text_at(event, "item_id"))
            case "response.mcp_call.completed" | "response.mcp_call.failed":
                hosted = self._hosted.pop(text_at(event, "item_id"), None)
                failed = "tool_error" if kind.endswith("failed") else ""
                return None if hosted is None else replace(hosted, error=failed)
            case "response.output_item.done":
                item = object_at(event, "item")
                if text_at(item, "type") == "function_call":
                    name, id = text_at(item, "name"), text_at(item, "call_id")
                    add_newest(
                        self._called, id, ToolRan(name, id, at, arguments=text_at(item, "arguments")[:MOST_TEXT])
                    )
            case "conversation.item.added" | "conversation.item.created":
                return self._added(at, object_at(event, "item"))
            case "input_audio_buffer.committed":
                add_newest(self._committed, text_at(event, "item_id"), at)
            case (
                "conversation.item.input_audio_transcription.completed"
                | "conversation.item.input_audio_transcription.failed"
            ):
                return self._transcribed(at, event)
            case "error":
                error = object_at(event, "error")
                return ErrorCame(text_at(error, "code") or text_at(error, "type") or "error")
            case _:
                pass
        return None

    def unfinished(self) -> list[ToolRan]:
        """Calls that got no result before the session ended."""
        return list(self._called.values())

    def _first(self, kind: str, response: str) -> FirstOutput | None:
        if response not in self._silent:
            return None
        del self._silent[response]
        return FirstOutput(response, kind == _SOUND)

    def _ended(self, event: Event) -> ResponseEnded:
        response = object_at(event, "response")
        id, details = text_at(response, "id"), object_at(response, "status_details")
        self._silent.pop(id, None)
        error = object_at(details, "error")
        status = text_at(response, "status") or "completed"
        asked, self._asked = tuple(self._asked), []
        return ResponseEnded(
            id,
            status,
            (text_at(error, "code") or text_at(error, "type") or "failed") if status == "failed" else "",
            object_at(event, "usage") or object_at(response, "usage"),
            tuple(objects(response.get("output"))),
            asked,
        )

    def _hosts(self, at: float, item: Event, id: str) -> None:
        """The service calls a tool of an MCP server. The dialects differ in which event has its name."""
        before = self._hosted.get(id, ToolRan("", id, at, hosted=True))
        name, arguments = text_at(item, "name") or before.name, text_at(item, "arguments") or before.arguments
        add_newest(self._hosted, id, replace(before, name=name, arguments=arguments[:MOST_TEXT]))

    def _added(self, at: float, item: Event) -> ToolRan | None:
        if text_at(item, "type") == "function_call_output":
            call = self._called.pop(text_at(item, "call_id"), None)
            return None if call is None else replace(call, result=text_at(item, "output")[:MOST_TEXT])
        if text_at(item, "role") == "user":
            self._ask(" ".join(filter(None, (text_at(part, "text") for part in objects(item.get("content"))))))
        return None

    def _transcribed(self, at: float, event: Event) -> Transcribed:
        item, error = text_at(event, "item_id"), object_at(event, "error")
        failed = (text_at(error, "code") or text_at(error, "type") or "failed") if error else ""
        self._ask(text_at(event, "transcript"))
        return Transcribed(item, self._committed.pop(item, at), failed, object_at(event, "usage"))

    def _ask(self, text: str) -> None:
        if text and len(self._asked) < MOST:
            self._asked.append(text[:MOST_TEXT])


def add_newest(kept: dict[str, T], key: str, value: T) -> None:
    """Add to what is kept; of `MOST`, the oldest gives way."""
    while len(kept) >= MOST:
        del kept[next(iter(kept))]
    kept[key] = value


def _kind(data: bytes) -> str:
    """The type of an event that begins with it, as those of the services do; else what a parser finds."""
    if data.startswith(b'{"type":"'):
        return data[9 : data.find(b'"', 9)].decode(errors="replace")
    return text_at(_event(data), "type")


def _event(data: bytes) -> Event:
    if len(data) > LONGEST:
        return {}
    try:
        event = orjson.loads(data)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}
