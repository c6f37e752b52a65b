"""What a session needs of a service: the Dialect protocol and its Traits. The services themselves are in dialects/.

A dialect turns client frames into commands and facts into server frames, and owns their order. Its object belongs to
one connection: it holds that connection's ids and what the client asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mockserver.commands import Command, Settings
from mockserver.facts import Fact
from mockserver.ids import Ids
from mockserver.pacing import Rhythm
from mockserver.prices import PriceTable
from mockserver.vad import TurnSettings
from replay.frames import Frame


@dataclass(frozen=True, slots=True)
class Opening:
    """How a connection was opened: everything a dialect may know of it."""

    seed: str
    """Names the connection's random streams."""
    epoch: float
    """Unix time in seconds at which the connection opened."""
    model: str | None = None
    """As asked for in the URL."""
    resumed: bool = False
    """A remembered conversation goes on."""
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Traits:
    """Differences in behaviour that are not rendering, as data."""

    defaults: Settings
    """The session before its first update."""
    user_item_at_speech_start: bool
    """The caller's item enters the conversation when speech starts, not at the commit."""
    speech_reported_in_manual: bool
    """`speech_started` is sent although turn detection is off."""
    commit_answers: bool
    """A manual commit of speech is answered by itself, one of silence makes no turn; a request for a response without
    new input is then dropped."""
    resumes_turn: bool
    """Speech soon after a stop takes the stop back: the same item goes on."""
    manual_turns: TurnSettings
    """What counts as speech while turn detection is off."""
    commit_ignored_under_vad: bool
    segments: Callable[[str], list[str]]
    """How an answer's text is cut into pieces that are spoken one by one."""
    rhythm: Rhythm
    """The recorded pace, for the preset `live`."""
    max_frame_bytes: int
    session_cap_s: float
    resumption_s: float
    """How long an unused conversation is remembered."""
    concurrent_sessions: int


class Dialect(Protocol):
    """One service, as of one date, on one connection."""

    @property
    def name(self) -> str:
        """Service and date, such as `xai@2026-07`."""

    @property
    def traits(self) -> Traits: ...

    @property
    def ids(self) -> Ids: ...

    @property
    def prices(self) -> PriceTable: ...

    @property
    def model(self) -> str:
        """The name that prices go by."""

    def parse(self, data: str | bytes, settings: Settings) -> Command:
        """A client frame as a command. Never raises: what cannot be read is `Rejected`."""

    def render(self, fact: Fact, at: float) -> Iterator[Frame]:
        """A fact as frames, in the service's order. `at` is seconds since the connection opened."""
