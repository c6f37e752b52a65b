"""Webhooks that tell of an incoming call, signed as Standard Webhooks 1.0 says. No clock, no socket, no randomness."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from replay.addresses import is_loopback_url

PREFIX = "whsec_"
"""What the secret of a webhook begins with; base64 of the key follows."""
EVENT = "realtime.call.incoming"
USER_AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
_KEY_BYTES = range(24, 65)
"""How long the key may be, after the specification."""

SipHeader = tuple[str, str]
"""The name and the value of a header of the SIP INVITE."""


class BadSecret(ValueError):
    """A text that is no secret of a webhook. The message does not repeat the text."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One message to a webhook. `id` and `body` are the same at each attempt to deliver it."""

    id: str
    body: bytes
    secret: str = field(repr=False)

    def headers(self, unix: int, *, secret: str | None = None) -> dict[str, str]:
        """The headers of an attempt at a Unix second, signed with `secret` instead of its own if there is one. Raises
        BadSecret."""
        return {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": self.id,
            "webhook-timestamp": str(unix),
            "webhook-signature": signature(secret or self.secret, self.id, unix, self.body),
        }


def check_address(url: str) -> None:
    """Raises ValueError for a text that is no address of a webhook."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            f"{url[:200]!r} is no address of a webhook; use one such as http://127.0.0.1:8000/calls/incoming"
        )


def check_reach(url: str, own: str | None) -> None:
    """Raise ValueError for a webhook that a client may not have called: one of another machine, except on the host and
    port of `own`, the operator's webhook."""
    if not is_loopback_url(url) and (own is None or _origin(url) != _origin(own)):
        raise ValueError(
            "a webhook of another machine is called only if the server was started with its address: --webhook URL"
        )


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def signature(secret: str, id: str, unix: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64. `unix`: the timestamp. Raises BadSecret."""
    signed = f"{id}.{unix}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key_of(secret), signed, hashlib.sha256)).decode()}"


def key_of(secret: str) -> bytes:
    """The key in a secret `whsec_…`. Raises BadSecret."""
    advice = f"a webhook's secret is {PREFIX} and 24 to 64 bytes in base64"
    if not secret.startswith(PREFIX):
        raise BadSecret(f"{advice}; this one begins otherwise")
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise BadSecret(f"{advice}; this one is not base64") from None
    if len(key) not in _KEY_BYTES:
        raise BadSecret(f"{advice}; this one has {len(key)} bytes")
    return key


def secret_of(key: bytes) -> str:
    """The secret `whsec_…` of a key."""
    return PREFIX + base64.b64encode(key).decode()


def incoming_call(
    id: str, unix: int, call_id: str, sip_headers: Sequence[SipHeader], *, metadata: bool = False
) -> bytes:
    """The body that announces a call. id: of the event. unix: the second at which the phone began to ring. metadata:
    whether the service has an empty `metadata` in it, as xAI does."""
    data: dict[str, object] = {
        "call_id": call_id,
        "sip_headers": [{"name": name, "value": value} for name, value in sip_headers],
    }
    if metadata:
        data["metadata"] = {}
    event = {"object": "event", "id": id, "type": EVENT, "created_at": unix, "data": data}
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
