"""One turn of a call: the transcripts, audio and tool calls from the caller's words to the end of the answer.

A turn is built from server events and their times. The socket and the clock are in connection.py.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clinic_agent.call.cost import Cost, hosted_call
from clinic_agent.call.pcm import MAX_SPEECH_S, SAMPLE_BYTES, SAMPLE_RATE_HZ

Event = dict[str, Any]

END_CALL = "end_call"
"""The tool by which the assistant ends a call: it ends when the answer to the tool's result, the goodbye, was heard."""
TRANSFER = "transfer_to_human"
"""The tool by which the assistant hands a call to a person; a telephone call is handed over after that answer."""

MAX_TOOL_ROUNDS = 8
"""How many responses of one turn may call tools; more is taken for a loop."""

_MAX_ANSWER_BYTES = MAX_SPEECH_S * SAMPLE_RATE_HZ * SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A tool call requested by the service; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str

    def answer(self, result: dict[str, Any]) -> Event:
        """The client event that returns the result."""
        output = {"type": "function_call_output", "call_id": self.call_id, "output": json.dumps(result)}
        return {"type": "conversation.item.create", "item": output}


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool call and its result. `arguments` is the text as sent if that is not a JSON object."""

    name: str
    arguments: dict[str, Any] | str
    result: dict[str, Any]
    ms: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, finished or cut short.

    `heard` is the service's final transcript of a spoken turn, or the typed text. `audio` is the answer as sent, PCM16
    mono 24 kHz. `first_audio_ms` is the time to the first audio delta. It counts from the commit, in a typed turn from
    `response.create`, and with an open microphone from `speech_stopped`. `usage` has the usage objects of the
    responses as sent; they are informative only. `status` is the status of the last response, "in_progress" if it did
    not end. `heard_ms` is the length of `audio` that was played before the caller interrupted; None: no interruption.
    """

    heard: str
    said: str
    tools: tuple[ToolRun, ...]
    audio: bytes = field(repr=False)
    status: str
    first_audio_ms: float | None
    total_ms: float
    usage: tuple[dict[str, Any], ...]
    cost: Cost
    heard_ms: int | None = None

    @property
    def hung_up(self) -> bool:
        """Whether the assistant ended the call in this turn."""
        return _ends_call(self.tools)


@dataclass(slots=True)
class TurnInProgress:
    """A turn that has not ended. Times are seconds on the client's clock."""

    heard: str = ""
    began_s: float = 0.0
    requested_s: float = 0.0
    ended_s: float | None = None
    first_audio_s: float | None = None
    status: str = "in_progress"
    said: dict[str, str] = field(default_factory=dict)
    audio: bytearray = field(default_factory=bytearray)
    tools: list[ToolRun] = field(default_factory=list)
    pending: list[FunctionCall] = field(default_factory=list)
    usage: list[dict[str, Any]] = field(default_factory=list)
    heard_ms: int | None = None

    def take(self, event: Event, at_s: float) -> None:
        """Add one server event; types that are not about turns, or not known, change nothing.

        Raises KeyError, TypeError or ValueError for an event that lacks a field of its type.
        """
        match event["type"]:
            case "conversation.item.input_audio_transcription.completed":
                # The service may send several per turn, each with the text so far; only status "completed" is final
                # (recordings, 2026-07). A service that sends one per turn gives no status.
                if event.get("status", "completed") == "completed":
                    self.heard = str(event["transcript"])
            case "response.output_audio.delta":
                pcm = b64decode(event["delta"], validate=True)
                if self.first_audio_s is None:
                    self.first_audio_s = at_s
                if len(self.audio) + len(pcm) > _MAX_ANSWER_BYTES:
                    raise ValueError(f"an answer of over {MAX_SPEECH_S} s")
                self.audio += pcm
            case "response.output_audio_transcript.delta":
                # Deltas of one item are joined as they are. They arrive in speaking order, audio and text.
                item = str(event["item_id"])
                self.said[item] = self.said.get(item, "") + event["delta"]
            case "response.function_call_arguments.done" if hosted_call(event) is None:
                self.pending.append(FunctionCall(str(event["call_id"]), str(event["name"]), str(event["arguments"])))
            case "response.done":
                self.ended_s = at_s
                response = event["response"]
                self.status = str(response.get("status", "completed"))
                # xAI has the usage at the top level and an empty one in the response; others have it in the response
                # (recordings, 2026-07).
                if usage := event.get("usage") or response.get("usage"):
                    self.usage.append(dict(usage))
                if self.status != "completed":
                    self.pending.clear()  # the tool calls of a response that was cut off are not run
            case _:
                pass

    @property
    def hangs_up(self) -> bool:
        """Whether the assistant ends the call in this turn."""
        return _ends_call(self.tools)

    def finish(self, at_s: float, cost: Cost) -> Turn:
        """The turn as it is now."""
        first = self.first_audio_s
        return Turn(
            heard=self.heard,
            said=" ".join(text.strip() for text in self.said.values()),
            tools=tuple(self.tools),
            audio=bytes(self.audio),
            status=self.status,
            first_audio_ms=None if first is None else (first - self.requested_s) * 1000,
            total_ms=(at_s - self.requested_s) * 1000,
            usage=tuple(self.usage),
            cost=cost,
            heard_ms=self.heard_ms,
        )


def owner(event: Event, turn_of: Mapping[str, TurnInProgress], current: TurnInProgress) -> TurnInProgress:
    """The turn of an event, by the ids of its response and item: late events of an interrupted response belong to the
    old turn. An event without a known id belongs to the current one."""
    response = event.get("response")
    names = (event.get("response_id"), response.get("id") if isinstance(response, dict) else None)
    for name in (*names, event.get("item_id")):
        if isinstance(name, str) and name in turn_of:
            return turn_of[name]
    return current


def typed(text: str) -> Event:
    """The client event that sends the caller's words as text."""
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"type": "conversation.item.create", "item": message}


def _ends_call(tools: Iterable[ToolRun]) -> bool:
    return any(run.name == END_CALL for run in tools)


def tool_run(call: FunctionCall, result: dict[str, Any], ms: float) -> ToolRun:
    """The record of a tool call."""
    try:
        parsed = json.loads(call.arguments)
    except (ValueError, RecursionError):
        parsed = None
    return ToolRun(call.name, parsed if isinstance(parsed, dict) else call.arguments, result, ms)
