"""OpenAI's requests about calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from mockserver.dialects.call_control import LONGEST_URI, CallAction, Credential
from mockserver.dialects.handshake import CALLS_LISTED, Refusal
from mockserver.dialects.openai.dialect import DEFAULT_MODEL
from mockserver.dialects.openai.handshake import REALTIME_MODEL, wrong
from mockserver.dialects.openai.ids import EPOCH_S, base62, drawn
from mockserver.dialects.openai.parse import check_session
from mockserver.protocol.ids import stream

_DECLINED = 603
"""The SIP status of a call that is rejected without one (documented)."""


@dataclass(frozen=True, slots=True)
class OpenAICalls:
    """api.openai.com and Azure: a request that was obeyed is answered with an empty body (recorded for `hangup`)."""

    actions: frozenset[CallAction] = frozenset(("accept", "reject", "refer", "hangup"))
    done: bytes = b""
    answers_by_socket: bool = False
    offers_by: frozenset[Credential] = frozenset(("key", "secret"))

    def new_id(self, seed: str, unix: float) -> str:
        """As recorded: `rtc_`, a shard, and 32 characters, of which the first tell the second."""
        return f"rtc_u1_{base62(int(unix) - EPOCH_S)}{drawn(stream(seed, 'call id'), 27)}"

    def no_call(self, call_id: str, *, socket: bool = False) -> Refusal:
        if socket:  # reports of clients say that an upgrade fails with an empty 404; the text is for the log
            error = f"No call with the id {call_id[:64]!r} is going on."
            return Refusal(404, "call_id_not_found", error, bare=True, advice=CALLS_LISTED)
        error = "No session found for the provided call_id"  # recorded for a second `hangup`
        return replace(wrong(404, "call_id_not_found", error), param="")

    def session(self, body: bytes) -> Mapping[str, Any] | Refusal:
        asked = _object(body)
        if isinstance(asked, Refusal):
            return asked
        if asked.get("type") != "realtime":
            kind = asked.get("type")
            if kind is None:
                return _missing("type")
            error = f"Invalid value: {str(kind)[:64]!r}. Supported values are: 'realtime'."
            return replace(wrong(400, "invalid_value", error), param="type")
        if (rejected := check_session(asked, DEFAULT_MODEL)) is not None:
            # The body is the session, so that its parameters have no prefix.
            param = (rejected.param or "").removeprefix("session.") or None
            error = rejected.message.replace("'session.", "'")
            return replace(wrong(400, rejected.code or "", error), param=param)
        model = asked.get("model")
        if model is not None and not REALTIME_MODEL.match(model):
            error = f'Model "{model[:64]}" is not supported in realtime mode.'
            return replace(wrong(400, "invalid_model", error), param="model")
        return asked

    def invalid_offer(self, error: str, advice: str) -> Refusal:
        return replace(wrong(400, "invalid_offer", error), advice=advice)

    def wrong_credential(self) -> Refusal:  # recorded for Azure
        return wrong(401, "", "This operation requires ephemeral tokens")

    def reject_status(self, body: bytes) -> int | Refusal:
        asked = _object(body)
        if isinstance(asked, Refusal):
            return asked
        status = asked.get("status_code", _DECLINED)
        if not isinstance(status, int) or isinstance(status, bool) or not 400 <= status <= 699:  # the bounds are SIP's
            error = "Invalid 'status_code': expected a SIP status from 400 to 699."
            return replace(wrong(400, "invalid_value", error), param="status_code")
        return status

    def target(self, body: bytes) -> str | Refusal:
        asked = _object(body)
        if isinstance(asked, Refusal):
            return asked
        if "target_uri" not in asked:
            return _missing("target_uri")
        uri = asked["target_uri"]
        schemes = ("tel:", "sip:", "sips:")
        if not isinstance(uri, str) or len(uri) > LONGEST_URI or not uri.lower().startswith(schemes):
            error = "Invalid 'target_uri': expected a URI such as tel:+14155550123 or sip:agent@example.com."
            return replace(wrong(400, "invalid_value", error), param="target_uri")
        return uri

    def not_transferred(self, status: int) -> Refusal:
        # A guess: what the service answers was not seen. A status of 5xx would make its libraries try again.
        return wrong(400, "transfer_rejected", f"The destination rejected the transfer with SIP status {status}.")


def _object(body: bytes) -> dict[str, Any] | Refusal:
    try:
        asked = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        asked = None
    if not isinstance(asked, dict):
        return wrong(400, "invalid_json", "We could not parse the JSON body of your request.")
    return asked


def _missing(param: str) -> Refusal:
    return replace(wrong(400, "missing_required_parameter", f"Missing required parameter: '{param}'."), param=param)
