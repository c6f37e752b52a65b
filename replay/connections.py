"""Limits on the TCP connections of one server, from the file descriptors that its process may open.

A client that connects and stays silent, or sends a request that never ends, is disconnected. So is the client whose
connection waits longest for its next request, if too many wait.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

from replay.outlets import logger

if sys.platform != "win32":
    import resource

MOST_IDLE = 1_000
"""Idle connections at the same time, at most. One more, and the oldest is dropped."""
MOST_SESSIONS = 10_000
"""Sessions at the same time, at most."""
MOST_REQUESTS = 1_000
"""HTTP requests that are answered at the same time, and connections that wait for another request, at most."""
FIRST_REQUEST_S = 10.0
"""How long a connection may take to send its first request."""
_TLS = b"\x16"
"""The first byte of a TLS handshake (RFC 8446 section 5.1)."""
_LOG = logger(__name__)


def without_bytes(record: logging.LogRecord) -> bool:
    """Tell of a request that is no HTTP in one line. aiohttp quotes its bytes, and these may hold a key that the
    scanner for secrets does not see there."""
    problem = record.exc_info[1] if record.exc_info else None
    if isinstance(problem, HttpProcessingError):
        record.msg = f"a request that is not HTTP/1.1 was answered with {problem.code} ({type(problem).__name__})"
        record.args, record.exc_info, record.exc_text = (), None, None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def most_idle() -> int:
    """Idle connections at the same time: a quarter of the descriptors that the process may open, 1,000 at most."""
    return _share(4, 8, MOST_IDLE)


def most_sessions(descriptors: int) -> int:
    """Sessions at the same time: half of the descriptors that the process may open, 10,000 sessions at most.
    `descriptors`: how many one session needs.
    """
    return _share(2 * descriptors, 4, MOST_SESSIONS)


def most_requests() -> int:
    """HTTP requests at the same time: a sixteenth of the descriptors, 1,000 at most. As many connections may wait for
    another request.
    """
    return _share(16, 4, MOST_REQUESTS)


def _share(parts: int, least: int, most: int) -> int:
    """One of so many parts of the descriptors that the process may open."""
    if sys.platform == "win32":
        return most
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return most if limit == resource.RLIM_INFINITY else min(most, max(least, limit // parts))


class Connections:
    """Makes the protocol of each new connection, for `loop.create_server`, and drops it if no request comes in time.

    `descriptors`: how many a session needs. `tls` is called for each client that speaks TLS here: the port is plain.
    """

    def __init__(
        self, protocol: Callable[[], RequestHandler], descriptors: int = 1, tls: Callable[[], None] = lambda: None
    ) -> None:
        self.sessions = 0
        """Sessions that are open, and handshakes that are being answered."""
        self.most_sessions = most_sessions(descriptors)
        self._requests = 0
        self._most_requests = most_requests()
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._idle: OrderedDict[asyncio.Transport, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._overflowed = 0
        self._most = most_idle()
        self._waiting: OrderedDict[asyncio.Transport, None] = OrderedDict()
        """Connections that may send another request, in the order of their last one."""

    def __call__(self) -> asyncio.Protocol:
        return _FirstBytes(self)

    def __len__(self) -> int:
        return len(self._idle)

    def connected(self, transport: asyncio.Transport) -> None:
        """A connection is open. Only for its protocol."""
        self._idle[transport] = self._loop.time() + FIRST_REQUEST_S
        if len(self._idle) > self._most:
            self._overflowed += _dropped(self._idle.popitem(last=False)[0])
        if self._timer is None:
            self._set_timer()

    def began(self, transport: asyncio.Transport, data: bytes) -> None:
        """The first bytes of a connection came. Only for its protocol."""
        if data[:1] == _TLS:
            self._tls()
            transport.close()
            return
        handler = self._protocol()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(data)

    @contextmanager
    def answering(self, transport: asyncio.Transport | None, *, session: bool) -> Iterator[bool]:
        """While a request is answered, which for a session lasts as long as it is open: whether there is room for it.
        Without room, refuse it.
        """
        if transport is not None:
            self._idle.pop(transport, None)
            self._waiting.pop(transport, None)
        room = self.sessions < self.most_sessions if session else self._requests < self._most_requests
        self.sessions += session
        self._requests += not session
        try:
            yield room
        finally:
            self.sessions -= session
            self._requests -= not session
            if transport is not None and not transport.is_closing():
                self._wait(transport)

    def _wait(self, transport: asyncio.Transport) -> None:
        """A request was answered, and its connection may send another one."""
        self._waiting[transport] = None
        if len(self._waiting) > self._most_requests:
            for gone in [each for each in self._waiting if each.is_closing()]:
                del self._waiting[gone]
        if len(self._waiting) > self._most_requests:
            self._waiting.popitem(last=False)[0].close()

    def close(self) -> None:
        """Stop watching, and drop the connections that have sent nothing."""
        for transport in self._idle:
            if isinstance(transport.get_protocol(), _FirstBytes):
                transport.close()
        self._idle.clear()
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self) -> None:
        """One timer for all connections: they have the same time, so the oldest is the next to be dropped."""
        due = next(iter(self._idle.values()), None)
        self._timer = None if due is None else self._loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        """Drops those of a whole second together, for one line in the log."""
        slow = 0
        while self._idle and next(iter(self._idle.values())) <= self._loop.time() + 1:
            slow += _dropped(self._idle.popitem(last=False)[0])
        if slow:
            _LOG.warning("%s dropped: no complete request within %g s", _counted(slow), FIRST_REQUEST_S)
        if self._overflowed:
            _LOG.warning("%s dropped: more than %d were idle", _counted(self._overflowed), self._most)
            self._overflowed = 0
        self._set_timer()


class _FirstBytes(asyncio.Protocol):
    """A connection until its first bytes, which show whether it speaks HTTP."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.connected(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None:
            self._connections.began(self._transport, data)


def _dropped(transport: asyncio.Transport) -> int:
    """Drop a connection. How many that were: 0 if it was closed already."""
    if transport.is_closing():
        return 0
    transport.abort()
    return 1


def _counted(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
