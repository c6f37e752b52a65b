"""What a session needs of a service: the Dialect protocol and its Traits. The services themselves are in dialects/.

A dialect turns client frames into commands and facts into server frames, and owns their order. Its object belongs to
one connection: it holds that connection's ids and what the client asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from mockserver.audio.vad.detector import TurnSettings
from mockserver.billing.ledger import Ledger
from mockserver.billing.prices import PriceTable
from mockserver.protocol.commands import Command, Settings
from mockserver.protocol.facts import Fact, Heard, ResponseEnded
from mockserver.protocol.ids import Ids
from mockserver.protocol.limits import Limits
from mockserver.protocol.pacing import Plan, Rhythm
from replay.cassette.frames import Frame


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
    secret: Mapping[str, Any] | None = None
    """The session that a client secret was made with."""
    session_s: float | None = None
    """How long the session may last; None is as long as the service allows."""


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
    transcript_before_response: bool
    """A spoken turn is answered once it is transcribed; else at once, while it still is."""
    owes_answer: bool
    """A turn that ends during an answer that goes on is answered after it; else it is refused."""
    least_commit_ms: float
    """A commit of less audio is refused, and leaves it in the buffer."""
    unique_item_ids: bool
    """A client's item whose id is taken is refused."""
    checks_references: bool
    """What a client's item, or a truncation, refers to must be there."""
    truncation_erases_text: bool
    """A truncated message loses its whole transcript, not only what was not heard."""
    opens_with_output: bool
    """A message enters the conversation with its first output, not with the response."""
    closes_together: bool
    """Messages and calls of a response are closed at its end, all in a row."""
    names_phases: bool
    """Messages tell whether a call follows them."""
    counts_context: bool
    """All that a response answers is counted, not only what is new."""
    keeps_hosted: bool
    """Calls to MCP servers, and what these offer, are items of the conversation."""
    ends_with_mcp: bool
    """A call to an MCP server ends its response and is answered after it; the client asks for what follows."""
    keeps_sound: bool
    """What was said in an item can be asked for."""
    limits_after_s: float | None
    """After each response the account's limits are reported."""
    segments: Callable[[str], list[str]]
    """How an answer's text is cut into pieces that are spoken one by one."""
    plan: Plan
    """In which order the texts and sounds of a spoken message leave,"""
    written: Plan
    """and the texts of a written one."""
    rhythm: Rhythm
    """The recorded pace, for the preset `live`."""
    max_frame_bytes: int
    ping_s: float | None
    """The server pings this often."""
    limits: Limits
    """The service's own, all of them."""


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

    def charge(self, fact: ResponseEnded | Heard, ledger: Ledger) -> None:
        """Count in the ledger what a response, or a transcript, costs by itself. Comes before its rendering."""

    def render(self, fact: Fact, at: float) -> Iterator[Frame]:
        """A fact as frames, in the service's order. `at` is seconds since the connection opened."""
