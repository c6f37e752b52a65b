"""Detects the format of a recording by its content, and turns it into the records of a cassette.

The result claims only what the file proves: see evidence.py. Frames of a HAR or of JSON lines are as they were
exported; those of a YAML are serialized again from parsed values.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlsplit

from typing_extensions import assert_never

from replay.cassette.conversation import (
    Closed,
    Conversation,
    ConversationStep,
    HttpExchange,
    Message,
    UnreadableRecording,
)
from replay.cassette.file import IS_LFS_POINTER, LFS_POINTER, MAGIC, SUFFIX
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.json_text import event_in
from replay.cassette.recording import UNTIMED_US, Recording, connections
from replay.cassette.records import Header, Origin, Record, Request, Response, Way, service_of_model
from replay.formats import har, jsonl, pydantic_ai
from replay.formats.evidence import Answer, Provenance, provenance
from replay.formats.tape import MOST_BYTES, Tape

PATH = "/v1/realtime"
UNKNOWN_URL = "ws://unknown.invalid/v1/realtime"
_HAR = re.compile(rb'\{\s*"log"\s*:')
_CALL_SESSION = re.compile(r"sess_u\d+_\w+")
_HOUR_S = 3600
_LATEST_UNIX_S = 1e10
_NO_DATE = datetime.fromtimestamp(0, timezone.utc)
_URLS = {"xai": "wss://api.x.ai/v1/realtime", "openai": "wss://api.openai.com/v1/realtime"}
_KINDS = "a HAR with WebSocket messages, a YAML of pydantic-ai's tests, or lines of JSON"


Format = Literal["har", "jsonl", "lines", "pydantic-ai"]
"""HAR; a cassette exported by `export --jsonl`; plain JSON lines; the YAML of pydantic-ai's tests."""


def read_recording(path: str | os.PathLike[str], on_read: Callable[[int, int], None] | None = None) -> Recording:
    """The recording in a file of any known format, cassettes included. `on_read`: that of Cassette.

    Raises BadCassette, UnreadableRecording and OSError.
    """
    path = Path(path)
    if path.suffix == SUFFIX or _is_cassette(path):
        return Recording.read(path, on_read)
    tape = read(path, imported_at=_NO_DATE, tool="")
    return Recording(path.stem, tape.header.dialect, tape.header.origin, connections(tape.records), tape.header.ignore)


def read(
    path: Path, *, origin: Origin | None = None, source: str | None = None, imported_at: datetime, tool: str
) -> Tape:
    """Another tool's recording, as a cassette.

    `origin`: the origin as the user states it; None is what the file proves. `source`: where the file comes from.
    `imported_at`: the date of a file that has none. Raises UnreadableRecording, and OSError if the file cannot be read.
    """
    if path.stat().st_size > MOST_BYTES:
        raise UnreadableRecording(f"{path}: more than {MOST_BYTES} bytes; split the recording")
    data, file = path.read_bytes(), str(path)
    if data[:1] == b"\x78":
        data = har.inflated(data, file)
    elif data[:4] == b"PK\x03\x04":
        data = har.unzipped(data, file)
    text = data.lstrip(b"\xef\xbb\xbf \t\r\n")
    format = _format(text, file)
    match format:
        case "pydantic-ai":
            conversation = pydantic_ai.parse(data, name=path.stem, source=file)
            answers = [Answer(each.url, each.response_headers) for each in conversation.exchanges]
            found = provenance(origin, source, answers, file)
            return _from_conversation(conversation, found, imported_at, tool)
        case "jsonl":
            return jsonl.parse(text, file)
        case "har":
            url, opened, records, end_us = har.parse(json.loads(text), file)
            responses = (record.content for record in records if isinstance(record.content, Response))
            found = provenance(origin, source, [Answer(url, response.headers) for response in responses], file)
            return Tape(_header(url, found, opened, tool, records), (*records, *_ends(records)), end_us)
        case "lines":
            found = provenance(origin, source, (), file)
            return _from_lines(jsonl.plain(text, file), found, imported_at, tool)
        case _:
            assert_never(format)


