"""TCP connections that have not sent a request yet. Their number and their time are limited.

A client that connects and stays silent, or sends a request that never ends, is disconnected.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from aiohttp.web_protocol import RequestHandler

MOST_IDLE = 1_000
"""Idle connections at the same time. One more, and the oldest is dropped."""
FIRST_REQUEST_S = 10.0
"""How long a connection may take to send its first request."""
_LOG = logging.getLogger(__name__)


class IdleConnections:
    """Makes the protocol of each new connection, for `loop.create_server`, and drops it if no request comes in time."""

    def __init__(self, protocol: Callable[[], RequestHandler]) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._idle: OrderedDict[RequestHandler, float] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._overflowed = 0

    def __call__(self) -> RequestHandler:
        handler = self._protocol()
        self._idle[handler] = self._loop.time() + FIRST_REQUEST_S
        if len(self._idle) > MOST_IDLE:
            self._overflowed += _dropped(self._idle.popitem(last=False)[0])
        if self._timer is None:
            self._set_timer()
        return handler

    def __len__(self) -> int:
        return len(self._idle)

    def has_asked(self, handler: object) -> None:
        """A connection has sent a request: it is no longer idle."""
        self._idle.pop(handler, None)  # type: ignore[call-overload]

    def close(self) -> None:
        """Stop watching."""
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
            _LOG.warning("%s dropped: more than %d were idle", _counted(self._overflowed), MOST_IDLE)
            self._overflowed = 0
        self._set_timer()


def _dropped(handler: RequestHandler) -> int:
    """Drop a connection. How many that were: 0 if it was closed already."""
    if handler.transport is None or handler.transport.is_closing():
        return 0
    handler.transport.abort()
    return 1


def _counted(connections: int) -> str:
    return "1 connection" if connections == 1 else f"{connections} connections"
