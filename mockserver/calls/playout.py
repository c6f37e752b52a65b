"""What the service plays to the caller: sound in a queue, 20 ms at a time, on the clock of the call. Pure.

The clock decides what has been played, and not the caller's side: an event has the same instant however often `play`
is called.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, floor

import numpy as np

from mockserver.audio.formats import Samples
from mockserver.protocol.facts import PlayoutCleared, PlayoutStarted, PlayoutStopped

RATE = 24_000
FRAME = RATE // 50
"""Samples of 20 ms."""
MOST_LATE = 25
"""Frames of sound that wait for a caller's side that asks late: half a second. Older ones are lost."""
MOST_CUT = 16
"""Responses that were cut while they went on, of which further sound is dropped; the oldest is forgotten."""

PlayoutFact = PlayoutStarted | PlayoutStopped | PlayoutCleared


@dataclass(slots=True, eq=False)
class _Response:
    """A response that is played: its sound, item by item, and how much of each item was played, in samples."""

    id: str
    chunks: deque[tuple[str, Samples]] = field(default_factory=deque)
    left: int = 0
    played: dict[str, int] = field(default_factory=dict)
    started: bool = False
    complete: bool = False

    def take(self) -> Samples:
        """The next frame; what lacks at the end of a response is silence."""
        parts: list[Samples] = []
        need = FRAME
        while need and self.chunks:
            item_id, samples = self.chunks.popleft()
            if len(samples) > need:
                self.chunks.appendleft((item_id, samples[need:]))
            parts.append(samples[:need])
            self.played[item_id] = self.played.get(item_id, 0) + len(parts[-1])
            need -= len(parts[-1])
        self.left -= FRAME - need
        return np.concatenate([*parts, np.zeros(need, np.int16)]) if need or len(parts) > 1 else parts[0]


class Playout:
    """The queue of one call. Frames leave at multiples of 20 ms since the call began. Instants are in seconds."""

    def __init__(self) -> None:
        self._queue: deque[_Response] = deque()
        self._ready: deque[Samples] = deque(maxlen=MOST_LATE)
        """Frames whose instant has come."""
        self._next = 0
        """The number of the next frame."""
        self._cut: deque[str] = deque(maxlen=MOST_CUT)

    def add(self, response_id: str, item_id: str, samples: Samples, at: float) -> list[PlayoutFact]:
        """Queue sound that arrived at that instant."""
        if not len(samples) or response_id in self._cut:
            return []
        response = next((each for each in self._queue if each.id == response_id), None)
        if response is None:
            response = _Response(response_id)
            self._queue.append(response)
        response.chunks.append((item_id, samples))
        response.left += len(samples)
        if response is not self._queue[0] or response.started:
            return []
        response.started = True
        self._next = max(self._next, ceil(at * 50 - 1e-6))
        return [PlayoutStarted(response_id)]

    def complete(self, response_id: str) -> None:
        """All sound of the response has arrived."""
        for each in self._queue:
            each.complete |= each.id == response_id

    def next_due(self) -> float | None:
        """When a response will have been played to its end; None if more of its sound must arrive first."""
        if not self._queue or not self._queue[0].complete:
            return None
        return (self._next + ceil(self._queue[0].left / FRAME)) / 50

    def advance(self, now: float) -> Iterator[tuple[float, PlayoutFact]]:
        """Play up to and including `now`; yields what happens, with its instant."""
        while self._queue:
            response, at = self._queue[0], self._next / 50
            if response.complete and not response.left:
                if at > now:
                    return
                self._queue.popleft()
                yield at, PlayoutStopped(response.id)
                if self._queue:
                    self._queue[0].started = True
                    yield at, PlayoutStarted(self._queue[0].id)
                continue
            if at > now:
                return
            if response.left < FRAME and not response.complete:
                self._next = floor(now * 50 + 1e-6) + 1  # the sound comes later than it is played
                return
            self._ready.append(response.take())
            self._next += 1

    def play(self) -> Samples | None:
        """The oldest frame that was not asked for yet; None is silence."""
        return self._ready.popleft() if self._ready else None

    def clear(self) -> tuple[list[PlayoutFact], list[tuple[str, int]]]:
        """Drop what is left. Returns what happens, and the items that were not played whole, each with the milliseconds
        that were."""
        facts: list[PlayoutFact] = []
        unheard: dict[str, int] = {}
        for response in self._queue:
            if response.started:
                facts.append(PlayoutCleared(response.id))
            if not response.complete:
                self._cut.append(response.id)
                if response.played and not response.chunks:
                    response.chunks.append((next(reversed(response.played)), np.zeros(0, np.int16)))
            for item_id, _ in response.chunks:
                unheard[item_id] = response.played.get(item_id, 0) * 1000 // RATE
        self._queue.clear()
        self._ready.clear()
        return facts, list(unheard.items())
