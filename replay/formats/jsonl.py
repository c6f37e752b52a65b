"""JSON lines: cassettes for grep, jq and spreadsheets, and back without loss.

The first line is the header, each further line a record, the last line the end. A message is a string (`data`) and not
the object in it, so that no tool can change its bytes; bytes that are not UTF-8 are in `base64`. Also reads plain lines
written by hand or by scripts: `{"dir": "in", "t": 1.25, "ev": {"type": …}}`, with `t` in seconds.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import fields
from typing import Any

from typing_extensions import assert_never

from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import MAX_US, VERSION, verified
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import (
    ORIGINS,
    Content,
    Dropped,
    Header,
    Headers,
    Record,
    Request,
    Response,
    StrippedAudio,
    StrippedMessage,
    Way,
    header_fields,
    header_from,
)
from replay.formats.tape import MOST_RECORDS, Tape

MARK = "realtape"
MOST_LINE = 64 << 20
"""Bytes of one line."""
_WAYS: dict[str, Way] = {
    **dict.fromkeys(("sent", "send", "out", "client", ">", "->", "c2s", "up"), "sent"),
    **dict.fromkeys(("received", "receive", "recv", "in", "server", "<", "<-", "s2c", "down"), "received"),
}
_NAMES = {
    "way": ("dir", "direction", "way"),
    "time": ("t", "time", "at", "timestamp"),
    "event": ("ev", "event", "data", "message"),
}


def lines(header: Header, records: Iterable[Record], end_us: int) -> Iterator[str]:
    """The lines of a cassette, without line ends."""
    yield _dumped({MARK: VERSION, **header_fields(header)})
    for record in records:
        head = {"at_us": record.at_us, "connection": record.connection, "way": record.way}
        yield _dumped({**head, **_content_as_json(record.content)})
    yield _dumped({"at_us": end_us, "kind": "end"})


def is_header(line: bytes) -> bool:
    """Whether a line is the header of an exported cassette."""
    value = _parsed(line)
    return isinstance(value, dict) and MARK in value


def parse(data: bytes, source: str) -> Tape:
    """An exported cassette. `source` is named in errors. Raises UnreadableRecording."""
    rows = list(_rows(data, source))
    header = _header(rows[0][1], source)
    records: list[Record] = []
    for number, row in rows[1:]:
        if row.get("kind") == "end":
            if number != rows[-1][0]:
                raise UnreadableRecording(f"{source}:{number + 1}: lines after the end; remove them")
            return Tape(header, tuple(records), _microseconds(row, "at_us", source, number))
        try:
            records.append(_record(row))
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as problem:
            raise UnreadableRecording(f"{source}:{number}: not a record ({problem}); export it again") from problem
    raise UnreadableRecording(f"{source}: cut off after {len(records)} records, no line of kind `end`; export it again")


def plain(data: bytes, source: str) -> list[tuple[float, Way, bytes]]:
    """Seconds, direction and message of each plain line. Raises UnreadableRecording.

    Times may be seconds of the call, Unix seconds or Unix milliseconds. With Unix times the first line is at 0.
    """
    found = [(number, *_plain(row, f"{source}:{number}")) for number, row in _rows(data, source)]
    first = found[0][1]
    scale = 0.001 if first > 1e11 else 1.0
    start = first if first > 1e9 else 0.0
    return [((at - start) * scale, way, message) for _, at, way, message in found]


def _plain(row: dict[str, Any], where: str) -> tuple[float, Way, bytes]:
    way = _WAYS.get(str(_one_of(row, "way")).lower())
    if way is None:
        raise UnreadableRecording(f"{where}: not a recording: JSON lines need `dir` (in or out), `t` and `ev`")
    at = _one_of(row, "time")
    if isinstance(at, bool) or not isinstance(at, int | float) or not 0 <= at < 1e14:
        raise UnreadableRecording(f"{where}: expected `t`, a number of seconds from 0")
    event = _one_of(row, "event")
    if isinstance(event, str):
        return float(at), way, event.encode(errors="replace")
    if not isinstance(event, dict):
        raise UnreadableRecording(f"{where}: expected `ev`, the event as an object or as its text")
    return float(at), way, _dumped(event).encode()


def _one_of(row: dict[str, Any], what: str) -> Any:
    return next((row[name] for name in _NAMES[what] if name in row), None)


def _rows(data: bytes, source: str) -> Iterator[tuple[int, dict[str, Any]]]:
    count = 0
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        count += 1
        if len(line) > MOST_LINE or count > MOST_RECORDS:
            raise UnreadableRecording(f"{source}:{number}: a line or a file too large; split the recording")
        row = _parsed(line)
        if not isinstance(row, dict):
            raise UnreadableRecording(f"{source}:{number}: expected one JSON object; remove this line")
        yield number, row
    if not count:
        raise UnreadableRecording(f"{source}: it is empty")


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(",", ":"))


def _header(row: dict[str, Any], source: str) -> Header:
    if row.get(MARK) != VERSION:
        raise UnreadableRecording(f"{source}: version {row.get(MARK)!r} is unknown; this reads version {VERSION}")
    if row.get("origin") not in ORIGINS:
        raise UnreadableRecording(f"{source}:1: no origin (one of {', '.join(ORIGINS)}); export it again")
    try:
        return header_from({key: value for key, value in row.items() if key != MARK})
    except (TypeError, ValueError) as problem:
        raise UnreadableRecording(f"{source}:1: not a cassette's header ({problem}); export it again") from problem


def _content_as_json(content: Content) -> dict[str, Any]:
    match content:
        case Text(data):
            return {"kind": "text", **_bytes("data", data)}
        case Binary(data):
            return {"kind": "binary", "base64": b64encode(data).decode()}
        case Close(code, reason):
            return {"kind": "close", "code": code, "reason": reason}
        case Reset():
            return {"kind": "reset"}
        case Request(method, target, headers, body):
            return {"kind": "request", "method": method, "target": target, "headers": headers, **_bytes("body", body)}
        case Response(status, headers, body):
            return {"kind": "response", "status": status, "headers": headers, **_bytes("body", body)}
        case StrippedMessage(of, parts):
            return {"kind": "outline", "of": of, "parts": [_part(part) for part in parts]}
        case Dropped(what, size, reason):
            return {"kind": "dropped", "what": what, "size": size, "reason": reason}
        case _:
            assert_never(content)


def _part(part: bytes | StrippedAudio) -> dict[str, Any]:
    if isinstance(part, bytes):
        return _bytes("data", part)
    return {field.name: getattr(part, field.name) for field in fields(part)} | {"sha256": part.sha256.hex()}


def _record(row: dict[str, Any]) -> Record:
    way: Way = {"sent": "sent", "received": "received"}[row["way"]]  # type: ignore[assignment]
    if not 0 <= row["at_us"] <= MAX_US or not 0 <= row["connection"] < 1 << 16:
        raise ValueError("at_us or connection is out of range")
    return Record(row["at_us"], row["connection"], way, verified(_content(row)))


def _content(row: dict[str, Any]) -> Content:
    match row["kind"]:
        case "text":
            return Text(_raw("data", row))
        case "binary":
            return Binary(_raw("data", row))
        case "close":
            return Close(row["code"], row["reason"])
        case "reset":
            return Reset()
        case "request":
            return Request(row["method"], row["target"], _headers(row), _raw("body", row))
        case "response":
            return Response(row["status"], _headers(row), _raw("body", row))
        case "outline":
            return StrippedMessage(row["of"], tuple(_part_of(part) for part in row["parts"]))
        case "dropped":
            return Dropped(row["what"], row["size"], row["reason"])
        case kind:
            raise ValueError(f"kind {kind!r} is unknown")


def _part_of(part: dict[str, Any]) -> bytes | StrippedAudio:
    if "sha256" not in part:
        return _raw("data", part)
    return StrippedAudio(part["length"], bytes.fromhex(part["sha256"]), part["encoding"], part["peak"])


def _headers(row: dict[str, Any]) -> Headers:
    return tuple((str(name), str(value)) for name, value in row["headers"])


def _bytes(name: str, data: bytes) -> dict[str, str]:
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


def _raw(name: str, row: dict[str, Any]) -> bytes:
    if "base64" in row:
        return b64decode(row["base64"], validate=True)
    text = row[name]
    if not isinstance(text, str):
        raise ValueError(f"{name} is not a text")
    return text.encode()


def _microseconds(row: dict[str, Any], name: str, source: str, number: int) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_US:
        raise UnreadableRecording(f"{source}:{number}: expected `{name}`, a whole number of microseconds")
    return value
