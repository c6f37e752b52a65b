"""Recordings for tests: written by hand as a line, or made from the journal of a mock."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from mockserver.protocol.peer import FaultNote
from mockserver.server.journal import JournalEntry, SessionLog
from replay.cassette.file import Writer
from replay.cassette.frames import Binary, Text
from replay.cassette.json_text import event_in
from replay.cassette.recording import Line, Moment
from replay.cassette.records import Content, Header, Record, StrippedAudio, Way
from replay.cassette.strip_audio import tone

Told = tuple[str, float, Any]
"""`>` from the client or `<` from the service, seconds, and an event (a type is enough)."""


def line(*told: Told) -> Line:
    """One connection."""
    return Line(0.0, None, None, tuple(_moment(*each) for each in told))


def _moment(arrow: str, at_s: float, what: Any) -> Moment:
    way: Way = "sent" if arrow == ">" else "received"
    if isinstance(what, str):
        what = {"type": what}
    frame = Text(json.dumps(what).encode()) if isinstance(what, dict) else what
    return Moment(at_s, way, frame, event_in(frame.data) if isinstance(frame, Text) else None)


def event_frame(event: dict[str, Any]) -> Text:
    """The event as a message."""
    return Text(json.dumps(event).encode())


def sound(ms: float) -> dict[str, str]:
    """A client's message with so much silence at 24 kHz."""
    return {"type": "input_audio_buffer.append", "audio": b64encode(bytes(int(48 * ms))).decode()}


def spoken(*ms: float) -> dict[str, str]:
    """A client's message with a tone at 24 kHz, silence, a tone, and so on, of so many milliseconds each."""
    parts = (tone(StrippedAudio(int(24 * each) * 2, b"", "pcm", 8000 * (at % 2 == 0))) for at, each in enumerate(ms))
    return {"type": "input_audio_buffer.append", "audio": b64encode(b"".join(parts)).decode()}


def typed(text: str, **fields: str) -> dict[str, Any]:
    """A client's typed message; `fields` belong to the item."""
    content = [{"type": "input_text", "text": text}]
    item = {**fields, "type": "message", "role": "user", "content": content}
    return {"type": "conversation.item.create", "item": item}


HEADER = Header("mock", "ws://127.0.0.1/v1/realtime", "xai", None, "2026-07-06T09:00:00Z", "realtape test")


def taped(path: Path, *sessions: SessionLog, header: Header = HEADER) -> Path:
    """A cassette of what a mock's sessions exchanged."""
    writer = Writer(path, header)
    begin = min((log.opened for log in sessions), default=0.0)
    for number, log in enumerate(sessions):
        for entry in log.entries:
            at_us = round((log.opened - begin + entry.at) * 1e6)
            writer.write(Record(at_us, number, "sent" if entry.way == "in" else "received", _content(entry)))
    writer.end(10**9)
    return path


def _content(entry: JournalEntry) -> Content:
    match entry.data:
        case str(text):
            return Text(text.encode())
        case bytes(data):
            return Binary(data)
        case frame:
            assert not isinstance(frame, FaultNote)
            return frame
