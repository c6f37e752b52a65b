"""The cassette file: written record by record, read record by record.

A cassette is a stream of msgpack objects: a header (a map), records (arrays) and an end mark (an array too). Frames are
the bytes that crossed the wire. Nothing is scrubbed here (see scrub.py). docs/cassettes.md describes the layout.

A record is `[at_us, connection, way, kind, payload]`. Every number but the length of the payload has a fixed width, so
that each head has 20 bytes. A reader skips from one head to the next. It keeps the heads, and reads a payload when the
record is asked for.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from io import BytesIO, FileIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, BinaryIO, overload
from weakref import finalize

import msgpack
from typing_extensions import assert_never

from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.json_text import TYPE_FIRST, event_type
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
    bytes_of,
    header_fields,
    header_from,
)

VERSION = 1
"""Version of the format. Whoever changes it adds a step to UPGRADES and keeps an old file among the tests."""
SUFFIX = ".tape"
MAX_PAYLOAD = 128 << 20
"""Bytes. A longer payload means that the file is damaged."""
MAX_HEADER = 64 << 10
MAX_SOUND = 64 << 20
"""Bytes of left-out sound in one message. The services take 15 MiB."""
MOST_HELD = 4 << 20
"""Bytes of a cassette that is read at once. A larger one stays open, and each payload is read when it is asked for."""
MAX_US = 400 * 24 * 3600 * 1_000_000
"""Microseconds that a recording may last: 400 days."""


LFS_POINTER = b"version https://git-lfs.github.com/spec/"
"""The first bytes of what Git LFS leaves in a checkout in place of a file that it did not load."""
IS_LFS_POINTER = "a Git LFS pointer, not the file itself; run `git lfs pull`"


class BadCassette(Exception):
    """The file cannot be read as a complete cassette. The message names it and says what to do."""


class CannotRecord(Exception):
    """No further record can be written. The message names the file and says why."""


Upgrade = tuple[Callable[[dict[str, Any]], dict[str, Any]], Callable[[list[Any]], list[Any]]]
"""From one version to the next: a function of the header, and one of a raw record."""
UPGRADES: Mapping[int, Upgrade] = {}
"""By the version that a step starts from. Empty, because version 1 is the first."""

_HEAD = struct.Struct(">BBQBHBBBI")
_ARRAY5, _UINT64, _UINT16, _BIN32 = 0x95, 0xCF, 0xCD, 0xC6
_TYPE_AT = len(TYPE_FIRST)
_BEGINNING = 200
"""First bytes of a text message, in which its type is looked for."""
_MOST_TYPES = 255
"""Types of events that a cassette numbers, each in one byte a record. The services have about 90."""
_AHEAD = 64 << 10
"""Bytes that are read at once: records are mostly read one after the other."""
_LARGE = 8 << 10
"""Bytes of a payload that is read by itself: to read ahead behind it would cost more than it saves."""
_SHORT = 1 << 10
"""Bytes of a payload that is kept when its head is found, since another read costs more than that memory."""
_MOST_SHORT = 2 << 20
"""Bytes of all payloads that are kept so."""
_WAYS: tuple[Way, Way] = ("sent", "received")
_END = 15
_MESSAGES = (0, 1, 3)
"""Kinds whose payload can be any bytes, and needs no check."""
_VERSION_KEY = "realtape"
MAGIC = b"\xa8realtape"
"""That key as the first one of a cassette's header: in its first 16 bytes."""


def _packed(content: Content) -> tuple[int, bytes]:
    """The number of the kind, and the payload. The numbers belong to the file format and never change their meaning."""
    match content:
        case Text(data):
            return 0, data
        case Binary(data):
            return 1, data
        case Close(code, reason):
            return 2, msgpack.packb([code, reason])
        case Reset():
            return 3, b""
        case Request(method, target, headers, body):
            return 4, msgpack.packb([method, target, headers, body])
        case Response(status, headers, body):
            return 5, msgpack.packb([status, headers, body])
        case StrippedMessage(kind, parts):
            cut = [part if isinstance(part, bytes) else [getattr(part, f.name) for f in fields(part)] for part in parts]
            return 6, msgpack.packb([kind, cut])
        case Dropped(what, size, reason):
            return 7, msgpack.packb([what, size, reason])
        case _:
            assert_never(content)


