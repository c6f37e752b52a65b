"""The live service with the interface of MockServer: the same tests, against the service itself, within a budget.

Clients connect to a relay on this machine. It replaces the key that clients use by the real one, so that no test holds
it. It keeps a journal, so that the same assertions work; it counts the cost, and closes calls when the budget is spent.
Nothing is written. What only a mock has (faults, its clock, its errors) is missing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mockserver.billing.ledger import Ledger
from mockserver.billing.prices import PriceTable, Tokens, UnknownPrice, priced
from mockserver.dialects.names import DIALECT_NAMES
from mockserver.dialects.registry import SERVICES
from mockserver.server.journal import Journal, SessionLog
from mockserver.testing.assertions import part
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.observed import Observed
from mockserver.testing.sessions import TestedSession
from replay.billing.bill import token_counts
from replay.billing.meter import Meter, prices
from replay.cassette import json_text
from replay.cassette.frames import Binary, Close, Frame, Reset, Text
from replay.cassette.json_text import Event, event_in
from replay.cassette.recording import Recording, connections
from replay.cassette.records import Record, Request, Response, Way
from replay.findings import Finding, Levels
from replay.findings.lint import lint
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream

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

    service: a key of LIVE_ENDPOINTS. url, key: how to reach it. max_usd: the budget in USD; once it is spent, calls are
    closed (1000) and new ones refused (429), see `limit`. on: the current time, for the prices of the day and the times
    in the journal. levels: severity of findings. Raises BadUpstream for a bad URL, OSError if it cannot listen.
    """

    def __init__(
        self, service: str, url: str, key: str, max_usd: Fraction, on: datetime, levels: Levels | None = None
    ) -> None:
        super().__init__(Journal(log_type=TestedSession))
        self.service = service
        self.warnings: list[str] = []
        """Warnings of the relay, such as that the service cannot be reached."""
        self.errors: list[Exception] = []
        """Always empty: nothing of the mock runs here."""
        self._url = url
        self._on = on
        self._max_usd = max_usd
        self._keys = {REPLACED_KEY: key}
        self._table = _table(service)
        self._prices_show = prices(service, on.date()) is not None
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
        """The cost so far in USD; without a price, the whole budget. Of two possible prices the higher counts."""
        self._catch_up()
        try:
            return self._relay.spent_usd if self._prices_show else self._journal.total().exact_usd
        except UnknownPrice:
            return self._max_usd

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
        """Always empty: the live service has no scenario."""
        return []

    def advance(self, **_: float) -> Awaitable[None]:
        """Raises RuntimeError: only a mock's time can be moved."""
        raise RuntimeError("the live service's time cannot be moved; give the test @pytest.mark.realtime(live=False)")

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
            self._thread.call(self._relay.stop("realtape: the test is over"))
        finally:
            self._thread.end()

    async def _start(self) -> None:
        upstream = await Upstream.find(self._url)
        upstream = Upstream(upstream.url, self.service, upstream.origin)
        self._origin = upstream.origin
        limited = self._max_usd if self._prices_show else None
        settings = Settings(None, self._on, "realtape", max_usd=limited, keys=self._keys)
        self._relay = Relay(upstream, settings, self.warnings.append, self._observer)
        await self._relay.start()

    def _observer(self, record: Record) -> None:
        self._records.append(record)
        at_s, number = record.at_us / 1e6, record.connection
        call = self._calls.get(number)
        match record.content:
            case Request(method="GET", target=target):
                log = self._journal.open(f"live-{number + 1}", "", self._on.timestamp() + at_s, Ledger(self._table, ""))
                self._calls[number] = _RelayedCall(log, at_s, Meter(_model(target)))
            case Response(status) if call is not None and status != _UPGRADED:
                call.log.ended(at_s - call.opened_s, 1006, f"refused with HTTP {status}")
            case Text() | Binary() | Close() | Reset() as frame if call is not None:
                if call.take(at_s, record.way, frame):
                    self._check_budget()

    def _check_budget(self) -> None:
        """The relay itself keeps to a price that frames show. Tokens are known once a response is over."""
        try:
            self._journal.total()
        except UnknownPrice as problem:
            self._relay.end_calls(f"realtape: {problem}; without it no budget can be kept")
        if self.spent_usd >= self._max_usd:
            self._relay.end_calls(f"realtape: the budget of {float(self._max_usd):g} USD is spent")


