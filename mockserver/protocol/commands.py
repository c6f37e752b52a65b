"""What a client requests: immutable values without wire names. A dialect makes them, the session obeys them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from mockserver.audio.formats import PCM_24K, AudioFormat
from mockserver.audio.vad.detector import TurnSettings
from replay.values import value


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Turn detection by the server: what counts as a turn, and what a turn causes.

    turns: thresholds and times of the detector.
    create_response: a turn that ends is answered.
    interrupt_response: speech cuts a running response.
    idle_timeout_ms: silence after a response that makes a silent turn; None is without limit.
    """

    turns: TurnSettings
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ToolServer:
    """An MCP server whose tools the service calls itself.

    tools: the tools that the client allows by name; without any, all are allowed.
    authorization, headers: the client's credential at the server, and further headers of each request to it.
    approval: whether a call waits for the client's approval, except for the tools in `exceptions`, where the opposite
        holds.
    """

    label: str
    url: str = ""
    tools: tuple[str, ...] = ()
    approval: bool = False
    exceptions: tuple[str, ...] = ()
    authorization: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    def needs_approval(self, tool: str) -> bool:
        """Whether a call to that tool waits for the client's approval."""
        return self.approval != (tool in self.exceptions)


@dataclass(frozen=True, slots=True, eq=False)
class ServerTool:
    """A tool of an MCP server. `schema` is the JSON Schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, object] = field(default_factory=lambda: {"type": "object"})
    annotations: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which calls a response may make: `any`, `none`, or only those of one function or one MCP server.

    name: the function, or the server's tool; empty is any of the server's tools.
    server: the label of the MCP server.
    """

    kind: Literal["any", "none", "function", "server"] = "any"
    name: str = ""
    server: str = ""


@value
class Settings:
    """The session as configured so far, or as one response changes it.

    turn_detection: None means manual turns.
    transcribe: whether transcripts of the user's speech are requested.
    language: the BCP-47 tag that the client hints at, for the transcriber.
    keyterms: words that the client expects, for the transcriber.
    transcription_prompt: a text that tells the transcriber the style and topic.
    binary_input, binary_output: audio travels in binary messages.
    replace: words and how they are spoken instead.
    resumable: whether a later connection may resume the conversation.
    speaks: responses are audio; otherwise text.
    max_output_tokens: None is without limit.
    effort: how much the model reasons, in the service's words.
    tools: the tools that a response has instead of the session's, as the client declared them.
    declared: the tools that a language model may call, as the client declared them.
    """

    instructions: str = ""
    voice: str = ""
    speed: float = 1.0
    turn_detection: TurnDetection | None = None
    transcribe: bool = False
    language: str | None = None
    keyterms: tuple[str, ...] = ()
    transcription_prompt: str = ""
    input_format: AudioFormat = PCM_24K
    output_format: AudioFormat = PCM_24K
    binary_input: bool = False
    binary_output: bool = False
    replace: Mapping[str, str] = field(default_factory=dict)
    resumable: bool = False
    speaks: bool = True
    max_output_tokens: int | None = None
    effort: str = ""
    servers: tuple[ToolServer, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    tools: Sequence[Mapping[str, object]] | None = None
    declared: Sequence[Mapping[str, object]] = ()

    def changed(self, changes: Mapping[str, object]) -> Settings:
        """The settings with changes by field."""
        others = {name: value for name, value in changes.items() if getattr(self, name) != value}
        return replace(self, **others) if others else self  # type: ignore[arg-type]


ON_TRACKS: Mapping[str, object] = {
    "input_format": PCM_24K,
    "output_format": PCM_24K,
    "binary_input": False,
    "binary_output": False,
}
"""Fields of `Settings` that a session's client cannot change while sound travels on the tracks of a call."""


@value
class Configure:
    """Change the session. `changes` names fields of `Settings`; `requested` is the session to show in the answer."""

    changes: Mapping[str, object]
    requested: Mapping[str, object]


@value
class Append:
    """Add audio (encoded in the input format) to the input buffer."""

    audio: bytes


@value
class Commit:
    """End the user's turn: commit the input buffer."""

    event_id: str | None = None


@value
class Clear:
    """Drop the audio in the input buffer."""


Role = Literal["user", "assistant", "system"]


@value
class Part:
    """One content part: text, audio with its transcript in `text`, or an image.

    kind: the service's name of the part, for the echo.
    image: an image as a `data:` URL; `detail` is the resolution at which the model looks at it.
    """

    kind: str
    text: str = ""
    audio: bytes = b""
    is_audio: bool = False
    image: str = ""
    detail: str = ""


@value
class AddMessage:
    """Add a message to the conversation, behind the item `after`; None is the end, `root` the start."""

    role: Role
    parts: tuple[Part, ...]
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddCall:
    """Add a function call from before the session to the conversation."""

    name: str
    arguments: str
    call_id: str | None = None
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddResult:
    """Add the output of a function call. The `call_id` may be unknown: real clients shorten long ids."""

    call_id: str
    output: str
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Approve:
    """Approve or refuse a requested call to an MCP server."""

    request_id: str
    approve: bool
    reason: str = ""
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Announce:
    """Speak this text as the assistant, without the responder."""

    text: str
    interruptible: bool = True
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Remove an item from the conversation."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetrieveItem:
    """Show an item as it is now."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Truncate an assistant's spoken item to what the user heard: its first `audio_end_ms` milliseconds."""

    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: str | None = None


@value
class Respond:
    """Create a response.

    metadata: what the response shows as its metadata.
    changes: fields of `Settings` for this response alone.
    aside: the response is outside the conversation, and may run beside another one.
    input: what it answers instead of the conversation; a text is the id of one of its items.
    """

    instructions: str | None = None
    metadata: Mapping[str, str] | None = None
    event_id: str | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    aside: bool = False
    input: tuple[AddMessage | AddCall | AddResult | str, ...] | None = None


@value
class Cancel:
    """Stop the running response."""

    response_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClearOutput:
    """Drop what is left to play of the responses to a call."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame that is no valid request. It becomes an error event, and the session goes on.

    message, kind, code, param: the error's text, type, code, and the dotted path of the field.
    event_id: the id of the client's event.
    """

    message: str
    kind: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


Command = (
    Configure
    | Append
    | Commit
    | Clear
    | AddMessage
    | AddCall
    | AddResult
    | Approve
    | Announce
    | DeleteItem
    | RetrieveItem
    | TruncateItem
    | Respond
    | Cancel
    | ClearOutput
    | Rejected
)
