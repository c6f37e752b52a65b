"""What happened in a session: values without wire names. A session emits them, a dialect renders them as frames.

Each dialect has a case for each fact; for a fact without an event it is empty.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mockserver.audio.formats import EncodedAudio
from mockserver.protocol.commands import Rejected, Settings
from mockserver.protocol.conversation import Item
from replay.billing.prices import Tokens
from replay.values import value

Status = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
Reason = Literal["", "turn_detected", "client_cancelled", "failed", "max_output_tokens", "content_filter"]


@dataclass(slots=True, eq=False)
class ResponseCounts:
    """The input and output of one response, from which a dialect makes its `usage`.

    typed: the user's texts since the last response.
    heard: transcripts of the spoken turns since the last response; heard_ms: their milliseconds of speech.
    pushed: the input is a spoken turn that the client ended itself.
    segments: number of texts sent; runs: number of runs of texts between pieces of audio.
    audio_seconds: seconds of audio sent, summed piece by piece as the service does.
    elapsed_s: seconds from the connection's opening to the last audio.
    input_audio_s, output_audio_s: seconds of all input and output audio of the connection so far.
    context: the items that the model was given, where usage counts them.
    """

    typed: list[str] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)
    heard_ms: float = 0.0
    pushed: bool = False
    segments: int = 0
    runs: int = 0
    audio_seconds: float = 0.0
    elapsed_s: float = 0.0
    input_audio_s: float = 0.0
    output_audio_s: float = 0.0
    context: tuple[Item, ...] = ()


@value
class Failure:
    """Why a response, or a transcript, failed. Without a `type` it has the one that the service gives to its `code`."""

    code: str | None
    message: str
    type: str = ""

    def __str__(self) -> str:
        return f"{self.code or self.type}: {self.message}"


@value
class EarlyEnd:
    """How a response ends before it is complete."""

    status: Literal["failed", "incomplete"]
    reason: Reason
    error: Failure | None = None


@dataclass(slots=True, eq=False)
class Response:
    """One response, from its creation to its end.

    error: of a failed response.
    settings: those of the session when it began, with its own changes.
    aside: it is not part of the conversation.
    tokens: its tokens, where the service bills them; known at its end.
    early_end: it ends like this as soon as it can.
    """

    id: str
    metadata: Mapping[str, str] | None = None
    status: Status = "in_progress"
    reason: Reason = ""
    error: Failure | None = None
    interruptible: bool = True
    output: list[Item] = field(default_factory=list)
    counts: ResponseCounts = field(default_factory=ResponseCounts)
    settings: Settings = field(default_factory=Settings)
    aside: bool = False
    tokens: Tokens = field(default_factory=Tokens)
    early_end: EarlyEnd | None = None


@value
class Opened:
    """The connection opened."""

    conversation_id: str


@value
class KeptAlive:
    """Time passed: the service shows that the connection is up."""


@value
class Configured:
    """The session changed; `requested` is `Configure.requested`."""

    requested: Mapping[str, object]


@value
class ItemAdded:
    """An item of the client, or of the conversation that is resumed, was added to the conversation."""

    item: Item


@value
class ItemDeleted:
    """An item was removed from the conversation."""

    item_id: str


@value
class ItemRetrieved:
    """The client wants to see an item."""

    item: Item


@value
class ItemTruncated:
    """An assistant's item was truncated to its first `audio_end_ms` milliseconds."""

    item: Item
    content_index: int
    audio_end_ms: int


@value
class SpeechStarted:
    """The user began to speak. `item` is the message for it; `shows_item`: the service shows it together with this."""

    item: Item
    at_ms: int
    shows_item: bool


@value
class SpeechStopped:
    """The user stopped speaking."""

    item: Item
    at_ms: int


@value
class Committed:
    """The user's turn is over. `announced`: the item is shown apart from this, before it or after."""

    item: Item
    announced: bool


@value
class Cleared:
    """The input buffer is empty."""


@value
class TranscriptUpdated:
    """An interim transcript; later ones may revise it."""

    item: Item
    transcript: str


