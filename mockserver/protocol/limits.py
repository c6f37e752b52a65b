"""How much a team may use, as data: sessions, minutes, requests, client secrets."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import lru_cache

MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a team, of all teams, or of a service. None leaves a limit to the next of these.

    max_sessions: sessions that are open at the same time.
    requests_per_minute: handshakes and requests for client secrets together; without it they are not counted, since no
        service documents its limit.
    session_minutes: the maximum duration of a session.
    idle_minutes: the maximum time without traffic in either direction; without it there is none, since no service
        documents its limit.
    resumption_minutes: how long a conversation can be resumed after its connection's end; 0 is not at all.
    snapshot_ms: how long after a response, or a connection's end, a resuming connection gets the latest items.
    secret_seconds: how long a client secret is valid if its request names no time.
    secret_max_seconds: the longest time that a request may name.

    Raises ValueError for a number that is out of range.
    """

    max_sessions: int | None = None
    requests_per_minute: int | None = None
    session_minutes: float | None = None
    idle_minutes: float | None = None
    resumption_minutes: float | None = None
    snapshot_ms: float | None = None
    secret_seconds: int | None = None
    secret_max_seconds: int | None = None

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value, least = getattr(self, each.name), _LEAST.get(each.name, 1)
            if value is not None and not (math.isfinite(value) and least <= value <= MOST):
                raise ValueError(f"{each.name} must be at least {least} and at most {MOST}, not {value}")
        if (seconds := self.secret_seconds) and (most := self.secret_max_seconds) and seconds > most:
            raise ValueError(f"secret_seconds is {seconds}, which is more than secret_max_seconds, {most}")

    @lru_cache(maxsize=1024)  # noqa: B019 -- limits are values, and each handshake asks for the same three times
    def over(self, others: Limits) -> Limits:
        """These limits; where one is None, that of `others`."""
        every = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        own = {name: value for name, value in every.items() if value is not None}
        if (most := own.get("secret_max_seconds")) is not None and others.secret_seconds is not None:
            own.setdefault("secret_seconds", min(most, others.secret_seconds))
        if (seconds := own.get("secret_seconds")) is not None and others.secret_max_seconds is not None:
            own.setdefault("secret_max_seconds", max(seconds, others.secret_max_seconds))
        return dataclasses.replace(others, **own)

    @property
    def session_s(self) -> float:
        """`session_minutes` in seconds; infinite without a limit."""
        return _seconds(self.session_minutes)

    @property
    def idle_s(self) -> float:
        """`idle_minutes` in seconds; infinite without a limit."""
        return _seconds(self.idle_minutes)

    @property
    def resumption_s(self) -> float:
        """`resumption_minutes` in seconds."""
        return (self.resumption_minutes or 0) * 60

    @property
    def snapshot_s(self) -> float:
        """`snapshot_ms` in seconds."""
        return (self.snapshot_ms or 0) / 1000


_LEAST = {"session_minutes": 0.01, "idle_minutes": 0.01, "resumption_minutes": 0, "snapshot_ms": 0}


NO_LIMITS = Limits()
"""Each is left to the next."""


def _seconds(minutes: float | None) -> float:
    return math.inf if minutes is None else minutes * 60