def _format(text: bytes, source: str) -> Format:
    if not text:
        raise UnreadableRecording(f"{source}: it is empty; give {_KINDS}")
    if text[:1] != b"{":
        if text.startswith(LFS_POINTER):
            raise UnreadableRecording(f"{source}: {IS_LFS_POINTER}")
        if b"interactions" in text:
            return "pydantic-ai"
        problem = "a cassette already" if MAGIC in text[:64] else "not a recording that realtape knows"
        raise UnreadableRecording(f"{source}: {problem}; give {_KINDS}")
    if jsonl.is_header(text.partition(b"\n")[0]):
        return "jsonl"
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        if _HAR.match(text):
            raise UnreadableRecording(f"{source}: a HAR that is cut off or damaged; export it again") from None
        return "lines"
    return "har" if isinstance(document, dict) and "log" in document else "lines"


def _is_cassette(path: Path) -> bool:
    with path.open("rb") as file:
        return MAGIC in file.read(16)


def _from_lines(rows: list[tuple[float, Way, bytes]], found: Provenance, at: datetime, tool: str) -> Tape:
    records: list[Record] = []
    for seconds, way, message in rows:
        at_us = max(0, round(seconds * 1e6), records[-1].at_us if records else 0)
        records.append(Record(at_us, 0, way, Text(message)))
    return _finished(records, found, at, tool)


def _from_conversation(conversation: Conversation, found: Provenance, at: datetime, tool: str) -> Tape:
    records: list[Record] = []
    begun: datetime | None = None
    for connection, part in enumerate(_parts(conversation)):
        opened_us = records[-1].at_us if records else 0
        if isinstance(part, HttpExchange):
            recorded = _instant(part.recorded_at)
            begun = begun or recorded
            since_us = 0 if begun is None or recorded is None else round((recorded - begun).total_seconds() * 1e6)
            records += _exchanged(part, connection, max(opened_us, since_us))
            continue
        for step in part:
            at_us = (len(records) + 1) * UNTIMED_US if step.at_s is None else opened_us + round(step.at_s * 1e6)
            match step:
                case Message(way, event):
                    data = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
                    records.append(Record(at_us, connection, way, Text(data.encode("utf-8", "surrogatepass"))))
                case Closed(code, reason):
                    records.append(Record(at_us, connection, "received", Close(code, reason)))
    hosts = [urlsplit(each.url).hostname for each in conversation.exchanges]
    url = next((url for url in _URLS.values() if urlsplit(url).hostname in hosts), "")
    return _finished(records, found, begun or at, tool, url)


def _parts(conversation: Conversation) -> Iterator[HttpExchange | tuple[ConversationStep, ...]]:
    """HTTP exchanges and WebSocket connections, in the order of the file."""
    exchanges = list(conversation.exchanges)
    begin = 0
    for steps in conversation.connections():
        while exchanges and exchanges[0].after <= begin:
            yield exchanges.pop(0)
        yield steps
        begin += len(steps)
    yield from exchanges


def _exchanged(exchange: HttpExchange, connection: int, at_us: int) -> Iterator[Record]:
    parts = urlsplit(exchange.url)
    target = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
    request = Request(exchange.method, target, exchange.request_headers, exchange.request_body)
    yield Record(at_us, connection, "sent", request)
    response = Response(exchange.status, exchange.response_headers, exchange.response_body)
    yield Record(at_us, connection, "received", response)


