"""Calls that stay on the line between two requests: one connection for a conversation that comes in pieces.

Whoever asks over HTTP or touches a page holds no socket. The call waits here for a while; later it is taken up again by
the service's own means, which are slower and forget after half an hour.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from clinic_agent.call.connection import DEFAULT_RETRY, CallFailed, Watcher, unwatched
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.turn import Event
from clinic_agent.clinic.assistant import AgentCall, Assistant, calling
from clinic_agent.config import Config

HOLD_S = 30.0
"""How long a call waits for the next request."""
MAX_HELD = 32
"""How many calls may wait; of more, the one that waited longest is hung up."""


class NotContinued(Exception):
    """A conversation cannot go on; the message says why and what to do. `busy`: it can later."""

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


@dataclass(slots=True)
class _Ear:
    """Whoever is told of a call's frames just now."""

    watch: Watcher

    def __call__(self, way: Literal["sent", "received"], event: Event) -> None:
        self.watch(way, event)


@dataclass(slots=True)
class _Held:
    """One call on the line."""

    call: AgentCall
    ear: _Ear
    hang_up: AsyncExitStack
    timer: asyncio.TimerHandle | None = None


@dataclass(slots=True)
class HeldCalls:
    """All calls that wait. It belongs to one event loop; close it there."""

    hold_s: float = HOLD_S
    _name: str = field(default_factory=lambda: secrets.token_hex(16))
    _waiting: dict[tuple[str, str], _Held] = field(default_factory=dict)
    _talking: set[tuple[str, str]] = field(default_factory=set)
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
        """Say something in a new conversation, or in one that was begun here or elsewhere; what came of just that.

        A call that breaks off is reported with `failure`. Raises CallFailed when no call came about, NotContinued when
        the conversation is forgotten or somebody else is speaking in it.
        """
        place = (config.url, conversation_id or "")
        if place in self._talking:
            raise NotContinued("somebody is speaking in this conversation; wait for the answer", busy=True)
        self._talking |= {place} if conversation_id else set()
        try:
            async with self._on_the_line(config, assistant, conversation_id, priced_on, retry, watch) as call:
                # Whoever asks twice, because an answer was lost, does nothing twice.
                call.tools = replace(assistant.tools, call_key=f"{self._name}:{call.conversation_id}")
                turns, cost = len(call.turns), call.cost
                with suppress(CallFailed):  # which the call keeps
                    for said in words:
                        if not call.over:
                            await call.say(said)
                report = call.report()
                return replace(report, turns=report.turns[turns:], cost=report.cost.since(cost))
        finally:
            self._talking.discard(place)

    async def close(self) -> None:
        """Hang up all that wait."""
        for place in list(self._waiting):
            self._let_go(place)
        await asyncio.gather(*self._closing)

    @asynccontextmanager
    async def _on_the_line(
        self,
        config: Config,
        assistant: Assistant,
        known: str | None,
        priced_on: date,
        retry: RetryPolicy,
        watch: Watcher,
    ) -> AsyncIterator[AgentCall]:
        held = self._waiting.pop((config.url, known or ""), None)
        if held is None:
            there = config if known is None else config.resuming(known)
            held = await _dialled(there, assistant, priced_on, retry, _Ear(watch))
        if held.timer is not None:
            held.timer.cancel()
        held.ear.watch = watch
        async with held.hang_up:
            if known is not None and held.call.conversation_id != known:
                raise NotContinued("the service has forgotten this conversation; begin a new one and say it again")
            yield held.call
            held.ear.watch = unwatched
            if not held.call.over and held.call.conversation_id is not None:
                held.hang_up = held.hang_up.pop_all()
                self._hold((config.url, held.call.conversation_id), held)

    def _hold(self, place: tuple[str, str], held: _Held) -> None:
        self._let_go(place)
        while len(self._waiting) >= MAX_HELD:
            self._let_go(next(iter(self._waiting)))
        self._waiting[place] = held
        held.timer = asyncio.get_running_loop().call_later(self.hold_s, self._let_go, place)

    def _let_go(self, place: tuple[str, str]) -> None:
        held = self._waiting.pop(place, None)
        if held is None:
            return
        if held.timer is not None:
            held.timer.cancel()
        task = asyncio.get_running_loop().create_task(held.hang_up.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _dialled(config: Config, assistant: Assistant, priced_on: date, retry: RetryPolicy, ear: _Ear) -> _Held:
    stack = AsyncExitStack()
    made = calling(config, assistant, priced_on=priced_on, retry=retry, plays=False, watch=ear)
    return _Held(await stack.enter_async_context(made), ear, stack)
