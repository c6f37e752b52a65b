"""Requests of the control plane that wait for a frame: long polls."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

MOST = 100
"""Requests of one namespace that may wait at a time."""
DEFAULT_MS, LONGEST_MS = 5_000, 60_000
"""How long a request waits."""


class TooManyWait(Exception):
    """As many requests wait as may."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The frames that a request waits for. type: a frame's type, in which `*` stands for any characters. session: the
    id of a session; None for all. way: `in` is from the client; None is either."""

    type: str
    session: str | None = None
    way: Literal["in", "out"] | None = None

    def wants(self, session: str, way: str, type: str | None) -> bool:
        """Whether a frame is one of these."""
        return self.session in (None, session) and self.way in (None, way) and fnmatchcase(type or "", self.type)


@dataclass(slots=True, eq=False)
class _Waiter:
    wanted: Wanted
    left: int
    """Frames of the kind until the one that is waited for."""
    arrived: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Waiting:
    """The requests that wait for a frame of one namespace."""

    def __init__(self) -> None:
        self.waiters: list[_Waiter] = []
        """Those that wait; only `wait` changes it."""

    async def wait(self, wanted: Wanted, nth: int, seconds: float) -> Any:
        """What was offered with the nth such frame from now on; None if it does not come within `seconds`. Raises
        TooManyWait."""
        if len(self.waiters) >= MOST:
            raise TooManyWait(f"{MOST} requests wait for frames already")
        waiter = _Waiter(wanted, nth)
        self.waiters.append(waiter)
        try:
            await asyncio.wait([waiter.arrived], timeout=seconds)
            return waiter.arrived.result() if waiter.arrived.done() else None
        finally:
            self.waiters.remove(waiter)

    def offer(self, session: str, way: str, type: str | None, frame: object) -> None:
        """A frame was kept. `frame` is what the requests that wait for it get."""
        for waiter in self.waiters:
            if waiter.wanted.wants(session, way, type) and not waiter.arrived.done():
                waiter.left -= 1
                if not waiter.left:
                    waiter.arrived.set_result(frame)

    def give_up(self) -> None:
        """Nothing comes any more."""
        for waiter in self.waiters:
            if not waiter.arrived.done():
                waiter.arrived.set_result(None)
