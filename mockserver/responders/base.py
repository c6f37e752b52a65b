"""What a response consists of. The session asks the responder once for each response; it answers with steps.

A responder knows no wire. The implementations: scripted.py follows a scenario, recorded.py a recording, and echo.py
repeats the user's words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from mockserver.audio.formats import Samples
from replay.values import value


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """A part of a text with its audio: int16 samples at 24 kHz, mono."""

    text: str
    samples: Samples


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text.

    voice, speed: instead of the session's; speed 1.0 is normal.
    audio: path of a WAV file to play instead of synthesized speech.
    segments: parts of the text with their audio, played instead of synthesized speech.
    item: whether it opens a `new` message or goes on in the `same` one as the text before. Empty leaves it to the
        model: the second generation of OpenAI's models opens a message for each text.
    phase: what the message says of itself, where messages have a phase. Empty leaves it to what follows.
    """

    text: str
    voice: str | None = None
    speed: float | None = None
    audio: str | None = None
    segments: tuple[Segment, ...] = field(default=(), repr=False)
    item: Literal["", "new", "same"] = ""
    phase: Literal["", "commentary", "final_answer"] = ""


@value
class Call:
    """Call a function of the client. `arguments` is a mapping, or a text that is sent as it is."""

    name: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hosted:
    """The service runs a tool of its own; the client sends no result. A search appears only in the bill, unless its
    `events` say otherwise.

    `tool` is one of HOSTED_TOOLS and billed as `calls` calls. Of `mcp`, `server` is the server's label and `name` the
    tool's; `error` instead of `result` makes the call fail. `events`: `function_call` shows a search of xAI as a call
    of a function, named `name` or as the tool, as the authors of two clients report. OpenAI has no such events.
    """

    tool: str
    arguments: Mapping[str, object] | str = field(default_factory=dict)
    result: object | None = None
    error: str | None = None
    calls: int = 1
    server: str = ""
    name: str = ""
    events: Literal["", "function_call"] = ""
    request_id: str = ""
    """The id of the approval request, once the client has approved it."""
    answered: Callable[[object], None] | None = field(default=None, repr=False, compare=False)
    """Takes the result once it is there: a text, a value, or `{"error": …}`."""


HOSTED_TOOLS = ("web_search", "x_search", "file_search", "code_interpreter", "collections_search", "mcp")


@value
class Pause:
    """Wait `ms` milliseconds before the next step."""

    ms: int


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response with status `failed`. Without a `type` it has the one that the service gives to its `code`."""

    code: str | None
    message: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class Chat:
    """Let the language model answer, if the server has one (`serve --chat`). `instructions` are added to the
    session's."""

    instructions: str = ""


Step = Say | Call | Hosted | Pause | Fail | Chat


@value
class Result:
    """The result of a function call, as the client sent it. `name` is empty if the call is unknown."""

    name: str
    output: str


HeardBy = Literal["clip", "transcriber", "script", "nobody"]
"""What decided the words of a spoken turn: a known clip, a transcriber, the scenario's `heard`, or nothing."""


@value
class Turn:
    """The input since the last response. `says` joins typed text and transcripts; None if there was neither."""

    number: int
    """The number of the response in its connection, from 0."""
    says: str | None
    results: tuple[Result, ...] = ()
    spoken: bool = False
    silence: bool = False
    """The idle timeout requests the response."""
    instructions: str = ""
    heard_by: HeardBy | None = None
    """Of the last spoken turn in it; None without one."""
    pressed: str = ""
    """Keys of the telephone that the caller pressed, in order."""

    @property
    def empty(self) -> bool:
        """Whether there is no new input."""
        return self.says is None and not (self.results or self.silence or self.pressed)


@dataclass(frozen=True, slots=True)
class NotTranscribed:
    """A spoken turn whose transcription fails. The model still hears it: it responds to `says`. Without a `type` the
    error has the one that the service gives to its `code`."""

    code: str | None
    message: str = ""
    says: str = ""
    type: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcribed turn. `overtakes`: whether the final transcript comes before the interim one, where a
    service (xAI) has both and the client ends the turn itself."""

    says: str
    overtakes: bool


HeardText = str | Transcript | NotTranscribed


def words(heard: HeardText | None) -> str | None:
    """The words of a spoken turn, whether or not it was transcribed."""
    return heard if heard is None or isinstance(heard, str) else heard.says


@dataclass(frozen=True, slots=True)
class Source:
    """What gave a response. `place`: in words, such as `booking.yaml:3: turns[0]`; empty if there is no more to say.
    `unmatched`: why no rule of the scenario answers; empty if one does. `unrecorded`: how the client left the recorded
    words; empty if it did not."""

    place: str = ""
    unmatched: str = ""
    unrecorded: str = ""


class Responder(Protocol):
    """Responds on one connection, and may keep state."""

    source: Source
    """What gave the last response."""

    def hear(self, turn_number: int) -> HeardText | None:
        """The transcript of the spoken turn of that number (from 0); None if the responder does not know it."""

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The steps of one response, made as they are needed. Without steps, the response has no output."""


UNINTELLIGIBLE = "(unintelligible)"
"""The transcript of speech that nothing here could understand. Rules may ask for a repeat on it."""
