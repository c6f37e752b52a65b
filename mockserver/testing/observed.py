"""What MockServer and LiveService have in common: addresses, the journal, its sessions, and their sum."""

from __future__ import annotations

from mockserver.server.addresses import environment
from mockserver.server.journal import Journal, UsageTotals
from mockserver.testing.assertions import Assertions
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.sessions import TestedSession


class Observed(Assertions):
    """Sessions seen so far. If a thread serves, each access first lets it read what clients have sent by now. If the
    caller's own loop serves, the caller has to await something for that."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread: LoopThread | None = None

    @property
    def _authority(self) -> str:
        """Host and port of the server that clients connect to."""
        raise NotImplementedError

    @property
    def ws_url(self) -> str:
        """Where clients connect: `ws://127.0.0.1:PORT/v1/realtime`."""
        return f"ws://{self._authority}/v1/realtime"

    @property
    def http_url(self) -> str:
        """The base of the REST routes: `http://127.0.0.1:PORT/v1`."""
        return f"http://{self._authority}/v1"

    @property
    def origin(self) -> str:
        """The address without a path: `http://127.0.0.1:PORT`."""
        return f"http://{self._authority}"

    @property
    def api_key(self) -> str:
        """A key that is accepted."""
        raise NotImplementedError

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find the service."""
        return environment(self.ws_url, self.http_url, self.api_key)

    @property
    def journal(self) -> Journal:
        """Every frame that crossed the wire."""
        self._catch_up()
        return self._journal

    @property
    def sessions(self) -> list[TestedSession]:
        """Past and present sessions, oldest first: `.received(type)`, `.sent(type)`, `.ledger`, `.close_code`."""
        return [log for log in self.journal.sessions if isinstance(log, TestedSession)]

    @property
    def logs(self) -> list[TestedSession]:
        """The sessions that the assertions are about: all."""
        return self.sessions

    @property
    def ledger(self) -> UsageTotals:
        """What all sessions used so far: seconds of audio, text items, `.total_usd`."""
        return self.journal.total()

    def _catch_up(self) -> None:
        if self._thread is not None:
            self._thread.catch_up()
