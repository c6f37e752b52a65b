"""A recording, connection by connection: every message with its time and its event.

Made from a cassette, or from the records or the conversation that a reader in formats/ made of another file. A message
in a cassette is read when it is asked for, and not kept: a long call is larger than memory.
"""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import overload
from urllib.parse import parse_qsl

from replay.cassette.base64_text import is_whole
from replay.cassette.conversation import Closed, Conversation, Message, UnreadableRecording
from replay.cassette.cut_sound import SOUND_FIELDS, cut_sound
from replay.cassette.file import Cassette
from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.json_text import Event, event_in, event_type
from replay.cassette.records import Dropped, Record, Request, Response, StrippedAudio, StrippedMessage, Way
from replay.cassette.strip_audio import restore_audio

CALL_HEADER = "realtape-call"
"""The header with the id of a call that is recorded with its sound, as the WebSocket that would carry it."""
_UPGRADED = 101
MOST_RESTORED = 1 << 30
"""Bytes of sound of one recording that a tone replaces: six hours of a call in PCM."""
STAND_IN = "AAAA" * 4
"""Sound, as short as OpenAI's padding of a delta allows without a difference."""
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


class Moments(Sequence[Moment]):
    """The frames of one connection, made of their records on access. `numbers`: the numbers of the records."""

    def __init__(self, records: Sequence[Record], numbers: array[int]) -> None:
        self._records = records
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> Moment: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Moment]: ...
    def __getitem__(self, index: int | slice) -> Moment | Sequence[Moment]:
        found = self._numbers[index]
        return self._moment(found) if isinstance(found, int) else Moments(self._records, found)

    def __iter__(self) -> Iterator[Moment]:
        return map(self._moment, self._numbers)

    def typed(self, wanted: Callable[[str], bool]) -> Iterator[tuple[int, Moment]]:
        """Each frame of a wanted type with its index, and each of which the first bytes tell no type. Of the others, no
        more than these are read."""
        type_of = _types_of(self._records)
        for at, number in enumerate(self._numbers):
            if not (kind := type_of(number)) or wanted(kind):
                yield at, self._moment(number)

    def cut(self, wanted: Callable[[str], bool]) -> Iterator[tuple[int, Moment, int]]:
        """As `typed`, with the bytes of sound that were cut from each event; see cut_sound.py."""
        type_of = _types_of(self._records)
        for at, number in enumerate(self._numbers):
            if (kind := type_of(number)) and not wanted(kind):
                continue
            if kind in SOUND_FIELDS:
                record = self._records[number]
                if isinstance(record.content, Text) and (cut := cut_sound(record.content.data, SOUND_FIELDS[kind])):
                    yield at, Moment(record.at_us / 1e6, record.way, record.content, cut.event), len(cut.sound)
                    continue
            yield at, self._moment(number), 0

    def _moment(self, number: int) -> Moment:
        record = self._records[number]
        frame = restore_audio(record.content) if isinstance(record.content, StrippedMessage) else record.content
        assert isinstance(frame, Text | Binary | Close | Reset)
        event = event_in(frame.data) if isinstance(frame, Text) else None
        return Moment(record.at_us / 1e6, record.way, frame, event)


def typed(moments: Sequence[Moment], wanted: Callable[[str], bool]) -> Iterator[tuple[int, Moment]]:
    """The frames of a wanted type with their index; others may be among them. Those of a cassette are found quickly."""
    return moments.typed(wanted) if isinstance(moments, Moments) else iter(enumerate(moments))


def cut(moments: Sequence[Moment], wanted: Callable[[str], bool]) -> Iterator[tuple[int, Moment, int]]:
    """As `typed`, with the bytes of sound that were cut from each event. Those of a cassette are found quickly."""
    if isinstance(moments, Moments):
        return moments.cut(wanted)
    return ((at, moment, 0) for at, moment in enumerate(moments))


@dataclass(frozen=True, slots=True)
class Line:
    """One WebSocket connection: its handshake, if that was recorded, and its frames.

    `accepted_with`: of a sideband, the body of the request that accepted its call: the session, as JSON.
    `ended_by_request`: the client ended the call over HTTP, so the service's close frame at the end answers that.
    """

    opened_s: float
    request: Request | None
    response: Response | None
    moments: Sequence[Moment]
    accepted_with: bytes | None = None
    ended_by_request: bool = False

    @property
    def call_id(self) -> str | None:
        """The id of the call that it is the sideband of, or the session; None for another."""
        if self.request is None:
            return None
        named = dict(parse_qsl(self.request.target.partition("?")[2])).get("call_id")
        return named or next((value for name, value in self.request.headers if name == CALL_HEADER), None)

    @property
    def over_tracks(self) -> bool:
        """Whether it is the session of a call, with what crossed the tracks as events. Only the mock records so."""
        return self.request is not None and any(name == CALL_HEADER for name, _ in self.request.headers)

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
        first = next((each.get("event_id") for each in self.server_events()), None)
        return None if not isinstance(first, str) else "openai" if first.startswith("event_") else "xai"

    @classmethod
    def read(cls, path: str | os.PathLike[str], on_read: Callable[[int, int], None] | None = None) -> Recording:
        """The recording in a cassette, which stays open. `on_read`: that of Cassette. Raises BadCassette and OSError.
        formats/detect.py reads other files too."""
        cassette = Cassette.open(path)
        cassette.on_read = on_read
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

    def server_events(self) -> Iterator[Event]:
        """The server events of all connections, one at a time."""
        return (each.event for each in self.moments() if each.way == "received" and each.event is not None)

    def received(self) -> list[Event]:
        """The server events of all connections without their sound, as a comparison needs them."""
        return list(map(without_sound, self.server_events()))


