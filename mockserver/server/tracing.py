"""Spans of a session, made from what its narration sees. Without tracing, sessions have a plain narration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mockserver.billing.ledger import Ledger
from mockserver.responders.base import Source
from mockserver.server.narration import Narration
from mockserver.server.notices import CallClosed, CallOpened, Notice, TurnAnswered
from mockserver.session.ears import HeardTurn
from replay.cassette.json_text import Event
from replay.tracing.milestones import FIRST, WANTED, Milestone, Milestones

if TYPE_CHECKING:  # needs the extra `otel`
    from replay.tracing.spans import SessionSpans

_GOOD = (1000, 1001, 1005)
"""Close codes of sessions that did not fail."""


class TracedNarration(Narration):
    """A narration that also makes spans, and adds their ids to what it tells."""

    wanted = Narration.wanted.union(WANTED, FIRST)

    def __init__(
        self,
        spans: SessionSpans,
        opened: CallOpened,
        tell: Callable[[Notice], None],
        ledger: Ledger,
        heard: Sequence[HeardTurn] = (),
        source: Callable[[], Source] = Source,
    ) -> None:
        self._spans = spans
        self._milestones = Milestones()
        self._tell_on = tell
        opened = replace(opened, trace_id=spans.trace_id, span_id=spans.span_id)
        super().__init__(opened, self._traced, ledger, heard, source)

    def spoke(self, at: float, size: int, event: bytes = b"") -> None:
        super().spoke(at, size, event)
        self._take(at, self._milestones.read(at, event) if event else self._milestones.sound())

    def received(self, at: float, kind: str, event: Event) -> None:
        super().received(at, kind, event)
        self._take(at, self._milestones.take(at, kind, event))

    def closed(self, at: float, code: int, reason: str, by_client: bool) -> None:
        super().closed(at, code, reason, by_client)
        self._spans.note(realtape__close_code=code)
        self._spans.closed(at, self._milestones.unfinished(), "" if code in _GOOD else str(code))

    def _take(self, at: float, milestone: Milestone | None) -> None:
        if milestone is not None:
            self._spans.take(at, milestone)

    def _traced(self, notice: Notice) -> None:
        match notice:
            case TurnAnswered():
                span_id = self._spans.response_id(notice.response)
                notice = replace(notice, trace_id=self._spans.trace_id, span_id=span_id)
            case CallClosed() if notice.usd:
                self._spans.note(realtape__usd=float(notice.usd))
            case _:
                pass
        self._tell_on(notice)
