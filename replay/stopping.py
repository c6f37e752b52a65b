"""Stopping at a signal, where the first one asks and the second one ends the process; or with the parent process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import sys
import threading
from collections.abc import Iterator

SIGNALS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
if sys.platform == "win32":
    SIGNALS = (*SIGNALS, signal.SIGBREAK)  # Ctrl-Break: the one that a program can send to another one
PARENT_S = 0.25
"""Seconds between two looks at the parent process."""


@contextlib.contextmanager
def stop_signal() -> Iterator[asyncio.Future[None]]:
    """A future that is done at SIGINT or SIGTERM, on Windows also at Ctrl-Break, so that the program can close what is
    open.

    A second signal ends the process at once. Where event loops take no signal handlers (Windows), the signal module is
    used.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[None] = loop.create_future()
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def done() -> None:
        for number in SIGNALS:
            _hand_over(loop, number, signal.SIG_DFL)
        if not stop.done():
            stop.set_result(None)

    for number in SIGNALS:
        try:
            loop.add_signal_handler(number, done)
        except NotImplementedError:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(done))
    try:
        yield stop
    finally:
        for number, handler in before.items():
            _hand_over(loop, number, handler)


def _hand_over(loop: asyncio.AbstractEventLoop, number: signal.Signals, handler: signal._HANDLER) -> None:
    with contextlib.suppress(NotImplementedError):
        loop.remove_signal_handler(number)
    signal.signal(number, handler)


async def parent_end(parent: int) -> str:
    """Wait for the end of the process that started this one, and return what showed it. `parent` is its id.

    A pipe or socket on standard input ends with its other end, however the parent dies. A terminal, a file or
    /dev/null says nothing about the parent. Then a new parent id tells, which Windows does not have.
    """
    loop = asyncio.get_running_loop()
    closed: asyncio.Future[str] = loop.create_future()
    if is_pipe(0):
        threading.Thread(target=_read_out, args=(0, loop, closed), daemon=True).start()
    while not closed.done():
        if sys.platform != "win32" and os.getppid() != parent:
            return "the parent process ended"
        await asyncio.wait([closed], timeout=PARENT_S)
    return closed.result()


def is_pipe(number: int) -> bool:
    try:
        mode = os.fstat(number).st_mode
    except OSError:  # closed from the beginning
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _read_out(number: int, loop: asyncio.AbstractEventLoop, closed: asyncio.Future[str]) -> None:
    """Read a descriptor to its end, in a thread: Windows has no other way to wait for a pipe."""
    with contextlib.suppress(OSError):
        while os.read(number, 1 << 12):
            pass

    def tell() -> None:
        if not closed.done():
            closed.set_result("standard input was closed")

    with contextlib.suppress(RuntimeError):  # the loop is closed
        loop.call_soon_threadsafe(tell)
