"""How Twilio and Plivo sign what they send to a bridge.

Twilio: "Webhooks Security". Plivo: "Validating requests", V3, whose exact text to sign is that of its own packages.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit


def twilio_signature(url: str, form: Mapping[str, str], token: str) -> str:
    """The value of `X-Twilio-Signature`: HMAC-SHA1 over the URL and the form's fields in order, in base64.

    A handshake of a WebSocket has no form.
    """
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return _signed(text, token, "sha1")


def plivo_signature(method: str, url: str, form: Mapping[str, str], nonce: str, token: str) -> str:
    """The value of `X-Plivo-Signature-V3`: HMAC-SHA256 over URL, sorted query, form and nonce, in base64.

    method: `GET` for a handshake, which has no form, or `POST`.
    """
    parts = urlsplit(url)
    fields = parse_qs(parts.query, keep_blank_values=True)
    query = "&".join(f"{name}={value}" for name in sorted(fields) for value in sorted(fields[name]))
    posted = "".join(f"{name}{form[name]}" for name in sorted(form)) if method == "POST" else ""
    text = f"{parts.scheme}://{parts.netloc}{parts.path}"
    if posted:
        text += f"?{query}.{posted}" if query else f"?{posted}"
    elif query:
        text += f"?{query}"
    return _signed(f"{text}.{nonce}", token, "sha256")


def _signed(text: str, token: str, digest: str) -> str:
    return base64.b64encode(hmac.new(token.encode(), text.encode(), getattr(hashlib, digest)).digest()).decode("ascii")
