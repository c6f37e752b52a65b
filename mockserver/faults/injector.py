"""A peer with faults around it: each fault is a case here. Itself a peer, so that the pump hosts it like any other.

No clock and no sockets: a delay moves an instant, and what only a socket can do is asked of the pump (`Act`). The peer
inside is led from one instant to the next, so that how late the pump asks changes nothing.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from mockserver.audio.formats import PCM_24K, AudioFormat
from mockserver.faults.armed import Armed, FaultTarget, FaultWatch, TrafficEvent
from mockserver.faults.early_end import Spoilt
from mockserver.faults.files import as_line
from mockserver.faults.kinds import (
    Bandwidth,
    Clip,
    Close,
    Corrupt,
    Delay,
    Drop,
    Duplicate,
    Error,
    Fail,
    Fault,
    Gap,
    HalfOpen,
    Incomplete,
    Jitter,
    Reorder,
    Reset,
    Stall,
    Tear,
    Truncate,
    WrongRate,
)
from mockserver.faults.sound import clipped, misrated, silent, told_format
from mockserver.protocol.commands import Rejected
from mockserver.protocol.facts import Malformed
from mockserver.protocol.peer import Act, FaultNote, Mute, Peer, Torn
from replay.cassette import frames
from replay.cassette.frames import Binary, Frame, Outgoing, Text

REORDER_S = 1.0
"""How long an event waits to be overtaken."""
HELD_CAP = 64 << 20
"""Bytes that a delay may hold back, either way; above, the connection is reset, as for a client that does not read."""

Message = Text | Binary
Sent = Outgoing | Act
_QUOTES = re.compile(rb'(?<!\\)(?:\\\\)*"')


@dataclass(slots=True, eq=False)
class _Lane:
    """One direction of the connection: what is on its way, in order. Nothing overtakes on it."""

    queue: deque[Sent] = field(default_factory=deque)
    floor: float = 0.0
    """Nothing arrives before this instant."""
    behind: list[Sent] = field(default_factory=list)
    """Waits to be overtaken, until `behind_due` at the latest."""
    behind_due: float = 0.0
    bytes_per_s: int | None = None
    held: int = 0

    @property
    def due(self) -> float | None:
        """When the next thing arrives."""
        heads = [self.queue[0].at] if self.queue else []
        return min([*heads, self.behind_due]) if self.behind else (heads[0] if heads else None)

    def put(self, pieces: Iterable[Sent]) -> None:
        for piece in pieces:
            if self.behind and self.behind_due <= piece.at:
                self._give_up()
            at, size = max(piece.at, self.floor), _size(piece.frame)
            if self.bytes_per_s is not None:
                at += size / self.bytes_per_s
            self.floor = at
            self.held += size
            self.queue.append(piece if at == piece.at else replace(piece, at=at))

    def overtaken(self) -> None:
        """Something passed what waits behind; that comes now."""
        pieces, self.behind = self.behind, []
        self.put(pieces)

    def _give_up(self) -> None:
        """Nothing came to overtake what waits."""
        self.floor = max(self.floor, self.behind_due)
        self.overtaken()

    def taken(self, now: float) -> Iterator[Sent]:
        """What has arrived by `now`, each once."""
        if self.behind and self.behind_due <= now:
            self._give_up()
        while self.queue and self.queue[0].at <= now:
            piece = self.queue.popleft()
            self.held -= _size(piece.frame)
            yield piece


class FaultInjector:
    """A peer, faults included; `follow` says which."""

    def __init__(self, peer: Peer, target: FaultTarget) -> None:
        self._peer = peer
        self._target = target
        self._all: list[FaultWatch] = []
        self._watches: list[FaultWatch] = []
        """Those that look at messages here; the others sit in `_spoilt`."""
        self._down = _Lane()
        self._up = _Lane()
        self._timed: list[FaultWatch] = []
        self._next: list[FaultWatch] = []
        """Struck at a time, for the next event of the service."""
        self._stalled: Armed | None = None
        self._over = False
        self._formats = {"input": PCM_24K, "output": PCM_24K}
        self._spoilt: Spoilt | None = None

    def follow(self, faults: Sequence[Armed], now: float) -> None:
        """From `now` on there are these faults; those that were there already go on counting."""
        known = {watch.armed: watch for watch in self._all}
        target = self._target
        self._all = [
            known.get(each) or FaultWatch(each, target.session_id, target.number, now) for each in faults if each.on
        ]
        new = [watch for watch in self._all if watch.armed not in known]
        timed = [watch for watch in (*self._timed, *new) if watch.due is not None and watch.armed.on]
        self._timed = sorted(timed, key=lambda watch: watch.due or 0.0)
        self._next = [watch for watch in self._next if watch.armed.on]
        self._watches = [watch for watch in self._all if not isinstance(watch.fault, Fail | Incomplete)]
        if self._stalled is not None and not self._stalled.on:
            self._stalled = None
        if not any(isinstance(watch.fault, Bandwidth) for watch in self._all):
            self._down.bytes_per_s = None
        self._spoil([watch for watch in self._all if isinstance(watch.fault, Fail | Incomplete)])

    def _spoil(self, watches: list[FaultWatch]) -> None:
        """Let answers be ended early; a recording has none to end."""
        session = self._target.session
        if session is None or not (watches or self._spoilt):
            self._timed = [watch for watch in self._timed if watch not in watches]
            return
        if self._spoilt is None:
            self._spoilt = Spoilt(session.dialect, self._note)
            session.dialect = self._spoilt
        self._watches += [watch for watch in watches if watch.asked_by_client]
        self._spoilt.watches = [watch for watch in watches if not watch.asked_by_client]

    # The four methods of a peer.

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client's message, or what faults leave of it. What is due by now has happened before it."""
        self._run(now)
        if self._over:
            return
        frame = Text(data.encode(errors="surrogatepass")) if isinstance(data, str) else Binary(data)
        event = _event("in", frame, now)
        self._pass(self._up, Outgoing(now, frame), event, [watch for watch in self._watches if watch.hit(event)])
        self._deliver(now)

    def lost(self, now: float) -> None:
        """The client is gone."""
        self._run(now)
        self._peer.lost(now)

    def next_due(self) -> float | None:
        """When something arrives, or the peer inside goes on."""
        dues = [self._down.due]
        if not self._over:
            dues += [self._up.due, self._timed[0].due if self._timed else None, self._peer.next_due()]
        return min((due for due in dues if due is not None), default=None)

    def take_output(self, now: float) -> list[Sent]:
        """What arrives up to and including `now`, oldest first."""
        self._run(now)
        self._collect(now)
        return list(self._down.taken(now))

    # From instant to instant.

    def _run(self, now: float) -> None:
        """Let everything happen inside that is due by `now`, one instant at a time."""
        while not self._over:
            timed = self._timed[0].due if self._timed else None
            inner = self._peer.next_due()
            due = min((each for each in (timed, inner, self._up.due) if each is not None), default=None)
            if due is None or due > now:
                return
            said = self._collect(due)
            if inner == due == self._peer.next_due() and not said and not self._over:
                raise RuntimeError(f"{type(self._peer).__name__} is due at {due} s, but has nothing to send then")
            self._deliver(due)
            self._strike_timed(due)

    def _collect(self, now: float) -> int:
        """Take what the peer inside says up to `now`; how much that was."""
        said = () if self._over else self._peer.take_output(now)
        for each in said:
            if isinstance(each, Outgoing):
                self._send(each)
            elif not self._over:
                self._down.put([each])
        return len(said)

    def _deliver(self, now: float) -> None:
        """Give the peer inside what has arrived from the client."""
        for each in self._up.taken(now):
            match each.frame:
                case Text(data):
                    self._peer.receive(data.decode(errors="surrogatepass"), each.at)
                case Binary(data):
                    self._peer.receive(data, each.at)
            self._collect(each.at)

    def _strike_timed(self, now: float) -> None:
        while self._timed and (self._timed[0].due or 0.0) <= now and not self._over:
            watch = self._timed.pop(0)
            at = watch.due or 0.0
            if isinstance(watch.fault, _OF_AN_EVENT):
                self._next.append(watch)
            elif watch.triggered(TrafficEvent("out", watch.fault.at, at)):
                self._note(watch, watch.fault.at, at)
                self._down.put(self._changed(watch, [], at, self._down))

    def _send(self, out: Outgoing) -> None:
        """Something the service says: what faults leave of it goes on its way."""
        if self._over:
            return
        if not isinstance(out.frame, Text | Binary):
            if self._stalled is None:
                self._down.put([out])
            return
        event = _event("out", out.frame, out.at, self._learn_formats)
        hits = [watch for watch in self._watches if watch.hit(event)]
        hits += [watch for watch in self._next if watch.triggered(event)]
        self._next.clear()
        self._pass(self._down, out, event, hits)

    def _pass(self, lane: _Lane, out: Outgoing, event: TrafficEvent, hits: list[FaultWatch]) -> None:
        pieces: list[Sent] = [out]
        waiting = bool(lane.behind)
        for watch in hits:
            if self._over:
                return
            self._note(watch, event.name, out.at)
            pieces = self._changed(watch, pieces, out.at, lane)
        if self._over or (lane is self._down and self._stalled is not None):
            return
        lane.put(pieces)
        if waiting and pieces:
            lane.overtaken()
        if self._down.held > HELD_CAP or self._up.held > HELD_CAP:
            self._end(out.at, frames.Reset())

    def _note(self, watch: FaultWatch, event: str, at: float) -> None:
        self._down.put([Act(at, FaultNote(as_line(watch.fault), event))])

    def _end(self, at: float, how: Frame | Mute | Torn) -> None:
        """The last that happens."""
        self._down.put([Act(at, how) if isinstance(how, Mute | Torn) else Outgoing(at, how)])
        self._down.behind.clear()
        self._over = True

    # What each fault does.

    def _changed(self, watch: FaultWatch, pieces: list[Sent], at: float, lane: _Lane) -> list[Sent]:
        """What a fault leaves of an event; at a time there is none."""
        match watch.fault:
            case Drop():
                return []
            case Duplicate():
                return pieces * 2
            case Reorder():
                if lane.behind or not pieces:
                    return pieces
                lane.behind, lane.behind_due = pieces, at + REORDER_S
                return []
            case Delay(seconds=seconds):
                lane.floor = max(lane.floor, at + seconds)
            case Jitter(seconds=seconds):
                lane.floor = max(lane.floor, at + watch.rng.uniform(0, seconds))
            case Bandwidth(bytes_per_s=rate):
                self._down.bytes_per_s = rate
            case Stall(seconds=None):
                self._stalled = watch.armed
            case Stall(seconds=float(seconds)):
                self._down.floor = max(self._down.floor, at + seconds)
            case Corrupt():
                return _each(pieces, lambda frame: _corrupted(frame, watch))
            case Truncate():
                return _each(pieces, _halved)
            case Error() as error:
                rejected = Rejected(error.message, error.type, error.code)
                self._down.put(Outgoing(at, each) for each in self._target.dialect.render(Malformed(rejected), at))
            case Close(code=code, reason=reason):
                self._end(at, frames.Close(code, reason))
            case Reset():
                self._end(at, frames.Reset())
            case HalfOpen():
                self._end(at, Mute())
            case Tear():
                whole = [each.frame for each in pieces if isinstance(each.frame, Text | Binary)]
                self._end(at, Torn(whole[0]) if whole and lane is self._down else frames.Reset())
            case Gap() | Clip() | WrongRate() as glitch:
                format = self._formats["output" if lane is self._down else "input"]
                return _each(pieces, lambda frame: _glitched(frame, glitch, format))
            case Fail() | Incomplete() as fault:
                if self._spoilt is not None:
                    self._spoilt.doom(fault)
        return pieces

    def _learn_formats(self, event: dict[str, Any]) -> None:
        session = event.get("session")
        if isinstance(session, dict):
            self._formats = {side: told_format(session, side) for side in self._formats}


