"""What a journal tells to whoever tests against a service: the part that MockServer and LiveService have in common."""

from __future__ import annotations

from mockserver.server.journal import Journal, Spent
from mockserver.testing.assertions import Assertions
from mockserver.testing.loop_thread import Background
from mockserver.testing.sessions import TestedSession


class Observed(Assertions):
    """Sessions seen so far. Each look first lets the thread that serves, if there is one, read what clients have sent
    by now; a loop that serves has to be awaited."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread: Background | None = None

    @property
    def journal(self) -> Journal:
        """Every frame that crossed the wire."""
        self._catch_up()
        return self._journal

    @property
    def sessions(self) -> list[TestedSession]:
        """Past and present ones, oldest first: `.received(type)`, `.sent(type)`, `.ledger`, `.close_code`."""
        return [log for log in self.journal.sessions if isinstance(log, TestedSession)]

    @property
    def logs(self) -> list[TestedSession]:
        """The sessions that the assertions are about: all."""
        return self.sessions

    @property
    def ledger(self) -> Spent:
        """What all sessions used so far: seconds, text items, `.total_usd`."""
        return self.journal.total()

    def _catch_up(self) -> None:
        if self._thread is not None:
            self._thread.catch_up()
