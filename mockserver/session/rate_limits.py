"""When a session reports the account's rate limits: after each response, and before the client's next frame."""

from __future__ import annotations

from mockserver.protocol.facts import LimitsUpdated, Response
from mockserver.session.context import SessionContext
from mockserver.session.scheduler import Run, Scheduler

LIMITS = "limits"
"""The name of the run."""


class RateLimitReports:
    """The reports of one session."""

    def __init__(self, session: SessionContext, scheduler: Scheduler) -> None:
        self._session = session
        self._scheduler = scheduler
        self.due: list[Response] = []
        """Responses that have yet to be counted against the account's limits."""

    def closed(self, response: Response, now: float) -> None:
        """A response is over, however it ended."""

        def run(due: float) -> Run:
            yield due
            self.report(due)

        after_s = self._session.dialect.traits.responses.rate_limits_after_s
        if after_s is not None:
            self.due.append(response)
            self._scheduler.start(LIMITS, run(now + after_s))

    def report(self, now: float) -> None:
        """Count the responses that are due."""
        responses, self.due = self.due, []
        self._scheduler.drop(LIMITS)
        for response in responses:
            self._session.emit(LimitsUpdated(response), now)