_OF_AN_EVENT = (Drop, Duplicate, Reorder, Delay, Jitter, Corrupt, Truncate, Tear, Gap, Clip, WrongRate)
"""Nothing without an event."""


def _event(
    way: Any, frame: Message, at: float, session: Callable[[dict[str, Any]], None] = lambda event: None
) -> TrafficEvent:
    """What a message is; its object goes to `session` if it tells of one."""
    if isinstance(frame, Binary):
        return TrafficEvent(way, "binary", at)
    try:
        event = orjson.loads(frame.data)
    except orjson.JSONDecodeError:
        event = None
    if not isinstance(event, dict) or not isinstance(type := event.get("type"), str):
        return TrafficEvent(way, "", at)
    if way == "in":
        return TrafficEvent(way, type, at)
    if type.startswith("session."):
        session(event)
    response = event.get("response")
    id = event.get("response_id") or (response.get("id") if isinstance(response, dict) else None)
    return TrafficEvent(way, type, at, id if isinstance(id, str) else None)


def _size(frame: object) -> int:
    return len(frame.data) if isinstance(frame, Text | Binary) else 0


def _each(pieces: list[Sent], change: Callable[[Message], Message]) -> list[Sent]:
    return [
        Outgoing(each.at, change(each.frame))
        if isinstance(each, Outgoing) and isinstance(each.frame, Text | Binary)
        else each
        for each in pieces
    ]


