"""TCP connections that have not asked for anything yet: few enough, and not for long.

Whoever connects and stays silent, or sends a request that never ends, is hung up on. What happens to a connection after
its first request is connection.py's affair.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable

from aiohttp.web_protocol import RequestHandler

MOST_WAITING = 1_000
"""At once; one more, and the one that waits longest goes."""
PATIENCE_S = 10.0
"""How long a connection may take to ask for something."""
_LOG = logging.getLogger(__name__)


class IdleConnections:
    """Makes the protocol of each new connection, for `loop.create_server`, and keeps an eye on it until it asks."""

    def __init__(self, protocol: Callable[[], RequestHandler]) -> None:
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._waiting: OrderedDict[RequestHandler, float] = OrderedDict()
        self._alarm: asyncio.TimerHandle | None = None
        self._crowded = 0

    def __call__(self) -> RequestHandler:
        handler = self._protocol()
        self._waiting[handler] = self._loop.time() + PATIENCE_S
        if len(self._waiting) > MOST_WAITING:
            self._crowded += _hung_up(self._waiting.popitem(last=False)[0])
        if self._alarm is None:
            self._wake_at_the_next()
        return handler

    def __len__(self) -> int:
        return len(self._waiting)

    def has_asked(self, handler: object) -> None:
        """A connection has sent a request: it is no longer idle."""
        self._waiting.pop(handler, None)  # type: ignore[call-overload]

    def close(self) -> None:
        """Nobody is waited for any more."""
        self._waiting.clear()
        if self._alarm is not None:
            self._alarm.cancel()

    def _wake_at_the_next(self) -> None:
        """One alarm for all: patience is the same for everybody, so the oldest is the next to lose it."""
        due = next(iter(self._waiting.values()), None)
        self._alarm = None if due is None else self._loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        """A second's worth at a time, for one line in the log."""
        slow = 0
        while self._waiting and next(iter(self._waiting.values())) <= self._loop.time() + 1:
            slow += _hung_up(self._waiting.popitem(last=False)[0])
        if slow:
            _LOG.warning("%d connections dropped: no whole request within %g s", slow, PATIENCE_S)
        if self._crowded:
            _LOG.warning("%d connections dropped: more than %d waited to ask", self._crowded, MOST_WAITING)
            self._crowded = 0
        self._wake_at_the_next()


def _hung_up(handler: RequestHandler) -> int:
    """Drop a connection; 0 when it was gone already."""
    if handler.transport is None or handler.transport.is_closing():
        return 0
    handler.transport.abort()
    return 1
