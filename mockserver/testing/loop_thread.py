"""A thread with an event loop of its own, in which something serves while a program goes on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_TURNS = 20
"""Of the loop: four from bytes in a socket to a frame in the journal; more for what is too large for one reading."""


class LoopThread:
    """Runs from the start until `end`."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def elsewhere(self) -> bool:
        """It runs, and this is not it."""
        return self._loop.is_running() and threading.current_thread() is not self._thread

    def call(self, work: Awaitable[T]) -> T:
        """Do `work` over there and wait for its end."""
        done: Future[T] = asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        return done.result()

    def catch_up(self) -> None:
        """Wait until what lies in the sockets has been read. On loopback, what was sent lies there already."""
        if self.elsewhere:
            self.call(_turns())

    def ask(self, what: Callable[[], T]) -> T:
        """What that gives over there; once the thread is over, here."""
        return self.call(_given(what)) if self.elsewhere else what()

    def end(self) -> None:
        """Stop the loop and wait for the thread."""
        self.call(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _awaited(work: Awaitable[T]) -> T:
    return await work


async def _given(what: Callable[[], T]) -> T:
    return what()