def _corrupted(frame: Message, watch: FaultWatch) -> Message:
    """One quotation mark less and JSON does not close any more, wherever it was."""
    data = frame.data
    if isinstance(frame, Binary):
        at = watch.rng.randrange(len(data)) if data else 0
        return Binary(data[:at] + bytes(each ^ 0xFF for each in data[at : at + 1]) + data[at + 1 :])
    ends = [found.end() for found in _QUOTES.finditer(data)]
    end = watch.rng.choice(ends) if ends else len(data)
    return Text(data[: end - 1] + data[end:])


def _halved(frame: Message) -> Message:
    half = frame.data[: len(frame.data) // 2]
    return Binary(half) if isinstance(frame, Binary) else Text(half.decode(errors="ignore").encode())


def _glitched(frame: Message, fault: Fault, format: AudioFormat) -> Message:
    """The same message with other sound; one without sound is given back."""
    if isinstance(frame, Binary):
        return Binary(_sound(frame.data, fault, format))
    try:
        event = orjson.loads(frame.data)
        key = "audio" if "audio" in event else "delta"
        audio = base64.b64decode(event[key], validate=True)
    except (ValueError, TypeError, KeyError):
        return frame
    if not str(event.get("type")).endswith(("audio.delta", "append")):
        return frame
    return Text(orjson.dumps({**event, key: base64.b64encode(_sound(audio, fault, format)).decode()}))


def _sound(audio: bytes, fault: Fault, format: AudioFormat) -> bytes:
    match fault:
        case Gap():
            return silent(audio, format)
        case Clip():
            return clipped(audio, format)
        case WrongRate(rate=rate):
            return misrated(audio, format, rate)
    return audio
