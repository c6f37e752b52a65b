"""A call that the page hands over to be kept: its description, and every frame. As a cassette, and as turns.

The body is JSON lines: the description, then a line for each frame, `{"t": seconds, "dir": "sent", "ev": text}`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from mockserver.dialects.names import dialect_name
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.frames import Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.json_values import text_at
from replay.cassette.recording import Recording, connections
from replay.cassette.records import Header, Record, Request, Response, Way
from replay.formats import jsonl, page, tape
from replay.formats.tape import Tape
from replay.report.as_scenario import written
from replay.version import tool_version

NAME = "call"
_DEFAULT_MODELS = {"xai": "grok-voice-3.0", "openai": "gpt-realtime-2.1"}
_HEARD = "conversation.item.input_audio_transcription.completed"
_WORDS = ("response.output_audio_transcript.delta", "response.output_text.delta")


class NotKept(Exception):
    """The body is no call; the message says why."""


@dataclass(slots=True)
class Turn:
    """What the user said, and what came of it. `cut`: the last words may be missing, since the answer was cancelled."""

    user: str
    said: dict[str, str] = field(default_factory=dict)
    """By item, in the order in which they began."""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments of each function call."""
    cut: bool = False

    @property
    def answer(self) -> str:
        """All that the assistant said in the turn."""
        return " ".join(filter(None, (text.strip() for text in self.said.values())))


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A call of the workbench.

    dialect: as it was chosen, such as `xai` or `openai@2026-08`. scenario: the text of the editor. tools: as the page
    describes them. history: the items with which the call began. greets: the assistant spoke first.
    """

    dialect: str
    model: str
    scenario: str
    session: Mapping[str, Any]
    tools: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    greets: bool
    usd: str
    frames: Sequence[tuple[float, Way, bytes]]

    @property
    def service(self) -> str:
        """`xai` or `openai`."""
        return self.dialect.partition("@")[0]

    def tape(self, unix: float) -> Tape:
        """The call as a cassette that was recorded at that Unix second."""
        at = datetime.fromtimestamp(unix, timezone.utc).isoformat(timespec="seconds")
        url = "ws://127.0.0.1/v1/realtime"
        header = Header("mock", url, dialect_name(self.dialect), self.model, at, f"realtape {tool_version()}")
        records = [
            Record(0, 0, "sent", Request("GET", f"/v1/realtime?model={self.model}", ())),
            Record(0, 0, "received", Response(101, ())),
        ]
        last_us = 0
        for seconds, way, message in self.frames:
            last_us = max(last_us, round(seconds * 1e6))
            records.append(Record(last_us, 0, way, Text(message)))
        return Tape(header, tuple(records), last_us)

    def recording(self, unix: float) -> Recording:
        """The call as a recording."""
        made = self.tape(unix)
        return Recording(NAME, made.header.dialect, "mock", connections(made.records))

    def cassette(self, unix: float) -> bytes:
        """The bytes of the cassette, without secrets."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"{NAME}.tape"
            tape.write(self.tape(unix), path)
            return path.read_bytes()

    def viewer(self, unix: float) -> str:
        """The call in the viewer, as one HTML page."""
        made = self.tape(unix)
        return page.render(made.header, self.recording(unix), title=NAME, tape=self.cassette(unix))

    def spoken(self, unix: float) -> str:
        """A scenario that answers as this call was answered."""
        return written(self.recording(unix))

    def results(self) -> dict[str, str]:
        """The first result of each function, by its name."""
        names: dict[str, str] = {}
        found: dict[str, str] = {}
        for _, event in self._events():
            if event.get("type") == "response.function_call_arguments.done":
                names[text_at(event, "call_id")] = text_at(event, "name")
            elif text_at(event, "item", "type") == "function_call_output":
                found.setdefault(names.get(text_at(event, "item", "call_id"), ""), text_at(event, "item", "output"))
        return found

    def turns(self) -> list[Turn]:
        """What the user said and typed, in order, each with its answers."""
        reader = _Reader(len(self.history), self.greets)
        for way, event in self._events():
            (reader.sent if way == "sent" else reader.received)(event)
        return [turn for turn in reader.turns if turn.user or turn.said or turn.calls]

    def _events(self) -> Iterator[tuple[Way, Event]]:
        for _, way, message in self.frames:
            if (event := event_in(message)) is not None:
                yield way, event


class _Reader:
    """Collects turns, event by event."""

    def __init__(self, history: int, greets: bool) -> None:
        self._history = history
        self.turns: list[Turn] = [Turn("")] if greets else []
        self._spoken: dict[str, Turn] = {}
        self._by_response: dict[str, Turn] = {}

    def sent(self, event: Event) -> None:
        match event:
            case {"type": "conversation.item.create", "item": {"type": str(kind)} as item}:
                if self._history > 0:
                    self._history -= 1
                elif kind == "message":
                    content = item.get("content")
                    parts = content if isinstance(content, list) else []
                    self.turns.append(Turn("".join(text_at(part, "text") for part in parts)))
            case _:
                pass

    def received(self, event: Event) -> None:
        kind, turn = event.get("type"), self._by_response.get(text_at(event, "response_id"))
        if kind in ("input_audio_buffer.speech_started", "input_audio_buffer.committed"):
            item = text_at(event, "item_id")
            if item not in self._spoken:
                self.turns.append(Turn(""))
                self._spoken[item] = self.turns[-1]
        elif kind == _HEARD and event.get("status", "completed") == "completed":
            if (spoken := self._spoken.get(text_at(event, "item_id"))) is not None:
                spoken.user = text_at(event, "transcript")
        elif kind == "response.created" and self.turns:
            self._by_response[text_at(event, "response", "id")] = self.turns[-1]
        elif kind == "response.done":
            done = self._by_response.get(text_at(event, "response", "id"))
            if done is not None and text_at(event, "response", "status") != "completed":
                done.cut = True
        elif turn is not None and kind in _WORDS:
            item = text_at(event, "item_id")
            turn.said[item] = turn.said.get(item, "") + text_at(event, "delta")
        elif turn is not None and kind == "response.function_call_arguments.done":
            turn.calls.append((text_at(event, "name"), text_at(event, "arguments")))


def read(body: bytes) -> KeptCall:
    """The call in a body. Raises NotKept."""
    head, _, lines = body.partition(b"\n")
    try:
        found = orjson.loads(head)
    except orjson.JSONDecodeError as problem:
        raise NotKept(f"the first line is no JSON: {problem}") from problem
    match found:
        case {"dialect": str(dialect), "scenario": str(scenario), "session": dict(session), "tools": list(tools)}:
            pass
        case _:
            raise NotKept("the first line must have dialect, scenario, session and tools")
    history, service = found.get("history", []), dialect.partition("@")[0]
    if service not in _DEFAULT_MODELS:
        raise NotKept(f"the dialect must be xai or openai, with or without a date, not {dialect!r}")
    try:
        dialect_name(dialect)
        frames = jsonl.plain(lines, "frames") if lines.strip() else []
    except (UnreadableRecording, ValueError) as problem:
        raise NotKept(str(problem)) from problem
    return KeptCall(
        dialect,
        str(found.get("model") or _DEFAULT_MODELS[service]),
        scenario,
        session,
        [tool for tool in tools if isinstance(tool, dict)],
        [item for item in history if isinstance(item, dict)] if isinstance(history, list) else [],
        found.get("greets") is True,
        str(found.get("usd") or ""),
        frames,
    )
