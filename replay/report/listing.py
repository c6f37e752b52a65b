"""A cassette as a list: a line for each record, and totals.

Looks at one record at a time. compare.py compares conversations, meter.py computes their cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from typing_extensions import assert_never

from replay.cassette import json_text
from replay.cassette.cut_sound import SOUND_FIELDS
from replay.cassette.file import Cassette
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import (
    Content,
    Dropped,
    Record,
    Request,
    Response,
    StrippedAudio,
    StrippedMessage,
    kind_of,
)
from replay.cassette.scrub import Scrubber

_BRIEF = 80
_KEY_FIELDS = ("transcript", "delta", "text", "arguments", "output", "message", "name", "instructions")
_ARROWS = {"sent": ">", "received": "<"}


@dataclass(slots=True)  # not frozen: a long call has thousands, and freezing doubles the time to make one
class Line:
    """One record as text.

    `at_s`: seconds since the recording began. `kind`: see records.Kind. `type`: the event's type, or the kind in
    parentheses. `size`: bytes on the wire. `text`: a summary of at most 80 characters.
    """

    at_s: float
    connection: int
    way: str
    kind: str
    type: str
    size: int
    text: str

    def __str__(self) -> str:
        text = f"{self.at_s:10.3f} {self.connection:2} {_ARROWS[self.way]} {self.type:42} {self.size:>8}"
        return f"{text}  {self.text}" if self.text else text


def folded(lines: Iterable[Line]) -> Iterator[str]:
    """The lines as text. Appends of audio that follow one another are one line."""
    run: _Run | None = None
    for each in lines:
        is_append = each.type == "input_audio_buffer.append"
        if run is not None and is_append and each.connection == run.first.connection:
            run.add(each)
            continue
        if run is not None:
            yield str(run)
        run = _Run(each, each.size, each.at_s) if is_append else None
        if run is None:
            yield str(each)
    if run is not None:
        yield str(run)


@dataclass(slots=True)
class _Run:
    """Appends that follow one another."""

    first: Line
    size: int
    last_s: float
    count: int = 1

    def add(self, line: Line) -> None:
        self.size, self.last_s, self.count = self.size + line.size, line.at_s, self.count + 1

    def __str__(self) -> str:
        if self.count == 1:
            return str(self.first)
        one, text = self.first, f"{self.count} messages until {self.last_s:.3f} s"
        return str(Line(one.at_s, one.connection, one.way, one.kind, one.type, self.size, text))


@dataclass(slots=True)
class Totals:
    """Counts over a cassette. `bytes` by direction, `types` by direction and event type."""

    records: int = 0
    connections: int = 0
    dropped: int = 0
    bytes: dict[str, int] = field(default_factory=lambda: {"sent": 0, "received": 0})
    types: dict[str, int] = field(default_factory=dict)

    def counting(self, lines: Iterable[Line]) -> Iterator[Line]:
        """The lines, each counted as it passes; `types` is complete at the end."""
        counts: dict[tuple[str, str], int] = {}
        for each in lines:
            self.records += 1
            if each.connection >= self.connections:
                self.connections = each.connection + 1
            self.dropped += each.kind == "dropped"
            self.bytes[each.way] += each.size
            kind = each.way, each.type
            counts[kind] = counts.get(kind, 0) + 1
            yield each
        for (way, type_), count in counts.items():
            name = f"{_ARROWS[way]} {type_}"
            self.types[name] = self.types.get(name, 0) + count


def listed(cassette: Cassette, scrubber: Scrubber) -> Iterator[Line]:
    """A line for each record, without secrets. Sound is not in its line, and is neither read nor searched for them.

    Raises BadCassette at a record that cannot be read.
    """
    for number, (kind, at_us, connection, way, size) in enumerate(cassette.told()):
        if kind in SOUND_FIELDS:
            yield Line(at_us / 1e6, connection, way, "text", kind, size, "")
            continue
        record = cassette[number]
        content = record.content
        data = content.data if isinstance(content, Text) else None
        if isinstance(content, Binary) or (data and not kind and json_text.event_type(data) in SOUND_FIELDS):
            yield line(record)
        elif (clean := scrubber.clean(content)) is not content:
            yield line(replace(record, content=clean))
        elif data and kind:
            yield Line(at_us / 1e6, connection, way, "text", kind, size, _brief(data))
        else:
            yield line(record)


def line(record: Record) -> Line:
    """A record as a line. Never raises."""
    content = record.content
    type_, size, text = _described(content)
    return Line(record.at_us / 1e6, record.connection, record.way, kind_of(content), type_, size, text)


def _described(content: Content) -> tuple[str, int, str]:
    match content:
        case Text(data):
            name = json_text.event_type(data)
            return name or "(text)", len(data), "" if name in SOUND_FIELDS else _brief(data)
        case Binary(data):
            return "(binary)", len(data), ""
        case Close(code, reason):
            return "(close)", 0, f"{code} {reason}".rstrip()
        case Reset():
            return "(reset)", 0, "the connection was lost without a close frame"
        case Request(method, target, _, body):
            return "(request)", len(body), f"{method} {target}"
        case Response(status, _, body):
            return "(response)", len(body), f"{status} {_shortened(body.decode(errors='replace'))}".rstrip()
        case StrippedMessage(_, parts):
            head = parts[0] if parts and isinstance(parts[0], bytes) else b""
            sound = sum(part.length for part in parts if isinstance(part, StrippedAudio))
            size = sum(len(part) if isinstance(part, bytes) else part.length for part in parts)
            kind = json_text.event_type(content.rest) or "(text)"
            return kind if head else "(binary)", size, f"{sound} bytes of audio left out"
        case Dropped(what, size, reason):
            return "(dropped)", size, f"{what}: {reason}"
        case _:
            assert_never(content)


def _brief(data: bytes) -> str:
    """A summary of an event; of another JSON value, nothing."""
    if (event := json_text.event_in(data)) is not None:
        return brief(event)
    return "" if json_text.is_json(text := data.decode(errors="replace")) else _shortened(text)


def brief(event: Mapping[str, Any]) -> str:
    """The most telling text of an event, at most 80 characters; empty if it has none."""
    return _shortened(next(_key_texts(event), ""))


def _key_texts(value: Any, depth: int = 6) -> Iterator[str]:
    """The strings under the most informative keys; an event's own come before nested ones."""
    if isinstance(value, dict) and depth:
        for key in _KEY_FIELDS:
            if isinstance(value.get(key), str) and value[key]:
                yield value[key]
        for key in ("error", "item", "part", "content", "response", "output", "session"):
            if (nested := value.get(key)) is not None:
                yield from _key_texts(nested, depth - 1)
    elif isinstance(value, list) and depth:
        for part in value:
            yield from _key_texts(part, depth - 1)


def _shortened(text: str) -> str:
    flat = " ".join(text.split()).encode(errors="replace").decode()
    return flat if len(flat) <= _BRIEF else f"{flat[: _BRIEF - 1]}…"
