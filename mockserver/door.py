"""The way in over HTTP, per dialect: how a handshake is read, how refusals look, what a client secret's request says.

Pure functions over headers and bodies; no sockets, no books of who is who: see server.py and accounts.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Any, Protocol

import orjson

from mockserver.accounts import Denied, Secret
from mockserver.limits import Limits

if TYPE_CHECKING:
    from mockserver.commands import Rejected

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
class Asked:
    """What a handshake asks for. A `subprotocol` is to be echoed, or browsers drop the connection."""

    credential: str | None
    subprotocol: str | None = None
    model: str | None = None
    conversation_id: str | None = None


class Door(Protocol):
    """One service's manners at the handshake and at its REST routes."""

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> Asked | Refusal:
        """A handshake's `Authorization`, `Sec-WebSocket-Protocol`, query and `OpenAI-Beta`."""

    def check(self, asked: Asked, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
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

    def astray(self, method: str, path: str) -> Refusal:
        """The answer at a path, still percent-encoded, that is not served; the service itself may well have it."""

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        """The JSON of a refusal."""


Query = Sequence[tuple[str, str]]


# The first two are recorded; they are how the gRPC library tonic spells its status codes, and so the others are taken
# from there.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A subprotocol's name (RFC 6455 section 4.1, RFC 9110 section 5.6.2)."""
_INVALID = "Client specified an invalid argument"
_FORBIDDEN = "The caller does not have permission to execute the specified operation"
_UNAUTHENTICATED = "The request does not have valid authentication credentials"
_EXHAUSTED = "Some resource has been exhausted"
_NOT_FOUND = "Some requested entity was not found"
_INTERNAL = "Internal error"
_UNAVAILABLE = "The service is currently unavailable"
_EXPIRED = "Deadline expired before operation could complete"
_UNIMPLEMENTED = "Operation is not implemented or not supported"
SERVED = "This mock serves ws://.../v1/realtime and POST /v1/realtime/client_secrets; no calls over WebRTC or SIP."


@dataclass(frozen=True, slots=True)
class XaiDoor:
    """api.x.ai: bodies of two flat strings. Dates differ in how a wrong key is answered."""

    wrong_key: Refusal
    check_session: Callable[[object], Rejected | None]
    secret_prefix: str = "xai-realtime-client-secret-"
    secret_digits: tuple[int, str] = (80, ascii_uppercase + ascii_lowercase + digits)
    subprotocol_prefix: str = "xai-client-secret."

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> Asked | Refusal:
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
        if len(names) > MAX_SUBPROTOCOLS or not all(map(_TOKEN.fullmatch, names)):
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

    def check(self, asked: Asked, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        call_id = dict(query).get("call_id")
        if call_id is None:
            return None
        if (asked.credential or "").startswith(self.secret_prefix):  # documented; status and text are guesses
            error = "An ephemeral token cannot join a call. Use an API key."
            return Refusal(403, _FORBIDDEN, error, advice=SERVED)
        # What the service says of an unknown call was not seen.
        return Refusal(404, _NOT_FOUND, f"No call with the id {call_id[:64]!r} is going on.", advice=SERVED)

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

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        code, error = _XAI_OUTAGES.get(status) or (
            (_UNAVAILABLE, "The service is temporarily unavailable. Please try again later.")
            if status >= 500
            else (_INVALID, "The request cannot be processed.")
        )
        return Refusal(status, code, error, retry_after_s)

    def lifetime(self, body: bytes, limits: Limits) -> int | Refusal:
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
        return _seconds(asked.get("expires_after"), limits)

    def session(self, body: bytes) -> Mapping[str, Any] | None:
        return None

    def secret(self, secret: Secret) -> Mapping[str, object]:
        return {"value": secret.value, "expires_at": secret.expires_at}

    def astray(self, method: str, path: str) -> Refusal:
        if path in ("/v1/realtime/models", "/v1/realtime/voices"):  # observed by others
            return Refusal(403, _FORBIDDEN, "Team is not authorized to perform this action", advice=SERVED)
        if path == "/v1/tts/voices":
            return Refusal(501, _UNIMPLEMENTED, f"{path} is not served by this mock.", advice=SERVED)
        return Refusal(404, _NOT_FOUND, f"Nothing is found at {path[:128]!r}.", advice=SERVED)

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        return {"code": refusal.code, "error": refusal.error}


@dataclass(frozen=True, slots=True)
class OpenAIDoor:
    """api.openai.com: it accepts every upgrade, and then says on the socket what is wrong and closes it."""

    check_session: Callable[[object], Rejected | None]
    show_session: Callable[[Secret], Mapping[str, Any]]
    secret_prefix: str = "ek_"
    secret_digits: tuple[int, str] = (32, "0123456789abcdef")
    subprotocol_prefix: str = "openai-insecure-api-key."

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> Asked | Refusal:
        names = [name.strip() for name in (subprotocols or "").split(",")][:MAX_SUBPROTOCOLS]
        keys = [name for name in names if name.startswith(self.subprotocol_prefix)]
        scheme, _, token = (authorization or "").strip().partition(" ")
        credential = token.strip() if scheme.lower() == "bearer" else ""
        if not credential and keys:
            credential = keys[0].removeprefix(self.subprotocol_prefix)
        if "realtime=v1" in (beta or "") or any(name.startswith("openai-beta.realtime-v1") for name in names):
            error = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            return _wrong(400, "beta_api_shape_disabled", error)
        model = dict(query).get("model")
        return Asked(credential or None, "realtime" if "realtime" in names else None, model)

    def check(self, asked: Asked, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        values = dict(query)
        if "call_id" in values:  # what the service says of an unknown call was not seen
            error = f"No call with the id {values['call_id'][:64]!r} is going on."
            return replace(_wrong(404, "call_id_not_found", error), advice=SERVED)
        kind = (secret or {}).get("type")
        if asked.model is None and (values.get("intent") == "transcription" or kind == "transcription"):
            return None
        model = asked.model or (secret or {}).get("model")
        if model is None and secret is None:
            error = (
                "You must provide a model parameter, for example"
                " wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5"
            )
            return _wrong(400, "missing_model", error)
        if model is not None and (values.get("intent") == "transcription" or not _REALTIME_MODEL.match(model)):
            return _wrong(400, "invalid_model", f'Model "{model[:64]}" is not supported in realtime mode.')
        return None

    def refuse(self, denied: Denied, credential: str | None = None) -> Refusal:
        match denied.why:
            case "missing":
                return _unauthorized("", "Missing bearer or basic authentication in header")
            case "wrong":
                where = "You can find your API key at https://platform.openai.com/account/api-keys."
                return _unauthorized("invalid_api_key", f"Incorrect API key provided: {_masked(credential)}. {where}")
            case "blocked":  # which close code follows is unknown
                error = "You exceeded your current quota, please check your plan and billing details."
                return Refusal(429, "insufficient_quota", error, None, "insufficient_quota", 4000)
            case _:
                error = "Rate limit reached. Please try again later."
                return Refusal(429, "rate_limit_exceeded", error, denied.retry_after_s, _REQUEST, 4000)

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        """4xx is said on the open socket, as the service does; a header to send needs HTTP, and so does a 5xx."""
        if status >= 500:
            error = "The server had an error while processing your request. Sorry about that!"
            return Refusal(status, "", error, retry_after_s, kind="server_error")
        refusal = _OPENAI_OUTAGES.get(status) or _wrong(status, "", "The request cannot be processed.")
        return refusal if retry_after_s is None else replace(refusal, retry_after_s=retry_after_s, close_code=None)

    def lifetime(self, body: bytes, limits: Limits) -> int | Refusal:
        try:
            asked = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError:
            asked = None
        if not isinstance(asked, dict):
            return _wrong(400, "invalid_json", "We could not parse the JSON body of your request.")
        if (session := asked.get("session")) is not None and (rejected := self.check_session(session)) is not None:
            return _wrong(400, rejected.code or "", rejected.message)
        expires_after = asked.get("expires_after") or {}
        default, most = limits.secret_seconds, limits.secret_max_seconds or 0
        seconds = expires_after.get("seconds", default) if isinstance(expires_after, dict) else None
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 10 <= seconds <= most:
            error = f"Invalid 'expires_after.seconds': expected an integer from 10 to {most}."
            return _wrong(400, "invalid_value", error)
        return seconds

    def session(self, body: bytes) -> Mapping[str, Any] | None:
        asked = orjson.loads(body or b"{}").get("session")
        return asked if isinstance(asked, dict) else {"type": "realtime"}

    def secret(self, secret: Secret) -> Mapping[str, object]:
        return {"value": secret.value, "expires_at": secret.expires_at, "session": self.show_session(secret)}

    def astray(self, method: str, path: str) -> Refusal:
        if _ELSEWHERE.match(path):
            return Refusal(501, "", f"{path[:128]} is not served by this mock.", kind=_REQUEST, advice=SERVED)
        return Refusal(404, "", f"Invalid URL ({method} {path[:128]})", kind=_REQUEST, advice=SERVED)  # recalled

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        code = refusal.code if refusal.close_code is not None else None  # others are not the service's words
        return {
            "error": {"message": refusal.error, "type": refusal.kind or _REQUEST, "param": None, "code": code or None}
        }


_REQUEST = "invalid_request_error"
_ELSEWHERE = re.compile(r"/v1/realtime/(?:calls|translations)(?:/|$)")
"""What the service has and this mock has not. Session routes of the beta are gone there too."""
_REALTIME_MODEL = re.compile(r"gpt-realtime(?!-(?:whisper|translate|transcribe))")


def _wrong(status: int, code: str, error: str) -> Refusal:
    return Refusal(status, code, error, None, _REQUEST, 4000)


def _unauthorized(code: str, error: str) -> Refusal:
    return Refusal(401, code, error, None, _REQUEST, 3000)


_OPENAI_OUTAGES = {
    401: _unauthorized("invalid_api_key", "Incorrect API key provided."),
    403: _wrong(403, "unsupported_country_region_territory", "Country, region, or territory not supported"),
    404: _wrong(404, "model_not_found", "The model does not exist or you do not have access to it."),
    429: _wrong(429, "rate_limit_exceeded", "Rate limit reached. Please try again later."),
}


def _masked(credential: str | None) -> str:
    """As much of a key as the service repeats, and nothing of a short one."""
    key = credential or ""
    return f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 20 else "*" * min(len(key), 20)


def _misshaped(problem: str) -> Refusal:
    return Refusal(422, _INVALID, f"Failed to deserialize the JSON body into the target type: {problem}")


def _seconds(expires_after: object, limits: Limits) -> int | Refusal:
    """Seconds from `{"seconds": N}`, the default when nothing is asked for; other keys are tolerated."""
    default, most = limits.secret_seconds or 0, limits.secret_max_seconds or 0
    if expires_after is None:
        return default
    if not isinstance(expires_after, dict):
        return _misshaped("expires_after: expected an object")
    seconds = expires_after.get("seconds", default)
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        return _misshaped("expires_after.seconds: expected an integer")
    if not 1 <= seconds <= most:
        return Refusal(400, _INVALID, f"expires_after.seconds must be 1 to {most}, not {seconds}.")
    return seconds


def http_refusal(status: int, error: str) -> Refusal:
    """What no service has a word for: unknown routes, wrong methods, bodies too large."""
    return Refusal(status, _NOT_FOUND if status == 404 else _INVALID, error)


NOT_HTTP = replace(
    http_refusal(426, "This address speaks WebSocket: connect to it with ws:// instead of http://."), advice=SERVED
)


def _check_xai_session(session: object) -> Rejected | None:
    from mockserver.dialects.xai_frames import check_session

    return check_session(session)


def _check_openai_session(session: object) -> Rejected | None:
    from mockserver.dialects.openai_frames import check_session

    return check_session(session)


def _shown_to_openai(secret: Secret) -> Mapping[str, Any]:
    from mockserver.dialects.openai import session_for

    return session_for(secret.session or {}, secret.value)


_KEY_NOT_TAKEN = "Incorrect API key provided. You can obtain an API key from https://console.x.ai."
_XAI_OUTAGES = {
    401: (_UNAUTHENTICATED, _KEY_NOT_TAKEN),
    403: (_FORBIDDEN, "Your newly created team doesn't have any credits or licenses yet."),
    404: (_NOT_FOUND, "The model does not exist or your team does not have access to it."),
    429: (_EXHAUSTED, "Too many requests for this team."),
    500: (_INTERNAL, "The service failed to process the request. Please try again later."),
    504: (_EXPIRED, "The service did not answer in time. Please try again later."),
}
"""Status by status, where the texts of `refuse` do not say it; those of 404 and 5xx are guesses."""
_XAI_401 = XaiDoor(Refusal(401, _UNAUTHENTICATED, _KEY_NOT_TAKEN), _check_xai_session)
DOORS: Mapping[str, Door] = {
    # Tutorials and pages of that time say 401; the 400 was observed later (2026-09-30).
    "xai@2026-04": _XAI_401,
    "xai@2026-07": _XAI_401,
    "xai@2026-08": _XAI_401,
    "xai@2026-09": XaiDoor(Refusal(400, _INVALID, _KEY_NOT_TAKEN), _check_xai_session),
    "openai@2026-08": OpenAIDoor(_check_openai_session, _shown_to_openai),
}
