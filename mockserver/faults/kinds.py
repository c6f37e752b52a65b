"""What can go wrong: one dataclass for each fault. It takes the place of its event: what closes comes instead of it.

Data alone. What each does to a connection is its case in faulty.py; when it strikes, fault_plan.py; how files say it,
fault_files.py. What happens to handshakes is in server.py.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from mockserver.documents.validation import refusal
from mockserver.faults.injection_points import HANDSHAKE, TIME, place, seconds

_CONFIG = ConfigDict(extra="forbid", strict=True)
_AUDIO = ("audio.delta", "append", "*", "binary")
"""What names of events end with that may carry sound."""

Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=86_400)]
"""In files also `500ms`, `2s`, `5m`."""


def _sendable(code: int) -> int:
    if code in (1005, 1006, 1015):
        raise refusal(f"{code} stands for a connection that was lost and is never sent; use `reset` for that")
    return code


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Fault:
    """Where a fault strikes. Raises ValueError (pydantic's) for what cannot be.

    at: `handshake`, a server event's type, a client event's with `<` before it, or `time: 5s` (since the connection
    opened, or since the fault was added to an open one). `*` stands for any characters: `response.*`, `<*`. Binary
    messages have the type `binary`. At a time, what is done to an event is done to the next one that the service sends.
    nth: which event of that kind, from 1; every one if not given. It counts in the response `response`, else in the
    session. response: which one, from 1, in the order in which they begin. session: which connection, or handshake.
    times: strikes at most so often, over all sessions. probability: of striking where it could.
    name: to remove it by.
    """

    at: Annotated[str, BeforeValidator(place)]
    nth: Annotated[int | None, Field(ge=1)] = None
    response: Annotated[int | None, Field(ge=1)] = None
    session: Annotated[int | None, Field(ge=1)] = None
    times: Annotated[int | None, Field(ge=1)] = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    name: str = ""

    kind: ClassVar[str] = ""
    """How files name it."""
    main: ClassVar[str] = ""
    """The field that a bare value in a file is; the first, if not told."""
    where: ClassVar[Literal["handshake", "socket", "anywhere", "sound"]] = "socket"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        at_handshake = self.at == HANDSHAKE
        if at_handshake and self.where not in ("handshake", "anywhere"):
            raise refusal(
                f"{self.kind!r} needs an open connection; at the handshake: status, hang, reset or slow", "at"
            )
        if not at_handshake and self.where == "handshake":
            raise refusal(f"{self.kind!r} happens at the handshake, and nowhere else", "at")
        if (at_handshake or self.at.startswith(TIME)) and self.response is not None:
            raise refusal(f"`response` says nothing at {self.at!r}; leave it out", "response")
        if self.at.startswith(TIME) and self.nth is not None:
            raise refusal("`nth` says nothing at a time; leave it out", "nth")
        if self.where == "sound" and not (self.at.endswith(_AUDIO) or self.at.startswith(TIME)):
            raise refusal(f"{self.kind!r} needs an event with sound, such as response.output_audio.delta", "at")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class _Handshake(Fault):
    at: Annotated[str, BeforeValidator(place)] = HANDSHAKE
    where: ClassVar[Literal["handshake", "socket", "anywhere", "sound"]] = "handshake"


@dataclass(frozen=True, config=_CONFIG)
class Status(_Handshake):
    """The handshake is refused, as the service does it. `retry_after` in seconds."""

    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: Annotated[int | None, Field(ge=0)] = None
    kind: ClassVar[str] = "status"


@dataclass(frozen=True, config=_CONFIG)
class Hang(_Handshake):
    """The handshake is not answered: for so long, then the connection is reset; else until the client gives up."""

    seconds: Seconds | None = None
    kind: ClassVar[str] = "hang"


@dataclass(frozen=True, config=_CONFIG)
class Slow(_Handshake):
    """The handshake is answered so much later."""

    seconds: Seconds = 2.0
    kind: ClassVar[str] = "slow"


@dataclass(frozen=True, config=_CONFIG)
class Reset(Fault):
    """TCP is reset, without a close frame."""

    kind: ClassVar[str] = "reset"
    where: ClassVar[Literal["handshake", "socket", "anywhere", "sound"]] = "anywhere"


@dataclass(frozen=True, config=_CONFIG)
class Close(Fault):
    """The service closes with this code and reason (at most 123 bytes)."""

    code: Annotated[int, Field(ge=1000, le=4999), AfterValidator(_sendable)] = 1011
    reason: Annotated[str, Field(max_length=123)] = ""
    kind: ClassVar[str] = "close"


@dataclass(frozen=True, config=_CONFIG)
class Tear(Fault):
    """The WebSocket frame breaks off in the middle, and the connection ends. At a client's event: at once."""

    kind: ClassVar[str] = "tear"


@dataclass(frozen=True, config=_CONFIG)
class HalfOpen(Fault):
    """The service neither reads nor answers any more, not even a ping; TCP stays up."""

    kind: ClassVar[str] = "half_open"


@dataclass(frozen=True, config=_CONFIG)
class Stall(Fault):
    """The service sends nothing more, or nothing for so long, but reads on and answers pings."""

    seconds: Seconds | None = None
    kind: ClassVar[str] = "stall"


@dataclass(frozen=True, config=_CONFIG)
class Drop(Fault):
    """The event is lost."""

    kind: ClassVar[str] = "drop"


@dataclass(frozen=True, config=_CONFIG)
class Duplicate(Fault):
    """The event comes twice, the same bytes."""

    kind: ClassVar[str] = "duplicate"


@dataclass(frozen=True, config=_CONFIG)
class Reorder(Fault):
    """The event comes after the one that follows it; a second later if none does."""

    kind: ClassVar[str] = "reorder"


@dataclass(frozen=True, config=_CONFIG)
class Delay(Fault):
    """The event comes so much later, and nothing overtakes it."""

    seconds: Seconds = 0.5
    kind: ClassVar[str] = "delay"


@dataclass(frozen=True, config=_CONFIG)
class Jitter(Fault):
    """The event comes later by anything up to that, and nothing overtakes it."""

    seconds: Seconds = 0.2
    kind: ClassVar[str] = "jitter"


@dataclass(frozen=True, config=_CONFIG)
class Bandwidth(Fault):
    """From here on, what the service sends arrives at so many bytes a second."""

    bytes_per_s: Annotated[int, Field(ge=1)] = 16_000
    kind: ClassVar[str] = "bandwidth"


@dataclass(frozen=True, config=_CONFIG)
class Corrupt(Fault):
    """The event is no longer JSON: a quotation mark is missing. In binary messages a byte is another one."""

    kind: ClassVar[str] = "corrupt"


@dataclass(frozen=True, config=_CONFIG)
class Truncate(Fault):
    """Only the first half of the message comes, as a whole message."""

    kind: ClassVar[str] = "truncate"


@dataclass(frozen=True, config=_CONFIG)
class Error(Fault):
    """An `error` event, in the service's form, comes before the event."""

    type: Annotated[str, Field(min_length=1)] = "server_error"
    code: str | None = None
    message: str = "The server had an error while processing your request."
    kind: ClassVar[str] = "error"
    main: ClassVar[str] = "message"


@dataclass(frozen=True, config=_CONFIG)
class Fail(Fault):
    """After the event, its response ends as failed, else the next one as soon as it has begun. At `response.done`,
    that says so."""

    code: Annotated[str, Field(min_length=1)] = "server_error"
    message: str = "The server had an error while processing your request."
    kind: ClassVar[str] = "fail"
    main: ClassVar[str] = "message"


@dataclass(frozen=True, config=_CONFIG)
class Incomplete(Fault):
    """After the event, its response ends as incomplete, as `Fail` ends it as failed."""

    reason: Literal["max_output_tokens", "content_filter"] = "max_output_tokens"
    kind: ClassVar[str] = "incomplete"


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class _Sound(Fault):
    where: ClassVar[Literal["handshake", "socket", "anywhere", "sound"]] = "sound"


@dataclass(frozen=True, config=_CONFIG)
class Gap(_Sound):
    """The event's sound is silence, of the same length."""

    kind: ClassVar[str] = "gap"


@dataclass(frozen=True, config=_CONFIG)
class Clip(_Sound):
    """The event's sound is far too loud, and cut off at the top."""

    kind: ClassVar[str] = "clip"


@dataclass(frozen=True, config=_CONFIG)
class WrongRate(_Sound):
    """The event's sound has this rate (Hz) in place of the one agreed on: too fast and too high if it is lower."""

    rate: Annotated[int, Field(ge=4000, le=96_000)] = 16_000
    kind: ClassVar[str] = "wrong_rate"


KINDS: dict[str, type[Fault]] = {
    each.kind: each
    for each in (
        *(Status, Hang, Slow, Reset, Close, Tear, HalfOpen, Stall),
        *(Drop, Duplicate, Reorder, Delay, Jitter, Bandwidth, Corrupt, Truncate),
        *(Error, Fail, Incomplete, Gap, Clip, WrongRate),
    )
}
"""By the name that files use."""


def fields_of(kind: type[Fault]) -> list[str]:
    """The names of a fault's own fields, in order; what it shares with all is left out."""
    return [name for name in kind.__dataclass_fields__ if name not in Fault.__dataclass_fields__]
