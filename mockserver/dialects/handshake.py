"""A service over HTTP: how it reads handshakes and requests for client secrets, and how it refuses them.

Pure functions over headers and bodies. No sockets and no accounts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from mockserver.protocol.limits import Limits
from replay.values import value

MAX_SUBPROTOCOLS = 32
Query = Sequence[tuple[str, str]]
"""Names and values of a URL's query, in order."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refused request.

    status: the HTTP status.
    code: the service's own code of the error.
    error: a sentence about it.
    retry_after_s: seconds after which a retry may succeed.
    kind: the service's type of the error.
    close_code: if given, the handshake is accepted, the error is sent on the socket, and the socket is closed with it.
    advice: what the mock serves instead; for the log.
    param: the path of the parameter that is wrong.
    bare: the answer over HTTP has no body.
    """

    status: int
    code: str
    error: str
    retry_after_s: int | None = None
    kind: str = ""
    close_code: int | None = None
    advice: str = ""
    param: str | None = None
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a client is not admitted. `retry_after_s`: seconds after which a retry may succeed, if that is known."""

    why: Literal["missing", "wrong", "blocked", "rate", "crowded"]
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """An ephemeral credential and the Unix second at which it ends."""

    value: str
    expires_at: int
    session: Mapping[str, Any] | None = None
    """The session that it was requested for, as the client sent it."""


@value
class HandshakeRequest:
    """What a handshake asks for. The server echoes the `subprotocol`; browsers drop the connection otherwise."""

    credential: str | None
    subprotocol: str | None = None
    model: str | None = None
    conversation_id: str | None = None


class Handshake(Protocol):
    """How one service, as of one date, reads and refuses handshakes and requests for client secrets."""

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> HandshakeRequest | Refusal:
        """Read a handshake from `Authorization`, `Sec-WebSocket-Protocol`, the query and `OpenAI-Beta`."""

    def check(self, request: HandshakeRequest, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        """Why a handshake with a good credential is refused. `secret` is the session that its client secret is for."""

    def refuse(self, denied: Denied, credential: str | None = None) -> Refusal:
        """How the service refuses a client that is not admitted."""

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        """How the service refuses a handshake with that status, through no fault of the client."""

    def lifetime(self, body: bytes, limits: Limits) -> int | Refusal:
        """Seconds that a client secret is valid, from the body of the request for it."""

    def session(self, body: bytes) -> Mapping[str, Any] | None:
        """The session that a client secret is for, from the same body."""

    @property
    def secret_prefix(self) -> str:
        """The prefix of client secrets."""

    @property
    def secret_digits(self) -> tuple[int, str]:
        """The number of characters after the prefix, and the alphabet."""

    def secret(self, secret: Secret) -> Mapping[str, object]:
        """The JSON that answers a request for a client secret."""

    def not_found(self, method: str, path: str) -> Refusal:
        """The answer at a percent-encoded path that the mock does not serve, even if the service has it."""

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        """The JSON of a refusal over HTTP."""


SERVED = (
    "This mock serves ws://.../v1/realtime, POST /v1/realtime/client_secrets and calls; see GET /_mock/openapi.json."
)


CALLS_LISTED = "GET /_mock/calls lists the calls; a call begins with POST /_mock/calls or POST /v1/realtime/calls."


def bearer(authorization: str | None) -> str:
    """The token of an `Authorization: Bearer` header; empty without one."""
    scheme, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def http_refusal(status: int, error: str) -> Refusal:
    """A refusal that no service has a form for: an unknown route, a wrong method, a body that is too large."""
    return Refusal(
        status,
        "Some requested entity was not found" if status == 404 else "Client specified an invalid argument",
        error,
    )


NOT_HTTP = replace(
    http_refusal(426, "This address speaks WebSocket: connect to it with ws:// instead of http://."), advice=SERVED
)
