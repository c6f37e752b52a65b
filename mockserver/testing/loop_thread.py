"""A thread with its own event loop, in which a server runs beside a synchronous program."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TypeVar

from mockserver.server.clock import RealTime

T = TypeVar("T")

_TURNS = 20
"""Iterations of the loop: four from bytes in a socket to a frame in the journal, more for large messages."""


class LoopThread:
    """Runs from its creation until `end`, in real time: also while a test freezes the clock of its own thread."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        if isinstance(self._loop, asyncio.BaseEventLoop):  # others have a clock of their own
            self._loop.time = RealTime.monotonic  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def elsewhere(self) -> bool:
        """Whether it runs, and the caller is another thread."""
        return self._loop.is_running() and threading.current_thread() is not self._thread

    def call(self, work: Awaitable[T]) -> T:
        """Run `work` in the thread and wait for its result."""
        done: Future[T] = asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        return done.result()

    def catch_up(self) -> None:
        """Wait until everything that clients have sent has been read. On loopback, it is in the sockets already."""
        if self.elsewhere:
            self.call(_turns())

    def ask(self, what: Callable[[], T]) -> T:
        """Call `what` in the thread; in the caller's once the thread has ended."""
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
