"""What a server tells whoever runs it: values alone. mockserver/cli/console.py makes lines of them.

This module loads nothing else of the server, so that the console can be there before the server is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from typing_extensions import assert_never

from replay.findings import Finding
from replay.values import value


@value
class CallOpened:
    """A client was accepted. `client`: its User-Agent. `resumes`: the conversation that it continues. `trace_id`,
    `span_id`: of the session's span, in hexadecimal digits; empty without one. `number`: that of the session among all
    of a fleet, from 1; 0 for a server alone."""

    session: str
    dialect: str
    model: str
    client: str = ""
    resumes: str = ""
    trace_id: str = ""
    span_id: str = ""
    number: int = 0


@value
class TurnAnswered:
    """A response is over.

    asked: what it answers, one text for each input: what was typed, heard, or returned by a tool.
    heard_by: what decided the words of a spoken turn; empty without one.
    source: what gave the response, such as `booking.yaml:3: turns[0]`.
    says: its text. calls: its function calls as `name {"argument": 1}`.
    first_audio_s: seconds from its creation to its first audio; None without audio. audio_s: seconds of audio.
    usd: what it cost; empty if no price is known.
    status: `completed`, or how else it ended. reason: why it did.
    response: its id. trace_id, span_id: of its span, in hexadecimal digits; empty without one.
    """

    session: str
    number: int
    asked: tuple[str, ...] = ()
    heard_by: str = ""
    source: str = ""
    says: str = ""
    calls: tuple[str, ...] = ()
    first_audio_s: float | None = None
    audio_s: float = 0.0
    usd: str = ""
    status: str = "completed"
    reason: str = ""
    response: str = ""
    trace_id: str = ""
    span_id: str = ""


@value
class ErrorSent:
    """The server sent an `error` event."""

    session: str
    code: str
    message: str


@value
class MistakeFound:
    """A finding. `advice`: it harms no call by itself."""

    finding: Finding
    advice: bool = False


@value
class HandshakeRefused:
    """A client was not let in. `cause`: the likely reason, and what to do. `path`: of its address, without a query."""

    status: int
    error: str
    cause: str
    path: str = ""


@value
class RouteRefused:
    """A request came for what is not served. `cause`: the likely reason, and what to do."""

    method: str
    path: str
    status: int
    cause: str


@value
class TlsRefused:
    """A client spoke TLS to the plain port."""

    address: str


@value
class CallClosed:
    """A connection is over. `by_client`: the client closed it. `usd`: what it cost; empty if no price is known."""

    session: str
    code: int
    reason: str
    by_client: bool
    seconds: float
    turns: int
    usd: str = ""


@value
class CallRang:
    """A telephone rings. `caller` and `called`: the numbers, if they are known."""

    id: str
    caller: str = ""
    called: str = ""


@value
class CallAnswered:
    """A call was accepted. `session`: the id of its session."""

    id: str
    session: str


@value
class CallRejected:
    """A call was rejected. `status`: the SIP status for the caller."""

    id: str
    status: int


@value
class CallReferred:
    """The client hands the caller over to another address. `refused`: the SIP status with which it does not answer;
    None if it answers."""

    id: str
    uri: str
    refused: int | None = None


@value
class CallEnded:
    """A call is over. `reason`: why."""

    id: str
    reason: str


CallNotice = CallRang | CallAnswered | CallRejected | CallReferred | CallEnded
Notice = (
    CallOpened
    | TurnAnswered
    | ErrorSent
    | MistakeFound
    | HandshakeRefused
    | RouteRefused
    | TlsRefused
    | CallClosed
    | CallNotice
)


def tell_of_namespace(tell: Callable[[Notice], None], name: str, notice: Notice) -> None:
    """Tell what goes on in a namespace. The same seed gives its sessions the ids that other namespaces have too."""
    match notice:
        case MistakeFound(finding):
            if finding.session:
                notice = replace(notice, finding=replace(finding, session=f"{name}/{finding.session}"))
        case CallOpened() | TurnAnswered() | ErrorSent() | CallClosed():
            notice = replace(notice, session=f"{name}/{notice.session}")
        case CallAnswered():
            notice = replace(notice, id=f"{name}/{notice.id}", session=f"{name}/{notice.session}")
        case CallRang() | CallRejected() | CallReferred() | CallEnded():
            notice = replace(notice, id=f"{name}/{notice.id}")
        case HandshakeRefused() | RouteRefused() | TlsRefused():
            pass
        case _:
            assert_never(notice)
    tell(notice)
