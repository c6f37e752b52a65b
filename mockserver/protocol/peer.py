"""The one seam: what the pump hosts, and what faults wrap. Nothing here knows sockets, clocks or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from replay.cassette.frames import Binary, Frame, Outgoing, Text


@dataclass(frozen=True, slots=True)
class Torn:
    """A message that breaks off in the middle of its WebSocket frame; the connection ends there."""

    message: Text | Binary


@dataclass(frozen=True, slots=True)
class Mute:
    """From now on nothing is read and nothing written, while TCP stays up: half open."""


@dataclass(frozen=True, slots=True)
class FaultNote:
    """For the journal alone: a fault struck, at an event."""

    fault: str
    event: str


@dataclass(frozen=True, slots=True)
class Act:
    """What is done to the connection itself, and when. Only faults ask for it."""

    at: float
    frame: Torn | Mute | FaultNote


class Peer(Protocol):
    """One end of one connection, driven from outside. `now` is seconds since the connection opened.

    A beat that is due at `now` happens before a message that arrives at `now`.
    """

    def receive(self, data: str | bytes, now: float) -> None:
        """A text (`str`) or binary (`bytes`) message arrived. Never raises for what a client sent."""

    def lost(self, now: float) -> None:
        """The client went away; nothing more will be taken."""

    def next_due(self) -> float | None:
        """When to call `take_output` next; None means only after input."""

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        """Everything that happened up to and including `now`, oldest first, each frame once."""


class ExpiringPeer:
    """A peer up to an instant, or until nothing was heard of either side for `idle_s`; then it says its `last` frames,
    made from the instant and whether it was idle, and is heard no more."""

    def __init__(self, peer: Peer, end_s: float, idle_s: float, last: Callable[[float, bool], Iterable[Frame]]) -> None:
        self._peer = peer
        self._cap_s = end_s
        self._idle_s = idle_s
        self._last = last
        self._end_s = min(end_s, idle_s)
        self._over = False

    def receive(self, data: str | bytes, now: float) -> None:
        if now < self._end_s:
            self._alive(now)
            self._peer.receive(data, now)

    def _alive(self, now: float) -> None:
        self._end_s = min(self._cap_s, now + self._idle_s)

    def lost(self, now: float) -> None:
        self._peer.lost(now)

    def next_due(self) -> float | None:
        if self._over:
            return None
        due = self._peer.next_due()
        return self._end_s if due is None else min(due, self._end_s)

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        if self._over:
            return []
        out = self._peer.take_output(min(now, self._end_s))
        if out:
            self._alive(out[-1].at)
        if now >= self._end_s and ((due := self._peer.next_due()) is None or due > self._end_s):
            self._over = True
            return [
                *out,
                *(Outgoing(self._end_s, frame) for frame in self._last(self._end_s, self._end_s < self._cap_s)),
            ]
        return out


class RefusedPeer:
    """A peer that says its few frames at once, and hears nothing."""

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames

    def receive(self, data: str | bytes, now: float) -> None:
        """Too late."""

    def lost(self, now: float) -> None:
        """As it was going to be."""

    def next_due(self) -> float | None:
        return 0.0 if self._frames else None

    def take_output(self, now: float) -> list[Outgoing]:
        frames, self._frames = self._frames, ()
        return [Outgoing(0.0, frame) for frame in frames]
