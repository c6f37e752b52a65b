"""The records of a cassette as plain values: what crossed the wire, and the header. The file format is in file.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from typing_extensions import assert_never

from replay.cassette.frames import Binary, Close, Reset, Text

Origin = Literal["live", "mock", "hand"]
ORIGINS: tuple[Origin, ...] = ("live", "mock", "hand")
Way = Literal["sent", "received"]
"""As the client sees it: `sent` is client to server."""
Audio = Literal["keep", "outline"]
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Header:
    """Where a cassette comes from. What the mock made is never labelled `live`."""

    origin: Origin
    url: str
    """The service's address, without a query."""
    dialect: str
    """`xai`, `openai`, a dated name such as `xai@2026-09`, or `unknown`."""
    model: str | None
    """What the first connection asked for; which model answered is in its `session.created`."""
    recorded_at: str
    """ISO 8601 in UTC; at_us counts from here."""
    tool: str
    """What wrote it, with its version: `realtape 0.1.0`."""
    audio: Audio = "keep"


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request: a WebSocket handshake, or a call beside it. `target` is path and query."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a Request. 101 opens the WebSocket; `headers` then name the subprotocol chosen."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class StrippedAudio:
    """Where sound was cut out: the length and SHA-256 of its bytes, its encoding, how loud it was (0 to 32767)."""

    length: int
    sha256: bytes
    encoding: str
    peak: int


@dataclass(frozen=True, slots=True)
class StrippedMessage:
    """A message whose sound was left out: bytes as on the wire, in order, and Sound where sound was. See outline.py."""

    kind: Literal["text", "binary"]
    parts: tuple[bytes | StrippedAudio, ...]


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something crossed the wire that was not fit to be written: what, how many bytes, and why."""

    what: str
    size: int
    reason: str


Content = Text | Binary | Close | Reset | Request | Response | StrippedMessage | Dropped


Kind = Literal["text", "binary", "close", "reset", "request", "response", "outline", "dropped"]
"""The kinds of content by the names that JSON and lists use; `outline` is a StrippedMessage."""


def kind_of(content: Content) -> Kind:
    """The kind of a record's content."""
    match content:
        case Text():
            return "text"
        case Binary():
            return "binary"
        case Close():
            return "close"
        case Reset():
            return "reset"
        case Request():
            return "request"
        case Response():
            return "response"
        case StrippedMessage():
            return "outline"
        case Dropped():
            return "dropped"
        case _:
            assert_never(content)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that crossed the wire. `connection` counts from 0; a plain HTTP call has a number of its own."""

    at_us: int
    connection: int
    way: Way
    content: Content


def provable_origin(url: str) -> Origin:
    """`live` for the services' own hosts under TLS; for everything else `mock`, since nothing proves more."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "mock"
    vendor = any(host == known or host.endswith(f".{known}") for known in ("api.x.ai", "api.openai.com"))
    return "live" if vendor and parts.scheme == "wss" else "mock"
