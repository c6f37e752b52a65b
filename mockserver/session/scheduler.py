"""What a session does later, without a message of the client: named runs that can be cut at any instant.

No clock: time is an argument. A run is a generator. It does what happens now, then yields the instant at which it
continues. Dropping it cuts it: a ten-minute response is one generator and one pending instant.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import inf

from mockserver.protocol.peer import Rest

Run = Generator[float, None, None]
"""Yields the instants (seconds since the connection opened) at which it continues, or `NEVER`."""
RESPONSE, IDLE, KEEP_ALIVE = "response", "idle", "keep-alive"
"""Names of a session's own runs."""
NEVER = inf
"""A run that yields this waits for something that no clock brings, until `wake`."""


@dataclass(slots=True)
class _Pending:
    due: float
    number: int
    run: Run


class Scheduler:
    """The runs of one session, by name. Of runs that are due at the same instant, the one started first is first."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self.first = NEVER
        """The earliest instant at which a run continues, if nothing is left to do of the last message."""
        self._started = 0
        self._rest: Rest | None = None
        """What is left to do of the last message."""
        self._working = False

    def begin(self, work: Rest) -> Rest | None:
        """Begin the work of a message; returns what is left of it. `advance` and `next_due` do that first."""
        self._rest = work
        return self._left() if self._go_on() else None

    def abandon(self) -> None:
        """Leave undone what is left of the last message."""
        if self._rest is not None:
            self._rest.close()
            self._rest = None

    def start(self, name: str, run: Run) -> None:
        """Start a run; its first part happens before this returns. A pending run of that name is cut."""
        self.drop(name)
        self._started += 1
        self._resume(name, _Pending(0.0, self._started, run))

    def drop(self, name: str) -> bool:
        """Cut a run where it waits; returns whether there was one."""
        pending = self._pending.pop(name, None)
        if pending is None:
            return False
        self._find_first()
        pending.run.close()
        return True

    def finish(self, name: str) -> None:
        """Let a run go to its end now, whatever it waits for."""
        if (pending := self._pending.pop(name, None)) is not None:
            self._find_first()
            for _ in pending.run:
                pass

    def clear(self) -> None:
        """Cut all runs."""
        for name in list(self._pending):
            self.drop(name)

    def __contains__(self, name: str) -> bool:
        return name in self._pending

    def next_due(self, besides: str = "") -> float | None:
        """The earliest instant at which a run continues, `besides` the run of that name. None if no clock brings it."""
        if self._rest is not None:
            self._finish()
        due = self.first
        if besides in self._pending:
            due = min((pending.due for name, pending in self._pending.items() if name != besides), default=NEVER)
        return None if due == NEVER else due

    def wake(self, now: float) -> None:
        """Continue all runs that wait for something else than an instant: it may have happened."""
        for pending in self._pending.values():
            if pending.due == NEVER:
                pending.due = now
        self._find_first()
        self.advance(now)

    def advance(self, now: float) -> None:
        """Continue the runs that are due up to and including `now`, in order."""
        if self._rest is not None:
            self._finish()
        while self.first <= now and self._pending:
            name, pending = min(self._pending.items(), key=lambda entry: (entry[1].due, entry[1].number))
            del self._pending[name]
            self._find_first()
            self._resume(name, pending)

    def _find_first(self) -> None:
        self.first = min([pending.due for pending in self._pending.values()], default=NEVER)

    def _finish(self) -> None:
        if not self._working:  # the work of a message may itself wake what waits
            while self._go_on():
                pass

    def _left(self) -> Rest:
        while self._go_on():
            yield

    def _go_on(self) -> bool:
        """Do the next part of a message; returns whether more is left."""
        if self._rest is None:
            return False
        self._working, left = True, False
        try:
            left = not next(self._rest, True)
        finally:
            self._working = False
            if not left:
                self._rest = None
        return left

    def _resume(self, name: str, pending: _Pending) -> None:
        due = next(pending.run, None)
        if due is not None and name not in self._pending:
            pending.due = max(due, pending.due)
            self._pending[name] = pending
            self.first = min(self.first, pending.due)
