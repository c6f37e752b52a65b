"""A dialect that ends responses early: the one way to make a session fail an answer at an event of the answer.

An answer states what happens faster than anybody outside can look; so the event is looked at where it is made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import orjson

from mockserver.dialects.base import Dialect
from mockserver.faults.armed import FaultWatch, TrafficEvent
from mockserver.faults.kinds import Fail, Incomplete
from mockserver.protocol.facts import Doom, Fact, Response, ResponseEnded, ResponseStarted
from replay.cassette.frames import Frame, Text


class Spoilt:
    """A Dialect; what it does not do itself, the one inside does. `note` is told what strikes, where and when."""

    def __init__(self, dialect: Dialect, note: Callable[[FaultWatch, str, float], None]) -> None:
        self.watches: Sequence[FaultWatch] = ()
        self._dialect = dialect
        self._note = note
        self._going: Response | None = None
        self._doom: Doom | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    def doom(self, fault: Fail | Incomplete) -> None:
        """The response that goes on ends early, else the next one does."""
        if self._going is not None:
            self._going.doom = _doom(fault)
        else:
            self._doom = _doom(fault)

    def render(self, fact: Fact, at: float) -> Iterator[Frame]:
        """As the dialect does. After an event at which a fault strikes, its response is doomed."""
        match fact:
            case ResponseStarted(response):
                self._going = response
                response.doom, self._doom = self._doom, None
            case ResponseEnded(response):
                self._going = None
                self._end(response, at)
        for frame in self._dialect.render(fact, at):
            yield frame
            if isinstance(frame, Text) and not isinstance(fact, ResponseEnded):
                self._look(frame, fact, at)

    def _look(self, frame: Text, fact: Fact, at: float) -> None:
        response = getattr(fact, "response", None)
        for fault in self._struck(_type(frame), at, response):
            if isinstance(response, Response):
                response.doom = _doom(fault)
            else:
                self.doom(fault)

    def _end(self, response: Response, at: float) -> None:
        for fault in self._struck("response.done", at, response):
            doom = _doom(fault)
            response.status, response.reason, response.error = doom.status, doom.reason, doom.error

    def _struck(self, type: str, at: float, response: Response | None) -> Iterator[Fail | Incomplete]:
        event = TrafficEvent("out", type, at, None if response is None else response.id)
        for watch in self.watches:
            if watch.hit(event) and isinstance(watch.fault, Fail | Incomplete):
                self._note(watch, type, at)
                yield watch.fault


def _doom(fault: Fail | Incomplete) -> Doom:
    if isinstance(fault, Fail):
        return Doom("failed", "failed", f"{fault.code}: {fault.message}")
    return Doom("incomplete", fault.reason)


def _type(frame: Text) -> str:
    return str(orjson.loads(frame.data)["type"])
