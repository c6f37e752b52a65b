"""What to say and which tool to call. A responder is asked once per response and answers with steps; it knows no wire.

`rules` follows a scenario file, `tape` a recording, `echo` repeats the caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of a text with the sound it is spoken in: int16 samples at 24 kHz, mono."""

    text: str
    samples: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text. `voice` and `speed` override the session's; `audio` is a WAV file that is played instead.

    `segments` are played instead too, cut as they are; their texts together are `text`.
    """

    text: str
    voice: str | None = None
    speed: float | None = None
    audio: str | None = None
    segments: tuple[Segment, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """Call one of the client's functions."""

    name: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hosted:
    """The service runs a tool of its own; the client answers nothing. A search shows only in the bill.

    `tool` is one of HOSTED_TOOLS and billed as `calls` calls. Of `mcp`, `server` is the server's label and `name` the
    tool's; `error` instead of `result` makes the call fail.
    """

    tool: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)
    result: object = None
    error: str | None = None
    calls: int = 1
    server: str = ""
    name: str = ""
    request_id: str = ""
    """The item in which the client was asked for its approval, once it has given that."""


HOSTED_TOOLS = ("web_search", "x_search", "file_search", "code_interpreter", "collections_search", "mcp")


@dataclass(frozen=True, slots=True)
class Pause:
    """Stay silent for a while before the next step."""

    ms: int


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response as failed."""

    code: str
    message: str


Step = Say | Call | Hosted | Pause | Fail


@dataclass(frozen=True, slots=True)
class Result:
    """A function's answer as the client sent it; `name` is empty when its call is unknown."""

    name: str
    output: str


@dataclass(frozen=True, slots=True)
class Turn:
    """All that is new since the last response. `says` joins what was typed and heard; it is None when nothing was."""

    number: int
    """Counts the responses of the connection from 0."""
    says: str | None
    results: tuple[Result, ...] = ()
    spoken: bool = False
    silence: bool = False
    """The idle timeout asks for a word."""
    instructions: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is new."""
        return self.says is None and not self.results and not self.silence


@dataclass(frozen=True, slots=True)
class NotTranscribed:
    """A spoken turn that the service fails to transcribe. The model hears it all the same: it answers `says`."""

    code: str
    message: str = ""
    says: str = ""


def words(heard: str | NotTranscribed | None) -> str | None:
    """What was said in a spoken turn, transcribed or not."""
    return heard.says if isinstance(heard, NotTranscribed) else heard


class Responder(Protocol):
    """One per connection, so it may remember where it is."""

    def hear(self, turn_number: int) -> str | NotTranscribed | None:
        """What the caller said in the spoken turn of that number (from 0); None when it does not know."""

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The steps of one response, made as they are needed. None at all means a response without output."""


UNINTELLIGIBLE = "(unintelligible)"
"""The transcript of speech that nothing here could understand. Rules may ask for a repeat on it."""
