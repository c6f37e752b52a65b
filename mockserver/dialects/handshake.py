"""A service over HTTP: how a handshake is read, how refusals look, what a request for a client secret asks for.

Pure functions over headers and bodies. No sockets and no accounts: see server/app.py and server/accounts.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from mockserver.protocol.limits import Limits

MAX_SUBPROTOCOLS = 32


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that is not the one hoped for. `code` is the service's own word, `error` a sentence. With a
    `close_code` it is said on the open socket, which is then closed."""

    status: int
    code: str
    error: str
    retry_after_s: int | None = None
    kind: str = ""
    close_code: int | None = None
    advice: str = ""
    """For the log: what this mock serves instead."""


@dataclass(frozen=True, slots=True)
class Denied:
    """No entry. `retry_after_s` tells when another try may succeed, as far as that is known."""

    why: Literal["missing", "wrong", "blocked", "rate", "crowded"]
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Secret:
    """An ephemeral credential and the Unix second at which it ends."""

    value: str
    expires_at: int
    session: Mapping[str, Any] | None = None
    """The session it was asked for, as the client put it."""


@dataclass(frozen=True, slots=True)
class HandshakeRequest:
    """What a handshake asks for. A `subprotocol` is to be echoed, or browsers drop the connection."""

    credential: str | None
    subprotocol: str | None = None
    model: str | None = None
    conversation_id: str | None = None


class Handshake(Protocol):
    """How one service, as of one date, reads and refuses handshakes and requests for client secrets."""

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> HandshakeRequest | Refusal:
        """A handshake's `Authorization`, `Sec-WebSocket-Protocol`, query and `OpenAI-Beta`."""

    def check(self, asked: HandshakeRequest, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        """What is wrong with a handshake whose credential is good; `secret` is the session its client secret is for."""

    def refuse(self, denied: Denied, credential: str | None = None) -> Refusal:
        """How the service says it."""

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        """How the service refuses a handshake with that status, for no reason of the client's."""

    def lifetime(self, body: bytes, limits: Limits) -> int | Refusal:
        """Seconds that a client secret shall live, from the body of the request for one."""

    def session(self, body: bytes) -> Mapping[str, Any] | None:
        """The session that a client secret shall be for, from the same body."""

    @property
    def secret_prefix(self) -> str:
        """What a client secret begins with."""

    @property
    def secret_digits(self) -> tuple[int, str]:
        """How many characters follow, and which."""

    def secret(self, secret: Secret) -> Mapping[str, object]:
        """The answer to a request for a client secret."""

    def not_found(self, method: str, path: str) -> Refusal:
        """The answer at a path, still percent-encoded, that is not served; the service itself may well have it."""

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        """The JSON of a refusal."""


Query = Sequence[tuple[str, str]]


SERVED = "This mock serves ws://.../v1/realtime and POST /v1/realtime/client_secrets; no calls over WebRTC or SIP."


def http_refusal(status: int, error: str) -> Refusal:
    """What no service has a word for: unknown routes, wrong methods, bodies too large."""
    return Refusal(
        status,
        "Some requested entity was not found" if status == 404 else "Client specified an invalid argument",
        error,
    )


NOT_HTTP = replace(
    http_refusal(426, "This address speaks WebSocket: connect to it with ws:// instead of http://."), advice=SERVED
)
