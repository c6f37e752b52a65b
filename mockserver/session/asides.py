"""Responses outside the conversation: they leave no trace there, and run beside other responses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from mockserver.protocol.commands import Respond, Settings
from mockserver.responders.base import Step, Turn
from mockserver.session.context import SessionContext, new_response
from mockserver.session.item_requests import input_items
from mockserver.session.pending_input import PendingInput
from mockserver.session.response import RunningResponse
from mockserver.session.scheduler import Scheduler


class Asides:
    """The responses outside the conversation that go on."""

    def __init__(self, session: SessionContext, scheduler: Scheduler, pending: PendingInput) -> None:
        self._session = session
        self._scheduler = scheduler
        self._pending = pending
        self._running: dict[str, RunningResponse] = {}

    def respond(
        self, command: Respond, settings: Settings, reply: Callable[[Turn], Iterable[Step]], now: float
    ) -> None:
        """Start a response. `settings` are the session's; `reply` gives the steps."""
        session = self._session
        if command.input is None:
            items = list(session.conversation)
        else:
            items = input_items(command.input, session.conversation, session.dialect.ids, now)
        question = self._pending.of_items(items, command.instructions or settings.instructions)
        response = new_response(session, settings, command, question.counts, now)
        context = dataclasses.replace(session, ended=lambda at: None, unfinished=[], awaiting_approval={})
        running = self._running[response.id] = RunningResponse(context, response, self._pending.called)
        self._scheduler.start(_run_of(response.id), running.run(lambda: reply(question.turn()), now, question))

    def cancel(self, response_id: str | None, now: float) -> bool:
        """Cancel the response of that id; whether there was one."""
        if response_id is None or response_id not in self._running:
            return False
        self._scheduler.drop(_run_of(response_id))
        self._running[response_id].cut("client_cancelled", now)
        return True

    def closed(self, response_id: str) -> None:
        """A response is over, whether it was one of these or not."""
        self._running.pop(response_id, None)


def _run_of(response_id: str) -> str:
    """The name of a response's run."""
    return f"aside {response_id}"
