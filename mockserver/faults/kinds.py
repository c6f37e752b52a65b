"""What can go wrong: one dataclass for each fault, and the union `Fault` of all of them.

Data alone. What a fault does to a connection is its case in injector.py, to a response in early_end.py, to a handshake
or another request in mockserver/server. When it is triggered: armed.py. How files write it: files.py. A fault that is
missing in the union or in one of these places fails type checking.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from mockserver.documents.validation import refusal
from mockserver.faults.injection_points import HANDSHAKE, TIME, WEBHOOK, WEBRTC, injection_point, is_request, seconds

_CONFIG = ConfigDict(extra="forbid", strict=True, defer_build=True)
"""The validator of a kind is built when the first fault of that kind is made, so that a server starts sooner."""
_AUDIO = ("audio.delta", "append", "*", "binary")
"""Ends of the types of events that may carry audio."""

Seconds = Annotated[float, BeforeValidator(seconds), Field(ge=0, le=86_400)]
"""A number of seconds up to 24 hours; in files also `500ms`, `2s`, `5m`."""


def _sendable(code: int) -> int:
    if code in (1005, 1006, 1015):
        raise refusal(f"{code} reports a lost connection and cannot be sent; use `reset` for that")
    return code


Layer = Literal["request", "socket", "anywhere", "audio", "client", "webhook", "webrtc"]
"""Where a kind of fault is possible: at the handshake and requests for client secrets, on an open connection, at both,
at events with audio, at client events, at webhooks, or at offers of WebRTC."""
_AT_WEBHOOK = ("slow", "drop", "duplicate", "forge")
"""The kinds that are possible at a webhook."""
_AT_WEBRTC = ("packet_loss", "packet_jitter", "late_ice", "dtls_hang", "close_channel", "stop_sound")
"""The kinds that are possible at a call over WebRTC."""


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class FaultBase:
    """When and how often a fault is triggered: the fields that all faults share. Raises pydantic's ValueError.

    at: `handshake`, `client_secrets` (the request for a client secret), `webhook` (what the server sends when the phone
        rings), `webrtc` (a call that an offer opens), a route such as `POST /v1/realtime/calls`, a server event's type,
        a client event's type after `<`, or `time: 5s`. Seconds count from the connection's opening, or from when the
        fault was added to an open connection. `*` stands for any characters: `response.*`, `<*`, `* /v1/*`. Binary
        messages have the type `binary`. At a time, a fault that changes an event changes the next one that the server
        sends.
    nth: which event of that type, from 1; None is each of them. Events count within `response`, else in the session.
    response: which response of the session, from 1, in the order in which they begin; None is any.
    session: which connection, handshake or request of the server, from 1; None is any.
    times: how often it is triggered at most, over all sessions; None is without limit.
    probability: the chance, from 0 to 1, that it is triggered where it could be. The default is 1.
    name: a name by which it can be removed.
    """

    at: Annotated[str, BeforeValidator(injection_point)]
    nth: Annotated[int | None, Field(ge=1)] = None
    response: Annotated[int | None, Field(ge=1)] = None
    session: Annotated[int | None, Field(ge=1)] = None
    times: Annotated[int | None, Field(ge=1)] = None
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    name: str = ""

    kind: ClassVar[str] = ""
    """Its name in files."""
    main: ClassVar[str] = ""
    """The field that a bare value in a file sets; empty is the first one."""
    where: ClassVar[Layer] = "socket"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        at_request = is_request(self.at)
        if self.at == WEBHOOK:
            if self.kind not in _AT_WEBHOOK:
                raise refusal(f"'{self.kind}' is not possible at a webhook; there: {', '.join(_AT_WEBHOOK)}", "at")
        elif self.where == "webhook":
            raise refusal(f"'{self.kind}' happens at `webhook`, and nowhere else", "at")
        elif self.where == "webrtc" and self.at != WEBRTC:
            raise refusal(f"'{self.kind}' happens at `webrtc`, and nowhere else", "at")
        elif self.at == WEBRTC and self.where != "webrtc":
            said = f"'{self.kind}' is not possible at `webrtc`; there: {', '.join(_AT_WEBRTC)}"
            raise refusal(f"{said}. For the offer's answer: POST /v1/realtime/calls", "at")
        elif self.where == "webrtc":
            pass
        elif at_request and self.where not in ("request", "anywhere"):
            where = "the handshake" if self.at == HANDSHAKE else self.at
            raise refusal(f"'{self.kind}' needs an open connection; at {where}: status, hang, reset or slow", "at")
        elif not at_request and self.where == "request":
            raise refusal(f"'{self.kind}' happens at `handshake`, `client_secrets` or a route, and nowhere else", "at")
        if (at_request or self.at.startswith(TIME)) and self.response is not None:
            raise refusal(f"`response` says nothing at '{self.at}'; leave it out", "response")
        if self.at.startswith(TIME) and self.nth is not None:
            raise refusal("`nth` says nothing at a time; leave it out", "nth")
        if self.where == "client" and not self.at.startswith("<"):
            raise refusal(f"'{self.kind}' needs a client event, such as <response.create", "at")
        if self.where == "audio" and not (self.at.endswith(_AUDIO) or self.at.startswith(TIME)):
            raise refusal(f"'{self.kind}' needs an event with audio, such as response.output_audio.delta", "at")
        return self


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class _RequestFault(FaultBase):
    at: Annotated[str, BeforeValidator(injection_point)] = HANDSHAKE
    where: ClassVar[Layer] = "request"


@dataclass(frozen=True, config=_CONFIG)
class Status(_RequestFault):
    """The handshake or request is refused with the HTTP `status` in the service's form. `retry_after` is in seconds."""

    status: Annotated[int, Field(ge=400, le=599)] = 503
    retry_after: Annotated[int | None, Field(ge=0)] = None
    kind: ClassVar[str] = "status"


