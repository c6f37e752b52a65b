"""Things that go on by themselves: lazy runs of beats that can be cut at any instant. No clock: time is an argument.

A run is a generator. It does what happens now, then yields when it wants to go on; dropping it is all a cut takes.
A ten-minute answer is one generator and one pending beat.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

Run = Generator[float, None, None]
"""Yields the instants (seconds since the connection opened) at which it wants to go on."""


@dataclass(slots=True)
class _Pending:
    due: float
    number: int
    run: Run


class Agenda:
    """The runs of one session, by name. Of two that are due at one instant the one that started first goes first."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}
        self._started = 0

    def start(self, name: str, run: Run) -> None:
        """Begin a run now: its first part happens before this returns. A run of that name is dropped."""
        self.drop(name)
        self._started += 1
        self._resume(name, _Pending(0.0, self._started, run))

    def drop(self, name: str) -> bool:
        """Cut a run where it waits; whether there was one."""
        pending = self._pending.pop(name, None)
        if pending is None:
            return False
        pending.run.close()
        return True

    def clear(self) -> None:
        """Cut all runs."""
        for name in list(self._pending):
            self.drop(name)

    def __contains__(self, name: str) -> bool:
        return name in self._pending

    @property
    def next_due(self) -> float | None:
        """The earliest instant at which a run goes on."""
        return min(pending.due for pending in self._pending.values()) if self._pending else None

    def advance(self, now: float) -> None:
        """Let everything happen that is due up to and including `now`, in order."""
        while self._pending:
            name, pending = min(self._pending.items(), key=lambda entry: (entry[1].due, entry[1].number))
            if pending.due > now:
                return
            del self._pending[name]
            self._resume(name, pending)

    def _resume(self, name: str, pending: _Pending) -> None:
        due = next(pending.run, None)
        if due is not None and name not in self._pending:
            pending.due = max(due, pending.due)
            self._pending[name] = pending
