"""TCP connections that have not sent a request yet. Their number and their time are limited.

A client that connects and stays silent, or sends a request that never ends, is disconnected.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import cast

from aiohttp.web_protocol import RequestHandler

if sys.platform != "win32":
    import resource

MOST_IDLE = 1_000
"""Idle connections at the same time, at most. One more, and the oldest is dropped."""
FIRST_REQUEST_S = 10.0
"""How long a connection may take to send its first request."""
_TLS = b"\x16"
"""The first byte of a TLS handshake (RFC 8446 section 5.1)."""
_LOG = logging.getLogger(__name__)


def most_idle() -> int:
    """Idle connections at the same time: a quarter of the descriptors that the process may open, 1,000 at most."""
    if sys.platform == "win32":
        return MOST_IDLE
    return min(MOST_IDLE, max(8, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))


class IdleConnections:
    """Makes the protocol of each new connection, for `loop.create_server`, and drops it if no request comes in time.
    `tls` is called for each client that speaks TLS here: the port is plain."""

    def __init__(self, protocol: Callable[[], RequestHandler], tls: Callable[[], None] = lambda: None) -> None:
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._idle: OrderedDict[asyncio.Transport, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._overflowed = 0
        self._most = most_idle()

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

    def has_asked(self, transport: asyncio.Transport | None) -> None:
        """A connection has sent a request: it is no longer idle."""
        if transport is not None:
            self._idle.pop(transport, None)

    def close(self) -> None:
        """Stop watching, and drop the connections that have sent nothing."""
        for transport in self._idle:
            if isinstance(transport.get_protocol(), _FirstBytes):
                transport.close()
        self._idle.clear()
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

    def __init__(self, connections: IdleConnections) -> None:
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
