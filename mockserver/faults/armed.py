"""Faults that are switched on: when each triggers, and what was seen of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal

from mockserver.faults.injection_points import TIME
from mockserver.protocol.ids import stream

if TYPE_CHECKING:  # a server without faults loads none
    from mockserver.dialects.base import Dialect
    from mockserver.faults.kinds import Fault
    from mockserver.session.session import Session

MOST_KEPT = 1000
"""How many strikes of a fault are remembered with their place; all are counted."""


@dataclass(frozen=True, slots=True)
class TrafficEvent:
    """A message on its way: `out` from the service, `in` from the client."""

    way: Literal["in", "out"]
    type: str
    at: float
    """Seconds since the connection opened."""
    response: str | None = None
    """The id of the response that it belongs to, where it tells."""

    @property
    def name(self) -> str:
        """As `at` of a fault spells it."""
        return self.type if self.way == "out" else f"<{self.type}"


@dataclass(frozen=True, slots=True)
class Trigger:
    """A fault struck: in which session (empty at a handshake), when, and at what."""

    session: str
    at: float
    event: str


@dataclass(slots=True, eq=False)
class Armed:
    """A fault that is on, or was."""

    id: int
    fault: Fault
    seed: str
    """Names its random streams: the plan's seed and what the fault is, so that other faults move nothing here."""
    on: bool = True
    fired: int = 0
    triggers: list[Trigger] = field(default_factory=list)

    def trigger(self, session: str, at: float, event: str) -> bool:
        """Count a strike, unless the fault is off or spent."""
        if not self.on or (self.fault.times is not None and self.fired >= self.fault.times):
            return False
        self.fired += 1
        if len(self.triggers) < MOST_KEPT:
            self.triggers.append(Trigger(session, at, event))
        return True

    def forget(self) -> None:
        """As if it had never triggered."""
        self.fired = 0
        self.triggers.clear()

    def as_json(self) -> dict[str, Any]:
        """As the control plane shows it."""
        from mockserver.faults.files import as_mapping

        where = [{"session": each.session, "at": round(each.at, 6), "event": each.event} for each in self.triggers]
        return {"id": self.id, "fault": as_mapping(self.fault), "fired": self.fired, "where": where}


class FaultWatch:
    """One fault on one connection: counts events and says when it is time. `since` is when it began to look."""

    def __init__(self, armed: Armed, session: str, number: int, since: float) -> None:
        self.armed = armed
        self.fault = armed.fault
        self.rng = stream(armed.seed, f"fault/{number}")
        at = self.fault.at
        self.due = since + float(at.removeprefix(TIME).removesuffix("s")) if at.startswith(TIME) else None
        """When it strikes, if that is a time."""
        self.asked_by_client = at.startswith("<")
        self._way = "in" if at.startswith("<") else "out"
        self._pattern = at.removeprefix("<")
        self._session = session
        self._seen = 0
        self._responses: dict[str, int] = {}

    def hit(self, event: TrafficEvent) -> bool:
        """Whether the fault strikes at this event; it is counted either way."""
        if event.response is not None:
            self._responses.setdefault(event.response, len(self._responses) + 1)
        if self.due is not None or event.way != self._way or not fnmatchcase(event.type, self._pattern):
            return False
        fault = self.fault
        number = len(self._responses) if event.response is None else self._responses[event.response]
        if fault.response is not None and number != fault.response:
            return False
        self._seen += 1
        return fault.nth in (None, self._seen) and self.triggered(event)

    def triggered(self, event: TrafficEvent) -> bool:
        """Whether it strikes here: by its probability, and as long as it is on."""
        probability = self.fault.probability
        lucky = probability < 1 and self.rng.random() >= probability
        return not lucky and self.armed.trigger(self._session, event.at, event.name)


@dataclass(frozen=True, slots=True)
class FaultTarget:
    """A connection, as far as faults need to know it: `number` counts those that were opened, from 1."""

    number: int
    session_id: str
    dialect: Dialect
    session: Session | None
    """None where a recording is played verbatim."""
