"""A recorded call as a description: its session, its tools with their results, its turns, and a scenario.

A call is taken up from a turn: what was said before is the history with which a new call begins. Tool calls and their
results are no part of the history.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mockserver.dialects.names import ALIASES, DIALECT_NAMES
from replay.cassette.content import Called, Exchange, Spoken, recorded_conversations
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette
from replay.cassette.json_values import text_at, value_at
from replay.cassette.recording import Recording
from replay.formats.detect import read_recording
from replay.report.as_scenario import UNINTELLIGIBLE, written

Json = dict[str, Any]
_SERVICES = ("xai", "openai")
_NUMBERS = {
    "threshold": "threshold",
    "silence_ms": "silence_duration_ms",
    "padding_ms": "prefix_padding_ms",
    "idle_ms": "idle_timeout_ms",
}
"""What the description calls a member of turn detection."""
_BLANK_TOOL: Mapping[str, str] = {
    "name": "",
    "description": "",
    "parameters": "{}",
    "answer": "script",
    "result": "{}",
    "url": "",
    "label": "",
}
"""A tool as the page describes it."""


class NotOpened(Exception):
    """The bytes are no recorded call; the message says why."""


@dataclass(slots=True)
class RecordedTurn:
    """The responses to one input of the user, and the number of responses before them."""

    before: int
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def user(self) -> str:
        """What the user typed and said; empty if the assistant spoke first."""
        heard = [words or UNINTELLIGIBLE for each in self.exchanges for words in each.heard]
        return " ".join([*(text for each in self.exchanges for text in each.typed), *heard])

    @property
    def said(self) -> str:
        """What the assistant said."""
        texts = (step.text.strip() for each in self.exchanges for step in each.steps if isinstance(step, Spoken))
        return " ".join(filter(None, texts))

    @property
    def calls(self) -> list[str]:
        """The names of the functions that were called."""
        return [step.name for each in self.exchanges for step in each.steps if isinstance(step, Called)]


def opened(data: bytes, turn: int = 0, dialect: str = "") -> Mapping[str, object]:
    """The call in the bytes of a cassette, a HAR or JSON lines, taken up from the turn of that number, from 0.

    dialect: that of a recording which does not tell its own. Raises NotOpened.
    """
    recording = _read(data)
    turns = _turns([each for found in recorded_conversations(recording) for each in found.exchanges])
    if not 0 <= turn < max(len(turns), 1):
        raise NotOpened(f"the call has {len(turns)} turns; there is no turn {turn}")
    before = turns[turn].before if turns else 0
    return {
        "description": {**_description(recording, dialect), "scenario": written(recording, start=before)},
        "turns": [{"user": each.user, "said": each.said, "calls": each.calls} for each in turns],
        "history": [item for each in turns[:turn] for item in _items(each)],
    }


def _read(data: bytes) -> Recording:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows deletes no open file
        path = Path(folder) / "call"
        path.write_bytes(data)
        try:
            found = read_recording(path)
        except (BadCassette, UnreadableRecording) as problem:
            raise NotOpened(str(problem).replace(str(path), "the file")) from problem
    if not any(line.moments and not line.refused for line in found.lines):
        raise NotOpened("the recording has no call: the service refused every connection, or nothing was sent")
    return found


def _turns(exchanges: Sequence[Exchange]) -> list[RecordedTurn]:
    turns: list[RecordedTurn] = []
    for number, exchange in enumerate(exchanges):
        if exchange.typed or exchange.heard or not turns:
            turns.append(RecordedTurn(number))
        turns[-1].exchanges.append(exchange)
    return turns


def _items(turn: RecordedTurn) -> Iterator[Json]:
    if turn.user:
        yield {"type": "message", "role": "user", "content": [{"type": "input_text", "text": turn.user}]}
    if turn.said:
        yield {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": turn.said}]}


def _description(recording: Recording, dialect: str) -> Json:
    session = _session(recording)
    input = value_at(session, "audio", "input")
    detection = value_at(input, "turn_detection") if "turn_detection" not in session else session["turn_detection"]
    set_off = "turn_detection" in session or (isinstance(input, Mapping) and "turn_detection" in input)
    voice = session.get("voice") or value_at(session, "audio", "output", "voice")
    transcription = value_at(input, "transcription")
    return {
        "dialect": _dialect(recording, dialect),
        "model": _model(recording),
        "instructions": text_at(session, "instructions"),
        "voice": voice if isinstance(voice, str) else text_at(voice, "id"),
        "language": text_at(transcription, "language_hint") or text_at(transcription, "language"),
        "turns": _turn_detection(detection, set_off),
        "tools": list(_tools(session, recording)),
        "documents": [],
        "greets": False,
    }


def _session(recording: Recording) -> Json:
    """What the client configured, its updates merged. Without any, what the service showed first."""
    found: Json = {}
    for moment in recording.moments():
        if moment.way == "sent" and moment.type == "session.update":
            session = (moment.event or {}).get("session")
            found |= session if isinstance(session, dict) else {}
    if found:
        return found
    shown = (event.get("session") for event in recording.server_events() if event.get("type") == "session.created")
    return next((session for session in shown if isinstance(session, dict)), {})


def _dialect(recording: Recording, stated: str) -> str:
    for name in (recording.dialect, stated, recording.service or ""):
        service = name.partition("@")[0]
        if service in _SERVICES:
            return name if name in (*ALIASES, *DIALECT_NAMES) else service
    return "openai" if recording.dialect.startswith("azure") else "xai"


def _model(recording: Recording) -> str:
    targets = (line.request.target for line in recording.lines if line.request is not None)
    asked = next((parse_qs(urlsplit(target).query).get("model") for target in targets), None)
    shown = (text_at(event, "session", "model") for event in recording.server_events())
    return asked[0] if asked else next(filter(None, shown), "")


def _turn_detection(detection: object, given: bool) -> Json:
    kind = text_at(detection, "type")
    found: Json = {name: "" for name in _NUMBERS} | {"type": "server_vad", "eagerness": "auto", "interrupt": True}
    if given and not kind:
        return found | {"type": "none"}
    for name, sent in _NUMBERS.items():
        if isinstance(value := value_at(detection, sent), int | float):
            found[name] = f"{value:g}"
    if kind == "semantic_vad":
        found |= {"type": kind, "eagerness": text_at(detection, "eagerness") or "auto"}
    return found | {"interrupt": value_at(detection, "interrupt_response") is not False}


def _tools(session: Json, recording: Recording) -> Iterator[Json]:
    """Functions, each with the first result that the client sent, and MCP servers. Other hosted tools are left out."""
    results = _results(recording)
    tools = session.get("tools")
    for tool in tools if isinstance(tools, list) else []:
        if text_at(tool, "type") == "mcp":
            yield {
                **_BLANK_TOOL,
                "kind": "mcp",
                "label": text_at(tool, "server_label"),
                "url": text_at(tool, "server_url"),
            }
        elif text_at(tool, "type") in ("function", ""):
            function = value_at(tool, "function") or tool
            parameters = value_at(function, "parameters")
            name = text_at(function, "name")
            yield {
                **_BLANK_TOOL,
                "kind": "function",
                "name": name,
                "description": text_at(function, "description"),
                "parameters": json.dumps(
                    parameters if isinstance(parameters, dict) else {}, ensure_ascii=False, indent=2
                ),
                "result": results.get(name, "{}"),
            }


def _results(recording: Recording) -> dict[str, str]:
    """The first result of each function, by its name."""
    names: dict[str, str] = {}
    found: dict[str, str] = {}
    for moment in recording.moments():
        event = moment.event or {}
        if moment.type == "response.function_call_arguments.done":
            names[text_at(event, "call_id")] = text_at(event, "name")
        elif moment.type == "conversation.item.create" and text_at(event, "item", "type") == "function_call_output":
            found.setdefault(names.get(text_at(event, "item", "call_id"), ""), text_at(event, "item", "output"))
    return found
