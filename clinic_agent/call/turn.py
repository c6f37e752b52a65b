"""One turn of a call: what was heard, said and done between the caller's words and the end of the answer.

A fold over server events. No socket and no clock: see line.py.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from clinic_agent.call.cost import Cost
from clinic_agent.call.pcm import MAX_SPEECH_S, SAMPLE_BYTES, SAMPLE_RATE_HZ

Event = dict[str, Any]

END_CALL = "end_call"
"""The one tool that the client knows: the call is over once the answer to its result, the goodbye, was heard."""

MAX_TOOL_ROUNDS = 8
"""How often in one turn the service may ask for tools; more is a loop."""

_MAX_ANSWER_BYTES = MAX_SPEECH_S * SAMPLE_RATE_HZ * SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A tool call as the service asked for it; `arguments` is JSON text."""

    call_id: str
    name: str
    arguments: str

    def answer(self, result: dict[str, Any]) -> Event:
        """The client event that hands the result back."""
        output = {"type": "function_call_output", "call_id": self.call_id, "output": json.dumps(result)}
        return {"type": "conversation.item.create", "item": output}


@dataclass(frozen=True, slots=True)
class ToolRun:
    """A tool call and what came of it. `arguments` is the text as sent where that is not a JSON object."""

    name: str
    arguments: dict[str, Any] | str
    result: dict[str, Any]
    ms: float


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, finished or cut short.

    `heard` is the service's final transcription of a spoken turn, or the words as typed. `audio` is the answer, PCM16
    mono 24 kHz, as it was sent. `first_audio_ms` counts from the commit (typed turn: from response.create; open
    microphone: from when the service found the caller had stopped) to the first audio delta. `usage` is verbatim, one
    per response, informative only. `status` is the last response's, "in_progress" if it never ended. `heard_ms` is how
    much of `audio` was played before the caller spoke over it; None where nobody did.
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
        return _ends(self.tools)


@dataclass(slots=True)
class TurnInProgress:
    """A turn under way. Times are seconds on the caller's clock."""

    heard: str = ""
    began_s: float = 0.0
    asked_s: float = 0.0
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
        """Add one server event; types that carry nothing for a turn, or are unknown, change nothing.

        Raises KeyError, TypeError or ValueError for an event that lacks what its type promises.
        """
        match event["type"]:
            case "conversation.item.input_audio_transcription.completed":
                # Several come per turn, each with the whole text so far; only status "completed" is final (recordings,
                # 2026-07). A service that sends just one gives it no status.
                if event.get("status", "completed") == "completed":
                    self.heard = str(event["transcript"])
            case "response.output_audio.delta":
                self._hear(b64decode(event["delta"], validate=True), at_s)
            case "response.output_audio_transcript.delta":
                # Deltas of one item join as they are; arrival order is speaking order, for sound and text alike.
                item = str(event["item_id"])
                self.said[item] = self.said.get(item, "") + event["delta"]
            case "response.function_call_arguments.done":
                self.pending.append(FunctionCall(str(event["call_id"]), str(event["name"]), str(event["arguments"])))
            case "response.done":
                self.ended_s = at_s
                self._response_done(event)

    @property
    def hangs_up(self) -> bool:
        """Whether the assistant ends the call in this turn."""
        return _ends(self.tools)

    def finish(self, at_s: float, cost: Cost) -> Turn:
        """The turn as it stands."""
        first = self.first_audio_s
        return Turn(
            heard=self.heard,
            said=" ".join(text.strip() for text in self.said.values()),
            tools=tuple(self.tools),
            audio=bytes(self.audio),
            status=self.status,
            first_audio_ms=None if first is None else (first - self.asked_s) * 1000,
            total_ms=(at_s - self.asked_s) * 1000,
            usage=tuple(self.usage),
            cost=cost,
            heard_ms=self.heard_ms,
        )

    def _hear(self, pcm: bytes, at_s: float) -> None:
        if self.first_audio_s is None:
            self.first_audio_s = at_s
        if len(self.audio) + len(pcm) > _MAX_ANSWER_BYTES:
            raise ValueError(f"an answer of over {MAX_SPEECH_S} s")
        self.audio += pcm

    def _response_done(self, event: Event) -> None:
        response = event["response"]
        self.status = str(response.get("status", "completed"))
        # At the top level on xAI, inside the response elsewhere; xAI leaves an empty one there (recordings, 2026-07).
        usage = event.get("usage") or response.get("usage")
        if usage:
            self.usage.append(dict(usage))
        if self.status != "completed":
            self.pending.clear()  # a call of an answer that was cut off is not to be carried out


def typed(text: str) -> Event:
    """The client event that says something in writing."""
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return {"type": "conversation.item.create", "item": message}


def _ends(tools: Iterable[ToolRun]) -> bool:
    return any(run.name == END_CALL for run in tools)


def tool_run(call: FunctionCall, result: dict[str, Any], ms: float) -> ToolRun:
    """The log entry of a tool call."""
    try:
        parsed = json.loads(call.arguments)
    except (ValueError, RecursionError):
        parsed = None
    return ToolRun(call.name, parsed if isinstance(parsed, dict) else call.arguments, result, ms)
