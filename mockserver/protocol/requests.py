"""What a session asks of the world around it, and what comes back: values without callbacks, sockets or clocks.

A session states a request; whoever hosts it does the work, and delivers each result like a client's message, with its
instant. A session therefore stays a function of messages, results, their instants and its seed. Results of one request
arrive in order; the last one is none of `ChatText` and `ChatCall`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mockserver.audio.formats import AudioFormat, Samples
from mockserver.protocol.commands import ServerTool, ToolServer
from mockserver.protocol.conversation import ToolError


@dataclass(frozen=True, slots=True, eq=False)
class Transcribe:
    """Transcribe a spoken turn.

    samples: int16, mono, decoded from `form`. Sound that could not be speech in that format has no words.
    language: a BCP-47 tag, None to find out; keyterms: words to expect; prompt: a text that tells the style and topic.
    so_far: the turn goes on; a later request about all of it makes this one worthless.
    """

    id: str
    samples: Samples
    form: AudioFormat
    language: str | None = None
    keyterms: tuple[str, ...] = ()
    prompt: str = ""
    so_far: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Complete:
    """Let a language model answer a conversation.

    messages, tools, tool_choice: as a chat completions endpoint takes them; no tools is an empty list.
    max_tokens: None is without limit.
    """

    id: str
    messages: Sequence[Mapping[str, object]]
    tools: Sequence[Mapping[str, object]] = ()
    tool_choice: object | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ListTools:
    """Ask an MCP server for its tools."""

    id: str
    server: ToolServer


@dataclass(frozen=True, slots=True)
class CallTool:
    """Call a tool of an MCP server. `arguments` is a JSON object, as the caller wrote it."""

    id: str
    server: ToolServer
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Nobody waits for the request of this id any more."""

    id: str


Work = Transcribe | Complete | ListTools | CallTool
"""Requests that have a result."""
Request = Work | Withdraw


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The words of a turn; empty for none. `speech`: it could be speech in its format."""

    id: str
    text: str
    speech: bool = True


@dataclass(frozen=True, slots=True)
class ChatText:
    """The model said more."""

    id: str
    text: str


@dataclass(frozen=True, slots=True)
class ChatCall:
    """The model calls a function, with all of its arguments (JSON, as the model wrote them)."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatEnded:
    """The model's answer is complete; `cut`: it reached the limit of tokens."""

    id: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ToolsFound:
    """The tools of an MCP server; none if it has an error."""

    id: str
    tools: tuple[ServerTool, ...] = ()
    error: ToolError | None = None


@dataclass(frozen=True, slots=True)
class ToolAnswered:
    """What a tool of an MCP server gave: its output as text, or an error."""

    id: str
    output: str = ""
    error: ToolError | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """A request could not be met; `message` says why, without any key."""

    id: str
    message: str


Result = Transcribed | ChatText | ChatCall | ChatEnded | ToolsFound | ToolAnswered | Failed
