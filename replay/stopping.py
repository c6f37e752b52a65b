"""Stopping at a signal: the first one asks, the second one ends the process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterator

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def stop_signal() -> Iterator[asyncio.Future[None]]:
    """A future that is done at SIGINT or SIGTERM, so that the program can close what is open.

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
