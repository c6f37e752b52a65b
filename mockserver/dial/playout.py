"""What a bridge has sent, on the caller's time axis: its sound plays piece after piece, each from its arrival on.

Positions are whole samples since the stream began; instants are seconds.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from mockserver.audio.formats import Samples

MOST_WAITING_S = 3600.0
"""Sound that waits to be played. What comes beyond is dropped."""
MOST_PIECES = 200_000
"""Messages with sound that wait to be played: an hour in pieces of 20 ms."""
MOST_MARKS = 10_000
"""Marks that wait for the sound before them."""


@dataclass(slots=True)
class Mark:
    """A mark of the bridge. sent_s: its arrival. due_s: the instant at which the sound before it has been played."""

    name: str
    sent_s: float
    due_s: float


class Playout:
    """The sound that waits to be heard, and the marks in it. rate: Hz."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._pieces: deque[tuple[int, Samples]] = deque()
        self._end = 0
        self._marks: deque[Mark] = deque()

    def add(self, samples: Samples, now: float) -> bool:
        """Sound arrived. Returns False if too much is waiting, and drops it."""
        start = max(self._end, self._position(now))
        if len(self._pieces) >= MOST_PIECES or start + len(samples) > (now + MOST_WAITING_S) * self._rate:
            return False
        self._pieces.append((start, samples))
        self._end = start + len(samples)
        return True

    def mark(self, name: str, now: float) -> bool:
        """A mark arrived: it is due when the sound before it has been played. Returns False if too many are waiting."""
        if len(self._marks) >= MOST_MARKS:
            return False
        self._marks.append(Mark(name, now, max(now, self._end / self._rate)))
        return True

    def clear(self, now: float) -> tuple[float, list[Mark]]:
        """Drop what has not been played. Returns the seconds that were dropped, and the marks that were waiting."""
        at = self._position(now)
        dropped = max(0, self._end - at) / self._rate
        self._pieces = deque((start, samples[: at - start]) for start, samples in self._pieces if start < at)
        self._end = min(self._end, at)
        waiting = list(self._marks)
        self._marks.clear()
        return dropped, waiting

    def next_mark(self) -> float | None:
        """The instant at which a mark is due next."""
        return self._marks[0].due_s if self._marks else None

    def take_mark(self) -> Mark:
        """The mark that is due next. Raises IndexError if none waits."""
        return self._marks.popleft()

    def heard(self, start: int, end: int) -> Samples | None:
        """What is heard between two positions, None for silence. Each call begins where the last one ended."""
        out: Samples | None = None
        while self._pieces and self._pieces[0][0] < end:
            begins, samples = self._pieces[0]
            part = samples[max(0, start - begins) : end - begins]
            if len(part):
                out = np.zeros(end - start, np.int16) if out is None else out
                at = max(begins, start) - start
                out[at : at + len(part)] = part
            if begins + len(samples) > end:
                break
            self._pieces.popleft()
        return out

    def _position(self, now: float) -> int:
        """The first sample that is not over at an instant, within rounding error."""
        return math.ceil(now * self._rate - 1e-6)