def _content(kind: int, payload: bytes) -> Content:
    """Raises ValueError, TypeError or a msgpack error for a payload that _packed did not make."""
    match kind:
        case 0:
            return Text(payload)
        case 1:
            return Binary(payload)
        case 3:
            return Reset()
        case _:
            return _packed_content(kind, msgpack.unpackb(payload))


def verified(content: Content) -> Content:
    """The content as a cassette would give it back. Raises ValueError or TypeError for a field of the wrong type."""
    return _content(*_packed(content))


def _packed_content(kind: int, fields: object) -> Content:
    match kind, fields:
        case 2, [int(code), str(reason)] if 0 <= code <= 0xFFFF:
            return Close(code, reason)
        case 4, [str(method), str(target), list(headers), bytes(body)]:
            return Request(method, target, _headers(headers), body)
        case 5, [int(status), list(headers), bytes(body)] if 0 <= status <= 999:
            return Response(status, _headers(headers), body)
        case 6, ["text" | "binary" as of, list(parts)]:
            return StrippedMessage(of, tuple(part if isinstance(part, bytes) else _sound(part) for part in parts))
        case 7, [str(what), int(size), str(reason)]:
            return Dropped(what, size, reason)
        case 2 | 4 | 5 | 6 | 7, _:
            raise ValueError("a field is missing, or of another type")
        case _:
            raise ValueError(f"kind {kind} is unknown")


def _headers(pairs: list[Any]) -> Headers:
    if not all(
        isinstance(each, list) and len(each) == 2 and all(isinstance(text, str) for text in each) for each in pairs
    ):
        raise ValueError("a header is not a name and a value")
    return tuple((name, value) for name, value in pairs)


def _sound(part: object) -> StrippedAudio:
    match part:
        case [int(length), bytes(digest), str(encoding), int(peak)] if 0 <= peak <= 32767:
            if not 0 <= length <= MAX_SOUND:
                raise ValueError(f"{length} bytes of sound in one message; at most {MAX_SOUND} are read")
            return StrippedAudio(length, digest, encoding, peak)
        case _:
            raise ValueError("the place of a sound is not its length, hash, encoding and peak")


def _raw(at_us: int, connection: int, way: int, kind: int, payload: bytes) -> bytes:
    head = _HEAD.pack(_ARRAY5, _UINT64, at_us, _UINT16, connection, way, kind, _BIN32, len(payload))
    return head + payload


class Writer:
    """Appends to a new cassette. Each record is in the file when `write` returns: a kill loses only the record in
    flight.

    Raises CannotRecord if the file exists (unless `overwrite`) or cannot be created. `file`: an empty file that is open
    already; `path` then only names it in messages.
    """

    def __init__(
        self, path: str | os.PathLike[str], header: Header, *, overwrite: bool = False, file: FileIO | None = None
    ) -> None:
        self.path = Path(path)
        self.records = 0
        if header.origin not in ORIGINS:
            raise ValueError(f"origin is one of {', '.join(ORIGINS)}, not {header.origin!r}")
        try:
            if overwrite and file is None and self.path.is_file():
                self.path.unlink()  # a reader of the old file keeps it
            self._file = file or self.path.open("wb" if overwrite else "xb", buffering=0)
        except FileExistsError as problem:
            raise CannotRecord(f"{self.path} is there already; choose another name or overwrite it") from problem
        except OSError as problem:
            raise CannotRecord(f"{self.path}: {problem.strerror}; choose a folder that may be written to") from problem
        self._size = 0
        try:
            self._append(msgpack.packb({_VERSION_KEY: VERSION, **header_fields(header)}))
        except CannotRecord:
            self._file.close()
            raise

    def write(self, record: Record) -> None:
        """Append a record. Raises CannotRecord; the file then ends with the last complete record."""
        kind, payload = _packed(record.content)
        self._append(_raw(record.at_us, record.connection, _WAYS.index(record.way), kind, payload))
        self.records += 1

    def end(self, at_us: int) -> None:
        """Write the end mark and close the file. Raises CannotRecord."""
        self._append(_raw(at_us, 0, 0, _END, msgpack.packb(self.records)))
        self.close()

    def close(self) -> None:
        """Close the file. Without an end mark, readers see a recording that was cut off."""
        self._file.close()

    def _append(self, data: bytes) -> None:
        try:
            there = os.fstat(self._file.fileno())
            if there.st_nlink == 0:
                raise CannotRecord(f"{self.path} was deleted while it was written; its records are lost")
            if there.st_size < self._size:
                raise CannotRecord(f"{self.path} was cut while it was written; what is in it can be read")
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except (OSError, ValueError) as problem:  # ValueError: the file is closed
            # Remove the incomplete record. If the disk refuses this too, readers see a damaged end.
            with contextlib.suppress(OSError, ValueError):
                self._file.truncate(self._size)
                self._file.seek(self._size)
            reason = getattr(problem, "strerror", None) or str(problem)
            raise CannotRecord(f"{self.path}: {reason}; the recording ends after {self.records} records") from problem
        self._size += len(data)


