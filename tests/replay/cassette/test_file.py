from __future__ import annotations

import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.cassette.file import MAX_SOUND, MAX_US, VERSION, BadCassette, CannotRecord, Cassette, Writer, rewrite_header
from replay.cassette.frames import Binary, Close, Reset, Text
from replay.cassette.records import (
    Content,
    Dropped,
    Header,
    Record,
    Request,
    Response,
    StrippedAudio,
    StrippedMessage,
    header_fields,
)

HERE = Path(__file__).resolve().parent.parent
HEADER = Header("mock", "ws://127.0.0.1:8765/v1/realtime", "xai@2026-07", "grok", "2026-07-01T09:00:00+00:00", "t 1")
HEADERS = (("User-Agent", "me"), ("Authorization", "<scrubbed:header>"))
ODD = rb'{"b":1e5,"a":100000.0,"z":"\ud800","n":0.7699999999999999}'
TALK = [
    Record(0, 0, "sent", Request("GET", "/v1/realtime?model=grok", HEADERS)),
    Record(210_000, 0, "received", Response(101, ())),
    Record(250_001, 0, "received", Text(b'{"type":"session.created"}')),
    Record(300_000, 0, "sent", Text(ODD)),
    Record(300_002, 0, "received", Binary(bytes(range(256)))),
    Record(
        400_000,
        0,
        "received",
        StrippedMessage("text", (b'{"audio":"', StrippedAudio(9, b"\x01" * 32, "pcm", 77), b'"}')),
    ),
    Record(500_000, 0, "sent", Dropped("text", 12, "it is nested too deep")),
    Record(600_000, 0, "received", Reset()),
    Record(700_000, 1, "sent", Request("POST", "/v1/realtime/client_secrets", (), b"{}")),
    Record(800_000, 1, "received", Response(429, (("Retry-After", "2"),), b'{"code":"x"}')),
    Record(900_000, 2, "sent", Close(4001, "bye – bye")),
]

headers = st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=3).map(tuple)
sounds = st.builds(
    StrippedAudio, st.integers(0, MAX_SOUND), st.binary(min_size=32, max_size=32), st.just("pcm"), st.integers(0, 32767)
)
contents: st.SearchStrategy[Content] = st.one_of(
    st.builds(Text, st.binary(max_size=200)),
    st.builds(Binary, st.binary(max_size=200)),
    st.builds(Close, st.integers(1000, 4999), st.text(max_size=20)),
    st.just(Reset()),
    st.builds(Request, st.text(max_size=5), st.text(max_size=20), headers, st.binary(max_size=20)),
    st.builds(Response, st.integers(100, 599), headers, st.binary(max_size=20)),
    st.builds(
        StrippedMessage, st.sampled_from(["text", "binary"]), st.lists(st.binary() | sounds, max_size=4).map(tuple)
    ),
    st.builds(Dropped, st.text(max_size=5), st.integers(0, 2**40), st.text(max_size=20)),
)
records = st.builds(
    Record, st.integers(0, MAX_US), st.integers(0, 65535), st.sampled_from(["sent", "received"]), contents
)


def written(path: Path, talk: list[Record], *, end_us: int | None = 1_000_000) -> Path:
    writer = Writer(path, HEADER)
    for record in talk:
        writer.write(record)
    if end_us is not None:
        writer.end(end_us)
    writer.close()
    return path


def unpacked(path: Path) -> list[Any]:
    unpacker = msgpack.Unpacker()
    unpacker.feed(path.read_bytes())
    return list(unpacker)


@settings(max_examples=50)
@given(st.lists(records, max_size=8))
def test_what_is_written_is_what_is_read(talk: list[Record]):
    with tempfile.TemporaryDirectory() as folder, Cassette.open(written(Path(folder) / "a.tape", talk)) as cassette:
        assert list(cassette) == talk
        assert cassette.header == HEADER


def test_numbers_key_order_and_lone_surrogates_stay_bytes(tmp_path: Path):
    with Cassette.open(written(tmp_path / "a.tape", TALK)) as cassette:
        assert cassette[3].content == Text(ODD)


def test_any_msgpack_reader_can_read_a_cassette(tmp_path: Path):
    header, *rest, end = unpacked(written(tmp_path / "a.tape", TALK))
    assert header["realtape"] == VERSION
    assert header["origin"] == "mock"
    assert rest[3] == [300_000, 0, 0, 0, ODD]
    assert end[0] == 1_000_000


def test_wherever_a_recording_is_cut_the_whole_records_before_are_read(tmp_path: Path):
    whole = written(tmp_path / "whole.tape", TALK).read_bytes()
    cut = tmp_path / "cut.tape"
    begin = len(msgpack.packb(unpacked(tmp_path / "whole.tape")[0]))
    counts = []
    for size in [*range(begin, len(whole), 11), len(whole) - 1]:
        cut.write_bytes(whole[:size])
        with Cassette.so_far(cut) as cassette:
            assert list(cassette) == TALK[: len(cassette)]
            assert cassette.end_us is None
            counts.append(len(cassette))
    assert counts[0] == 0
    assert counts[-1] == len(TALK)
    assert counts == sorted(counts)