@value
class TranscriptCompleted:
    """The final transcript of a spoken turn."""

    item: Item
    transcript: str


@value
class TranscriptFailed:
    """A spoken turn was not transcribed. It is answered nonetheless."""

    item: Item
    failure: Failure


@value
class TimedOut:
    """The user was silent for the configured idle time; `item` is the silent turn."""

    item: Item
    start_ms: int
    end_ms: int


@value
class ResponseStarted:
    """A response was created."""

    response: Response


@value
class MessageStarted:
    """An assistant's message opens, with one content part."""

    response: Response
    item: Item


@value
class AudioSent:
    """A piece of a response's audio, encoded in the output format.

    first_after_s: of the first piece of a response: the latency in seconds, as the service counts it.
    binary: it travels in a binary message.
    """

    response: Response
    item: Item
    audio: EncodedAudio
    duration_s: float
    segment: int
    first_after_s: float | None
    binary: bool


@value
class WordsSent:
    """A segment's text, or a piece of it. Its audio starts `start_s` seconds into the response's audio."""

    response: Response
    item: Item
    text: str
    segment: int
    start_s: float


@value
class MessageEnded:
    """A message closes, complete or cut; `item` has what was sent of it."""

    response: Response
    item: Item


@value
class CallStarted:
    """A function call begins. `item` gets the `arguments` when they are complete."""

    response: Response
    item: Item
    arguments: str


@value
class CallEnded:
    """A function call's arguments are complete."""

    response: Response
    item: Item


@value
class HostedStarted:
    """The service calls a tool itself; `arguments` as in `CallStarted`."""

    response: Response
    item: Item
    arguments: str


@value
class HostedEnded:
    """A call of the service is over: `item` has its output or error."""

    response: Response
    item: Item


@value
class ApprovalRequested:
    """The service requests the client's approval of a call to an MCP server; `item` is the request."""

    response: Response
    item: Item


@value
class ListingStarted:
    """A newly declared MCP server is asked for its tools; `item` gets them."""

    item: Item


@value
class ToolsListed:
    """The tools of an MCP server: `item` has them, or an error."""

    item: Item


@value
class ResponseEnded:
    """A response is over: complete, cut, failed or incomplete."""

    response: Response


@value
class Expired:
    """The session ends after its maximum duration or, with `idle`, its maximum time without traffic, in seconds."""

    after_s: float
    idle: bool = False


@value
class LimitsUpdated:
    """A response was counted against the account's limits."""

    response: Response


@value
class PlayoutCut:
    """What is left to play of the responses to a call is to be dropped. The session does not know what that is."""


@value
class PlayoutStarted:
    """The service begins to play a response to the caller."""

    response_id: str


@value
class PlayoutStopped:
    """A response was played to its end."""

    response_id: str


@value
class PlayoutCleared:
    """What was left to play of a response was dropped."""

    response_id: str


@value
class DigitPressed:
    """The caller pressed a key of the telephone: one of `0123456789*#ABCD`."""

    digit: str


Problem = Literal[
    "response_active",
    "nothing_to_cancel",
    "cancel_of_another",
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


@value
class Refused:
    """A well-formed request that cannot be met.

    about: the id that it named.
    event_id: the id of the client's event.
    has_ms, requested_ms: milliseconds of audio that there are, and that the request needs.
    """

    problem: Problem
    about: str = ""
    event_id: str | None = None
    has_ms: float = 0.0
    requested_ms: int = 0


@value
class Malformed:
    """A frame that is no valid request."""

    rejected: Rejected


SessionFact = (
    Opened
    | KeptAlive
    | Configured
    | ItemAdded
    | ItemDeleted
    | ItemRetrieved
    | ItemTruncated
    | SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | TranscriptUpdated
    | TranscriptCompleted
    | TranscriptFailed
    | TimedOut
    | ListingStarted
    | ToolsListed
    | Expired
    | PlayoutCut
    | PlayoutStarted
    | PlayoutStopped
    | PlayoutCleared
    | DigitPressed
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
