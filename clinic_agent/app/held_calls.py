"""Calls that are held between two requests, so that a conversation in several requests uses one connection.

A client of the HTTP service has no connection to the voice service. After a request its call is held here. If the held
connection is lost, the next request resumes the conversation on a new one, which is slower.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from websockets.exceptions import ConnectionClosed, InvalidStatus

from clinic_agent.call.connection import DEFAULT_RETRY, CallFailed, Watcher, unwatched
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.turn import Event
from clinic_agent.clinic.assistant import AgentCall, Assistant, calling
from clinic_agent.config import Config

HOLD_S = 1800.0
"""Seconds for which a call is held after a request, by default. After so long without a word, the service forgets the
conversation."""
MAX_HELD = 32
"""Largest number of held calls; if there are more, the one held longest is closed."""


class NotContinued(Exception):
    """A conversation cannot continue; the message says why and what to do. `busy`: it can continue later."""

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


@dataclass(slots=True)
class _RequestWatcher:
    """Passes the frames of a call to the watcher of the current request."""

    watch: Watcher

    def __call__(self, way: Literal["sent", "received"], event: Event) -> None:
        self.watch(way, event)


@dataclass(slots=True)
class _HeldCall:
    """A call and its timer while it is held."""

    call: AgentCall
    watcher: _RequestWatcher
    connection: AsyncExitStack
    config: Config
    timer: asyncio.TimerHandle | None = None
    idle: asyncio.Task[None] | None = None
    """Reads the connection while the call is held."""


@dataclass(slots=True)
class HeldCalls:
    """The held calls of one event loop; `close` has to run in the same loop."""

    hold_s: float = HOLD_S
    _name: str = field(default_factory=lambda: secrets.token_hex(16))
    _held: dict[tuple[str, str], _HeldCall] = field(default_factory=dict)
    _in_use: set[tuple[str, str]] = field(default_factory=set)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    async def say(
        self,
        config: Config,
        words: Sequence[str | bytes],
        assistant: Assistant,
        conversation_id: str | None = None,
        *,
        priced_on: date,
        retry: RetryPolicy = DEFAULT_RETRY,
        watch: Watcher = unwatched,
    ) -> CallReport:
        """Run some turns in a new conversation or an existing one; gives the report of these turns.

        The report of a call that broke off has `failure`. Raises CallFailed if the call cannot start, NotContinued if
        the service no longer knows the conversation or another request is using it.
        """
        key = (config.url, conversation_id or "")
        if key in self._in_use:
            raise NotContinued("another request is using this conversation; wait for its answer", busy=True)
        self._in_use |= {key} if conversation_id else set()
        try:
            async with self._in_conversation(config, assistant, conversation_id, priced_on, retry, watch) as call:
                # The same key for the whole conversation: a repeated request changes nothing twice.
                # The guard is that of the call: it has watched it from the beginning.
                call_key, guard = f"{self._name}:{call.conversation_id}", call.tools.guard
                call.tools = replace(assistant.tools, call_key=call_key, guard=guard)
                turns, cost = len(call.turns), call.cost
                with suppress(CallFailed):  # the call keeps it as `failure`
                    for turn in words:
                        if not call.over:
                            await call.say(turn)
                report = call.report()
                return replace(report, turns=report.turns[turns:], cost=report.cost.since(cost))
        finally:
            self._in_use.discard(key)

    async def close(self) -> None:
        """Close all held calls."""
        for key in list(self._held):
            self._close(key)
        await asyncio.gather(*self._closing)

    @asynccontextmanager
    async def _in_conversation(
        self,
        config: Config,
        assistant: Assistant,
        known: str | None,
        priced_on: date,
        retry: RetryPolicy,
        watch: Watcher,
    ) -> AsyncIterator[AgentCall]:
        held = self._held.pop((config.url, known or ""), None)
        if held is None:
            endpoint = config if known is None else config.resuming(known)
            held = await self._started(endpoint, assistant, priced_on, retry, _RequestWatcher(watch))
        await _taken_up(held)
        held.watcher.watch = watch
        async with held.connection:
            if known is not None and held.call.conversation_id != known:
                raise NotContinued("the service no longer knows this conversation; begin a new one and repeat the turn")
            if (held.config.voice, held.config.telephony) != (config.voice, config.telephony):
                await held.call.reconfigure(config, assistant)
                held.config = config
            yield held.call
            held.watcher.watch = unwatched
            if not held.call.over and held.call.conversation_id is not None:
                held.connection = held.connection.pop_all()
                self._hold((config.url, held.call.conversation_id), held)

    async def _started(
        self, config: Config, assistant: Assistant, priced_on: date, retry: RetryPolicy, watcher: _RequestWatcher
    ) -> _HeldCall:
        """A new connection. If the service has too many already, the call that was held longest makes room."""
        while True:
            try:
                return await _connected(config, assistant, priced_on, retry, watcher)
            except CallFailed as failed:
                busy = isinstance(failed.__cause__, InvalidStatus) and failed.__cause__.response.status_code == 429
                if not (busy and self._held):
                    raise
                self._close(next(iter(self._held)))
                await asyncio.gather(*self._closing)

    async def _idle(self, key: tuple[str, str], held: _HeldCall) -> None:
        """Read a held call; if its connection is lost, the next request resumes the conversation."""
        with suppress(ConnectionClosed, CallFailed):
            await held.call.idle()
        if self._held.get(key) is held:
            self._close(key)

    def _hold(self, key: tuple[str, str], held: _HeldCall) -> None:
        self._close(key)
        while len(self._held) >= MAX_HELD:
            self._close(next(iter(self._held)))
        self._held[key] = held
        held.idle = asyncio.get_running_loop().create_task(self._idle(key, held))
        held.timer = asyncio.get_running_loop().call_later(self.hold_s, self._close, key)

    def _close(self, key: tuple[str, str]) -> None:
        held = self._held.pop(key, None)
        if held is None:
            return
        task = asyncio.get_running_loop().create_task(_hung_up(held))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _taken_up(held: _HeldCall) -> None:
    """Stop the timer and the reader of a held call."""
    if held.timer is not None:
        held.timer.cancel()
    if held.idle is not None and held.idle is not asyncio.current_task():
        held.idle.cancel()
        await asyncio.gather(held.idle, return_exceptions=True)


async def _hung_up(held: _HeldCall) -> None:
    await _taken_up(held)
    await held.connection.aclose()


async def _connected(
    config: Config, assistant: Assistant, priced_on: date, retry: RetryPolicy, watcher: _RequestWatcher
) -> _HeldCall:
    stack = AsyncExitStack()
    made = calling(config, assistant, priced_on=priced_on, retry=retry, plays=False, watch=watcher)
    return _HeldCall(await stack.enter_async_context(made), watcher, stack, config)
