"""Reading a recording no further than somebody asks: a long one takes seconds, and a player needs little at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Lock

READ_AHEAD = 5_000
"""Messages of a recording that are read before they are needed: all of most calls, and minutes of a long one."""


class Reading:
    """`messages` reads one message at each step. Threads take turns."""

    def __init__(self, messages: Iterator[None]) -> None:
        self._messages = messages
        self._lock = Lock()

    def on(self, messages: int | None = None) -> None:
        """Read so many more messages, or all."""
        with self._lock:
            deque(islice(self._messages, messages), maxlen=0)

    def until(self, enough: Callable[[], bool]) -> bool:
        """Read until it is enough. Returns whether it is, or the recording is over."""
        with self._lock:
            return enough() or any(enough() for _ in self._messages) or enough()
