"""What happened in a session: frozen values without wire words. The session states them, a dialect renders them.

Every dialect has a row for each fact; one that its service does not speak is an explicit empty row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mockserver.billing.prices import Tokens
from mockserver.protocol.commands import Rejected, Settings
from mockserver.protocol.conversation import Item

Status = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
Reason = Literal["", "turn_detected", "client_cancelled", "failed", "max_output_tokens", "content_filter"]


@dataclass(slots=True, eq=False)
class ResponseCounts:
    """What one response took in and gave out; a dialect turns it into its `usage`."""

    typed: list[str] = field(default_factory=list)
    """User texts since the last response."""
    heard: list[str] = field(default_factory=list)
    """Transcripts of spoken turns since the last response."""
    heard_ms: float = 0.0
    """Milliseconds of speech in those turns."""
    segments: int = 0
    """Texts sent, and by how many runs between sounds."""
    runs: int = 0
    audio_seconds: float = 0.0
    """Seconds sent, added delta by delta as the service does, never rounded."""
    elapsed_s: float = 0.0
    """Since the connection opened, when the last audio left."""
    input_audio_s: float = 0.0
    """All input audio of the connection so far, in seconds."""
    context: tuple[Item, ...] = ()
    """What the model was given to answer, where that is counted."""


@dataclass(frozen=True, slots=True)
class EarlyEnd:
    """How a response ends before it has said all."""

    status: Literal["failed", "incomplete"]
    reason: Reason
    error: str = ""


@dataclass(slots=True, eq=False)
class Response:
    """One answer, from its creation to its end."""

    id: str
    metadata: Mapping[str, str] | None = None
    status: Status = "in_progress"
    reason: Reason = ""
    error: str = ""
    interruptible: bool = True
    output: list[Item] = field(default_factory=list)
    counts: ResponseCounts = field(default_factory=ResponseCounts)
    settings: Settings = field(default_factory=Settings)
    """The session's as they were when it began, with its own changes."""
    aside: bool = False
    """It is not part of the conversation."""
    tokens: Tokens = field(default_factory=Tokens)
    """What it comes to, where tokens are billed; known at its end."""
    early_end: EarlyEnd | None = None
    """It ends like this as soon as it can."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The connection was greeted."""

    conversation_id: str


@dataclass(frozen=True, slots=True)
class Configured:
    """The session changed; `requested` is `Configure.requested`."""

    requested: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ItemAdded:
    """A client's item, or one remembered from before a reconnect, is in the conversation."""

    item: Item


@dataclass(frozen=True, slots=True)
class ItemDeleted:
    item_id: str


@dataclass(frozen=True, slots=True)
class ItemRetrieved:
    item: Item


@dataclass(frozen=True, slots=True)
class ItemTruncated:
    item: Item
    content_index: int
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller began to speak. `item` is the user's message that will hold it."""

    item: Item
    at_ms: int
    resumed: bool
    """It is the same turn as before a pause."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    item: Item
    at_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """The caller's turn is over. `announced` tells whether the start of speech has shown the item already."""

    item: Item
    announced: bool


@dataclass(frozen=True, slots=True)
class Cleared:
    """The input buffer is empty."""


@dataclass(frozen=True, slots=True)
class HeardSoFar:
    """A first reading of what the caller says; later ones may revise it."""

    item: Item
    transcript: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The final transcript of a spoken turn."""

    item: Item
    transcript: str


@dataclass(frozen=True, slots=True)
class TranscriptionFailed:
    """There is no transcript of a spoken turn, which is answered all the same."""

    item: Item
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The caller stayed silent for the configured idle time; `item` is the silent turn."""

    item: Item
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    response: Response


@dataclass(frozen=True, slots=True)
class MessageStarted:
    """An assistant's message opens, with one audio part."""

    response: Response
    item: Item


@dataclass(frozen=True, slots=True)
class AudioSent:
    """A piece of the answer's sound, encoded in the output format."""

    response: Response
    item: Item
    audio: bytes
    duration_s: float
    segment: int
    first_after_s: float | None
    """On the first piece of a response: seconds since the response was created."""
    binary: bool


@dataclass(frozen=True, slots=True)
class WordsSent:
    """A segment's text; its sound starts `start_s` seconds into the response's audio."""

    response: Response
    item: Item
    text: str
    segment: int
    start_s: float


@dataclass(frozen=True, slots=True)
class MessageEnded:
    """The message closes, complete or cut; `item` holds what was sent of it."""

    response: Response
    item: Item


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A function call begins; `arguments` is what is being written, which the item holds once that is whole."""

    response: Response
    item: Item
    arguments: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call's arguments are whole."""

    response: Response
    item: Item


@dataclass(frozen=True, slots=True)
class HostedStarted:
    """The service calls a tool by itself; `arguments` as of `CallStarted`."""

    response: Response
    item: Item
    arguments: str


@dataclass(frozen=True, slots=True)
class HostedEnded:
    """That call is over: `item` has its output, or an error."""

    response: Response
    item: Item


@dataclass(frozen=True, slots=True)
class ApprovalRequested:
    """The service wants to call an MCP server and asks the client first; `item` is the question."""

    response: Response
    item: Item


@dataclass(frozen=True, slots=True)
class ToolsListed:
    """A newly declared MCP server was asked for its tools: `item` names them, or has an error."""

    item: Item


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    response: Response


@dataclass(frozen=True, slots=True)
class Expired:
    """The session has lasted as long as one may, or nothing has crossed the wire for as long as that may be."""

    after_s: float
    idle: bool = False


@dataclass(frozen=True, slots=True)
class LimitsUpdated:
    """A response was counted against the account's limits."""

    response: Response


Problem = Literal[
    "response_active",
    "nothing_to_cancel",
    "buffer_empty",
    "conversation_full",
    "item_exists",
    "previous_unknown",
    "call_unknown",
    "approval_unknown",
    "reference_unknown",
    "delete_unknown",
    "retrieve_unknown",
    "truncate_unknown",
    "truncate_unspoken",
    "truncate_beyond",
]


@dataclass(frozen=True, slots=True)
class Refused:
    """A well-formed request that cannot be met. `about` is the id it named, `event_id` the client's; `has_ms` of audio
    are there where `requested_ms` would do."""

    problem: Problem
    about: str = ""
    event_id: str | None = None
    has_ms: float = 0.0
    requested_ms: int = 0


@dataclass(frozen=True, slots=True)
class Malformed:
    """A frame that could not be read as a request."""

    rejected: Rejected


SessionFact = (
    Opened
    | Configured
    | ItemAdded
    | ItemDeleted
    | ItemRetrieved
    | ItemTruncated
    | SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | HeardSoFar
    | Heard
    | TranscriptionFailed
    | TimedOut
    | ToolsListed
    | Expired
    | Refused
    | Malformed
)
ResponseFact = (
    ResponseStarted
    | MessageStarted
    | AudioSent
    | WordsSent
    | MessageEnded
    | CallStarted
    | CallEnded
    | HostedStarted
    | HostedEnded
    | ApprovalRequested
    | ResponseEnded
    | LimitsUpdated
)
"""Facts about one response, which is their field `response`."""
Fact = SessionFact | ResponseFact