@dataclass(frozen=True, config=_CONFIG)
class Hang(_RequestFault):
    """The handshake or request is not answered. After `seconds` the connection is reset; with None it waits for the
    client."""

    seconds: Seconds | None = None
    kind: ClassVar[str] = "hang"


@dataclass(frozen=True, config=_CONFIG)
class Slow(_RequestFault):
    """The handshake or request is answered `seconds` later (default 2). A webhook is sent that much later."""

    seconds: Seconds = 2.0
    kind: ClassVar[str] = "slow"


@dataclass(frozen=True, config=_CONFIG)
class Reset(FaultBase):
    """The TCP connection is reset, without a close frame."""

    kind: ClassVar[str] = "reset"
    where: ClassVar[Layer] = "anywhere"


@dataclass(frozen=True, config=_CONFIG)
class Close(FaultBase):
    """The server closes with this `code` (default 1011) and `reason` (at most 123 bytes), in place of the event."""

    code: Annotated[int, Field(ge=1000, le=4999), AfterValidator(_sendable)] = 1011
    reason: Annotated[str, Field(max_length=123)] = ""
    kind: ClassVar[str] = "close"


@dataclass(frozen=True, config=_CONFIG)
class Tear(FaultBase):
    """The event's WebSocket frame breaks off in the middle, and the connection ends. At a client event it is reset."""

    kind: ClassVar[str] = "tear"


@dataclass(frozen=True, config=_CONFIG)
class HalfOpen(FaultBase):
    """The server stops reading and answering, pings included; TCP stays up."""

    kind: ClassVar[str] = "half_open"


@dataclass(frozen=True, config=_CONFIG)
class Stall(FaultBase):
    """The server sends nothing for `seconds`, or with None nothing more. It goes on reading, and answers pings."""

    seconds: Seconds | None = None
    kind: ClassVar[str] = "stall"


@dataclass(frozen=True, config=_CONFIG)
class Drop(FaultBase):
    """The event is lost; so is an attempt to deliver a webhook."""

    kind: ClassVar[str] = "drop"


@dataclass(frozen=True, config=_CONFIG)
class Duplicate(FaultBase):
    """The event comes twice: with the same bytes or, if `fresh`, the second time under an `event_id` of its own. A
    webhook comes twice under one `webhook-id`."""

    fresh: bool = False
    kind: ClassVar[str] = "duplicate"


@dataclass(frozen=True, config=_CONFIG)
class Reorder(FaultBase):
    """The event comes after the one that follows it, or a second later if none follows."""

    kind: ClassVar[str] = "reorder"


@dataclass(frozen=True, config=_CONFIG)
class Delay(FaultBase):
    """The event comes `seconds` later (default 0.5), and nothing overtakes it."""

    seconds: Seconds = 0.5
    kind: ClassVar[str] = "delay"


