"""The way in over HTTP, per dialect: how a handshake is read, how refusals look, what a client secret's request says.

Pure functions over headers and bodies; no sockets, no books of who is who: see server.py and accounts.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import orjson

from mockserver.accounts import Denied, Secret

if TYPE_CHECKING:
    from mockserver.commands import Rejected

MAX_SUBPROTOCOLS = 32


@dataclass(frozen=True, slots=True)
class Refusal:
    """An HTTP answer that is not the one hoped for. `code` is the service's own word, `error` a sentence."""

    status: int
    code: str
    error: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a handshake asks for. A `subprotocol` is to be echoed, or browsers drop the connection."""

    credential: str | None
    subprotocol: str | None = None
    model: str | None = None
    conversation_id: str | None = None


class Door(Protocol):
    """One service's manners at the handshake and at its REST routes."""

    def read(self, authorization: str | None, subprotocols: str | None, query: Query) -> Asked | Refusal:
        """A handshake's `Authorization`, `Sec-WebSocket-Protocol` and query."""

    def refuse(self, denied: Denied) -> Refusal:
        """How the service says it."""

    def lifetime(self, body: bytes) -> int | Refusal:
        """Seconds that a client secret shall live, from the body of the request for one."""

    @property
    def secret_prefix(self) -> str:
        """What a client secret begins with."""

    def secret(self, secret: Secret) -> Mapping[str, object]:
        """The answer to a request for a client secret."""

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        """The JSON of a refusal."""


Query = Sequence[tuple[str, str]]


# The first two are recorded; they are how the gRPC library tonic spells its status codes, and so the others are taken
# from there.
_INVALID = "Client specified an invalid argument"
_FORBIDDEN = "The caller does not have permission to execute the specified operation"
_UNAUTHENTICATED = "The request does not have valid authentication credentials"
_EXHAUSTED = "Some resource has been exhausted"
_NOT_FOUND = "Some requested entity was not found"


@dataclass(frozen=True, slots=True)
class XaiDoor:
    """api.x.ai: bodies of two flat strings. Dates differ in how a wrong key is answered."""

    wrong_key: Refusal
    check_session: Callable[[object], Rejected | None]
    secret_prefix: str = "xai-realtime-client-secret-"
    subprotocol_prefix: str = "xai-client-secret."

    def read(self, authorization: str | None, subprotocols: str | None, query: Query) -> Asked | Refusal:
        offered = self._offered(subprotocols)
        if isinstance(offered, Refusal):
            return offered
        scheme, _, token = (authorization or "").strip().partition(" ")
        credential = token.strip() if scheme.lower() == "bearer" else ""
        if not credential and offered is not None:
            # Documented for ephemeral secrets. Whether an API key works there too is not known; it does here.
            credential = offered.removeprefix(self.subprotocol_prefix)
        return self._asked(Asked(credential or None, offered), query)

    def _offered(self, subprotocols: str | None) -> str | Refusal | None:
        if subprotocols is None:
            return None
        names = [name.strip() for name in subprotocols.split(",")]
        if "" in names or len(names) > MAX_SUBPROTOCOLS:
            return Refusal(400, _INVALID, "Sec-WebSocket-Protocol is not a list of subprotocols.")
        ours = [name for name in names if name.startswith(self.subprotocol_prefix)]
        if len(ours) > 1 or self.subprotocol_prefix in ours:
            return Refusal(400, _INVALID, f"Offer one subprotocol of the form {self.subprotocol_prefix}<token>.")
        return ours[0] if ours else None

    def _asked(self, asked: Asked, query: Query) -> Asked | Refusal:
        names = [name for name, _ in query]
        for name in ("model", "conversation_id", "reasoning.effort"):
            if names.count(name) > 1:
                return Refusal(400, _INVALID, f"The query parameter {name!r} may be given once.")
        values = dict(query)
        if (effort := values.get("reasoning.effort")) not in (None, "high", "none"):
            return Refusal(400, _INVALID, f"reasoning.effort must be 'high' or 'none', not {effort[:64]!r}.")
        return replace(asked, model=values.get("model"), conversation_id=values.get("conversation_id"))

    def refuse(self, denied: Denied) -> Refusal:
        match denied.why:
            case "missing":
                error = "No API key provided. Send it as 'Authorization: Bearer <API key>'."
                return Refusal(401, _UNAUTHENTICATED, error)  # the status is observed, the text is a guess
            case "wrong":
                return self.wrong_key
            case "blocked":
                error = "Your newly created team doesn't have any credits or licenses yet."
                return Refusal(403, _FORBIDDEN, error)
            case "rate":
                return Refusal(429, _EXHAUSTED, "Too many requests for this team.", denied.retry_after_s)
            case "crowded":  # refused at connect, as observed; the status is a guess
                return Refusal(429, _EXHAUSTED, "Too many concurrent sessions for this team.", denied.retry_after_s)

    def lifetime(self, body: bytes) -> int | Refusal:
        try:
            asked = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as problem:
            return _misshaped(str(problem))
        if not isinstance(asked, dict):
            return _misshaped("expected an object")
        if (session := asked.get("session")) is not None:
            # One page of the vendor says it is not supported, another documents it: it is checked, and not applied.
            if not isinstance(session, dict):
                return _misshaped("session: expected an object")
            if (rejected := self.check_session(session)) is not None:
                return Refusal(400, _INVALID, rejected.message)
        return _seconds(asked.get("expires_after"))

    def secret(self, secret: Secret) -> Mapping[str, object]:
        return {"value": secret.value, "expires_at": secret.expires_at}

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        return {"code": refusal.code, "error": refusal.error}


def _misshaped(problem: str) -> Refusal:
    return Refusal(422, _INVALID, f"Failed to deserialize the JSON body into the target type: {problem}")


def _seconds(expires_after: object) -> int | Refusal:
    """Seconds from `{"seconds": N}`, 600 when nothing is asked for; other keys are tolerated."""
    if expires_after is None:
        return 600
    if not isinstance(expires_after, dict):
        return _misshaped("expires_after: expected an object")
    seconds = expires_after.get("seconds", 600)
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return _misshaped("expires_after.seconds: expected an integer")
    if not 1 <= seconds <= 3600:
        return Refusal(400, _INVALID, f"expires_after.seconds must be 1 to 3600, not {seconds}.")
    return seconds


def http_refusal(status: int, error: str) -> Refusal:
    """What no service has a word for: unknown routes, wrong methods, bodies too large."""
    return Refusal(status, _NOT_FOUND if status == 404 else _INVALID, error)


def _check_xai_session(session: object) -> Rejected | None:
    from mockserver.dialects.xai_frames import check_session

    return check_session(session)


_KEY_NOT_TAKEN = "Incorrect API key provided. You can obtain an API key from https://console.x.ai."
DOORS: Mapping[str, Door] = {
    # Tutorials and pages of that time say 401; the 400 was observed later (2026-09-30).
    "xai@2026-07": XaiDoor(Refusal(401, _UNAUTHENTICATED, _KEY_NOT_TAKEN), _check_xai_session),
    "xai@2026-09": XaiDoor(Refusal(400, _INVALID, _KEY_NOT_TAKEN), _check_xai_session),
}