class Cassette(Sequence[Record]):
    """A cassette to read: a sequence of records, each read and decoded on access. It needs 29 bytes of memory a record.

    `Cassette.open` accepts complete cassettes only. `Cassette.so_far` also accepts one that was cut off or is being
    written. The records are those that the file had then, also if another file takes its name.
    """

    def __init__(self, path: str | os.PathLike[str], upgrades: Mapping[int, Upgrade], version: int) -> None:
        self.path = Path(path)
        self.header: Header
        self.version: int
        """The version of the file. Records are upgraded to the current one as they are read."""
        self.end_us: int | None = None
        """When the recording ended, in microseconds; None without an end mark."""
        self.on_read: Callable[[int, int], None] | None = None
        """Called when a record is read, with its number, counted from 1, and the number of all."""
        self.body_at: int
        """Where the records begin, in bytes."""
        self._heads = bytearray()
        self._places = array("Q")
        """Of each record: its head, and where that is in the file."""
        self._types = bytearray()
        """Of each record: the place of its type in `_names`; 0 before it was looked at."""
        self._names = [""]
        self._places_of_names: dict[str, int] = {}
        self._raw_types: dict[bytes, int] = {}
        self._short: dict[int, bytes] = {}
        self._spare = _MOST_SHORT
        """By number: short payloads, and bytes of further ones that may be kept."""
        self._upgrades = upgrades
        self._today = version
        self._file: BinaryIO = BytesIO()
        self._lock = Lock()
        self._read_to = 0
        self.refresh()

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Cassette:
        """A complete cassette. Raises BadCassette, also for one without an end mark, and OSError."""
        cassette = cls.so_far(path)
        if cassette.end_us is None:
            cut = cassette.cut
            cassette.close()
            raise BadCassette(cut)
        return cassette

    @classmethod
    def so_far(
        cls, path: str | os.PathLike[str], upgrades: Mapping[int, Upgrade] = UPGRADES, version: int = VERSION
    ) -> Cassette:
        """The records that a cassette has by now; an incomplete record at its end is ignored. Raises BadCassette and
        OSError.
        """
        return cls(path, upgrades, version)

    @property
    def cut(self) -> str:
        """The message for a cassette without an end mark."""
        return f"{self.path}: cut off at {self.last_us / 1e6:.1f} s, no end mark; record it again"

    @property
    def last_us(self) -> int:
        """When the recording ended, or its last record happened, in microseconds."""
        if self.end_us is not None:
            return self.end_us
        return int(_HEAD.unpack_from(self._heads, len(self._heads) - _HEAD.size)[2]) if self._places else 0

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        numbers = range(len(self._places))[index]
        return self._record(numbers) if isinstance(numbers, int) else list(map(self._record, numbers))

    def __iter__(self) -> Iterator[Record]:
        return map(self._record, range(len(self._places)))

    def heads(self) -> Iterator[tuple[int, int, bool]]:
        """Of each record: microseconds, connection, and whether it is a message or a reset. No message is read."""
        if self.version != self._today:
            return ((each.at_us, each.connection, isinstance(each.content, Text | Binary | Reset)) for each in self)
        return ((head[2], head[4], head[6] in _MESSAGES) for head in _HEAD.iter_unpack(self._heads))

    def told(self) -> Iterator[tuple[str, int, int, Way, int]]:
        """Of each record what is known without reading it, unless it is of an older version: see `type_of`;
        microseconds, connection, way, and bytes of its payload, for a message those on the wire."""
        if self.version != self._today:
            for number, each in enumerate(self):
                yield self.type_of(number), each.at_us, each.connection, each.way, bytes_of(each.content)
            return
        names, types = self._names, self._types
        for number, head in enumerate(_HEAD.iter_unpack(bytes(self._heads))):  # a refresh may add to them
            name = names[types[number]] or self.type_of(number)
            yield name, head[2], head[4], _WAYS[head[5]], head[8]

    def type_of(self, number: int) -> str:
        """The type of the event in a record, as far as the first bytes tell it; else empty. It is read once."""
        if known := self._types[number]:
            return self._names[known]
        if self.version != self._today:
            content = self[number].content
            begun = content.data[:_BEGINNING] if isinstance(content, Text) else b""
        else:
            head = _HEAD.unpack_from(self._heads, number * _HEAD.size)
            is_text = head[6] == 0
            begun = self._read(self._places[number] + _HEAD.size, min(head[8], _BEGINNING)) if is_text else b""
        name = event_type(begun) if begun else ""
        self._types[number] = self._place_of(name)
        return name

    def _type_in(self, ahead: bytes, at: int, length: int) -> int:
        """The place of the type of the text message that begins there, if its first key is the type; else 0."""
        if not ahead.startswith(TYPE_FIRST, at):
            return 0
        begin = at + _TYPE_AT
        end = ahead.find(b'"', begin, at + (length if length < _BEGINNING else _BEGINNING))
        raw = ahead[begin:end]
        if (known := self._raw_types.get(raw, -1)) < 0:
            known = 0 if end < 0 or b"\\" in raw else self._place_of(raw.decode(errors="replace"))
            if end >= 0 and len(self._raw_types) < _MOST_TYPES:
                self._raw_types[raw] = known
        return known

    def _place_of(self, name: str) -> int:
        """The place of this type in `_names`; 0 if there are too many."""
        if (known := self._places_of_names.get(name, 0)) == 0 and len(self._names) <= _MOST_TYPES:
            known = self._places_of_names[name] = len(self._names)
            self._names.append(name)
        return known

    def __enter__(self) -> Cassette:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. A cassette that nobody refers to any more is closed by itself."""
        self._file.close()

    def refresh(self) -> int:
        """Read the records written since. Returns their number. Raises BadCassette and OSError."""
        known = len(self._places)
        self.close()
        file = self.path.open("rb", buffering=_AHEAD)
        try:
            size = file.seek(0, os.SEEK_END)
            self._file = file
            if size <= MOST_HELD:
                self._file = BytesIO(self._read(0, size))
                file.close()
            finalize(self, self._file.close)
            if not self._read_to:
                self._read_header()
            self._index(size)
        except BaseException:
            file.close()
            raise
        return len(self._places) - known

    def _read(self, at: int, size: int) -> bytes:
        if sys.platform != "win32" and _LARGE <= size < _AHEAD and not isinstance(self._file, BytesIO):
            return os.pread(self._file.fileno(), size, at)
        with self._lock:
            self._file.seek(at)
            return self._file.read(size)

    def _read_header(self) -> None:
        unpacker = msgpack.Unpacker(max_buffer_size=MAX_HEADER)
        try:
            unpacker.feed(self._read(0, MAX_HEADER))
            header = unpacker.unpack()
        except msgpack.OutOfData:
            raise BadCassette(f"{self.path}: cut off within its header; record it again") from None
        except (msgpack.UnpackException, ValueError) as problem:
            raise self._no_cassette() from problem
        if not isinstance(header, dict) or not isinstance(header.get(_VERSION_KEY), int):
            raise self._no_cassette()
        self.version = header.pop(_VERSION_KEY)
        if self.version > self._today:
            raise BadCassette(
                f"{self.path}: version {self.version}; this realtape reads up to {self._today}; upgrade realtape"
            )
        for version in range(self.version, self._today):
            if version not in self._upgrades:
                raise BadCassette(f"{self.path}: realtape no longer reads version {version}; record it again")
            header = self._upgrades[version][0](header)
        if header.get("origin") not in ORIGINS:
            raise BadCassette(f"{self.path}: no origin (one of {', '.join(ORIGINS)}); record it again")
        try:
            self.header = header_from(header)
        except (TypeError, ValueError) as problem:
            raise BadCassette(f"{self.path}: its header is not that of version {self._today} ({problem})") from problem
        self._read_to = self.body_at = unpacker.tell()

    def _no_cassette(self) -> BadCassette:
        if self._read(0, 64).startswith(LFS_POINTER):
            return BadCassette(f"{self.path}: {IS_LFS_POINTER}")
        return BadCassette(f"{self.path}: not a cassette; other tools' recordings become one with `realtape import`")

    def _index(self, size: int) -> None:
        """Skip from head to head, up to the end mark or the last complete record."""
        at, add, head, unpack = self._read_to, self._places.append, _HEAD.size, _HEAD.unpack_from
        heads, add_type, is_today = self._heads, self._types.append, self.version == self._today
        ahead, begin, end = b"", at, at
        while self.end_us is None and at + head <= size:
            if at + head + _BEGINNING > end < size:
                ahead, begin = self._read(at, _AHEAD), at
                end = begin + len(ahead)
                if len(ahead) < head:  # somebody shortens the file at this moment
                    break
            offset = at - begin
            array5, uint64, at_us, uint16, _, way, kind, bin32, length = unpack(ahead, offset)
            if (
                (array5, uint64, uint16, bin32) != (_ARRAY5, _UINT64, _UINT16, _BIN32)
                or way > 1
                or length > MAX_PAYLOAD
            ):
                raise BadCassette(f"{self.path}: byte {at} does not begin a record; the file is damaged")
            if at + head + length > size:
                break
            if at_us > MAX_US:
                raise BadCassette(
                    f"{self.path}: record {len(self._places)} is {at_us / 8.64e10:.0f} days after the start; "
                    "the file is damaged"
                )
            if kind == _END:
                self.end_us = at_us
            else:
                add(at)
                payload = offset + head
                heads += ahead[offset:payload]
                add_type(self._type_in(ahead, payload, length) if is_today and kind == 0 else 0)
                if length <= _SHORT and self._spare >= length and at + head + length <= end:
                    self._short[len(self._places) - 1] = ahead[payload : payload + length]
                    self._spare -= length
            at += head + length
        self._read_to = at
        if self.end_us is not None and at != size:
            raise BadCassette(f"{self.path}: {size - at} bytes after the end mark; the file is damaged")

    def _record(self, number: int) -> Record:
        if self.on_read is not None:
            self.on_read(number + 1, len(self._places))
        _, _, at_us, _, connection, way, kind, _, length = _HEAD.unpack_from(self._heads, number * _HEAD.size)
        place = self._places[number]
        if (payload := self._short.get(number)) is None:
            payload = self._read(place + _HEAD.size, length)
        if len(payload) < length:
            raise BadCassette(f"{self.path}: shortened since it was opened; record {number} is gone")
        try:
            if self.version != self._today:
                raw = [at_us, connection, way, kind, payload]
                for version in range(self.version, self._today):
                    raw = self._upgrades[version][1](raw)
                at_us, connection, way, kind, payload = raw
            content = Text(payload) if kind == 0 else _content(kind, payload)
            return Record(at_us, connection, _WAYS[way], content)
        except (ValueError, TypeError, IndexError, RecursionError, msgpack.UnpackException) as problem:
            raise BadCassette(f"{self.path}: record {number} at byte {place} is damaged ({problem})") from problem


def rewrite_header(path: str | os.PathLike[str], header: Header) -> None:
    """Replace the header of a cassette; its records stay as they are, byte for byte.

    Raises BadCassette, OSError, and CannotRecord for a cassette of an older version.
    """
    target = Path(path).resolve()  # the file that a link points to, not the link
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with Cassette.so_far(path) as cassette:
        version, body_at = cassette.version, cassette.body_at
    if version != VERSION:
        raise CannotRecord(f"{path}: of version {version}; `realtape scrub` writes it as one of {VERSION}")
    try:
        with part.open("wb") as out, target.open("rb") as file:
            out.write(msgpack.packb({_VERSION_KEY: VERSION, **header_fields(header)}))
            file.seek(body_at)
            shutil.copyfileobj(file, out)
        part.replace(target)  # all are closed: Windows replaces no open file
    finally:
        part.unlink(missing_ok=True)
