"""The signature of a webhook, after the specification Standard Webhooks (standardwebhooks.com), version 1.

xAI and OpenAI sign with a secret `whsec_…`, whose rest is a key in base64. The signature is the HMAC-SHA256 of
`ID.TIMESTAMP.BODY`, in base64, in the header `webhook-signature` as `v1,…`; there may be several, separated by spaces.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence

TOLERANCE_S = 300
"""How old a webhook may be, and how far its sender's clock may be ahead, in s."""
_MAX_ID_CHARS = 200
_MIN_KEY_BYTES = 16


class BadWebhook(Exception):
    """A webhook that does not prove its sender. `status` is that of the answer; the message holds no secret."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def signing_keys(secret: str) -> list[bytes]:
    """The keys that a secret may stand for. Raises ValueError for one that is unusable.

    Libraries differ in secrets without `whsec_`: some decode them, others take their characters.
    """
    try:
        keys = [base64.b64decode(secret.removeprefix("whsec_"), validate=True)]
    except (binascii.Error, ValueError) as error:
        if secret.startswith("whsec_"):
            raise ValueError("it is not base64 after whsec_") from error
        keys = []
    keys += [] if secret.startswith("whsec_") else [secret.encode("utf-8", "surrogatepass")]
    if not any(len(key) >= _MIN_KEY_BYTES for key in keys):
        raise ValueError(f"its key is shorter than {_MIN_KEY_BYTES} bytes")
    return [key for key in keys if len(key) >= _MIN_KEY_BYTES]


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """Check a webhook, and give its id. `now_s` is in Unix seconds.

    Raises BadWebhook: 400 without its headers or at a wrong time, 401 if none of the keys made the signature.
    """
    webhook_id, sent, signatures = (headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (webhook_id and sent and signatures) or len(webhook_id) > _MAX_ID_CHARS:
        raise BadWebhook(400, "not signed: webhook-id, webhook-timestamp and webhook-signature are needed")
    if not (sent.isascii() and sent.isdecimal() and len(sent) <= 12):
        raise BadWebhook(400, "webhook-timestamp is not in Unix seconds")
    if abs(now_s - int(sent)) > TOLERANCE_S:
        raise BadWebhook(
            400, f"the webhook is {abs(now_s - int(sent)):.0f} s off this clock; at most {TOLERANCE_S} s are allowed"
        )
    signed = f"{webhook_id}.{sent}.".encode("utf-8", "surrogatepass") + body
    given = [each[3:].encode("utf-8", "surrogatepass") for each in signatures.split(" ") if each.startswith("v1,")]
    for key in keys:
        made = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        if any(hmac.compare_digest(made, each) for each in given):
            return webhook_id
    raise BadWebhook(401, "no signature of the webhook fits CLINIC_WEBHOOK_SECRET")
