"""The server's time. It runs at a rate and can be moved ahead: rate 1 is the wall clock, rate 0 a manual clock.

No other module of the server reads the computer's clock. Nothing here sleeps: a wake-up is a callback.

An event loop reads all sockets that have something, and calls timers after that. With a thousand microphones, sound
that is due would wait for hundreds of messages. So a clock in real time keeps its wake-ups in order itself, with one
timer of the loop for the first of them, and `catch_up` calls those that are due between two reads.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Protocol

from mockserver.server.histogram import Histogram
from mockserver.server.virtual_time import EPOCH, AutoJumpLoop

_SETTLE_TURNS = 16
"""Iterations of the loop after each instant of an advance: enough for a client in this process to answer twice."""
_SPARE = 64
"""Cancelled alarms that may always lie in the queue; beyond them, as many as there are others."""
_LONGEST_TURN_S = 60.0
"""A loop that is farther behind the monotonic clock counts from another instant."""
MAX_ADVANCE_S = 30 * 24 * 3600.0
LATENESS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


def wall_clock() -> float:
    """The Unix second of this computer, for lines of a log before a server's own clock runs."""
    return time.time()


class RealTime:
    """The computer's own clock. Tools that freeze time in tests replace functions in modules, and none in a class."""

    monotonic = staticmethod(time.monotonic)


class WakeUp(Protocol):
    """A scheduled callback."""

    def cancel(self) -> None: ...


