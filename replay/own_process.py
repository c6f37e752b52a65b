"""What a process of realtape's own does so that no client waits long: `serve` and `record`, not a user's tests."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

SWITCH_S = 0.0002
"""How long a thread that writes a recording may keep the event loop waiting, in s. Python's default, 5 ms, is audible.
"""
NEW_OBJECTS = 500
"""New objects after which they are looked at. In live calls a look took 1 to 3 ms (median), and 7 to 9 after 2,000."""
LOOK_S = 5.0
"""How often to look whether the process is quiet, in s."""
MOST_BLOCKS = 3_000_000
"""Blocks of memory, about 300 MB, by which a process that is never quiet may grow until everything is collected."""


class Collector:
    """Keeps the pauses of the garbage collector short: it looks at each new object once.

    What survives is frozen. So no collection goes through the objects of a thousand sessions, 200 to 300 ms for which
    all clients wait. Neither a turn nor the session of a client leaves anything of the server's own to collect. What
    asyncio and libraries leave waits until no session is open.
    """

    def __init__(self) -> None:
        self._thresholds = gc.get_threshold()
        self._survivors = False
        self._blocks = 0

    def start(self) -> None:
        """Freeze what is loaded by now: 85,000 objects of a server."""
        self._blocks = sys.getallocatedblocks()
        gc.callbacks.append(self._collected)
        gc.set_threshold(NEW_OBJECTS, *self._thresholds[1:])
        gc.freeze()
        self._survivors = True

    def stop(self) -> None:
        """Leave Python's collector as it was before `start`, or as it is."""
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    def _collected(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "stop":
            gc.freeze()
            self._survivors = True

    def look(self, *, busy: bool) -> None:
        """Collect everything, unless the process is busy and has not grown much since."""
        if self._survivors and (not busy or sys.getallocatedblocks() - self._blocks > MOST_BLOCKS):
            gc.unfreeze()
            gc.collect()
            self._survivors = False
            self._blocks = sys.getallocatedblocks()


_COLLECTOR = Collector()


def settle() -> None:
    """Keep the pauses of the garbage collector short from now on. To be called when all is loaded."""
    _COLLECTOR.start()


async def collect_when_quiet(busy: Callable[[], bool]) -> None:
    """Collect the garbage that `settle` puts off while the process is not busy, until cancelled.

    Python's collector is then as it was.
    """
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            _COLLECTOR.look(busy=busy())
    finally:
        _COLLECTOR.stop()


def switch_soon() -> None:
    """Give the event loop its turn soon while other threads work."""
    sys.setswitchinterval(SWITCH_S)
