"""An event loop whose time jumps to the next timer when nothing else can happen: an hour takes milliseconds.

Sockets are real; only the waiting is skipped. Other threads and processes are invisible to the loop, except through
`run_in_executor`: time stands still while such a call runs.

The loop may jump only if no callback is ready and none of its sockets has anything to deliver. On loopback, `send` puts
its bytes into the receiver's queue before it returns, so that the next poll reports what one task wrote. Under load the
kernel may delay that for a moment. A jump therefore needs several empty polls in a row, between which the processor is
offered to others; where loopback has a thread of its own (macOS, Windows), the last poll really waits. A receiver whose
buffer was full tells the sender some real milliseconds later that there is room again. On Linux, a jump waits for that.
"""

from __future__ import annotations

import asyncio
import functools
import math
import os
import selectors
import struct
import sys
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar, overload

from typing_extensions import ParamSpec

if sys.platform != "win32":
    import fcntl

P = ParamSpec("P")
T = TypeVar("T")
Ready = list[tuple[selectors.SelectorKey, int]]

EPOCH = 1_767_225_600.0
"""Unix time at which virtual time begins: 2026-01-01T00:00:00Z."""
_QUIET_POLLS = 3
_LAST_POLL_S = 0.0 if sys.platform == "linux" else 0.002
_UNSENT_POLL_S = 0.3
"""Real seconds for which unsent bytes are waited for: Linux asks a full receiver again after 0.2 s."""
_IN_VAIN = 2
"""How often that is done for a connection without anything happening."""
_SIOCOUTQNSD = 0x894B
"""Linux: the bytes of a TCP socket that the kernel has taken and not sent yet (tcp(7) has its sibling SIOCOUTQ)."""
_STALL_S = 5.0
"""Real seconds without any timer after which a run ends: nothing can happen any more."""


class Stalled(RuntimeError):
    """All tasks wait and no timer is left: in virtual time that wait would never end."""


class AutoJumpLoop(asyncio.SelectorEventLoop):
    """A selector loop in virtual seconds, from 0."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        self._away = 0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._virtual_s

    def jump(self, seconds: float) -> None:
        """Move time on. Only the selector calls this."""
        self._virtual_s += seconds
        # After months of virtual time a second has fewer digits left than asyncio's resolution of a nanosecond, and a
        # timer would never be due.
        self._clock_resolution = max(1e-9, 4 * math.ulp(self._virtual_s))

    @property
    def away(self) -> bool:
        """Whether a call runs in another thread."""
        return self._away > 0

    def run_in_executor(  # type: ignore[override]  # typeshed spells the arguments with a TypeVarTuple, new in 3.11
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = super().run_in_executor(executor, func, *args)
        self._away += 1
        future.add_done_callback(self._back)
        return future

    def _back(self, _: object) -> None:
        self._away -= 1

    async def shutdown_default_executor(self, *args: Any) -> None:
        """Joins the executor's threads in a thread of its own, which must hold time still as well."""
        self._away += 1
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._away -= 1


class _JumpingSelector(selectors.BaseSelector):
    """Polls; where the loop would wait for a timer, it moves the loop's time instead."""

    def __init__(self, loop: AutoJumpLoop) -> None:
        self._loop = loop
        self._real = selectors.DefaultSelector()
        self._patience: dict[int, int] = {}
        """TCP connections where the kernel tells of unsent bytes, by file descriptor: how often they may yet be waited
        for in vain, because the receiver does not read."""

    def select(self, timeout: float | None = None) -> Ready:
        if timeout is not None and timeout <= 0:
            return self._real.select(0)
        if ready := self._quiet():
            return ready
        if self._loop.away:
            return self._real.select(None)  # the executor's answer wakes the loop through its own socket
        if ready := self._on_its_way():
            return ready
        if timeout is not None:
            self._loop.jump(timeout)
            return []
        return self._wait_without_timers()

    def _on_its_way(self) -> Ready:
        """Wait for bytes that a full receiver kept back, as long as it may take them."""
        unsent = [fd for fd, patience in self._patience.items() if patience and _unsent(fd)]
        if not unsent:
            return []
        ready = self._real.select(_UNSENT_POLL_S)
        if not ready:
            for fd in unsent:
                self._patience[fd] -= 1
        return ready

    def _quiet(self) -> Ready:
        for _ in range(_QUIET_POLLS):
            if ready := self._real.select(0):
                return ready
            if hasattr(os, "sched_yield"):
                os.sched_yield()
        return self._real.select(_LAST_POLL_S)

    def _wait_without_timers(self) -> Ready:
        if ready := self._real.select(_STALL_S):
            return ready
        raise Stalled("every task waits and no timer is left; look for an await whose other side is gone")

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._real.register(fileobj, events, data)
        if _unsent(key.fd) is not None:
            self._patience[key.fd] = _IN_VAIN
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._real.unregister(fileobj)
        self._patience.pop(key.fd, None)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.get_key(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def _unsent(fd: int) -> int | None:
    """Bytes that the kernel has taken for a TCP connection and not sent yet; None where it does not tell."""
    if sys.platform != "linux":
        return None
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(fd, _SIOCOUTQNSD, bytes(4)))
    except OSError:
        return None
    return int(count)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time and return its result, as `asyncio.run` does in real time.

    Raises Stalled, after a few real seconds, if nothing can happen any more.
    """
    loop = AutoJumpLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        try:
            _cancel_all(loop)
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()


@overload
def virtual_time(work: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]: ...
@overload
def virtual_time(work: Coroutine[Any, Any, T]) -> T: ...
def virtual_time(work: Any) -> Any:
    """Run a coroutine in virtual time and return its result; or decorate an async function to do so when it is called.

    Use `virtual_time(main())`, or `@virtual_time` above an async test, which pytest then runs as a plain test, with its
    fixtures. Raises Stalled, after a few real seconds, if nothing can happen any more.
    """
    if asyncio.iscoroutine(work):
        return run(work)

    @functools.wraps(work)
    def in_virtual_time(*args: Any, **kwargs: Any) -> Any:
        return run(work(*args, **kwargs))

    return in_virtual_time


def _cancel_all(loop: AutoJumpLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
