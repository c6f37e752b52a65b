"""Faults that end a response early: an observer of a session's facts.

A session states the facts of a response faster than anything outside it could react. The observer therefore sees each
event where it is rendered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import orjson
from typing_extensions import assert_never

from mockserver.faults.armed import FaultWatch, TrafficEvent
from mockserver.faults.kinds import EarlyEndFault, Fail, Incomplete
from mockserver.protocol.facts import EarlyEnd, Fact, Failure, Response, ResponseEnded, ResponseFact, ResponseStarted
from replay.cassette.frames import Frame, Sound, Text


class ResponseEnder:
    """A FactObserver that ends responses at the events that `watches` wait for.

    `report` is called with each fault that is triggered, the type of its event and the instant in seconds.
    """

    def __init__(self, report: Callable[[FaultWatch, str, float], None]) -> None:
        self.watches: Sequence[FaultWatch] = ()
        self._report = report
        self._running: Response | None = None
        self._next: EarlyEnd | None = None

    def end(self, fault: EarlyEndFault) -> None:
        """End the running response early, else the next one as soon as it has begun."""
        if self._running is not None:
            self._running.early_end = _early_end(fault)
        else:
            self._next = _early_end(fault)

    def before(self, fact: Fact, at: float) -> None:
        """Follow which response runs. A fault at `response.done` changes what that event says."""
        if isinstance(fact, ResponseStarted):
            self._running = fact.response
            self._running.early_end, self._next = self._next, None
        elif isinstance(fact, ResponseEnded):
            self._running = None
            for fault in self._triggered("response.done", at, fact.response):
                end = _early_end(fault)
                fact.response.status, fact.response.reason, fact.response.error = end.status, end.reason, end.error

    def after(self, fact: Fact, frame: Frame | Sound, at: float) -> None:
        """Trigger the faults that wait for this event; its response ends after it."""
        if not self.watches or not isinstance(frame, Text | Sound) or isinstance(fact, ResponseEnded):
            return
        type = "response.output_audio.delta" if isinstance(frame, Sound) else orjson.loads(frame.data)["type"]
        response = fact.response if isinstance(fact, ResponseFact) else None
        for fault in self._triggered(type, at, response):
            if response is not None:
                response.early_end = _early_end(fault)
            else:
                self.end(fault)

    def _triggered(self, type: str, at: float, response: Response | None) -> Iterator[EarlyEndFault]:
        event = TrafficEvent("out", type, at, None if response is None else response.id)
        for watch in self.watches:
            if watch.matches(event) and isinstance(watch.fault, EarlyEndFault):
                self._report(watch, type, at)
                yield watch.fault


def _early_end(fault: EarlyEndFault) -> EarlyEnd:
    match fault:
        case Fail():
            return EarlyEnd("failed", "failed", Failure(fault.code, fault.message, fault.type))
        case Incomplete():
            return EarlyEnd("incomplete", fault.reason)
        case _:
            assert_never(fault)
