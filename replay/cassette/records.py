"""The records of a cassette as plain values: what crossed the wire, and the header. The file format is in file.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from typing_extensions import assert_never

from replay.cassette.frames import Binary, Close, Reset, Text

Origin = Literal["live", "mock", "hand"]
"""Who made the recording: a live service, a mock, or somebody by hand (imported files)."""
ORIGINS: tuple[Origin, ...] = ("live", "mock", "hand")
Way = Literal["sent", "received"]
"""Direction as the client sees it: `sent` is client to server."""
Audio = Literal["keep", "outline"]
"""Whether audio is in the cassette, or only its length, hash and peak level (`outline`)."""
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Header:
    """Where a cassette comes from. What a mock made is never labelled `live`.

    `origin`: see Origin. `url`: the service's address, without a query. `dialect`: `xai`, `openai`, a dated name such
    as `xai@2026-09`, or `unknown`. `model`: the model that the first connection requested; `session.created` says which
    model answered. `recorded_at`: ISO 8601 in UTC, the instant at which `at_us` is 0. `tool`: what wrote the cassette,
    with its version: `realtape 0.1.0`. `audio`: see Audio. `source`: where an imported recording comes from, as its
    importer said, or as the file itself shows. `ignore`: what may differ when a client plays it; see may_differ.py.
    """

    origin: Origin
    url: str
    dialect: str
    model: str | None
    recorded_at: str
    tool: str
    audio: Audio = "keep"
    source: str | None = None
    ignore: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request: a WebSocket handshake, or a plain call beside it. `target` is path and query."""

    method: str
    target: str
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """The HTTP response to a Request. Status 101 opens the WebSocket; `headers` then name the chosen subprotocol."""

    status: int
    headers: Headers
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class StrippedAudio:
    """The place of removed audio.

    `length`: its size in bytes. `sha256`: the hash of its bytes. `encoding`: `pcm`, `pcmu`, `pcma` or `opus`. `peak`:
    its largest sample, 0 to 32767.
    """

    length: int
    sha256: bytes
    encoding: str
    peak: int


@dataclass(frozen=True, slots=True)
class StrippedMessage:
    """A message without its audio: the other bytes as on the wire, in order, with StrippedAudio in the audio's
    places.
    """

    kind: Literal["text", "binary"]
    parts: tuple[bytes | StrippedAudio, ...]

    @property
    def rest(self) -> bytes:
        """The bytes around the audio, as one text."""
        return b"".join(part for part in self.parts if isinstance(part, bytes))


@dataclass(frozen=True, slots=True)
class Dropped:
    """Something that crossed the wire and could not be written safely: its kind, its size in bytes, and why."""

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


def bytes_of(content: Content) -> int:
    """Bytes of the message or body that a record holds; 0 for a record without one."""
    match content:
        case Text(data) | Binary(data):
            return len(data)
        case Request(body=body) | Response(body=body):
            return len(body)
        case Close() | Reset() | StrippedMessage() | Dropped():
            return 0
        case _:
            assert_never(content)


@dataclass(frozen=True, slots=True)
class Record:
    """One thing that crossed the wire.

    `at_us`: microseconds since the recording began. `connection`: counted from 0; a plain HTTP call has a number of its
    own.
    """

    at_us: int
    connection: int
    way: Way
    content: Content


def header_fields(header: Header) -> dict[str, object]:
    """The header as a map. Without a source, or without anything to ignore, it has no such key, as those of older
    versions."""
    fields = {**asdict(header), "ignore": list(header.ignore)}
    return {name: value for name, value in fields.items() if value or name not in ("source", "ignore")}


def header_from(fields: Mapping[str, Any]) -> Header:
    """The header that such a map holds. Raises TypeError and ValueError."""
    ignore = fields.get("ignore", ())
    if not isinstance(ignore, list | tuple):
        raise TypeError("ignore is not a list")
    header = Header(**{**fields, "ignore": tuple(ignore)})
    for name, value in header_fields(header).items():
        for text in header.ignore if name == "ignore" else [value]:
            if not isinstance(text, str) and not (name in ("model", "source") and text is None):
                raise TypeError(f"{name} is not a text")
    if header.audio not in get_args(Audio):
        raise ValueError(f"audio is one of {', '.join(get_args(Audio))}")
    date.fromisoformat(header.recorded_at[:10])
    return header


def provable_origin(url: str) -> Origin:
    """`live` for the services' own hosts over TLS, `mock` for every other address."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return "mock"
    vendor = any(host == known or host.endswith(f".{known}") for known in ("api.x.ai", "api.openai.com"))
    return "live" if vendor and parts.scheme == "wss" else "mock"


def public_address(url: str) -> str:
    """The address without user, password, query and fragment."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def service_of_model(model: str) -> Literal["xai", "openai", "unknown"]:
    """The service that a model belongs to, by its name."""
    return "xai" if model.startswith("grok") else "openai" if model.startswith("gpt-") else "unknown"
