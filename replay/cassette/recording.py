"""A recording, connection by connection: every message with its time and its event.

Made from a cassette, or from the records or the conversation that a reader in formats/ made of another file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from replay.cassette.conversation import Closed, Conversation, Message, UnreadableRecording
from replay.cassette.file import Cassette
from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.records import Record, Request, Response, StrippedAudio, StrippedMessage, Way
from replay.cassette.strip_audio import restore_audio

_UPGRADED = 101
MOST_RESTORED = 1 << 30
"""Bytes of sound of one recording that a tone replaces: six hours of a call in PCM."""
UNTIMED_US = 1000
"""Microseconds between two messages of a recording without times, of which only the order is known."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame that crossed the wire.

    `at_s`: seconds since the recording began. `event`: the JSON object in the frame, or None.
    """

    at_s: float
    way: Way
    frame: Frame
    event: Event | None

    @property
    def type(self) -> str:
        """The event's type. For a frame without one: `(text)`, `(binary)`, `(close)` or `(reset)`."""
        kind = self.event.get("type") if self.event is not None else None
        return kind if isinstance(kind, str) else f"({type(self.frame).__name__.lower()})"


@dataclass(frozen=True, slots=True)
class Line:
    """One WebSocket connection: its handshake, if that was recorded, and its frames."""

    opened_s: float
    request: Request | None
    response: Response | None
    moments: tuple[Moment, ...]

    @property
    def refused(self) -> bool:
        """Whether the service refused the handshake."""
        return self.response is not None and self.response.status != _UPGRADED


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording: its connections in the order in which they opened. `dialect` is what the file says, or `unknown`.
    `ignore`: what may differ when a client plays it, as the file says.
    """

    name: str
    dialect: str
    origin: str
    lines: tuple[Line, ...]
    ignore: tuple[str, ...] = ()

    @property
    def service(self) -> str | None:
        """The dialect. If the file does not say it, the first event's id shows the service: OpenAI prefixes ids with
        `event_` (recordings), xAI does not.
        """
        if self.dialect != "unknown":
            return self.dialect
        first = next((each.get("event_id") for each in self.received()), None)
        return None if not isinstance(first, str) else "openai" if first.startswith("event_") else "xai"

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Recording:
        """The recording in a cassette. Raises BadCassette and OSError. formats/detect.py reads other files too."""
        with Cassette.open(path) as cassette:
            header = cassette.header
            return cls(cassette.path.stem, header.dialect, header.origin, connections(cassette), header.ignore)

    @classmethod
    def of(cls, conversation: Conversation) -> Recording:
        """From a conversation without times: everything is at 0 s, in order."""
        lines = (Line(0.0, None, None, tuple(map(_moment, steps))) for steps in conversation.connections())
        return cls(conversation.name, "unknown", "live", tuple(lines))

    def moments(self) -> Iterator[Moment]:
        """The frames of all connections."""
        for line in self.lines:
            yield from line.moments

    def received(self) -> list[Event]:
        """The server events of all connections."""
        return [each.event for each in self.moments() if each.way == "received" and each.event is not None]


def message(data: str | bytes, at_s: float) -> Moment:
    """A client's message as it arrives."""
    if isinstance(data, bytes):
        return Moment(at_s, "sent", Binary(data), None)
    return Moment(at_s, "sent", Text(data.encode(errors="surrogatepass")), event_in(data))


def connections(records: Iterable[Record]) -> tuple[Line, ...]:
    """The WebSocket connections in a list of records. Plain HTTP requests are left out."""
    by_connection: dict[int, list[Record]] = {}
    restored = 0
    for number, record in enumerate(records):
        if isinstance(record.content, StrippedMessage):
            restored += sum(part.length for part in record.content.parts if isinstance(part, StrippedAudio))
            if restored > MOST_RESTORED:
                raise UnreadableRecording(f"record {number}: more than {MOST_RESTORED >> 20} MiB of left-out sound")
        by_connection.setdefault(record.connection, []).append(record)
    return tuple(line for _, records in sorted(by_connection.items()) if (line := _line(records)) is not None)


def _line(records: list[Record]) -> Line | None:
    """The connection, or None for a plain HTTP request, such as one for a client secret."""
    requests = [record.content for record in records if isinstance(record.content, Request)]
    if any(request.method != "GET" for request in requests):
        return None
    answers = [(record.at_us, record.content) for record in records if isinstance(record.content, Response)]
    opened_us, response = answers[0] if answers else (records[0].at_us, None)
    moments: list[Moment] = []
    for record in records:
        frame = restore_audio(record.content) if isinstance(record.content, StrippedMessage) else record.content
        if isinstance(frame, Text | Binary | Close | Reset):
            event = event_in(frame.data) if isinstance(frame, Text) else None
            moments.append(Moment(record.at_us / 1e6, record.way, frame, event))
    return Line(opened_us / 1e6, requests[0] if requests else None, response, tuple(moments))


def _moment(step: Message | Closed) -> Moment:
    if isinstance(step, Closed):
        return Moment(0.0, "received", Close(step.code, step.reason), None)
    return Moment(0.0, step.way, Text(json.dumps(step.event, separators=(",", ":")).encode()), step.event)
