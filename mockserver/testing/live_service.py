"""The live service with the interface of MockServer: the same tests, against the service itself, within a budget.

Clients connect to a relay on this machine. It replaces the key that clients use by the real one, so that no test holds
it. It keeps a journal, so that the same assertions work; it counts the cost, and closes calls when the budget is spent.
Nothing is written, but `tape` is what a cassette of the calls has. What only a mock has (faults, its clock, its errors)
is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs, urlsplit

from mockserver.billing.ledger import Ledger
from mockserver.faults.armed import Armed
from mockserver.server.journal import Journal, SessionLog
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.mock_server import MockServer
from mockserver.testing.observed import Observed
from mockserver.testing.sessions import TestedSession
from replay.billing.meter import Meter
from replay.billing.prices import price_table
from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.recording import Recording, connections
from replay.cassette.records import Header, Record, Request, Response, Way
from replay.findings import Finding, Levels
from replay.findings.lint import lint
from replay.formats.tape import Tape
from replay.relay.budget import Budget
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream
from replay.version import tool_version

REPLACED_KEY = "a-key-that-the-relay-replaces"
"""The key that clients of the relay use."""
LIVE_ENDPOINTS: Mapping[str, tuple[str, str]] = {
    "xai": ("wss://api.x.ai/v1/realtime", "XAI_API_KEY"),
    "openai": ("wss://api.openai.com/v1/realtime", "OPENAI_API_KEY"),
}
"""By dialect: the address, and the environment variable that holds the key."""
_RATE = 24_000
_UPGRADED = 101


class LiveService(Observed):
    """One service for the length of a `with`.

    service: a key of LIVE_ENDPOINTS; None asks the address, and takes `xai` if it does not tell. url, key: how to reach
    it; an empty key leaves the client's. max_usd: the budget in USD, or one that several services share. Once it is
    spent, calls are closed (1000) and new ones refused (429), see `limit`. on: the current time, for the prices of the
    day and the times in the journal. levels: severity of findings. played: a mock that plays what was recorded before,
    and the number of its connections: only the calls after these reach the service. Raises BadUpstream for a bad URL,
    OSError if it cannot listen.
    """

    def __init__(
        self,
        service: str | None,
        url: str,
        key: str,
        max_usd: Fraction | Budget,
        on: datetime,
        levels: Levels | None = None,
        played: tuple[MockServer, int] | None = None,
    ) -> None:
        super().__init__(Journal(log_type=TestedSession))
        self.service = service or "xai"
        self.warnings: list[str] = []
        """Warnings of the relay, such as that the service cannot be reached."""
        self.errors: list[Exception] = []
        """Always empty: nothing of the mock runs here."""
        self._url = url
        self._on = on
        self._max_usd = max_usd
        self._keys = {REPLACED_KEY: key} if key else {}
        self._asks = service is None
        self._played = played
        self._opened = 0
        """WebSocket connections so far."""
        self._new: set[int] = set()
        """Numbers of the connections that have reached the service, or tried to."""
        self._header: Header
        self._ended_us = 0
        self._calls: dict[int, _RelayedCall] = {}
        self._levels = levels
        self._records: list[Record] = []
        self._relay: Relay

    @property
    def _authority(self) -> str:
        return f"127.0.0.1:{self._relay.port}"

    @property
    def api_key(self) -> str:
        """The key that clients use; the relay replaces it."""
        return REPLACED_KEY

    @property
    def spent_usd(self) -> Fraction:
        """The cost so far in USD. Of two possible prices the higher counts; an unknown model costs the highest one."""
        self._catch_up()
        return self._relay.spent_usd

    @property
    def limit(self) -> str | None:
        """Why calls were closed; None if they were not."""
        return self._relay.limit

    @property
    def findings(self) -> list[Finding]:
        """Mistakes of clients so far, by the same rules as in the mock."""
        self._catch_up()
        recording = Recording("live", self.service, self._origin, connections(self._records))
        return lint(recording, self._levels)

    @property
    def unused(self) -> list[str]:
        """What of the cassette that is played was not used; empty without one: the live service has no scenario."""
        return self._played[0].unused if self._played is not None else []

    @property
    def report(self) -> list[str]:
        """Deviations from the cassette that is played verbatim, a line each; empty without one."""
        return self._played[0].report if self._played is not None else []

    @property
    def faults(self) -> Sequence[Armed]:
        """Always empty: only a mock injects faults."""
        return ()

    def tape(self, *, whole: bool = False) -> Tape | None:
        """The calls that reached the service, as the content of a cassette, after the `with`; None if there was none.
        It holds secrets as they crossed the wire: what writes it removes them. whole: all calls, also those that a mock
        played."""
        wanted = {each.connection for each in self._records} if whole else self._new
        numbers = {number: count for count, number in enumerate(sorted(wanted))}
        records = [each for each in self._records if each.connection in numbers]
        if not records:
            return None
        started_us = records[0].at_us
        moved = (replace(each, at_us=each.at_us - started_us, connection=numbers[each.connection]) for each in records)
        return Tape(self._header, tuple(moved), max(self._ended_us, records[-1].at_us) - started_us)

    @property
    def accepted(self) -> bool:
        """Whether the service accepted a call."""
        answers = [each.content for each in self._records if each.connection in self._new]
        return any(isinstance(each, Response) and (each.status == _UPGRADED or each.status < 300) for each in answers)

    @property
    def key(self) -> tuple[str, ...]:
        """The service's key, to keep it from files; empty without one."""
        return tuple(self._keys.values())

    @property
    def cassettes(self) -> list[Path]:
        """Always empty: nothing is written while calls last."""
        return []

    def advance(self, **_: float) -> Awaitable[None]:
        """Raises RuntimeError: only a mock's time can be moved."""
        raise _only_mock("moves its time")

    def set_faults(self, _: object) -> None:
        """Raises RuntimeError: only a mock injects faults."""
        raise _only_mock("injects faults")

    def claim(self, **_: object) -> list[Finding]:
        """Raises RuntimeError: only a mock checks values that the client computed."""
        raise _only_mock("checks values that the client computed")

    def __enter__(self) -> LiveService:
        self._thread = LoopThread("relay")
        try:
            self._thread.call(self._start())
        except BaseException:
            self._thread.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        try:
            self._thread.call(self._stop())
        finally:
            self._thread.end()

    async def _start(self) -> None:
        found = await Upstream.find(self._url)
        dialect = self.service
        if self._asks and (name := found.dialect.partition("@")[0]) in LIVE_ENDPOINTS:
            self.service, dialect = name, found.dialect
        self._table = price_table(self.service, self._on.date())
        upstream = Upstream(found.url, self.service, found.origin)
        self._origin = upstream.origin
        at = self._on.isoformat(timespec="seconds")
        self._header = Header(upstream.origin, upstream.url, dialect, None, at, f"realtape {tool_version()}")
        settings = Settings(None, self._on, "realtape", max_usd=self._max_usd, keys=self._keys)
        self._relay = Relay(upstream, settings, self.warnings.append, self._observer, self._instead)
        await self._relay.start()

    async def _stop(self) -> None:
        await self._relay.stop("realtape: the test is over")
        self._ended_us = self._relay.now_us()

    def _instead(self, connection: int, is_call: bool) -> Upstream | None:
        """The mock, for as many calls as it has recordings of, and for the requests before them."""
        if self._played is not None:
            mock, known = self._played
            if self._opened < known:
                self._opened += is_call
                return Upstream(mock.ws_url)
        self._new.add(connection)
        return None

    def _observer(self, record: Record) -> None:
        self._records.append(record)
        at_s, number = record.at_us / 1e6, record.connection
        call = self._calls.get(number)
        match record.content:
            case Request(method="GET", target=target):
                log = self._journal.open(f"live-{number + 1}", "", self._on.timestamp() + at_s, Ledger(self._table, ""))
                model = parse_qs(urlsplit(target).query).get("model", [None])[0]
                if self._header.model is None:
                    self._header = replace(self._header, model=model)
                self._calls[number] = _RelayedCall(log, at_s, Meter(model))
            case Response(status) if call is not None and status != _UPGRADED:
                call.log.ended(at_s - call.opened_s, 1006, f"refused with HTTP {status}")
            case Text() | Binary() | Close() | Reset() as frame if call is not None:
                call.take(at_s, record.way, frame)


