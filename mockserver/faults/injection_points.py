"""Where a fault is injected, as text: `handshake`, `client_secrets`, `webhook`, `webrtc`, a route such as
`POST /v1/realtime/calls`, an event's type, `<` and a client event's type, or `time: 5s`."""

from __future__ import annotations

import re
from difflib import get_close_matches
from fnmatch import fnmatchcase

from mockserver.dialects.provenance import EVIDENCE, UNSERVED
from mockserver.documents.durations import seconds_of
from mockserver.documents.problems import described, quoted
from mockserver.documents.validation import refusal

HANDSHAKE, CLIENT_SECRETS, WEBHOOK, WEBRTC = "handshake", "client_secrets", "webhook", "webrtc"
REQUESTS = (HANDSHAKE, CLIENT_SECRETS, WEBHOOK, WEBRTC)
"""HTTP requests: the upgrade to a WebSocket, `POST /v1/realtime/client_secrets`, the webhook that the server sends when
the phone rings, and an offer of WebRTC that is accepted."""
_ROUTE = re.compile(r"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|\*)\s+(/\S*)", re.IGNORECASE)
"""Any HTTP request: its method and its path, in which `*` stands for any characters."""
TIME = "time: "
CLIENT_EVENTS = (
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "response.create",
    "response.cancel",
    "force_message",
)
_SERVER_EVENTS = sorted({type for known in (*EVIDENCE.values(), *UNSERVED.values()) for type in known})
_TYPE = re.compile(r"<?[a-z0-9_*.?]+")
_TIME = re.compile(r"time\s*:?\s*(\S+)")
_EXPECTED = (
    "expected `handshake`, `client_secrets`, `webhook`, `webrtc`, a route such as POST /v1/realtime/calls, a server"
    " event such as response.done, a client event such as <response.create, or time: 5s"
)
_NEAR = 0.9
"""Similarity from which an unknown type counts as a misspelling; other unknown types are allowed."""


def seconds(value: object) -> object:
    """Seconds from a text such as `500ms`, `2s`, `5m`; other values are returned as they are."""
    return seconds_of(value, "seconds") if isinstance(value, str) else value


def injection_point(value: object) -> object:
    """An injection point in its canonical spelling; `{time: 5s}` is accepted too. Raises pydantic's ValueError."""
    if isinstance(value, dict) and list(value) == ["time"]:
        return _at_time(value["time"])
    if not isinstance(value, str):
        raise refusal(f"{_EXPECTED}, got {described(value)}")
    text = value.strip()
    if text in REQUESTS:
        return text
    if (found := _ROUTE.fullmatch(text)) is not None:
        return f"{found[1].upper()} {found[2]}"
    if (found := _TIME.fullmatch(text)) is not None:
        return _at_time(found[1])
    text = re.sub(r"^<\s+", "<", text)
    if not _TYPE.fullmatch(text):
        raise refusal(f"{_EXPECTED}; got {quoted(value)}")
    _check_spelling(text)
    return text


def is_request(at: str) -> bool:
    """Whether an injection point is an HTTP request, and not on an open connection."""
    return at in REQUESTS or " /" in at


def triggers_at(at: str, request: str) -> bool:
    """Whether a fault at `at` belongs to a request: one of REQUESTS, or a method and a path."""
    return at == request or (" /" in at and fnmatchcase(request, at))


def _at_time(value: object) -> str:
    at = seconds_of(value, "at: time")
    if not 0 <= at <= 86_400:
        raise refusal("expected a time up to 24 hours, such as time: 5s or time: 500ms")
    return f"{TIME}{at:g}s"


def _check_spelling(text: str) -> None:
    sign, name = ("<", text[1:]) if text.startswith("<") else ("", text)
    known = [*CLIENT_EVENTS, "binary"] if sign else [*_SERVER_EVENTS, "binary", *REQUESTS]
    if "*" in name or name in known:
        return
    if not sign and name in CLIENT_EVENTS:
        raise refusal(f"{name} is a client event; write <{name}")
    if sign and name in _SERVER_EVENTS:
        raise refusal(f"{name} is a server event; write it without <")
    if near := get_close_matches(name, known, n=1, cutoff=_NEAR):
        raise refusal(f"unknown event {quoted(text)}; did you mean {quoted(sign + near[0])}?")
