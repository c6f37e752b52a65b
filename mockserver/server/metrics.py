"""Counts of a namespace, from its start on. metrics_page.py shows them to Prometheus.

`POST /_mock/reset` leaves these counts, as Prometheus expects of a counter. Faults are counted where they are armed.
Labels are bounded: no client can make their number grow.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

from typing_extensions import assert_never

from mockserver.server.histogram import Histogram
from mockserver.server.notices import (
    CallAnswered,
    CallClosed,
    CallEnded,
    CallOpened,
    CallRang,
    CallReferred,
    CallRejected,
    ErrorSent,
    HandshakeRefused,
    MistakeFound,
    Notice,
    RouteRefused,
    TlsRefused,
    TurnAnswered,
)

MOST_LABELS = 200
"""Different values of one label; what comes after them is counted as `other`."""
OTHER = "other"

FIRST_AUDIO_S = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
WORK_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
SESSION_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0)


class AllCounts(Protocol):
    """The counts of all workers of a port. Its implementation is worker_counts.py."""

    def start(self) -> None:
        """Tell the others this worker's counts from now on."""

    async def stop(self) -> None:
        """Tell them the last ones."""

    async def page(self) -> bytes:
        """The page for Prometheus."""


class Metrics:
    """The counts of one namespace. Seconds and USD are floats."""

    def __init__(self) -> None:
        self.opened: Counter[str] = Counter()
        """Sessions by dialect."""
        self.closed: Counter[str] = Counter()
        """Sessions by close code."""
        self.session_s = Histogram(SESSION_S)
        self.turns: Counter[str] = Counter()
        """Responses by status."""
        self.first_audio_s = Histogram(FIRST_AUDIO_S)
        self.audio_s = 0.0
        """Seconds of audio in responses that are over."""
        self.usd = 0.0
        self.errors: Counter[str] = Counter()
        """`error` events by code."""
        self.findings: Counter[str] = Counter()
        """Mistakes of clients by rule."""
        self.refused: Counter[str] = Counter()
        """Handshakes and requests by status."""
        self.calls: Counter[str] = Counter()
        """Telephone and WebRTC calls by what happened to them."""
        self.work_s: dict[str, Histogram] = {}
        """How long transcriptions, answers of the language model and tools took, by who did them."""
        self._paid: dict[str, float] = {}

    def note(self, notice: Notice) -> None:
        """Count what goes on."""
        match notice:
            case CallOpened():
                _count(self.opened, notice.dialect)
                self._paid[notice.session] = 0.0
            case TurnAnswered():
                _count(self.turns, notice.status)
                if notice.first_audio_s is not None:
                    self.first_audio_s.observe(notice.first_audio_s)
                self.audio_s += notice.audio_s
                self._pay(notice.session, self._paid.get(notice.session, 0.0) + float(notice.usd or 0))
            case ErrorSent():
                _count(self.errors, notice.code)
            case MistakeFound():
                _count(self.findings, notice.finding.rule)
            case HandshakeRefused() | RouteRefused():
                _count(self.refused, str(notice.status))
            case TlsRefused():
                _count(self.refused, "tls")
            case CallClosed():
                _count(self.closed, str(notice.code))
                self.session_s.observe(notice.seconds)
                self._pay(notice.session, float(notice.usd or 0))
                self._paid.pop(notice.session, None)
            case CallRang():
                _count(self.calls, "rang")
            case CallAnswered():
                _count(self.calls, "answered")
            case CallRejected():
                _count(self.calls, "rejected")
            case CallReferred():
                _count(self.calls, "referred")
            case CallEnded():
                _count(self.calls, "ended")
            case _:
                assert_never(notice)

    def worked(self, work: str, seconds: float) -> None:
        """Work that a session asked for is done."""
        self.work_s.setdefault(work, Histogram(WORK_S)).observe(seconds)

    def _pay(self, session: str, total: float) -> None:
        """What a session has cost so far. What it used outside of responses shows at its end."""
        self.usd += max(0.0, total - self._paid.get(session, 0.0))
        self._paid[session] = max(total, self._paid.get(session, 0.0))


def _count(counts: Counter[str], label: str) -> None:
    counts[label if label in counts or len(counts) < MOST_LABELS else OTHER] += 1