class Clock:
    """Seconds of the server's own time, on the running loop.

    rate: seconds per second of the wall clock, 0 to 1000. With rate 0, and in virtual time, it starts at a fixed
    instant, so that a seeded run repeats byte for byte. Raises ValueError for another rate.
    """

    def __init__(self, rate: float = 1.0) -> None:
        if not 0 <= rate <= 1000:
            raise ValueError(f"a clock's rate is 0 to 1000, not {rate}")
        self.rate = rate
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._advanced_s = 0.0
        self.lateness = Histogram(LATENESS_S)
        """How many seconds after their instants the loop called wake-ups."""
        self._armed: dict[_Alarm, None] = {}
        behind_s = RealTime.monotonic() - self._start  # a loop may keep the time at which its present turn began
        alike = 0 <= behind_s < _LONGEST_TURN_S
        virtual = rate == 0 or isinstance(self._loop, AutoJumpLoop)
        self._real = alike and not virtual
        """Whether the loop's time is the monotonic clock's. Loops of tests may have a time of their own."""
        self._queue: list[tuple[float, int, _Alarm]] = []
        """In real time: alarms by the loop's second, those that were cancelled among them."""
        self._numbers = count()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf
        self._reached = self._start
        """The latest of the loop's seconds that is known: a loop may keep that at which its present turn began."""
        self._advancing = asyncio.Lock()
        self._held = 0
        self._released = asyncio.Event()
        self._released.set()
        self._epoch = EPOCH if virtual else time.time() - (behind_s if alike else 0.0)

    @property
    def manual(self) -> bool:
        """Whether it moves only with `advance`."""
        return self.rate == 0

    def now(self) -> float:
        """Seconds since the clock was made, never backwards."""
        if (now := self._loop.time()) > self._reached:
            self._reached = now
        return self._advanced_s + (self._reached - self._start) * self.rate

    def unix(self) -> float:
        """The same instant in seconds since 1970."""
        return self._epoch + self.now()

    def call_at(self, when: float, callback: Callable[[], None]) -> WakeUp:
        """Call back once `now()` reaches `when`, within rounding error."""
        alarm = _Alarm(self, when, callback)
        self._armed[alarm] = None
        self._arm(alarm)
        return alarm

    def catch_up(self) -> None:
        """Call what is due, if the clock runs in real time: to be called before each read of a socket."""
        if self._real and (now := RealTime.monotonic()) > self._reached:
            self._reached = now
            if self._timer_at <= now:
                self._ring()

    async def advance(self, *, minutes: float = 0, seconds: float = 0, ms: float = 0) -> None:
        """Move the clock ahead. It stops at each wake-up on the way, in order, and lets the sockets be served there.

        Raises ValueError for a negative time or more than 30 days.
        """
        advance_s = minutes * 60 + seconds + ms / 1000
        if not 0 <= advance_s <= MAX_ADVANCE_S:
            raise ValueError(f"a clock is moved ahead by 0 to {MAX_ADVANCE_S:.0f} seconds, not {advance_s}")
        if self.rate and isinstance(self._loop, AutoJumpLoop):
            await asyncio.sleep(advance_s / self.rate)  # the loop's time jumps, for the client's timers too
            return
        async with self._advancing:
            await self._settle()
            goal = self.now() + advance_s
            while (due := self._first_due(goal)) is not None:
                self._move_to(due)
                self._fire_due()
                await self._settle()
            self._move_to(goal)
            await self._settle()

    def hold(self) -> None:
        """Keep a manual clock where it is, until a `release` for each `hold`: work that it cannot see goes on."""
        self._held += 1
        self._released.clear()

    def release(self) -> None:
        """The work of one `hold` is done."""
        self._held -= 1
        if not self._held:
            self._released.set()

    def forget(self, alarm: _Alarm) -> None:
        """Remove an alarm from the list. Only for the alarm itself."""
        self._armed.pop(alarm, None)

    def _arm(self, alarm: _Alarm) -> None:
        if not self.rate:
            return
        at = self._start + (alarm.when - self._advanced_s) / self.rate
        if not self._real:
            alarm.arm(self._loop, at)
            return
        heappush(self._queue, (at, next(self._numbers), alarm))
        if len(self._queue) > 2 * len(self._armed) + _SPARE:
            self._queue = [each for each in self._queue if each[2].pending]
            heapify(self._queue)
        if at < self._timer_at:
            self._set_timer(at)

    def _set_timer(self, at: float) -> None:
        """Let the loop ring at its second `at`; never, at infinity."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = None if at == inf else self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        """Call what is due, in order, and set the timer for what comes then."""
        # The loop may ring half a millisecond early, for it rounds.
        self._reached = max(self._reached, self._loop.time(), self._timer_at)
        self._timer_at = -inf  # what is armed meanwhile sets no timer
        while self._queue and (self._queue[0][0] <= self._reached or not self._queue[0][2].pending):
            at, _, alarm = heappop(self._queue)
            if alarm.pending:
                self.lateness.observe(self._reached - at)
                try:
                    alarm.fire()
                except Exception as error:  # of others there may be many
                    self._loop.call_exception_handler({"message": "error in a wake-up", "exception": error})
        self._set_timer(self._queue[0][0] if self._queue else inf)

    def _first_due(self, goal: float) -> float | None:
        return min((alarm.when for alarm in self._armed if alarm.when <= goal), default=None)

    def _move_to(self, instant: float) -> None:
        flowed_s = self.now() - self._advanced_s
        self._advanced_s = max(self._advanced_s, instant - flowed_s)
        self._queue.clear()
        for alarm in self._armed:
            self._arm(alarm)

    def _fire_due(self) -> None:
        now = self.now()
        due = sorted((alarm for alarm in self._armed if alarm.when <= now), key=lambda alarm: alarm.when)
        for alarm in due:
            alarm.fire()

    async def _settle(self) -> None:
        for _ in range(_SETTLE_TURNS):
            await asyncio.sleep(0)
        while self._held:
            await self._released.wait()
            for _ in range(_SETTLE_TURNS):
                await asyncio.sleep(0)


class _Alarm:
    """One wake-up, called once: by the loop or by `advance`."""

    __slots__ = ("_callback", "_clock", "_loop", "_loop_at", "_timer", "when")

    def __init__(self, clock: Clock, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self._clock = clock
        self._callback: Callable[[], None] | None = callback
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> bool:
        """Whether it has neither rung nor been cancelled."""
        return self._callback is not None

    def arm(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        self._stop_timer()
        self._loop, self._loop_at = loop, at
        self._timer = loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._clock.lateness.observe(max(0.0, self._loop.time() - self._loop_at))
        self.fire()

    def fire(self) -> None:
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
    """The rate of a clock: `wall` is 1, `wall:RATE` is RATE, `manual` is 0. Raises ValueError for another name."""
    kind, colon, rate = name.partition(":")
    try:
        if name == "manual":
            return 0.0
        if kind == "wall" and 0 < (value := float(rate) if colon else 1.0) <= 1000:
            return value
    except ValueError:
        pass
    raise ValueError(f"unknown clock {name!r}; use wall, wall:RATE with a rate up to 1000, or manual")
