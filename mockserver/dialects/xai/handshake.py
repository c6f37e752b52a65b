"""xAI's handshake, refusals and client secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any

import orjson
from typing_extensions import assert_never

from mockserver.dialects.handshake import (
    MAX_SUBPROTOCOLS,
    SERVED,
    Denied,
    HandshakeRequest,
    Query,
    Refusal,
    Secret,
    bearer,
)
from mockserver.dialects.xai.parse import check_session
from mockserver.protocol.limits import Limits

# The first two are recorded. They are the texts of the status codes in the gRPC library tonic, from which the others
# are taken.
INVALID = "Client specified an invalid argument"
_FORBIDDEN = "The caller does not have permission to execute the specified operation"
_UNAUTHENTICATED = "The request does not have valid authentication credentials"
_EXHAUSTED = "Some resource has been exhausted"
NOT_FOUND = "Some requested entity was not found"
_INTERNAL = "Internal error"
_UNAVAILABLE = "The service is currently unavailable"
_EXPIRED = "Deadline expired before operation could complete"
_UNIMPLEMENTED = "Operation is not implemented or not supported"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A subprotocol's name (RFC 6455 section 4.1, RFC 9110 section 5.6.2)."""


@dataclass(frozen=True, slots=True)
class XaiHandshake:
    """api.x.ai: bodies are two flat strings. Dates differ in how a wrong key is answered."""

    wrong_key: Refusal
    secret_prefix: str = "xai-realtime-client-secret-"
    secret_digits: tuple[int, str] = (80, ascii_uppercase + ascii_lowercase + digits)
    subprotocol_prefix: str = "xai-client-secret."

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> HandshakeRequest | Refusal:
        offered = self._offered(subprotocols)
        if isinstance(offered, Refusal):
            return offered
        credential = bearer(authorization)
        if not credential and offered is not None:
            # Documented for ephemeral secrets. That an API key works there too is a guess.
            credential = offered.removeprefix(self.subprotocol_prefix)
        names = [name for name, _ in query]
        for name in ("model", "conversation_id", "reasoning.effort"):
            if names.count(name) > 1:
                return Refusal(400, INVALID, f"The query parameter {name!r} may be given once.")
        values = dict(query)
        if (effort := values.get("reasoning.effort")) not in (None, "high", "none"):
            return Refusal(400, INVALID, f"reasoning.effort must be 'high' or 'none', not {effort[:64]!r}.")
        return HandshakeRequest(credential or None, offered, values.get("model"), values.get("conversation_id"))

    def _offered(self, subprotocols: str | None) -> str | Refusal | None:
        if subprotocols is None:
            return None
        names = [name.strip() for name in subprotocols.split(",")]
        if len(names) > MAX_SUBPROTOCOLS or not all(map(_TOKEN.fullmatch, names)):
            return Refusal(400, INVALID, "Sec-WebSocket-Protocol is not a list of subprotocols.")
        ours = [name for name in names if name.startswith(self.subprotocol_prefix)]
        if len(ours) > 1 or self.subprotocol_prefix in ours:
            return Refusal(400, INVALID, f"Offer one subprotocol of the form {self.subprotocol_prefix}<token>.")
        return ours[0] if ours else None

    def check(self, request: HandshakeRequest, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        if "call_id" in dict(query) and (request.credential or "").startswith(self.secret_prefix):
            # Documented; status and text are guesses.
            return Refusal(403, _FORBIDDEN, "An ephemeral token cannot join a call. Use an API key.")
        return None

    def refuse(self, denied: Denied, credential: str | None = None) -> Refusal:
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
            case _:
                assert_never(denied.why)

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        code, error = _OUTAGES.get(status) or (
            (_UNAVAILABLE, "The service is temporarily unavailable. Please try again later.")
            if status >= 500
            else (INVALID, "The request cannot be processed.")
        )
        return Refusal(status, code, error, retry_after_s)

    def lifetime(self, body: bytes, limits: Limits) -> int | Refusal:
        try:
            request = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as problem:
            return misshaped(str(problem))
        if not isinstance(request, dict):
            return misshaped("expected an object")
        if (session := request.get("session")) is not None:
            # The vendor's pages differ on whether it is supported: it is checked, but not applied.
            if not isinstance(session, dict):
                return misshaped("session: expected an object")
            if (rejected := check_session(session)) is not None:
                return Refusal(400, INVALID, rejected.message)
        return _seconds(request.get("expires_after"), limits)

    def session(self, body: bytes) -> Mapping[str, Any] | None:
        return None

    def secret(self, secret: Secret) -> Mapping[str, object]:
        return {"value": secret.value, "expires_at": secret.expires_at}

    def not_found(self, method: str, path: str) -> Refusal:
        if path in ("/v1/realtime/models", "/v1/realtime/voices"):  # observed by others
            return Refusal(403, _FORBIDDEN, "Team is not authorized to perform this action", advice=SERVED)
        if path == "/v1/tts/voices":
            return Refusal(501, _UNIMPLEMENTED, f"{path} is not served by this mock.", advice=SERVED)
        return Refusal(404, NOT_FOUND, f"Nothing is found at {path[:128]!r}.", advice=SERVED)

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        error = {"error": refusal.error}
        return {"code": refusal.code, **error} if refusal.code else error


def misshaped(problem: str) -> Refusal:
    return Refusal(422, INVALID, f"Failed to deserialize the JSON body into the target type: {problem}")


def _seconds(expires_after: object, limits: Limits) -> int | Refusal:
    """Seconds from `{"seconds": N}`; without it the default. Other keys are ignored."""
    default, most = limits.secret_seconds or 0, limits.secret_max_seconds or 0
    if expires_after is None:
        return default
    if not isinstance(expires_after, dict):
        return misshaped("expires_after: expected an object")
    seconds = expires_after.get("seconds", default)
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return misshaped("expires_after.seconds: expected an integer")
    if not 1 <= seconds <= most:
        return Refusal(400, INVALID, f"expires_after.seconds must be 1 to {most}, not {seconds}.")
    return seconds


_KEY_NOT_TAKEN = "Incorrect API key provided. You can obtain an API key from https://console.x.ai."


_OUTAGES = {
    401: (_UNAUTHENTICATED, _KEY_NOT_TAKEN),
    403: (_FORBIDDEN, "Your newly created team doesn't have any credits or licenses yet."),
    404: (NOT_FOUND, "The model does not exist or your team does not have access to it."),
    429: (_EXHAUSTED, "Too many requests for this team."),
    500: (_INTERNAL, "The service failed to process the request. Please try again later."),
    504: (_EXPIRED, "The service did not answer in time. Please try again later."),
}
"""Code and text by status. Those of 404 and 5xx are guesses."""


UNAUTHENTICATED = XaiHandshake(Refusal(401, _UNAUTHENTICATED, _KEY_NOT_TAKEN))
INVALID_ARGUMENT = XaiHandshake(Refusal(400, INVALID, _KEY_NOT_TAKEN))
"""Since September 2026 a wrong key is answered with 400 (observed); earlier tutorials and pages say 401."""
