"""The telephone calls in progress, each a task, and the webhooks that were seen."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

MAX_CALLS = 20
"""Largest number of telephone calls at the same time; further callers hear that the line is busy."""
MAX_SEEN = 1000
"""How many webhooks and calls are remembered, so that none is answered twice."""
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets


class PhoneCalls:
    """The telephone calls of one event loop; `close` has to run in the same loop."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}
        self._seen: dict[str, None] = {}

    async def join(self) -> None:
        """Wait until no call is in progress."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    @property
    def busy(self) -> bool:
        """Whether no further call can be taken."""
        return len(self._running) >= MAX_CALLS

    def first(self, *names: str) -> bool:
        """Whether none of the names, of a webhook or of a call, was seen before; remembers them."""
        new = not any(name in self._seen for name in names)
        for name in names:
            self._seen[name] = None
        while len(self._seen) > MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        return new

    def start(self, call_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Run a call in the background."""
        task = asyncio.get_running_loop().create_task(self._run(call_id, work))
        self._running[call_id] = task

    async def close(self) -> None:
        """End all calls."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, call_id: str, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception:
            _log.exception("phone call %s failed", call_id)
        finally:
            del self._running[call_id]
