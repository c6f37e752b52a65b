"""What a session needs of a service: the `Dialect` protocol and its `Traits`. The services are in xai/ and openai/.

A dialect turns client frames into commands, and facts into server frames in the service's order. A dialect object
belongs to one connection: it holds the ids of that connection and the session as the client configured it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from mockserver.audio.vad.detector import TurnSettings
from mockserver.billing.ledger import Ledger
from mockserver.dialects.templates import Blanks, Template
from mockserver.protocol.commands import ON_TRACKS, Command, Settings
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import Fact, Response, ResponseEnded, TranscriptCompleted
from mockserver.protocol.ids import Ids
from mockserver.protocol.limits import Limits
from mockserver.protocol.pacing import PacingPlan, Rhythm
from replay.billing.prices import PriceTable
from replay.cassette.frames import Frame, Passage, Sound
from replay.values import value


@value
class Opening:
    """How a connection was opened: everything that a dialect may know of it.

    seed: names the random streams of the connection.
    epoch: Unix time in seconds at which the connection opened.
    model: the model named in the URL; None if the URL names none.
    resumed: whether the connection resumes a remembered conversation.
    query: names and values of the URL's query, in order.
    secret: the session that the client secret was made with, as the client sent it.
    session_s: seconds that the session may last; None is the service's own limit.
    call_id: the id of the call, whose sound is not in events but on tracks of 24 kHz; None for a WebSocket.
    """

    seed: str
    epoch: float
    model: str | None = None
    resumed: bool = False
    query: tuple[tuple[str, str], ...] = ()
    secret: Mapping[str, Any] | None = None
    session_s: float | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class PushedTurnTraits:
    """The pace at which a service reports a turn that the client ends itself. Seconds.

    start_s: from speech in the buffer to `speech_started`, whether the client has committed it or not.
    interim_s: from speech in the buffer until the item and its interim transcript are shown before a commit.
    stop_s: from the commit to `speech_stopped` and `committed`.
    spoken_s: the least time from `speech_started` to `speech_stopped`.
    item_s: from there to the item and its interim transcript.
    final_s: from there to the final transcript, which the response follows.
    overtaking_s: from `committed` to a final transcript that overtakes the interim one.
    overtaken_s: from there to the interim one, which shows the item a second time.
    overtakes: the share of turns in which the final transcript overtakes, among those that the client commits while the
        user speaks. It overtakes in the others.
    """

    start_s: float
    interim_s: float
    stop_s: float
    spoken_s: float
    item_s: float
    final_s: float
    overtaking_s: float
    overtaken_s: float
    overtakes: float


@dataclass(frozen=True, slots=True)
class TurnTraits:
    """How the user's spoken turns become items, and when they are answered.

    item_added: when the user's item enters the conversation: at `speech_start`, or at the `commit` that ends the turn.
    answered: when a response to a turn that the server ends begins: once the turn is `transcribed`, `at_once`, or
        `before_commit`, `commit_s` seconds after the end of speech.
    during_response: a turn that ends during a response that it does not interrupt is `queued`, and answered after that
        response, or `refused` with an error.
    resumes: if the user speaks again before the response to a turn is heard, that turn goes on under the same item.
    commit: what `input_audio_buffer.commit` does. `answers`: it ends a manual turn and starts a response; a commit of
        silence makes no turn, a `response.create` without new input is dropped after it, and under turn detection a
        commit is ignored. `ends_turn`: it ends the turn in either mode, and the client asks for the response.
    min_commit_ms: a commit of less audio is refused, and the audio stays in the buffer.
    manual: what counts as speech while turn detection is off.
    manual_events: whether the start and stop of speech are reported while turn detection is off.
    pushed: how a turn is reported that the client ends itself, where speech does not stop before the client's commit;
        None where it does.
    linked: what the link of a spoken turn names: the `item` before it, or the item of the `turn` before it.
    positions: what the positions of speech count: milliseconds of `audio`, or milliseconds since the `opening`.
    keys_pause_s: seconds without a further key after which the model is given the pressed ones, which it answers. None
        gives them to no model.
    idle_note: the text of the system message that the server adds before a silent turn. The silent turn is then the
        audio that arrived during the idle time, and has an empty transcript. Without a note it lasts as long as the
        timeout.
    """

    item_added: Literal["speech_start", "commit"]
    answered: Literal["transcribed", "at_once", "before_commit"]
    during_response: Literal["queued", "refused"]
    resumes: bool
    commit: Literal["answers", "ends_turn"]
    min_commit_ms: float
    manual: TurnSettings
    manual_events: bool
    pushed: PushedTurnTraits | None = None
    linked: Literal["item", "turn"] = "item"
    positions: Literal["audio", "opening"] = "audio"
    commit_s: float = 0.0
    keys_pause_s: float | None = None
    idle_note: str = ""


@dataclass(frozen=True, slots=True)
class ItemTraits:
    """What a client may do with items, and what the server keeps of them.

    checks: `ids`: an item whose id is taken is refused. `references`: the item that a new item or a truncation names
        must exist; an id that comes again moves its item. `both`: neither is accepted.
    truncation: which words a truncated message loses: the `unheard` ones, or `all`.
    keeps_audio: whether the audio of an item can be retrieved.
    mcp: how calls to MCP servers show: as `events` alone, or as `items` of the conversation. With `items` a call ends
        its response, and the client asks for the response that follows.
    cancelled: whether a message whose response the client cancelled is `kept` in the conversation, or `removed`.
    """

    checks: Literal["ids", "references", "both"]
    truncation: Literal["unheard", "all"]
    keeps_audio: bool
    mcp: Literal["events", "items"]
    cancelled: Literal["kept", "removed"] = "kept"


@dataclass(frozen=True, slots=True, eq=False)
class ResponseTraits:
    """What a response consists of, and at what pace it leaves.

    output: `one_by_one`: a message opens with its step, and closes before the next item opens. `together`: a message
        opens with its first output, and all items close in a row at the end of the response.
    phases: whether a message tells if something follows it, and a text after a text is a message of its own.
    counted_input: what usage counts as input: only what is `new` since the last response, or the `whole` context.
    rate_limits_after_s: seconds from a response's end to the report of the account's limits; None reports nothing.
    segments: cuts a text into the segments that are spoken one by one. Joined, they give the text.
    spoken: the order in which the texts and audio of a spoken message leave.
    written: the order in which the texts of a written message leave.
    rhythm: the recorded pace, for the preset `live`.
    overlap: a request for a response during another one is `refused`, or `replaces` that one, which is cancelled.
    latency: whether the latency of a response counts from its `start`, or from the end of the `turn` that it answers.
    breath_s: seconds between the start of a response and its first output, for the preset `burst`.
    counted_output: the tokens of a response so far, and of further texts in further runs, as its usage counts them.
        None counts its texts.
    """

    output: Literal["one_by_one", "together"]
    phases: bool
    counted_input: Literal["new", "whole"]
    rate_limits_after_s: float | None
    segments: Callable[[str], list[str]]
    spoken: PacingPlan
    written: PacingPlan
    rhythm: Rhythm
    overlap: Literal["refused", "replaces"] = "refused"
    latency: Literal["start", "turn"] = "start"
    breath_s: float = 0.0
    counted_output: Callable[[Response, int, int], int] | None = None


@dataclass(frozen=True, slots=True)
class Traits:
    """How a service behaves, apart from what its events look like.

    defaults: the session's settings before its first update.
    turns, items, responses: the behaviour of each.
    max_frame_bytes: the largest client message, in bytes; a larger one is refused with an error.
    ping_s: seconds between WebSocket pings of the server; None sends none.
    limits: the service's own limits, each of them set.
    keep_alive_s: seconds between events that show that the connection is up; None sends none after the first.
    media: sound travels on the tracks of a call; the session's audio formats are without effect.
    """

    defaults: Settings
    turns: TurnTraits
    items: ItemTraits
    responses: ResponseTraits
    max_frame_bytes: int
    ping_s: float | None
    limits: Limits
    keep_alive_s: float | None = None
    media: bool = False

    def settings(self) -> Settings:
        """The session's settings at its start."""
        return self.defaults.changed(ON_TRACKS if self.media else {})


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
        """The model's name in the price table."""

    def parse(self, data: str | bytes, settings: Settings) -> Command:
        """A client frame as a command. Raises nothing: a frame that cannot be read is `Rejected`."""

    def charge(self, fact: ResponseEnded | TranscriptCompleted, ledger: Ledger) -> None:
        """Add the cost of a response, or of a transcript, to the ledger. Called before the fact is rendered."""

    def render(self, fact: Fact, at: float) -> Iterator[Frame | Sound]:
        """A fact as frames, in the service's order. `at` is seconds since the connection opened."""


class Templated(Protocol):
    """What a dialect has besides if messages of the assistant can be rendered once, as templates."""

    def blank(self) -> tuple[Dialect, Blanks]:
        """The service with blanks in place of what differs from message to message: what it renders at second 0 is a
        template."""

    def fits(self, previous: str | None) -> bool:
        """Whether a message behind the item of that id may be made from a template; otherwise it is rendered."""

    def filled(self, template: Template, response: Response, item: Item, at: float, latency_s: float) -> Passage:
        """A template as this message, as `render` would give it. `latency_s` is that of the response's first audio."""


def templated(dialect: Dialect) -> Templated | None:
    """The dialect, if its own class makes templates. A class derived from it may render what a template has not."""
    return cast(Templated, dialect) if "blank" in vars(type(dialect)) else None
