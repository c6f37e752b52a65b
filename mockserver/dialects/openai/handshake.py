"""OpenAI's handshake, refusals and client secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from mockserver.dialects.openai.dialect import DEFAULT_MODEL, session_for
from mockserver.dialects.openai.parse import check_session
from mockserver.protocol.limits import Limits


@dataclass(frozen=True, slots=True)
class OpenAIHandshake:
    """api.openai.com: it accepts each upgrade, then reports a problem on the socket and closes it."""

    secret_prefix: str = "ek_"
    secret_digits: tuple[int, str] = (32, "0123456789abcdef")
    subprotocol_prefix: str = "openai-insecure-api-key."

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> HandshakeRequest | Refusal:
        names = [name.strip() for name in (subprotocols or "").split(",")][:MAX_SUBPROTOCOLS]
        keys = [name for name in names if name.startswith(self.subprotocol_prefix)]
        credential = bearer(authorization)
        if not credential and keys:
            credential = keys[0].removeprefix(self.subprotocol_prefix)
        if "realtime=v1" in (beta or "") or any(name.startswith("openai-beta.realtime-v1") for name in names):
            error = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."
            return wrong(400, "beta_api_shape_disabled", error)
        model = dict(query).get("model")
        return HandshakeRequest(credential or None, "realtime" if "realtime" in names else None, model)

    def check(self, request: HandshakeRequest, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        values = dict(query)
        if "call_id" in values:  # a model beside it is ignored: whether the service takes both is unknown
            return None
        if "transcription" in (values.get("intent"), (secret or {}).get("type")):
            if request.model is None:
                return None
            error = "You must not provide a model parameter for transcription sessions."
            if not REALTIME_MODEL.match(request.model):
                error = f'Model "{request.model[:64]}" is not supported in transcription mode.'
            return wrong(400, "invalid_model", error)
        model = request.model or (secret or {}).get("model")
        if model is None and secret is None:
            error = (
                "You must provide a model parameter, for example"
                " wss://api.openai.com/v1/realtime?model=gpt-realtime-1.5"
            )
            return wrong(400, "missing_model", error)
        if model is not None and not REALTIME_MODEL.match(model):
            return wrong(400, "invalid_model", f'Model "{model[:64]}" is not supported in realtime mode.')
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
            case "rate" | "crowded":
                error = "Rate limit reached. Please try again later."
                return Refusal(429, "rate_limit_exceeded", error, denied.retry_after_s, _REQUEST, 4000)
            case _:
                assert_never(denied.why)

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        """4xx is reported on the open socket, as the service does. 5xx and a `Retry-After` header go over HTTP."""
        if status >= 500:
            error = "The server had an error while processing your request. Sorry about that!"
            return Refusal(status, "", error, retry_after_s, kind="server_error")
        refusal = _OUTAGES.get(status) or wrong(status, "", "The request cannot be processed.")
        return refusal if retry_after_s is None else replace(refusal, retry_after_s=retry_after_s, close_code=None)

    def lifetime(self, body: bytes, limits: Limits) -> int | Refusal:
        try:
            request = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            return wrong(400, "invalid_json", "We could not parse the JSON body of your request.")
        session = request.get("session")
        if session is not None and (rejected := check_session(session, DEFAULT_MODEL)) is not None:
            return replace(wrong(400, rejected.code or "", rejected.message), param=rejected.param)
        expires_after = request.get("expires_after") or {}
        default, most = limits.secret_seconds, limits.secret_max_seconds or 0
        seconds = expires_after.get("seconds", default) if isinstance(expires_after, dict) else None
        if not isinstance(seconds, int) or isinstance(seconds, bool) or not 10 <= seconds <= most:
            error = f"Invalid 'expires_after.seconds': expected an integer from 10 to {most}."
            return replace(wrong(400, "invalid_value", error), param="expires_after.seconds")
        return seconds

    def session(self, body: bytes) -> Mapping[str, Any] | None:
        request = orjson.loads(body or b"{}").get("session")
        return request if isinstance(request, dict) else {"type": "realtime"}

    def secret(self, secret: Secret) -> Mapping[str, object]:
        return {
            "value": secret.value,
            "expires_at": secret.expires_at,
            "session": session_for(secret.session or {}, secret.value),
        }

    def not_found(self, method: str, path: str) -> Refusal:
        if _ELSEWHERE.match(path):
            return Refusal(501, "", f"{path[:128]} is not served by this mock.", kind=_REQUEST, advice=SERVED)
        return Refusal(404, "", f"Invalid URL ({method} {path[:128]})", kind=_REQUEST, advice=SERVED)  # recalled

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        code = refusal.code if refusal.close_code is not None else None  # others are not the service's words
        error = {
            "message": refusal.error,
            "type": refusal.kind or _REQUEST,
            "param": refusal.param,
            "code": code or None,
        }
        return {"error": error}


_REQUEST = "invalid_request_error"


_ELSEWHERE = re.compile(r"(?:/openai)?/v1/realtime/translations(?:/|$)")
"""Routes that the service has and the mock has not. The beta's session routes are gone there too."""


REALTIME_MODEL = re.compile(r"gpt-realtime(?!-(?:whisper|translate|transcribe))")


def wrong(status: int, code: str, error: str) -> Refusal:
    return Refusal(status, code, error, None, _REQUEST, 4000)


def _unauthorized(code: str, error: str) -> Refusal:
    return Refusal(401, code, error, None, _REQUEST, 3000)


_OUTAGES = {
    401: _unauthorized("invalid_api_key", "Incorrect API key provided."),
    403: wrong(403, "unsupported_country_region_territory", "Country, region, or territory not supported"),
    404: wrong(404, "model_not_found", "The model does not exist or you do not have access to it."),
    429: wrong(429, "rate_limit_exceeded", "Rate limit reached. Please try again later."),
}


def _masked(credential: str | None) -> str:
    """As much of a key as the service repeats, and nothing of a short one."""
    key = credential or ""
    return f"{key[:3]}{'*' * 8}{key[-4:]}" if len(key) > 20 else "*" * min(len(key), 20)
