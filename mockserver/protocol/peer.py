"""The seam between sessions and sockets: what a connection hosts, and what faults wrap. No sockets, clocks or JSON."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, final

from mockserver.audio.formats import Samples
from mockserver.protocol.requests import Request, Result
from replay.cassette.frames import Binary, Frame, Outgoing, Sound, Text


@dataclass(frozen=True, slots=True)
class Torn:
    """A message that breaks off in the middle of its WebSocket frame, with which the connection ends."""

    message: Text | Binary


@dataclass(frozen=True, slots=True)
class Mute:
    """From here on nothing is read or written, while TCP stays up: the connection is half open."""


@dataclass(frozen=True, slots=True)
class SidebandsLost:
    """The sidebands of a call are reset, or `silent`: they stay open, and nothing crosses them. The call goes on."""

    silent: bool


@dataclass(frozen=True, slots=True)
class FaultNote:
    """For the journal alone: a fault was triggered, at an event."""

    fault: str
    event: str


@dataclass(frozen=True, slots=True)
class Act:
    """What a fault does to the connection itself, and when."""

    at: float
    frame: Torn | Mute | SidebandsLost | FaultNote


Rest = Generator[None, None, None]
"""What is left to do of a long message. It does a step each time that it is resumed."""


@final
class Quiet:
    """A message caused nothing: there is no output and no request to take, and the next instant is the same."""


QUIET = Quiet()

LONG_MESSAGE = 1 << 20
"""Bytes or characters of a message from which it is taken in steps: joining, reading and obeying it are one each."""


class Peer(Protocol):
    """One end of one connection, driven from outside. `now` is seconds since the connection opened.

    What is due at `now` happens before a message that arrives at `now`.
    """

    def receive(self, data: str | bytes, now: float) -> Rest | Quiet | None:
        """A text (`str`) or binary (`bytes`) message arrived. Raises nothing for a client's mistake.

        Returns what is left to do of a long one. The caller may do it in steps, so that others have their turn between
        them; otherwise the next call of any method does it first. `Quiet` says that nothing has to be done after it,
        as after most appends; a peer need not say so.
        """

    def lost(self, now: float) -> None:
        """The client is gone; no more output is taken."""

    def next_due(self) -> float | None:
        """When to call `take_output` next; None is only after input."""

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        """The frames up to and including `now`, oldest first, each once."""

    def take_requests(self) -> Sequence[Request]:
        """What the peer asks of the world around it since the last call, oldest first."""

    def deliver(self, result: Result, now: float) -> None:
        """A result of a request arrived. One that nobody waits for any more is ignored."""

    # Of a call alone, whose sound travels on tracks.

    def hear(self, samples: Samples, now: float) -> None:
        """The caller's track brought samples at 24 kHz, any number of them."""

    def press(self, digit: str, now: float) -> None:
        """The caller pressed a key of the telephone: one of `0123456789*#ABCD`."""

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """The service stopped playing a message after `played_ms` milliseconds. An unknown one is ignored."""


class ExpiringPeer:
    """A peer that ends at the second `end_s`, or after `idle_s` seconds without traffic.

    It then sends the frames that `last` makes from that second and from whether the connection was idle.
    """

    def __init__(
        self, peer: Peer, end_s: float, idle_s: float, last: Callable[[float, bool], Iterable[Frame | Sound]]
    ) -> None:
        self._peer = peer
        self._cap_s = end_s
        self._idle_s = idle_s
        self._last = last
        self._end_s = min(end_s, idle_s)
        self._over = False

    def receive(self, data: str | bytes, now: float) -> Rest | Quiet | None:
        if now >= self._end_s:
            return None
        self._alive(now)
        return self._peer.receive(data, now)

    def _alive(self, now: float) -> None:
        end_s = now + self._idle_s
        self._end_s = end_s if end_s < self._cap_s else self._cap_s

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
        for each in reversed(out):
            if isinstance(each, Act) or not each.keep_alive:
                self._alive(each.at)
                break
        if now >= self._end_s and ((due := self._peer.next_due()) is None or due > self._end_s):
            self._over = True
            return [
                *out,
                *(Outgoing(self._end_s, frame) for frame in self._last(self._end_s, self._end_s < self._cap_s)),
            ]
        return out

    def take_requests(self) -> Sequence[Request]:
        return self._peer.take_requests()

    def deliver(self, result: Result, now: float) -> None:
        if now < self._end_s:
            self._peer.deliver(result, now)

    def hear(self, samples: Samples, now: float) -> None:
        if now < self._end_s:
            self._alive(now)
            self._peer.hear(samples, now)

    def press(self, digit: str, now: float) -> None:
        if now < self._end_s:
            self._alive(now)
            self._peer.press(digit, now)

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        if now < self._end_s:
            self._peer.truncate(item_id, played_ms, now)


class Trackless:
    """What a peer does with the tracks of a call if it has none: nothing."""

    def hear(self, samples: Samples, now: float) -> None:
        """Ignored."""

    def press(self, digit: str, now: float) -> None:
        """Ignored."""

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """Ignored: it plays nothing."""


class RefusedPeer(Trackless):
    """A peer that sends a few frames at once and ignores the client."""

    def __init__(self, frames: Sequence[Frame | Sound]) -> None:
        self._frames = frames

    def receive(self, data: str | bytes, now: float) -> None:
        """Ignored."""

    def lost(self, now: float) -> None:
        """Ignored."""

    def next_due(self) -> float | None:
        return 0.0 if self._frames else None

    def take_output(self, now: float) -> list[Outgoing]:
        frames, self._frames = self._frames, ()
        return [Outgoing(0.0, frame) for frame in frames]

    def take_requests(self) -> Sequence[Request]:
        return ()

    def deliver(self, result: Result, now: float) -> None:
        """Ignored: it asks for nothing."""