def _instant(recorded_at: str | None) -> datetime | None:
    """The instant in a file's text, if it is one."""
    try:
        found = datetime.fromisoformat((recorded_at or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def _finished(records: list[Record], found: Provenance, at: datetime, tool: str, url: str = "") -> Tape:
    """Adds handshakes to connections without one, because players and readers need them."""
    opened = {record.connection for record in records if isinstance(record.content, Request)}
    missing = sorted({record.connection for record in records} - opened)
    for pair in [_handshake(connection, records) for connection in missing]:
        place = next(at for at, record in enumerate(records) if record.connection == pair[0].connection)
        records[place:place] = pair
    end_us = records[-1].at_us if records else 0
    return Tape(_header(url, found, _day(records) or at, tool, records), (*records, *_ends(records)), end_us)


def _day(records: list[Record]) -> datetime | None:
    """When the recording began, as the service's own events tell."""
    for record in records:
        match _event(record):
            case {"type": "ping", "timestamp": int(unix_ms)}:
                unix_s = unix_ms / 1000
            case {"type": "session.created" | "session.updated", "session": {"expires_at": int(unix)}}:
                unix_s = unix - _HOUR_S  # a session of OpenAI lasts an hour
            case _:
                continue
        if 0 < unix_s < _LATEST_UNIX_S:
            return datetime.fromtimestamp(unix_s - record.at_us / 1e6, timezone.utc)
    return None


def _ends(records: list[Record]) -> list[Record]:
    """Close frames for connections without an end: browsers do not export close frames. Code 1005 means: not known."""
    opened = {record.connection for record in records if isinstance(record.content, Text | Binary)}
    ended = {record.connection for record in records if isinstance(record.content, Close | Reset)}
    return [Record(records[-1].at_us, connection, "sent", Close(1005)) for connection in sorted(opened - ended)]


def _handshake(connection: int, records: list[Record]) -> list[Record]:
    """The client's probable request: the model, and the conversation if an earlier connection had it; or the call that
    it joined. The id of such a session is that of the call, after its prefix (recordings)."""
    model, conversation, earlier = None, None, set()
    first = next((_event(record) for record in records if record.connection == connection and _event(record)), None)
    match first:
        case {"type": "session.updated", "session": {"id": str(id)}} if _CALL_SESSION.fullmatch(id):
            return _opening(connection, records, f"{PATH}?call_id=rtc{id.removeprefix('sess')}")
        case _:
            pass
    for record in records:
        match _event(record):
            case {"type": "session.created", "session": {"model": str(name)}} if record.connection == connection:
                model = model or name
            case {"type": "conversation.created", "conversation": {"id": str(name)}}:
                if record.connection < connection:
                    earlier.add(name)
                elif record.connection == connection:
                    conversation = name
            case _:
                pass
    query = [f"model={quote(model)}"] if model else []
    if conversation in earlier:
        query.append(f"conversation_id={conversation}")
    return _opening(connection, records, f"{PATH}{'?' * bool(query)}{'&'.join(query)}")


def _opening(connection: int, records: list[Record], target: str) -> list[Record]:
    at_us = next(record.at_us for record in records if record.connection == connection)
    return [
        Record(at_us, connection, "sent", Request("GET", target, (("upgrade", "websocket"),))),
        Record(at_us, connection, "received", Response(101, ())),
    ]


def _header(url: str, found: Provenance, at: datetime, tool: str, records: list[Record]) -> Header:
    model = next((name for record in records if (name := _model(record)) is not None), None)
    dialect: str = service_of_model(model or "")
    host = urlsplit(url).hostname or ""
    for name, known in _URLS.items():
        if host == urlsplit(known).hostname:
            dialect = name
    return Header(
        origin=found.origin,
        url=url or (_URLS.get(dialect, UNKNOWN_URL) if found.origin == "live" else UNKNOWN_URL),
        dialect=dialect,
        model=model,
        recorded_at=at.isoformat(timespec="seconds"),
        tool=tool,
        source=found.source,
    )


def _model(record: Record) -> str | None:
    match _event(record):
        case {"type": "session.created" | "session.updated", "session": {"model": str(name)}}:
            return name
        case _:
            return None


def _event(record: Record) -> Any:
    if isinstance(record.content, Text) and record.way == "received":
        return event_in(record.content.data)
    return None