def _only_mock(does: str) -> RuntimeError:
    return RuntimeError(f"only a mock {does}, not the live service; give the test @pytest.mark.realtime(live=False)")


@dataclass(slots=True)
class _RelayedCall:
    """One connection: its log, when it opened, and the meter of its frames."""

    log: SessionLog
    opened_s: float
    meter: Meter

    def take(self, at_s: float, way: Way, frame: Frame) -> None:
        """Log and count a frame."""
        at = at_s - self.opened_s
        if isinstance(frame, Text | Binary):
            ledger, meter = self.log.ledger, self.meter
            samples = round(meter.count(way, frame) * _RATE)
            (ledger.heard if way == "sent" else ledger.spoke)(samples, _RATE)
            ledger.text_items, ledger.model = meter.text_items, meter.model or ""
            if ledger.prices.per_million_tokens:
                ledger.tokens, ledger.transcribed_s = dict(meter.tokens), dict(meter.transcribed_s)
        if way == "received":
            self.log.outbound(at, frame)
        elif isinstance(frame, Text):
            self.log.inbound(at, frame.data.decode(errors="replace"))
        elif not isinstance(frame, Reset):
            self.log.inbound(at, frame.data if isinstance(frame, Binary) else frame)
        if isinstance(frame, Close | Reset) and self.log.closed_s is None:
            code, reason = (frame.code, frame.reason) if isinstance(frame, Close) else (1006, "connection lost")
            self.log.ended(at, code, reason)