@dataclass(frozen=True, config=_CONFIG)
class Late(FaultBase):
    """The event comes `seconds` later (default 0.2), and what follows it overtakes it. At a client event the server is
    late to obey: a response that is cancelled goes on, an item that is deleted is still there."""

    seconds: Seconds = 0.2
    kind: ClassVar[str] = "late"


@dataclass(frozen=True, config=_CONFIG)
class Jitter(FaultBase):
    """The event comes later by a random time up to `seconds` (default 0.2), and nothing overtakes it."""

    seconds: Seconds = 0.2
    kind: ClassVar[str] = "jitter"


@dataclass(frozen=True, config=_CONFIG)
class Bandwidth(FaultBase):
    """From the event on, what the server sends arrives at `bytes_per_s` (default 16,000)."""

    bytes_per_s: Annotated[int, Field(ge=1)] = 16_000
    kind: ClassVar[str] = "bandwidth"


@dataclass(frozen=True, config=_CONFIG)
class Corrupt(FaultBase):
    """The event is no longer JSON: a quotation mark is missing. In a binary message one byte is inverted."""

    kind: ClassVar[str] = "corrupt"


@dataclass(frozen=True, config=_CONFIG)
class Truncate(FaultBase):
    """Only the first half of the message's bytes comes, as a complete message."""

    kind: ClassVar[str] = "truncate"


@dataclass(frozen=True, config=_CONFIG)
class Error(FaultBase):
    """An `error` event in the service's form comes before the event. At a client event it carries that event's id,
    where the service's errors do. `{response}` in the message becomes the id of the last response."""

    type: Annotated[str, Field(min_length=1)] = "server_error"
    code: str | None = None
    message: str = "The server had an error while processing your request."
    param: str | None = None
    kind: ClassVar[str] = "error"
    main: ClassVar[str] = "message"


@dataclass(frozen=True, config=_CONFIG)
class Refuse(FaultBase):
    """At a client event: the service refuses it with an `error` of this `code`, and it has no effect. The error carries
    the event's id as in `Error`. Without a `message` the code `conversation_already_has_active_response` has the
    service's words, with the id of the last response."""

    code: str | None = "conversation_already_has_active_response"
    type: Annotated[str, Field(min_length=1)] = "invalid_request_error"
    message: str = ""
    param: str | None = None
    kind: ClassVar[str] = "refuse"
    where: ClassVar[Layer] = "client"


@dataclass(frozen=True, config=_CONFIG)
class Fail(FaultBase):
    """After the event, its response ends as failed. If the event belongs to no response, the next one fails as soon as
    it has begun. At `response.done` that event says so. Without a `type` it is the one that the service gives to the
    `code`, which may be null."""

    code: Annotated[str, Field(min_length=1)] | None = "server_error"
    message: str = "The server had an error while processing your request."
    type: str = ""
    kind: ClassVar[str] = "fail"
    main: ClassVar[str] = "message"


@dataclass(frozen=True, config=_CONFIG)
class Incomplete(FaultBase):
    """After the event, its response ends as incomplete; otherwise as `Fail`."""

    reason: Literal["max_output_tokens", "content_filter"] = "max_output_tokens"
    kind: ClassVar[str] = "incomplete"


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class _AudioFault(FaultBase):
    where: ClassVar[Layer] = "audio"


@dataclass(frozen=True, config=_CONFIG)
class Gap(_AudioFault):
    """The event's audio is silence of the same length."""

    kind: ClassVar[str] = "gap"


@dataclass(frozen=True, config=_CONFIG)
class Clip(_AudioFault):
    """The event's audio is 24 dB too loud, and clipped."""

    kind: ClassVar[str] = "clip"


@dataclass(frozen=True, config=_CONFIG)
class WrongRate(_AudioFault):
    """The event's audio has this sampling `rate` (Hz, default 16,000) instead of the one agreed on. At a lower rate it
    plays too fast and too high."""

    rate: Annotated[int, Field(ge=4000, le=96_000)] = 16_000
    kind: ClassVar[str] = "wrong_rate"


@dataclass(frozen=True, config=_CONFIG)
class HangUp(FaultBase):
    """In place of the event, the caller hangs up. A connection that is no call is closed with 1000."""

    kind: ClassVar[str] = "hang_up"


