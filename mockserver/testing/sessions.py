"""The sessions of a mock or live service as tests see them: the journal's, with assertions."""

from __future__ import annotations

from mockserver.server.journal import SessionLog
from mockserver.testing.assertions import Assertions


class TestedSession(SessionLog, Assertions):
    """One session: `.received(type)`, `.sent(type)`, `.ledger`, `.close_code`, `.assert_…`."""

    __test__ = False
    """pytest takes it for no test class."""

    @property
    def logs(self) -> list[SessionLog]:
        """This session alone: its assertions are about no other."""
        return [self]