@dataclass(slots=True)
class _RelayedCall:
    """One connection: its log, when it opened, and the meter of its frames."""

    log: SessionLog
    opened_s: float
    meter: Meter
    transcriber: str = ""

    def take(self, at_s: float, way: Way, frame: Frame) -> bool:
        """Log and count a frame. Returns whether it reported the use of tokens."""
        at = at_s - self.opened_s
        reports_tokens = self._count(way, frame) if isinstance(frame, Text | Binary) else False
        if way == "received":
            self.log.outbound(at, frame)
        elif not isinstance(frame, Reset):
            self.log.inbound(at, frame if isinstance(frame, Close) else _message(frame))
        if isinstance(frame, Close | Reset) and self.log.closed_s is None:
            code, reason = (frame.code, frame.reason) if isinstance(frame, Close) else (1006, "connection lost")
            self.log.ended(at, code, reason)
        return reports_tokens

    def _count(self, way: Way, frame: Text | Binary) -> bool:
        ledger, meter = self.log.ledger, self.meter
        before = meter.audio_s[way]
        meter.count(way, frame)
        samples = round((meter.audio_s[way] - before) * _RATE)
        (ledger.heard if way == "sent" else ledger.spoke)(samples, _RATE)
        ledger.text_items = meter.text_items
        ledger.model = priced(meter.model or "", ledger.prices.per_audio_minute)
        return way == "received" and isinstance(frame, Text) and self._tokens(frame)

    def _tokens(self, frame: Text) -> bool:
        match json_text.event_type(frame.data):
            case "session.created" | "session.updated":
                self.transcriber = str(
                    part(event_in(frame.data), "session", "audio", "input", "transcription", "model")
                )
            case "response.done":
                self._used(event_in(frame.data) or {})
                return True
            case "conversation.item.input_audio_transcription.completed":
                self._transcribed(part(event_in(frame.data), "usage"))
                return True
            case _:
                pass
        return False

    def _used(self, event: Event) -> None:
        known = self.log.ledger.prices.per_million_tokens
        if known and (counts := token_counts(event)):
            text, audio, cached = counts["text in"], counts["audio in"], "from the cache"
            tokens = Tokens(
                text,
                counts[f"text {cached}"],
                audio,
                counts[f"audio {cached}"],
                counts["text out"],
                0,
                counts["audio out"],
            )
            self.log.ledger.used(priced(self.meter.model or "", known), tokens)

    def _transcribed(self, usage: Any) -> None:
        """By tokens or by seconds, as the model is billed."""
        ledger = self.log.ledger
        match usage:
            case {"type": "tokens", "input_tokens": int(heard), "output_tokens": int(written)}:
                known = priced(self.transcriber, ledger.prices.per_million_tokens)
                ledger.used(known, Tokens(audio=heard, text_out=written))
            case {"type": "duration", "seconds": int() | float() as seconds}:
                known = priced(self.transcriber, ledger.prices.per_transcribed_minute)
                ledger.transcribed(known, Fraction(seconds).limit_denominator(1000))
            case _:
                pass


def _table(service: str) -> PriceTable:
    """The prices of the latest dialect of a service."""
    latest = max(name for name in DIALECT_NAMES if name.partition("@")[0] == service)
    return SERVICES[latest].prices


def _model(target: str) -> str | None:
    return parse_qs(urlsplit(target).query).get("model", [None])[0]


def _message(frame: Text | Binary) -> str | bytes:
    return frame.data.decode(errors="replace") if isinstance(frame, Text) else frame.data
