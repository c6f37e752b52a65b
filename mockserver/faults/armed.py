"""Faults that are switched on: when each is triggered, and the record of its triggers."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal

from mockserver.dialects.base import Dialect
from mockserver.faults.files import as_mapping
from mockserver.faults.injection_points import TIME
from mockserver.faults.kinds import Fault
from mockserver.protocol.ids import stream
from mockserver.protocol.observer import Observable
from replay.values import value

MOST_KEPT = 1000
"""Triggers of a fault that are recorded with their place; further ones are only counted."""


@dataclass(frozen=True, slots=True)
class TrafficEvent:
    """A message on its way: `out` from the server, `in` from the client."""

    way: Literal["in", "out"]
    type: str
    at: float
    """Seconds since the connection opened."""
    response: str | None = None
    """The id of the response that the event names."""
    event_id: str | None = None
    """The id that the client gave it."""

    @property
    def name(self) -> str:
        """The event as a fault's `at` spells it."""
        return self.type if self.way == "out" else f"<{self.type}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A fault was triggered: in which session (empty at a handshake or request), at which second and event."""

    session: str
    at: float
    event: str


@dataclass(slots=True, eq=False)
class Armed:
    """A fault that is on, or was."""

    id: int
    fault: Fault
    seed: str
    """Names its random streams: the seed of the set and the fault itself, so that other faults change nothing here."""
    on: bool = True
    fired: int = 0
    """How often it was triggered."""
    triggers: list[Trigger] = field(default_factory=list)
    """The first `MOST_KEPT` times."""

    def trigger(self, session: str, at: float, event: str) -> bool:
        """Count a trigger, unless the fault is off or has reached its `times`; whether it was counted."""
        if not self.on or (self.fault.times is not None and self.fired >= self.fault.times):
            return False
        self.fired += 1
        if len(self.triggers) < MOST_KEPT:
            self.triggers.append(Trigger(session, at, event))
        return True

    def forget(self) -> None:
        """Forget all triggers."""
        self.fired = 0
        self.triggers.clear()

    def as_json(self) -> dict[str, Any]:
        """The fault as the control plane shows it."""
        where = [{"session": each.session, "at": round(each.at, 6), "event": each.event} for each in self.triggers]
        return {"id": self.id, "fault": as_mapping(self.fault), "fired": self.fired, "where": where}


class FaultWatch:
    """One fault on one connection: counts events and decides when the fault is triggered.

    `number` is the connection's, `since` the second at which the fault was added to it.
    """

    def __init__(self, armed: Armed, session: str, number: int, since: float) -> None:
        self.armed = armed
        self.fault = armed.fault
        self.rng = stream(armed.seed, f"fault/{number}")
        at = self.fault.at
        self.due = since + float(at.removeprefix(TIME).removesuffix("s")) if at.startswith(TIME) else None
        """The second at which it is triggered; None if an event triggers it."""
        self.by_client = at.startswith("<")
        """Whether a client event triggers it."""
        self._pattern = at.removeprefix("<")
        self._session = session
        self._seen = 0
        self._responses: dict[str, int] = {}

    def matches(self, event: TrafficEvent) -> bool:
        """Count the event; whether it triggers the fault."""
        if event.response is not None:
            self._responses.setdefault(event.response, len(self._responses) + 1)
        if self.due is not None or self.by_client != (event.way == "in") or not fnmatchcase(event.type, self._pattern):
            return False
        fault = self.fault
        number = len(self._responses) if event.response is None else self._responses[event.response]
        if fault.response is not None and number != fault.response:
            return False
        self._seen += 1
        return fault.nth in (None, self._seen) and self.triggered(event)

    def triggered(self, event: TrafficEvent) -> bool:
        """Whether the fault is triggered here: by its probability, and as long as it is on."""
        probability = self.fault.probability
        if probability < 1 and self.rng.random() >= probability:
            return False
        return self.armed.trigger(self._session, event.at, event.name)


@value
class FaultTarget:
    """A connection, as far as faults need to know it: `number` counts those that were opened, from 1."""

    number: int
    session_id: str
    dialect: Dialect
    session: Observable | None
    """None while a recording is played verbatim: it has no responses to end."""
