"""What a client asked for: frozen values without wire words. A dialect makes them, the session obeys them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mockserver.audio.formats import PCM_24K, AudioFormat
from mockserver.audio.vad.detector import TurnSettings


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Server-side turn taking: what counts as a turn, and what a turn brings about."""

    turns: TurnSettings
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class ToolServer:
    """An MCP server whose tools the service calls itself.

    tools: the tools that the client allows by name.
    approval: whether a call waits for the client's approval, except for the tools in `exceptions`, where the opposite
        holds.
    """

    label: str
    url: str = ""
    tools: tuple[str, ...] = ()
    approval: bool = False
    exceptions: tuple[str, ...] = ()

    def needs_approval(self, tool: str) -> bool:
        """Whether a call to that tool waits for the client's approval."""
        return self.approval != (tool in self.exceptions)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Which calls an answer may make: `any`, `none`, or only those of one function or one MCP server."""

    kind: Literal["any", "none", "function", "server"] = "any"
    name: str = ""
    """Of the function, or of the server's tool; empty means each of its tools."""
    server: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """The session as configured so far. `turn_detection` None means manual turns."""

    instructions: str = ""
    voice: str = ""
    speed: float = 1.0
    turn_detection: TurnDetection | None = None
    transcribe: bool = False
    language: str | None = None
    """A BCP-47 tag that the client hints at, for who transcribes."""
    keyterms: tuple[str, ...] = ()
    input_format: AudioFormat = PCM_24K
    output_format: AudioFormat = PCM_24K
    binary_input: bool = False
    binary_output: bool = False
    replace: Mapping[str, str] = field(default_factory=dict)
    resumable: bool = False
    speaks: bool = True
    """Answers are spoken; else they are written."""
    max_output_tokens: int | None = None
    effort: str = ""
    """How hard to think, in the service's words."""
    servers: tuple[ToolServer, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    tools: Sequence[Mapping[str, object]] | None = None
    """As the client declared them, where a response has its own."""


@dataclass(frozen=True, slots=True)
class Configure:
    """Change the session. `changes` names fields of `Settings`; `requested` is the session to show in the answer."""

    changes: Mapping[str, object]
    requested: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Append:
    """Add audio (encoded in the input format) to the input buffer."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """End the caller's turn by hand."""

    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Clear:
    """Forget the uncommitted input audio."""


Role = Literal["user", "assistant", "system"]


@dataclass(frozen=True, slots=True)
class Part:
    """One content part: what was written or said. `kind` is the service's name for it, kept for the echo."""

    kind: str
    text: str = ""
    audio: bytes = b""
    is_audio: bool = False
    image: str = ""
    """A picture as a `data:` URL,"""
    detail: str = ""
    """and how closely it is to be looked at."""


@dataclass(frozen=True, slots=True)
class AddMessage:
    """Put a message into the conversation."""

    role: Role
    parts: tuple[Part, ...]
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddCall:
    """Seed the conversation with a function call of earlier times."""

    name: str
    arguments: str
    call_id: str | None = None
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class AddResult:
    """Answer a function call. Any `call_id` is taken: real clients shorten long ids."""

    call_id: str
    output: str
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Approve:
    """Allow a call to an MCP server that was asked for, or refuse it."""

    request_id: str
    approve: bool
    reason: str = ""
    item_id: str | None = None
    after: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Announce:
    """Speak this text as the assistant, without asking the responder."""

    text: str
    interruptible: bool = True
    item_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Take an item out of the conversation."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class RetrieveItem:
    """Show an item as it stands."""

    item_id: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class TruncateItem:
    """Keep of a spoken item only what was heard: its first `audio_end_ms` milliseconds."""

    item_id: str
    content_index: int
    audio_end_ms: int
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer now. `metadata` comes back with the response, `changes` are fields of `Settings` for it alone."""

    instructions: str | None = None
    metadata: Mapping[str, str] | None = None
    event_id: str | None = None
    changes: Mapping[str, object] = field(default_factory=dict)
    aside: bool = False
    """Outside the conversation, and beside what goes on there."""
    input: tuple[AddMessage | AddCall | AddResult | str, ...] | None = None
    """What to answer instead of the conversation; a text is the id of one of its items."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the running response."""

    response_id: str | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A frame that asks for nothing we can do: why, and which field. Becomes an error event; the session lives on."""

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
    | Rejected
)