def without_sound(event: Event) -> Event:
    """The event with STAND_IN in place of its sound, so that many fit into memory. Comparisons take any sound for the
    same (compare.py). What is no sound stays."""
    delta = event.get("delta") if event.get("type") == "response.output_audio.delta" else None
    if isinstance(delta, str) and len(delta) > len(STAND_IN) and is_whole(delta):
        return {**event, "delta": STAND_IN}
    return event


def message(data: str | bytes, at_s: float) -> Moment:
    """A client's message as it arrives."""
    if isinstance(data, bytes):
        return Moment(at_s, "sent", Binary(data), None)
    return Moment(at_s, "sent", Text(data.encode(errors="surrogatepass")), event_in(data))


def connections(records: Sequence[Record]) -> tuple[Line, ...]:
    """The WebSocket connections in a list of records. Plain HTTP requests are left out.

    Records that need a check are read now, and messages when they are asked for. Raises BadCassette and
    UnreadableRecording.
    """
    found: dict[int, _Parts] = {}
    accepted: dict[str | None, bytes] = {}
    ended: set[str | None] = set()
    restored = 0
    for number, (at_us, connection, is_message) in enumerate(heads(records)):
        if (parts := found.get(connection)) is None:
            parts = found[connection] = _Parts(at_us)
        if is_message:
            parts.frames.append(number)
            continue
        match records[number].content:
            case Request() as request:
                parts.requests.append(request)
                if (asked := _OF_CALL.search(request.target)) is not None and asked[2] == "accept":
                    accepted[asked[1]] = request.body
                elif asked is not None:
                    ended.add(asked[1])
            case Response() as response:
                parts.responses.append((at_us, response))
            case StrippedMessage(parts=pieces):
                restored += sum(piece.length for piece in pieces if isinstance(piece, StrippedAudio))
                if restored > MOST_RESTORED:
                    raise UnreadableRecording(f"record {number}: more than {MOST_RESTORED >> 20} MiB of left-out sound")
                parts.frames.append(number)
            case Dropped():
                pass
            case _:
                parts.frames.append(number)
    lines = (parts.line(records) for _, parts in sorted(found.items()))
    return tuple(
        replace(line, accepted_with=accepted.get(line.call_id), ended_by_request=line.call_id in ended)
        for line in lines
        if line is not None
    )


_OF_CALL = re.compile(r"/realtime/calls/([^/?]+)/(accept|hangup|refer)$")
"""A request about a call: the call's id, and what is requested."""


def heads(records: Sequence[Record]) -> Iterator[tuple[int, int, bool]]:
    """Of each record: microseconds, connection, and whether it is a message or a reset. See Cassette.heads."""
    if isinstance(records, Cassette):
        return records.heads()
    return ((each.at_us, each.connection, isinstance(each.content, Text | Binary | Reset)) for each in records)


def _types_of(records: Sequence[Record]) -> Callable[[int], str]:
    """What tells the type of a record by its number."""
    if isinstance(records, Cassette):
        return records.type_of

    def type_of(number: int) -> str:
        content = records[number].content
        return event_type(content.data) if isinstance(content, Text) else ""

    return type_of


class _Parts:
    """What is known of a connection while the records are looked through."""

    def __init__(self, first_us: int) -> None:
        self.requests: list[Request] = []
        self.responses: list[tuple[int, Response]] = []
        self.frames = array("I")
        self._first_us = first_us

    def line(self, records: Sequence[Record]) -> Line | None:
        """The connection, or None for a plain HTTP request, such as one for a client secret."""
        if any(request.method != "GET" for request in self.requests):
            return None
        opened_us, response = self.responses[0] if self.responses else (self._first_us, None)
        request = self.requests[0] if self.requests else None
        return Line(opened_us / 1e6, request, response, Moments(records, self.frames))


def _moment(step: Message | Closed) -> Moment:
    if isinstance(step, Closed):
        return Moment(0.0, "received", Close(step.code, step.reason), None)
    return Moment(0.0, step.way, Text(json.dumps(step.event, separators=(",", ":")).encode()), step.event)