def test_a_recording_without_an_end_mark_is_refused_and_says_where_it_was_cut(tmp_path: Path):
    path = written(tmp_path / "a.tape", [*TALK, Record(12_345_678, 0, "sent", Reset())], end_us=None)
    with pytest.raises(BadCassette, match=r"a\.tape: cut off at 12\.3 s, no end mark; record it again"):
        Cassette.open(path)


def test_a_cassette_is_read_while_it_is_written(tmp_path: Path):
    writer = Writer(tmp_path / "a.tape", HEADER)
    with Cassette.so_far(tmp_path / "a.tape") as cassette:
        assert len(cassette) == 0
        writer.write(TALK[0])
        assert cassette.refresh() == 1
        writer.write(TALK[1])
        writer.end(5)
        assert cassette.refresh() == 1
        assert list(cassette) == TALK[:2]
        assert cassette.end_us == 5


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_kill_in_mid_recording_loses_at_most_the_record_in_flight(tmp_path: Path):
    path = tmp_path / "a.tape"
    program = f"""
import sys
from replay.cassette.file import Writer
from replay.cassette.records import Header, Record
from replay.cassette.frames import Text
writer = Writer({str(path)!r}, Header("mock", "ws://x", "xai", None, "2026-07-01", "t"))
for number in range(10**9):
    writer.write(Record(number, 0, "sent", Text(b"x" * 5000)))
    print(number, flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=HERE.parents[2], text=True
    ) as child:
        assert child.stdout is not None
        told = [child.stdout.readline() for _ in range(300)]
        child.send_signal(signal.SIGKILL)
        told += child.stdout.readlines()
    acknowledged = sum(line.endswith("\n") for line in told)
    with Cassette.so_far(path) as cassette:
        assert acknowledged <= len(cassette) <= acknowledged + 1
        assert cassette[acknowledged - 1] == Record(acknowledged - 1, 0, "sent", Text(b"x" * 5000))
        assert "no end mark" in cassette.cut


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_told_at_once():
    with pytest.raises(CannotRecord, match="/dev/full: No space left on device"):
        Writer("/dev/full", HEADER, overwrite=True)


class Filling:
    """A file on a disk that has room for so many more bytes; like a real one it takes what still fits."""

    def __init__(self, file: Any, room: int) -> None:
        self._file = file
        self._room = room

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(28, "No space left on device")
        taken: int = self._file.write(data[: self._room])
        self._room -= taken
        return taken


def test_a_disk_that_fills_up_leaves_the_whole_records_and_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    writer = Writer(tmp_path / "a.tape", HEADER)
    writer.write(TALK[2])
    monkeypatch.setattr(writer, "_file", Filling(writer._file, room=30))
    with pytest.raises(CannotRecord, match="No space left on device; the recording ends after 1 records"):
        writer.write(TALK[4])
    writer.close()
    with Cassette.so_far(tmp_path / "a.tape") as cassette:
        assert list(cassette) == [TALK[2]]
    size = (tmp_path / "a.tape").stat().st_size
    assert written(tmp_path / "b.tape", [TALK[2]], end_us=None).stat().st_size == size, "no torn tail"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not delete files in use")
def test_a_vanished_folder_is_noticed(tmp_path: Path):
    folder = tmp_path / "tapes"
    folder.mkdir()
    writer = Writer(folder / "a.tape", HEADER)
    shutil.rmtree(folder)
    with pytest.raises(CannotRecord, match=r"a\.tape was deleted while it was written"):
        writer.write(TALK[0])
    writer.close()


def test_a_cassette_that_is_there_is_not_overwritten_unless_asked(tmp_path: Path):
    path = written(tmp_path / "a.tape", TALK)
    with pytest.raises(CannotRecord, match="is there already"):
        Writer(path, HEADER)
    with Cassette.open(path) as old:
        Writer(path, HEADER, overwrite=True).end(0)
        assert list(old) == TALK, "who reads the old one keeps it"
    with Cassette.open(path) as new:
        assert len(new) == 0


def test_a_folder_that_is_missing_is_told(tmp_path: Path):
    with pytest.raises(CannotRecord, match="choose a folder that may be written to"):
        Writer(tmp_path / "no" / "a.tape", HEADER)


def test_a_cassette_has_an_origin(tmp_path: Path):
    with pytest.raises(ValueError, match="origin is one of live, mock, hand"):
        Writer(tmp_path / "a.tape", replace(HEADER, origin="unknown"))  # type: ignore[arg-type]
    (tmp_path / "b.tape").write_bytes(msgpack.packb({"realtape": 1, "url": "ws://x"}))
    with pytest.raises(BadCassette, match="no origin"):
        Cassette.so_far(tmp_path / "b.tape")


def test_a_cassette_of_a_later_version_says_what_to_upgrade(tmp_path: Path):
    (tmp_path / "a.tape").write_bytes(msgpack.packb({"realtape": VERSION + 1, "origin": "mock"}))
    with pytest.raises(BadCassette, match=f"version {VERSION + 1}; this realtape reads up to {VERSION}; upgrade"):
        Cassette.so_far(tmp_path / "a.tape")


def test_an_old_cassette_is_upgraded_step_by_step(tmp_path: Path):
    """Two made-up versions: the first later one renames a key of the header, the second counts in half microseconds."""
    steps = {
        VERSION: (lambda header: {**header, "tool": header["tool"] + "!"}, lambda record: record),
        VERSION + 1: (lambda header: header, lambda record: [record[0] * 2, *record[1:]]),
    }
    path = written(tmp_path / "a.tape", TALK)
    with Cassette.so_far(path, steps, VERSION + 2) as cassette:
        assert cassette.version == VERSION
        assert cassette.header.tool == "t 1!"
        assert [record.at_us for record in cassette] == [2 * record.at_us for record in TALK]
    with pytest.raises(BadCassette, match=f"realtape no longer reads version {VERSION}"):
        Cassette.so_far(path, {}, VERSION + 1)


def test_a_file_of_version_1_stays_readable():
    with Cassette.open(HERE / "version-1.tape") as cassette:
        assert cassette.version == 1
        assert cassette.header == HEADER
        assert list(cassette) == TALK
        assert cassette.end_us == 1_000_000


@settings(max_examples=100)
@given(st.binary(max_size=100), st.booleans())
def test_any_other_file_is_told_to_be_no_cassette(data: bytes, begins_well: bool):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tape"
        whole = written(Path(folder) / "b.tape", TALK).read_bytes()
        path.write_bytes(whole[: len(whole) - 40] + data if begins_well else data)
        try:
            with Cassette.so_far(path) as cassette:
                list(cassette)
        except BadCassette as problem:
            assert str(problem).startswith(str(path))


def test_bytes_after_the_end_mark_are_damage(tmp_path: Path):
    path = written(tmp_path / "a.tape", TALK)
    path.write_bytes(path.read_bytes() + b"more")
    with pytest.raises(BadCassette, match="4 bytes after the end mark"):
        Cassette.so_far(path)


def packed(at_us: int, kind: int, payload: bytes) -> bytes:
    return struct.pack(">BBQBHBBBI", 0x95, 0xCF, at_us, 0xCD, 0, 0, kind, 0xC6, len(payload)) + payload


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (2, [70_000, ""]),
        (2, [1000]),
        (2, 5),
        (2, None),
        (4, [None, None, [], None]),
        (4, ["GET", "/", [["a"]], b""]),
        (4, ["GET", "/", [["a", 1]], b""]),
        (5, ["200", [], b""]),
        (5, [-1, [], b""]),
        (6, ["sound", []]),
        (6, ["text", [5]]),
        (6, ["text", [[2**40, b"", "pcm", 0]]]),
        (6, ["text", [[-1, b"", "pcm", 0]]]),
        (6, ["text", [[1, b"", "pcm", 40_000]]]),
        (7, [1, 2, 3]),
        (8, []),
    ],
)
def test_a_record_of_the_wrong_shape_is_refused_with_its_number(kind: int, fields: object, tmp_path: Path):
    path = tmp_path / "a.tape"
    start = msgpack.packb({"realtape": VERSION, **header_fields(HEADER)})
    path.write_bytes(start + packed(1, 0, b"{}") + packed(2, kind, msgpack.packb(fields)) + packed(3, 15, b"\x02"))
    with Cassette.open(path) as cassette, pytest.raises(BadCassette, match=r"record 1 at byte \d+ is damaged"):
        list(cassette)


def test_a_time_without_end_is_refused(tmp_path: Path):
    path = tmp_path / "a.tape"
    path.write_bytes(msgpack.packb({"realtape": VERSION, **header_fields(HEADER)}) + packed(2**64 - 1, 0, b"{}"))
    with pytest.raises(BadCassette, match="record 0 is 213503982 days after the start"):
        Cassette.so_far(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": 5},
        {"model": []},
        {"recorded_at": "soon"},
        {"audio": "loud"},
        {"tool": None},
        {"more": 1},
        {"ignore": "date"},
        {"ignore": [1]},
    ],
)
def test_a_header_of_the_wrong_shape_is_refused(wrong: dict[str, object], tmp_path: Path):
    path = tmp_path / "a.tape"
    path.write_bytes(msgpack.packb({"realtape": VERSION, **header_fields(HEADER), **wrong}))
    with pytest.raises(BadCassette, match="its header is not that of version"):
        Cassette.so_far(path)


@pytest.mark.parametrize("ended", [True, False])
def test_a_header_is_rewritten_and_the_records_stay_byte_for_byte(ended: bool, tmp_path: Path):
    path = tmp_path / "a.tape"
    writer = Writer(path, HEADER)
    writer.write(Record(1, 0, "sent", Text(b'{"type": "x"}')))
    writer.end(2) if ended else writer.close()
    before = path.read_bytes()
    rewrite_header(path, replace(HEADER, ignore=("date", "session.instructions")))
    with Cassette.so_far(path) as cassette:
        assert cassette.header == replace(HEADER, ignore=("date", "session.instructions"))
        assert [each.content for each in cassette] == [Text(b'{"type": "x"}')]
        assert (cassette.end_us is not None) is ended
    rewrite_header(path, HEADER)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
