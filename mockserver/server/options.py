"""How a mock server is to behave, as data. What the options mean in action: see server.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from mockserver.dialects.names import dialect_name
from mockserver.protocol.limits import Limits
from mockserver.protocol.pacing import PRESETS
from mockserver.server.accounts import Roster
from replay.findings import Levels, Setting


@dataclass(frozen=True, slots=True)
class Options:
    """How a server behaves. Raises ValueError for a value it does not know."""

    dialect: str = "xai"
    pacing: str = "live"
    seed: str = "0"
    voice: str = "auto"
    vad: str = "energy"
    api_keys: tuple[str, ...] = ()
    blocked_keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    """Of every team; what is not said is the service's own."""
    roster: Roster | None = None
    """Teams by file; its limits go before those above."""
    clock_rate: float = 1.0
    admin_token: str | None = None
    journal_bytes: int = 256 << 20
    check: bool = False
    """Each event is held against its dialect's shapes before it leaves; what does not fit is among the errors."""
    record: Path | None = None
    """A folder that gets each session as a cassette."""
    findings: Setting = None
    """How loud mistakes of clients are told: a level for all, levels by rule, or None for each rule's own."""
    write_tools: tuple[str, ...] | None = None
    """Tools that change something: names or patterns. None tells it by their verbs."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "dialect", dialect_name(self.dialect))
        if self.pacing not in PRESETS:
            raise ValueError(f"unknown pacing {self.pacing!r}; use {', '.join(PRESETS)}")
        Levels(self.findings)
        if "" in (*self.api_keys, *self.blocked_keys, self.admin_token):
            raise ValueError("a key or token is empty; leave it out or give it a value")
