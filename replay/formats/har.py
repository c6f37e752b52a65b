"""HAR (HTTP archive) with `_webSocketMessages` beside a socket's entry, as browsers and proxies export it.

Chrome (since 76), mitmproxy (since 9) and Playwright (since mid-2026, with `content: "embed"`) write the same form:
`{type: send|receive|error, time, opcode: 1|2, data}`, with `time` in Unix seconds and binary data in base64. Playwright
may use a clock that starts anywhere; the first message is then placed at the handshake's response. Close frames are in
HARs of this module only, as opcode 8 with the frame's payload in base64.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, timezone
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit
from zipfile import BadZipFile, ZipFile

from typing_extensions import assert_never

from replay.cassette.conversation import UnreadableRecording
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.recording import heads
from replay.cassette.records import (
    Content,
    Dropped,
    Header,
    Headers,
    Record,
    Request,
    Response,
    StrippedMessage,
    public_address,
)
from replay.cassette.scrub import Scrubber
from replay.cassette.strip_audio import restore_audio
from replay.formats.tape import MOST_BYTES, MOST_RECORDS

_TEXT, _BINARY, _CLOSE, _NONE = 1, 2, 8, -1
_SAME_CLOCK_S = 86_400.0


def inflated(data: bytes, source: str) -> bytes:
    """The content of a compressed archive (mitmproxy's .zhar). Raises UnreadableRecording."""
    unpacker = zlib.decompressobj()
    try:
        plain = unpacker.decompress(data, MOST_BYTES + 1)
    except zlib.error as problem:
        raise UnreadableRecording(
            f"{source}: not a readable compressed archive ({problem}); export it as .har"
        ) from problem
    if len(plain) > MOST_BYTES:
        raise UnreadableRecording(f"{source}: unpacks to more than {MOST_BYTES} bytes; export fewer entries")
    return plain


def unzipped(data: bytes, source: str) -> bytes:
    """The HAR in a zip archive (Playwright's `recordHar` with a path in .zip). Raises UnreadableRecording."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            names = [info.filename for info in archive.infolist() if info.filename.endswith(".har")]
            if len(names) != 1:
                raise UnreadableRecording(
                    f"{source}: a zip archive with {len(names)} HAR files; unpack it, and import the one you mean"
                )
            with archive.open(names[0]) as member:
                plain = member.read(MOST_BYTES + 1)
    except (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as problem:
        raise UnreadableRecording(f"{source}: a zip archive that cannot be read ({problem}); unpack it") from problem
    if len(plain) > MOST_BYTES:
        raise UnreadableRecording(f"{source}: unpacks to more than {MOST_BYTES} bytes; export fewer entries")
    return plain


def parse(document: Any, source: str) -> tuple[str, datetime, list[Record], int]:
    """The URL of the first socket, the time when it opened, all records, and the time of the last one in microseconds.

    Sockets with `realtime` in their URL are taken, or all if there is none. Raises UnreadableRecording.
    """
    entries = document.get("log", {}).get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise UnreadableRecording(f"{source}: expected `log.entries`, a list; export the HAR again")
    try:
        sockets = [_Entry(entry) for entry in entries if _is_socket(entry)]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
        raise UnreadableRecording(
            f"{source}: an entry of a socket lacks a field that HAR requires ({problem!r})"
        ) from problem
    sockets = [each for each in sockets if "realtime" in each.url] or sockets
    if not sockets:
        raise UnreadableRecording(
            f"{source}: holds no WebSocket messages; export with content (Playwright: content: 'embed') while "
            "the connection is in the list"
        )
    sockets.sort(key=lambda each: each.opened)
    records: list[Record] = []
    for connection, socket in enumerate(sockets):
        offset_us = round((socket.opened - sockets[0].opened).total_seconds() * 1e6)
        try:
            records += socket.records(connection, offset_us)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
            raise UnreadableRecording(f"{source}: {socket.url}: {problem}; export the HAR again") from problem
        if len(records) > MOST_RECORDS:
            raise UnreadableRecording(f"{source}: more than {MOST_RECORDS} messages; export fewer entries")
    records.sort(key=lambda record: record.at_us)
    return public_address(sockets[0].url), sockets[0].opened, records, records[-1].at_us


def lines(header: Header, records: Sequence[Record], version: str, scrubber: Scrubber) -> Iterator[str]:
    """A cassette as the lines of a HAR, without line ends and secrets. Removed audio becomes a tone of its length;
    dropped content is left out. ASCII only, so that lone surrogates survive.

    A HAR has one connection after the other, so the records of each are read in turn.
    """
    start = datetime.fromisoformat(header.recorded_at.replace("Z", "+00:00"))
    entries: dict[int, dict[str, Any]] = {}
    frames: dict[int, array[int]] = {}
    for number, (at_us, connection, is_message) in enumerate(heads(records)):
        entry = entries.setdefault(connection, _blank(header, start, at_us))
        numbers = frames.setdefault(connection, array("I"))
        content = None if is_message else records[number].content
        if isinstance(content, Request | Response):
            if not isinstance(clean := scrubber.clean(content), Dropped):
                assert isinstance(clean, Request | Response)
                _add(entry, clean, header)
        else:
            numbers.append(number)
    comment = f"origin: {header.origin}; model: {header.model or 'unknown'}"
    creator = {"name": "realtape", "version": version, "comment": comment}
    log = {"version": "1.2", "creator": creator, "pages": [], "entries": []}
    before, _, after = _dumped({"log": log}).rpartition("[]")
    yield f"{before}["
    for connection, entry in entries.items():
        comma = "," if connection != next(reversed(entries)) else ""
        found = (records[number] for number in frames[connection])
        messages = (_message(scrubber.clean(each.content), each, start) for each in found)
        yield from _entry_lines(entry, filter(None, messages), comma)
    yield f"  ]{after}"


def _entry_lines(entry: dict[str, Any], messages: Iterator[dict[str, Any]], comma: str) -> Iterator[str]:
    message = next(messages, None)
    if message is None:
        yield f"   {_dumped(entry, 3)}{comma}"
        return
    entry |= {"_resourceType": "websocket", "_webSocketMessages": []}
    before, _, after = f"   {_dumped(entry, 3)}".rpartition("[]")
    yield f"{before}["
    for following in messages:
        yield f"     {_dumped(message, 5)},"
        message = following
    yield f"     {_dumped(message, 5)}"
    yield f"    ]{after}{comma}"


def _is_socket(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("_webSocketMessages"), list)


class _Entry:
    """The entry of one socket."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self._request, self._response = entry["request"], entry["response"]
        self._messages: list[dict[str, Any]] = entry["_webSocketMessages"]
        self._took_ms = max(0.0, float(entry.get("time") or 0))
        self.url = str(self._request["url"])
        opened = datetime.fromisoformat(_isoformat(str(entry["startedDateTime"])))
        self.opened = opened if opened.tzinfo else opened.replace(tzinfo=timezone.utc)

    def records(self, connection: int, offset_us: int) -> Iterator[Record]:
        parts = urlsplit(self.url)
        target = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
        method = str(self._request.get("method") or "GET")
        yield Record(offset_us, connection, "sent", Request(method, target, _headers(self._request)))
        times = self._times_us()
        status = int(self._response.get("status") or 101)
        answered_us = offset_us + (times[0] if times else round(self._took_ms * 1000))
        yield Record(answered_us, connection, "received", Response(status, _headers(self._response)))
        for message, at_us in zip(self._messages, times, strict=True):
            frame = _frame(message)
            if frame is not None:
                way: Any = "sent" if message["type"] == "send" else "received"
                yield Record(offset_us + at_us, connection, way, frame)

    def _times_us(self) -> list[int]:
        """Microseconds of each message since the socket's start, never decreasing."""
        times = [float(message["time"]) for message in self._messages]
        start = self.opened.timestamp()
        if times and abs(times[0] - start) > _SAME_CLOCK_S:
            start = times[0] - self._took_ms / 1000 * (self._took_ms < 10_000)
        found: list[int] = []
        for at in times:
            found.append(max(0, round((at - start) * 1e6), found[-1] if found else 0))
        return found


def _frame(message: dict[str, Any]) -> Text | Binary | Close | Reset | None:
    """Pings and pongs are no part of a conversation: None. Raises ValueError."""
    kind, opcode, data = message["type"], message.get("opcode", _TEXT), message.get("data", "")
    if kind == "error":
        return Reset()
    if kind not in ("send", "receive") or not isinstance(data, str):
        raise ValueError(f"a message of type {kind!r} is neither send nor receive")
    if opcode == _TEXT:
        return Text(data.encode("utf-8", "surrogatepass"))
    if opcode == _BINARY:
        return Binary(b64decode(data))
    if opcode == _CLOSE:
        payload = b64decode(data)
        code: int = struct.unpack(">H", payload[:2])[0] if payload else 1005
        return Close(code, payload[2:].decode(errors="replace"))
    return None


def _headers(half: dict[str, Any]) -> Headers:
    """Without the pseudo-headers of HTTP/2 (`:path`)."""
    pairs = ((str(pair["name"]), str(pair["value"])) for pair in half.get("headers") or [])
    return tuple(pair for pair in pairs if not pair[0].startswith(":"))


def _isoformat(text: str) -> str:
    """In the form that Python 3.10 parses: no Z, and six digits after the point."""
    text = text.replace("Z", "+00:00")
    head, point, rest = text.partition(".")
    if not point:
        return text
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"


def _blank(header: Header, start: datetime, at_us: int) -> dict[str, Any]:
    return {
        "startedDateTime": (start + timedelta(microseconds=at_us)).isoformat(),
        "time": 0.0,
        "request": {
            "method": "GET",
            "url": header.url,
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [],
            "queryString": [],
            "headersSize": -1,
            "bodySize": 0,
        },
        "response": {
            "status": 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "cookies": [],
            "headers": [],
            "content": {"size": 0, "mimeType": ""},
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": -1,
        },
        "cache": {},
        "timings": {"send": 0, "wait": 0, "receive": 0},
    }


def _add(entry: dict[str, Any], content: Request | Response, header: Header) -> None:
    match content:
        case Request(method, target, headers, body):
            parts = urlsplit(header.url)
            query = [pair.partition("=") for pair in target.partition("?")[2].split("&") if pair]
            socket = any(name.lower() == "upgrade" for name, _ in headers) or method == "GET"
            scheme = parts.scheme if socket else parts.scheme.replace("ws", "http", 1)
            entry["request"] |= {
                "method": method,
                "url": f"{scheme}://{parts.netloc}{target}",
                "headers": _named(headers),
                "queryString": [{"name": name, "value": value} for name, _, value in query],
                "bodySize": len(body),
            }
            if body:
                entry["request"]["postData"] = {"mimeType": "application/json", "text": body.decode(errors="replace")}
        case Response(status, headers, body):
            text = {"size": len(body), "mimeType": "", "text": body.decode(errors="replace")}
            entry["response"] |= {"status": status, "headers": _named(headers), "content": text, "bodySize": len(body)}
            if status == 101:
                entry |= {"_resourceType": "websocket", "_webSocketMessages": []}
        case _:
            assert_never(content)


def _message(content: Content, record: Record, start: datetime) -> dict[str, Any] | None:
    """A message; None for dropped content."""
    shown = restore_audio(content) if isinstance(content, StrippedMessage) else content
    kind = "send" if record.way == "sent" else "receive"
    time_s = start.timestamp() + record.at_us / 1e6
    match shown:
        case Text(data):
            return {"type": kind, "time": time_s, "opcode": _TEXT, "data": data.decode(errors="replace")}
        case Binary(data):
            return {"type": kind, "time": time_s, "opcode": _BINARY, "data": b64encode(data).decode()}
        case Close(code, reason):
            payload = b"" if code == 1005 else struct.pack(">H", code) + reason.encode()
            return {"type": kind, "time": time_s, "opcode": _CLOSE, "data": b64encode(payload).decode()}
        case Reset():
            return {"type": "error", "time": time_s, "opcode": _NONE, "data": "the connection was lost"}
        case Request() | Response() | Dropped():
            return None
        case _:
            assert_never(shown)


def _named(headers: Headers) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]


def _dumped(value: dict[str, Any], indent: int = 0) -> str:
    """The text of an object, whose lines but the first are indented."""
    return json.dumps(value, ensure_ascii=True, indent=1).replace("\n", "\n" + " " * indent)
