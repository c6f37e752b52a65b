"""How much a team may have, as data: sessions, minutes, requests, secrets. Who counts is accounts.py and peer.py."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """None leaves a limit to whoever is asked next: the team, then all teams, then the service.

    Raises ValueError for a number that makes no sense.
    """

    max_sessions: int | None = None
    """Open at once."""
    requests_per_minute: int | None = None
    """Handshakes and client secrets together; no service tells its own, so by default they are not counted."""
    session_minutes: float | None = None
    """How long a session may last."""
    idle_minutes: float | None = None
    """How long nothing may cross the wire, either way; no service tells its own, so by default it may for ever."""
    resumption_minutes: float | None = None
    """How long a conversation is remembered after its connection's end; 0 is not at all."""
    snapshot_ms: float | None = None
    """How long after a response, or a connection's end, the conversation can be taken up as it then is."""
    secret_seconds: int | None = None
    """How long a client secret holds when its request names no time."""
    secret_max_seconds: int | None = None
    """The longest time that it may name."""

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value, least = getattr(self, each.name), _LEAST.get(each.name, 1)
            if value is not None and not (math.isfinite(value) and least <= value <= MOST):
                raise ValueError(f"{each.name} must be at least {least} and at most {MOST}, not {value}")
        if (asked := self.secret_seconds) and (most := self.secret_max_seconds) and asked > most:
            raise ValueError(f"secret_seconds is {asked}, which is more than secret_max_seconds, {most}")

    def over(self, others: Limits) -> Limits:
        """These, and where nothing is said here, the others."""
        mine = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        given = {name: value for name, value in mine.items() if value is not None}
        if (most := given.get("secret_max_seconds")) is not None and others.secret_seconds is not None:
            given.setdefault("secret_seconds", min(most, others.secret_seconds))
        if (asked := given.get("secret_seconds")) is not None and others.secret_max_seconds is not None:
            given.setdefault("secret_max_seconds", max(asked, others.secret_max_seconds))
        return dataclasses.replace(others, **given)

    @property
    def session_s(self) -> float:
        return _seconds(self.session_minutes)

    @property
    def idle_s(self) -> float:
        return _seconds(self.idle_minutes)

    @property
    def resumption_s(self) -> float:
        return (self.resumption_minutes or 0) * 60

    @property
    def snapshot_s(self) -> float:
        return (self.snapshot_ms or 0) / 1000


_LEAST = {"session_minutes": 0.01, "idle_minutes": 0.01, "resumption_minutes": 0, "snapshot_ms": 0}


def _seconds(minutes: float | None) -> float:
    return math.inf if minutes is None else minutes * 60
