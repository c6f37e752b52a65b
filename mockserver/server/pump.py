"""Drives a peer by the server's clock: wakes it when it is due, hands on what it gives back, does what it asks for.

The two pumps differ in where output goes: connection.py writes it to one socket, calls/running_call.py to the event
channels of a call.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from mockserver.protocol.peer import Act, FaultNote, Peer, Quiet, Rest
from mockserver.protocol.requests import Result, Withdraw
from mockserver.server.clock import Clock, WakeUp
from mockserver.server.requests import RequestRunner, Started
from replay.cassette.frames import Close, Frame, Outgoing
from replay.findings.watch import Watch
from replay.outlets import logger

LARGE = 8 << 20
"""Bytes of a message from which a line is logged."""
_LOG = logger(__name__)


class TrafficLog(Protocol):
    """What a pump tells of its traffic. The session's own is journal.py."""

    id: str
    watch: Watch | None

    def inbound(self, at: float, data: str | bytes | Close) -> None:
        """A message came in."""

    def outbound(self, at: float, frame: Frame) -> None:
        """A frame went out, or the connection was reset."""

    def struck(self, at: float, note: FaultNote) -> None:
        """A fault was triggered. Its effect is in the frames after this."""

    def written(self, messages: Sequence[Outgoing], wire: bytes) -> None:
        """Text and binary messages go out in one write. `wire`: the bytes of their frames."""

    def hung_up(self) -> None:
        """The client closes first."""

    def ended(self, at: float, code: int, reason: str = "") -> None:
        """The connection is over."""


P = TypeVar("P", bound=Peer)