@dataclass(frozen=True, config=_CONFIG)
class Press(FaultBase):
    """At the event, the caller presses these keys: 0 to 9, *, #, A to D. The client sees them behind the event, also
    on a connection that is no call."""

    digits: Annotated[str, Field(pattern=r"^[0-9*#A-D]{1,20}$")] = "0"
    kind: ClassVar[str] = "press"


@dataclass(frozen=True, config=_CONFIG)
class LoseSidebands(FaultBase):
    """Before the event, the sidebands of a call are lost: by `reset` or, with `silence`, they stay open and nothing
    crosses them. The call goes on. A connection that is no call has none."""

    by: Literal["reset", "silence"] = "reset"
    kind: ClassVar[str] = "lose_sidebands"


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class Forge(FaultBase):
    """The webhook is signed with another secret."""

    at: Annotated[str, BeforeValidator(injection_point)] = WEBHOOK
    kind: ClassVar[str] = "forge"
    where: ClassVar[Layer] = "webhook"


@dataclass(frozen=True, kw_only=True, config=_CONFIG)
class _NetworkFault(FaultBase):
    at: Annotated[str, BeforeValidator(injection_point)] = WEBRTC
    where: ClassVar[Layer] = "webrtc"


@dataclass(frozen=True, config=_CONFIG)
class PacketLoss(_NetworkFault):
    """Of the call's packets of sound, this `share` (0 to 1, default 0.1) is lost, in both directions."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.1
    kind: ClassVar[str] = "packet_loss"


@dataclass(frozen=True, config=_CONFIG)
class PacketJitter(_NetworkFault):
    """Each of the call's packets of sound comes later by a random time up to `seconds` (default 0.06); packets overtake
    each other."""

    seconds: Annotated[Seconds, Field(le=10)] = 0.06
    kind: ClassVar[str] = "packet_jitter"


@dataclass(frozen=True, config=_CONFIG)
class LateIce(_NetworkFault):
    """The server answers no connectivity check until `seconds` after the first one (default 5)."""

    seconds: Seconds = 5.0
    kind: ClassVar[str] = "late_ice"


@dataclass(frozen=True, config=_CONFIG)
class DtlsHang(_NetworkFault):
    """ICE succeeds, and the DTLS handshake never ends. The server gives up after 30 s."""

    kind: ClassVar[str] = "dtls_hang"


@dataclass(frozen=True, config=_CONFIG)
class CloseChannel(_NetworkFault):
    """The server closes the data channel `seconds` after it opened (default 2). The sound goes on."""

    seconds: Seconds = 2.0
    kind: ClassVar[str] = "close_channel"


@dataclass(frozen=True, config=_CONFIG)
class StopSound(_NetworkFault):
    """After `seconds` of sound (default 2), no packet of the server's comes any more. The events go on."""

    seconds: Seconds = 2.0
    kind: ClassVar[str] = "stop_sound"


RequestFault = Status | Hang | Slow | Reset
"""Faults that are possible at a handshake or a request for a client secret."""
WebhookFault = Slow | Drop | Duplicate | Forge
"""Faults that are possible at a webhook."""
NetworkFault = PacketLoss | PacketJitter | LateIce | DtlsHang | CloseChannel | StopSound
"""Faults of the network of a call over WebRTC."""
EarlyEndFault = Fail | Incomplete
AudioFault = Gap | Clip | WrongRate
Fault = (
    Status
    | Hang
    | Slow
    | Reset
    | Close
    | Tear
    | HalfOpen
    | Stall
    | Drop
    | Duplicate
    | Reorder
    | Delay
    | Late
    | Jitter
    | Bandwidth
    | Corrupt
    | Truncate
    | Error
    | Refuse
    | Fail
    | Incomplete
    | Gap
    | Clip
    | WrongRate
    | HangUp
    | Press
    | LoseSidebands
    | Forge
    | PacketLoss
    | PacketJitter
    | LateIce
    | DtlsHang
    | CloseChannel
    | StopSound
)

KINDS: dict[str, type[Fault]] = {each.kind: each for each in get_args(Fault)}
"""By the name that files use."""


def own_fields(kind: type[Fault]) -> list[str]:
    """The names of the fields that a kind of fault has beside those of `FaultBase`, in order."""
    return [name for name in kind.__dataclass_fields__ if name not in FaultBase.__dataclass_fields__]
