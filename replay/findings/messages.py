"""The messages of a live connection, as on the wire: each is read once for all that follow the connection.

Cheap where much goes by. Of a message only the type is read, at its front. Its JSON is parsed if somebody wants it;
audio is never decoded here, because its length shows its duration.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

import orjson

from replay.cassette.frames import Binary, Outgoing, Passage, Text
from replay.cassette.json_text import MOST_VALUES, Event, too_intricate
from replay.cassette.json_values import NOTHING, text_at
from replay.findings.call import APPEND, DELTA

LONGEST_READ = 1 << 20
"""Characters of a client's message that is read, besides sound: reading more would keep others waiting."""
_FRONT = 128
"""Characters at either end of a message in which its type is looked for."""
_BEFORE_SOUND = 1_000
"""Bytes of a message of the server in which all is that comes before its audio."""
_APPEND = f'"{APPEND}"'
"""With its quotes: a text may mention the event, and without backslashes no text has quotes inside."""
_TYPE = b'{"type":"'
_DELTA = _TYPE + DELTA.encode() + b'"'

_HEADS = (f'{{"type": "{APPEND}", "audio": "', f'{{"type":"{APPEND}","audio":"')
"""How nearly all clients write an append: as Python's json and as JSON.stringify do."""
_SPACED, _COMPACT = map(len, _HEADS)


class Follower(Protocol):
    """Follows the messages of one connection. Times are seconds since it opened."""

    messages: int
    """Messages so far, both ways, with the one that is being told."""

    wanted: frozenset[str]
    """The types of the server's events that it is told."""

    def sent(self, at: float, kind: str, event: Event) -> None:
        """The client sent an event. The type is empty for what is no event, and for what is too long to be read."""

    def appended(self, at: float, data: str, start: int, end: int) -> None:
        """The client sent audio, as the base64 in `data[start:end]`."""

    def packet(self, at: float, data: bytes) -> None:
        """The client sent a binary message."""

    def received(self, at: float, kind: str, event: Event) -> None:
        """The server sent an event that somebody wants."""

    def spoke(self, at: float, size: int, event: bytes = b"") -> None:
        """The server sent that many bytes of audio, about. `event`: the message up to its audio at least, unless it is
        binary."""


class Messages:
    """The messages of one connection, told to its followers."""

    __slots__ = ("_around", "_count", "_followers", "_wanted")

    def __init__(self, *followers: Follower) -> None:
        self._followers = followers
        self._wanted = _together(tuple(each.wanted for each in followers))
        self._count = max((each.messages for each in followers), default=0)
        self._around = 0
        """Bytes of an audio delta besides its audio, measured once: measuring each would cost more than everything
        else."""

    def sent(self, at: float, data: str | bytes) -> None:
        """The client sent a message."""
        count = self._count = self._count + 1
        for each in self._followers:
            each.messages = count
        if isinstance(data, bytes):
            for each in self._followers:
                each.packet(at, data)
            return
        if "\\" not in data and (start := _sound_at(data)):  # some clients write / as \/
            end = data.find('"', start)
        else:
            kind, event = _read(data)
            if kind != APPEND:
                for each in self._followers:
                    each.sent(at, kind, event)
                return
            data, start = text_at(event, "audio"), 0
            end = len(data)
        for each in self._followers:
            each.appended(at, data, start, end)

    def received(self, messages: Sequence[Outgoing]) -> None:
        """The server sent texts and binary messages."""
        followers, wanted, count = self._followers, self._wanted, self._count
        if not followers:
            return
        for each in messages:
            count += 1
            frame = each.frame
            if isinstance(frame, Text):
                if (event := frame.event) is not None:
                    kind = event["type"]
                    if kind not in wanted:
                        continue
                elif frame.data.startswith(_DELTA):
                    size = self._sound_in(frame.data)
                    for follower in followers:
                        follower.messages = count
                        follower.spoke(each.at, size, frame.data)
                    continue
                else:
                    kind, event = _read_server(frame.data, wanted)
                for follower in followers:
                    if kind in follower.wanted:
                        follower.messages = count
                        follower.received(each.at, kind, event)
            elif isinstance(frame, Passage):
                count = self._read_passage(each.at, frame, count - 1)
            elif isinstance(frame, Binary):
                for follower in followers:
                    follower.messages = count
                    follower.spoke(each.at, len(frame.data))
        self.passed(count - self._count)

    def _read_passage(self, at: float, passage: Passage, count: int) -> int:
        """The messages of a passage, after `count` others. How many that are in all."""
        wire, wanted = passage.wire, self._wanted
        for kind, start, stop, audio in passage.spans:
            count += 1
            if audio:
                beginning = wire[start : min(stop, start + _BEFORE_SOUND)]
                for follower in self._followers:
                    follower.messages = count
                    follower.spoke(at, audio, beginning)
            elif kind in wanted:
                event = orjson.loads(wire[start:stop])
                for follower in self._followers:
                    if kind in follower.wanted:
                        follower.messages = count
                        follower.received(at, kind, event)
        return count

    def passed(self, count: int = 1) -> None:
        """Messages passed. Without more, they are what nobody reads: sound on a track of a call."""
        self._count += count
        for each in self._followers:
            each.messages = self._count

    def _sound_in(self, data: bytes) -> int:
        """Bytes of audio in a delta, about."""
        if not self._around:
            start = data.find(b'"delta":"') + 9
            self._around = len(data) - (data.find(b'"', start) - start)
        return (len(data) - self._around) * 3 // 4


@lru_cache(maxsize=64)
def _together(wanted: tuple[frozenset[str], ...]) -> frozenset[str]:
    return frozenset[str]().union(*wanted)


def _read_server(data: bytes, wanted: frozenset[str]) -> tuple[str, Event]:
    """Type and event of a message of the server, if it is wanted or its type is not at its front."""
    if data.startswith(_TYPE) and data[len(_TYPE) : data.find(b'"', len(_TYPE))].decode(errors="replace") not in wanted:
        return "", NOTHING
    return _read(data)


def _sound_at(data: str) -> int:
    """The position of the base64 in a client's append, found without parsing; 0 for any other message."""
    if data.startswith(_HEADS):
        return _COMPACT if data[8] == '"' else _SPACED
    if data.find(_APPEND, 0, _FRONT) < 0 and data.find(_APPEND, max(0, len(data) - _FRONT)) < 0:
        return 0
    key = data.find('"audio"', 0, 2 * _FRONT)
    if key < 0:
        return 0
    return data.find('"', key + 7) + 1


def _read(data: str | bytes) -> tuple[str, Event]:
    """Type and event of a message; an empty type for what is no event."""
    # A text has no more values than characters.
    if len(data) > MOST_VALUES and isinstance(data, str) and (len(data) > LONGEST_READ or too_intricate(data)):
        return "", NOTHING
    try:
        event = orjson.loads(data)
    except ValueError:
        return "", NOTHING
    kind = event.get("type") if isinstance(event, dict) else None
    return (kind, event) if isinstance(kind, str) else ("", NOTHING)
