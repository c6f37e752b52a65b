"""The state that all requests to the server share."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from clinic_agent.app.browser import BrowserCalls
from clinic_agent.app.call_page import CallPage
from clinic_agent.app.call_store import CallStore
from clinic_agent.app.held_calls import HeldCalls
from clinic_agent.app.phone_calls import PhoneCalls
from clinic_agent.app.problems import Problem
from clinic_agent.app.settings import AppSettings
from clinic_agent.clinic.assistant import Assistant, clinic_assistant
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.safety import CallLock, Line, Role
from clinic_agent.clinic.schedule import Schedule

MAX_CALLS = 8
"""Largest number of calls of programs at the same time."""
MAX_LOCKS = 1000
"""Largest number of conversations whose words are kept for their lock."""
_SIDES: tuple[tuple[Role, str], ...] = (("caller", "heard"), ("assistant", "said"))
_log = logging.getLogger(__name__)  # noqa: TID251  # realtape's command prints it without secrets


@dataclass(slots=True)
class AppState:
    """The state that all requests share."""

    settings: AppSettings
    schedule: Schedule
    store: CallStore
    held_calls: HeldCalls
    phone_calls: PhoneCalls = field(default_factory=PhoneCalls)
    call_page: CallPage | None = None
    """Makes the page of one recorded call; None is the plain one."""
    calls: BrowserCalls = field(default_factory=lambda: BrowserCalls(time.monotonic))
    locks: dict[str, CallLock] = field(default_factory=dict)
    """By conversation."""
    in_progress: int = 0
    """Number of calls of programs."""

    @contextmanager
    def one_call(self) -> Iterator[None]:
        """Count a call of a program. Raises Problem if MAX_CALLS are in progress."""
        if self.in_progress >= MAX_CALLS:
            raise Problem(429, f"{MAX_CALLS} calls are in progress; try again in some seconds", retry_after="5")
        self.in_progress += 1
        try:
            yield
        finally:
            self.in_progress -= 1

    def assistant(self, lock: CallLock) -> Assistant:
        """The assistant of one call."""
        return clinic_assistant(Clinic(self.settings.day, self.schedule), lock=lock)

    def lock(self, conversation_id: str | None) -> CallLock:
        """The lock of a conversation that was known before, or a new one."""
        if conversation_id is None or conversation_id in self.locks:
            return self.locks.get(conversation_id or "") or CallLock(self.settings.day)
        try:
            known = self.store.find(conversation_id)
        except (OSError, sqlite3.Error) as error:
            raise Problem(503, f"the records of the calls cannot be read ({error}); check CLINIC_DATA") from error
        if known is None:
            return CallLock(self.settings.day)
        said = [(role, str(turn[key])) for turn in known.turns for role, key in _SIDES]
        lines = [Line(role, text) for role, text in said]
        own = [tool["result"] for turn in known.turns for tool in turn["tools"] if "reference" in tool["result"]]
        return CallLock(self.settings.day, lines=lines, own=own, emergency=known.emergency)

    def keep(self, conversation_id: str | None, lock: CallLock) -> None:
        """Keep the lock of a conversation; of more than MAX_LOCKS, the oldest is dropped."""
        if conversation_id is not None:
            self.locks.pop(conversation_id, None)
            self.locks[conversation_id] = lock
            while len(self.locks) > MAX_LOCKS:
                del self.locks[next(iter(self.locks))]

    def note(self, write: Callable[[], None]) -> None:
        """Write to the records. A full disk does not cost the caller the answer."""
        try:
            write()
        except (OSError, sqlite3.Error) as error:
            _log.warning("a call could not be written to %s: %s", self.store.path, error)


async def state_of(request: Request) -> AppState:
    """The state of the application. A plain function would run in a thread, for each request."""
    state = request.app.state.clinic
    assert isinstance(state, AppState)
    return state


State = Annotated[AppState, Depends(state_of)]
