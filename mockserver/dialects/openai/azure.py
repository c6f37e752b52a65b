"""The handshake of OpenAI's realtime models on Azure: keys in a header of their own, refusals over HTTP.

That refusals come over HTTP is known from clients. Their texts are recalled, not observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from typing_extensions import assert_never

from mockserver.dialects.handshake import Denied, HandshakeRequest, Query, Refusal
from mockserver.dialects.openai.dialect import DEFAULT_MODEL
from mockserver.dialects.openai.handshake import OpenAIHandshake


@dataclass(frozen=True, slots=True)
class AzureHandshake(OpenAIHandshake):
    """The host of a resource. `model` names a deployment, of whatever model. A key comes as `api-key`; a token of
    Entra, or a client secret, comes as `Authorization: Bearer`."""

    def read(
        self, authorization: str | None, subprotocols: str | None, query: Query, beta: str | None = None
    ) -> HandshakeRequest | Refusal:
        read = OpenAIHandshake.read(self, authorization, subprotocols, query, beta)
        return _over_http(read) if isinstance(read, Refusal) else read

    def check(self, request: HandshakeRequest, secret: Mapping[str, Any] | None, query: Query) -> Refusal | None:
        if {"api-version", "deployment"} & dict(query).keys():
            error = "The preview's address is not served: connect to /openai/v1/realtime?model=DEPLOYMENT."
            return Refusal(400, "BadRequest", error)
        as_if = request if request.model is None else replace(request, model=DEFAULT_MODEL)
        refusal = OpenAIHandshake.check(self, as_if, secret, query)
        return None if refusal is None else _over_http(refusal)

    def refuse(self, denied: Denied, credential: str | None = None) -> Refusal:
        match denied.why:
            case "missing" | "wrong":
                error = (
                    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid"
                    " key for an active subscription and use a correct regional API endpoint for your resource."
                )
                return Refusal(401, "401", error)
            case "blocked" | "rate" | "crowded":
                error = "Requests to this deployment have exceeded its rate limit. Please retry later."
                return Refusal(429, "429", error, denied.retry_after_s)
            case _:
                assert_never(denied.why)

    def outage(self, status: int, retry_after_s: int | None) -> Refusal:
        return _over_http(OpenAIHandshake.outage(self, status, retry_after_s))

    def body(self, refusal: Refusal) -> Mapping[str, object]:
        if refusal.kind:
            return OpenAIHandshake.body(self, refusal)
        return {"error": {"code": refusal.code or str(refusal.status), "message": refusal.error}}


def _over_http(refusal: Refusal) -> Refusal:
    return replace(refusal, kind="", close_code=None)
