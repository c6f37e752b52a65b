"""The server's time: it flows at a rate and can be pushed ahead. Rate 1 is the wall, rate 0 stands still until pushed.

The only file of the server that reads the computer's clock. Nothing here sleeps: a wake-up is a callback.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from mockserver.server.virtual_time import EPOCH, AutoJumpLoop

_SETTLE_TURNS = 16
"""Turns of the loop after each instant of a push: enough for a client in this process to answer, twice."""
MAX_PUSH_S = 30 * 24 * 3600.0


class WakeUp(Protocol):
    """An armed wake-up."""

    def cancel(self) -> None: ...


class Clock:
    """Seconds of the server's own time, on the running loop.

    With rate 0, and in virtual time, it starts at a fixed instant, so that a seeded run repeats byte for byte.
    """

    def __init__(self, rate: float = 1.0) -> None:
        if not 0 <= rate <= 1000:
            raise ValueError(f"a clock's rate is 0 to 1000, not {rate}")
        self.rate = rate
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._pushed_s = 0.0
        self._armed: dict[_Alarm, None] = {}
        self._pushing = asyncio.Lock()
        virtual = rate == 0 or isinstance(self._loop, AutoJumpLoop)
        self._epoch = EPOCH if virtual else time.time()

    @property
    def manual(self) -> bool:
        """It stands still unless pushed."""
        return self.rate == 0

    def now(self) -> float:
        """Seconds since the clock was made, never backwards."""
        return self._pushed_s + self._flowed_s()

    def unix(self) -> float:
        """The same instant in seconds since 1970."""
        return self._epoch + self.now()

    def call_at(self, when: float, callback: Callable[[], None]) -> WakeUp:
        """Call back once `now()` reaches `when`, give or take a rounding error; the caller knows its `when`."""
        alarm = _Alarm(self, when, callback)
        self._armed[alarm] = None
        self._arm(alarm)
        return alarm

    async def advance(self, *, minutes: float = 0, seconds: float = 0, ms: float = 0) -> None:
        """Push the clock ahead. It stops at every wake-up on the way, in order, and lets the sockets be served there.

        Raises ValueError for a push backwards or of more than 30 days.
        """
        push_s = minutes * 60 + seconds + ms / 1000
        if not 0 <= push_s <= MAX_PUSH_S:
            raise ValueError(f"a clock is pushed ahead by 0 to {MAX_PUSH_S:.0f} seconds, not {push_s}")
        if self.rate and isinstance(self._loop, AutoJumpLoop):
            await asyncio.sleep(push_s / self.rate)  # the whole world goes ahead, the client's own timers as well
            return
        async with self._pushing:
            await self._settle()
            goal = self.now() + push_s
            while (due := self._first_due(goal)) is not None:
                self._push_to(due)
                self._ring()
                await self._settle()
            self._push_to(goal)
            await self._settle()

    def forget(self, alarm: _Alarm) -> None:
        """Take an alarm off the list; for the alarm itself."""
        self._armed.pop(alarm, None)

    def _flowed_s(self) -> float:
        return (self._loop.time() - self._start) * self.rate

    def _arm(self, alarm: _Alarm) -> None:
        if self.rate:
            alarm.arm(self._loop, self._start + (alarm.when - self._pushed_s) / self.rate)

    def _first_due(self, goal: float) -> float | None:
        return min((alarm.when for alarm in self._armed if alarm.when <= goal), default=None)

    def _push_to(self, instant: float) -> None:
        self._pushed_s = max(self._pushed_s, instant - self._flowed_s())
        for alarm in self._armed:
            self._arm(alarm)

    def _ring(self) -> None:
        now = self.now()
        due = sorted((alarm for alarm in self._armed if alarm.when <= now), key=lambda alarm: alarm.when)
        for alarm in due:
            alarm.ring()

    async def _settle(self) -> None:
        for _ in range(_SETTLE_TURNS):
            await asyncio.sleep(0)


class _Alarm:
    """One wake-up, rung by the loop or by a push, once."""

    __slots__ = ("_callback", "_clock", "_timer", "when")

    def __init__(self, clock: Clock, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self._clock = clock
        self._callback: Callable[[], None] | None = callback
        self._timer: asyncio.TimerHandle | None = None

    def arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._stop_timer()
        self._timer = loop.call_at(at, self.ring)

    def ring(self) -> None:
        callback = self._callback
        self.cancel()
        if callback is not None:
            callback()

    def cancel(self) -> None:
        self._callback = None
        self._stop_timer()
        self._clock.forget(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def rate_named(name: str) -> float:
    """`wall` is 1, `wall:RATE` is RATE, `manual` is 0. Raises ValueError that names the choices."""
    kind, colon, rate = name.partition(":")
    try:
        if name == "manual":
            return 0.0
        if kind == "wall" and 0 < (value := float(rate) if colon else 1.0) <= 1000:
            return value
    except ValueError:
        pass
    raise ValueError(f"unknown clock {name!r}; use wall, wall:RATE with a rate up to 1000, or manual")
