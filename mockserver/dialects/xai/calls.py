"""xAI's requests about calls, after its page on SIP. A call is accepted by the WebSocket that names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from mockserver.dialects.call_control import LONGEST_URI, CallAction, Credential
from mockserver.dialects.handshake import CALLS_LISTED, Refusal
from mockserver.dialects.xai.handshake import INVALID, NOT_FOUND, misshaped
from mockserver.protocol.ids import stream, uuid4

_TIMED_OUT = (408, 480)
"""SIP statuses of a destination that did not answer: the service then says 504, not 502."""


@dataclass(frozen=True, slots=True)
class XaiCalls:
    """api.x.ai: it has `refer` and `hangup`. Statuses are documented; texts are guesses, unless they are quoted."""

    actions: frozenset[CallAction] = frozenset(("refer", "hangup"))
    done: bytes = b"{}"  # documented for `refer`
    answers_by_socket: bool = True
    offers_by: frozenset[Credential] = frozenset()

    def new_id(self, seed: str, unix: float) -> str:
        return uuid4(stream(seed, "call id"))

    def no_call(self, call_id: str, *, socket: bool = False) -> Refusal:
        error = f"No call with the id {call_id[:64]!r} is going on." if socket else "No SIP participant on this call"
        return Refusal(404, NOT_FOUND, error, advice=CALLS_LISTED if socket else "")

    def session(self, body: bytes) -> Mapping[str, Any] | Refusal:
        return {}

    def invalid_offer(self, error: str, advice: str) -> Refusal:
        raise AssertionError("xAI takes no offers")

    def wrong_credential(self) -> Refusal:
        raise AssertionError("xAI takes no offers")

    def reject_status(self, body: bytes) -> int | Refusal:
        return 603

    def target(self, body: bytes) -> str | Refusal:
        try:
            asked = orjson.loads(body or b"{}")
        except orjson.JSONDecodeError as problem:
            return misshaped(str(problem))
        uri = asked.get("target_uri") if isinstance(asked, dict) else None
        if not isinstance(uri, str):
            return misshaped("missing field `target_uri`")
        if not uri.lower().startswith(("tel:", "sip:")) or len(uri) > LONGEST_URI:
            return Refusal(400, INVALID, "target_uri must be a tel: or sip: URI")
        return uri

    def not_transferred(self, status: int) -> Refusal:
        if status in _TIMED_OUT:
            return Refusal(504, "", "transfer timed out")
        return Refusal(502, "", f"transfer rejected by downstream: SIP {status} {_SIP.get(status, '')}".rstrip())


_SIP = {
    **{status.value: status.phrase for status in HTTPStatus if status >= 400},
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
}
"""Reasons by SIP status (RFC 3261 section 21). Those below 600 are mostly HTTP's."""