class Pump(ABC, Generic[P]):
    """Drives one peer. Its time is seconds since it was made, and never runs backwards."""

    def __init__(self, peer: P, clock: Clock, log: TrafficLog, requests: RequestRunner | None = None) -> None:
        self.error: Exception | None = None
        """An error inside the peer; the client only saw close code 1011."""
        self._peer = peer
        self._clock = clock
        self._log = log
        self._requests = requests
        self._started: dict[str, Started] = {}
        """What the peer waits for, by the id of its request."""
        self._loop = asyncio.get_running_loop()
        self._opened = clock.now()
        self._reached = 0.0
        self._due_timer: WakeUp | None = None
        self._due: float | None = None
        self._overdue_timer: WakeUp | None = None
        self._overdue_at: float | None = None
        self._flushing = False
        self._received = False
        self._rest: Rest | None = None
        """What is left to do of a long message. Nothing is read, written or delivered before it is done."""
        self._mute = False
        """Whether nothing is read or written any more, though the connection is up."""
        self._over: Close | None = None
        """How the connection ends, once that is decided. Nothing is taken from either side after that."""

    @abstractmethod
    def close(self, code: int, reason: str = "") -> None:
        """End with a close frame."""

    @abstractmethod
    def _write(self, outgoing: Sequence[Outgoing | Act]) -> None:
        """Hand on what the peer gave back, oldest first."""

    def _writable(self) -> bool:
        """Whether anything can be written at all."""
        return self._over is None and not self._mute

    def _lagging(self) -> bool:
        """Whether the reader is so slow that nothing more may be taken from the peer."""
        return False

    def _wait_for_reader(self) -> None:
        """Flush again once the reader has caught up."""

    def wake(self) -> None:
        """Write soon: the peer has output that no message and no instant caused."""
        self._flush_soon()

    def find_overdue(self) -> None:
        """Look for client mistakes that only time shows."""
        if self._log.watch is not None and self._over is None:
            self._log.watch.tick(self._now())
            self._schedule_overdue()

    def _schedule_overdue(self) -> None:
        """Keep one timer, for when the client will be overdue next."""
        watch = self._log.watch
        due = None if watch is None else watch.due
        if due == self._overdue_at:
            return
        if self._overdue_timer is not None:
            self._overdue_timer.cancel()
        self._overdue_at = due
        self._overdue_timer = None if due is None else self._clock.call_at(self._opened + due, self.find_overdue)

    def _receive(self, data: str | bytes) -> None:
        if self._over is not None or self._mute:
            return
        if len(data) > LARGE:
            _LOG.warning("session %s: a message of %d bytes", self._log.id, len(data))
        now = self._now()
        self._log.inbound(now, data)
        try:
            left = self._peer.receive(data, now)
        except Exception as error:
            self._fail(error)
        else:
            if isinstance(left, Quiet):
                self._schedule_overdue()
                return
            self._rest = left
        self._received = True
        self._flush_soon()

    def _go_on(self, rest: Rest) -> None:
        """Do a step of a long message; once it is done, write what it caused."""
        try:
            if self._over is None and next(rest, True) is None:
                return
        except Exception as error:
            self._fail(error)
        self._rest = None
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Write soon, so that messages that arrived together are answered together."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._rest is not None or not self._writable():
            return
        try:
            self._write_due()
            if self._over is None:
                self._start_requests()
        except Exception as error:
            self._fail(error)
        if self._over is None:
            self._schedule_overdue()

    def _start_requests(self) -> None:
        """Have done what the peer asks for; what it no longer waits for is cancelled."""
        for request in self._peer.take_requests():
            if isinstance(request, Withdraw):
                if (started := self._started.pop(request.id, None)) is not None:
                    started.cancel()
            elif self._requests is not None:
                self._started[request.id] = self._requests.start(request, self._deliver)

    def _deliver(self, result: Result, last: bool) -> None:
        if self._rest is not None:
            self._loop.call_soon(self._deliver, result, last)
            return
        if last:
            self._started.pop(result.id, None)
        if self._over is not None:
            return
        try:
            self._peer.deliver(result, self._now())
        except Exception as error:
            self._fail(error)
        self._received = True
        self._flush_soon()

    def _write_due(self) -> None:
        """Take what is due, instant by instant: a response that is due all at once goes out as fast as it is read.

        While the reader lags, only what a new message caused is taken, so that the peer does not accumulate output.
        """
        now = self._now()
        received, self._received = self._received, False
        while received or not self._lagging():
            received = False
            due = self._peer.next_due()
            outgoing = self._peer.take_output(now if due is None else min(due, now))
            self._write(outgoing)
            later = self._peer.next_due()
            if self._over is not None or self._mute:
                return
            if later is None or later > now:
                self._wake_at(later)
                return
            if later == due and not outgoing:
                raise RuntimeError(f"{type(self._peer).__name__} is due at {due} s, but has nothing to send then")
        self._wait_for_reader()

    def _wake_at(self, due: float | None) -> None:
        """Keep one timer, at an absolute time: relative ones drift by milliseconds a second."""
        if due == self._due:
            return
        if self._due_timer is not None:
            self._due_timer.cancel()
        self._due = due
        self._due_timer = None if due is None else self._clock.call_at(self._opened + due, self._wake)

    def _wake(self) -> None:
        if self._due is not None:
            self._reached = max(self._reached, self._due)
        self._due = self._due_timer = None
        self._flush()

    def _now(self) -> float:
        now = self._clock.now() - self._opened
        if now > self._reached:
            self._reached = now
        return self._reached

    def _fail(self, error: Exception) -> None:
        """A bug of the mock must not look like an outage of the service: it is logged, and the client sees 1011."""
        self.error = self.error or error
        _LOG.error("session %s: error inside the mock", self._log.id, exc_info=error)
        self.close(1011)

    def _end(self) -> None:
        """Cancel what is waited for, and tell the log and the peer that it is over."""
        self._rest = None  # of a long message that was being read; results wait for it
        self._wake_at(None)
        for started in self._started.values():
            started.cancel()
        self._started.clear()
        if self._overdue_timer is not None:
            self._overdue_timer.cancel()
        over = self._over = self._over or Close(1006, "connection lost")
        self._log.ended(self._now(), over.code, over.reason)
        try:
            self._peer.lost(self._reached)
        except Exception as error:
            self._fail(error)
