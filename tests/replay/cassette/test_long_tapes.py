"""What a long call costs: memory that does not grow with it. Cassettes are larger here than what is held of one."""

from __future__ import annotations

import json
import tracemalloc
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockserver.responders.base import Say, Turn
from mockserver.responders.recorded import RecordedResponder
from replay.billing.bill import bill
from replay.cassette import file
from replay.cassette.content import recorded_conversations
from replay.cassette.file import MOST_HELD, BadCassette, Cassette, Writer
from replay.cassette.frames import Close, Text
from replay.cassette.recording import Recording
from replay.cassette.records import Header, Record, Request, Response, Way
from replay.cassette.scrub import Scrubber
from replay.diff.compare import compare
from replay.findings.lint import lint
from replay.formats import har, wav
from replay.playback.verbatim import Player, Track
from replay.report.listing import folded, line, listed
from replay.report.verification import faults

HEADER = Header("mock", "ws://127.0.0.1/v1/realtime", "xai", None, "2026-07-06T09:00:00Z", "realtape test")
MOST = 10 << 20
"""Bytes of memory for a cassette of 26 MB: one of its parts, and room for what a command needs by itself."""


def call(turns: int) -> Iterator[Record]:
    """Turns of ten seconds: four of the user, and six of the service, in appends and deltas of a fifth of a second."""
    rng = Random(1)
    heard, spoken = (b64encode(rng.randbytes(9600)).decode() for _ in range(2))

    def event(at_ms: float, way: Way, kind: str, **fields: object) -> Record:
        data = json.dumps({"type": kind, **fields}, separators=(",", ":")).encode()
        return Record(round(at_ms * 1000), 0, way, Text(data))

    yield Record(0, 0, "sent", Request("GET", "/v1/realtime?model=grok-voice-2.0", ()))
    yield Record(0, 0, "received", Response(101, ()))
    yield event(0, "received", "session.created", session={"id": "s", "model": "grok-voice-2.0"})
    for turn in range(turns):
        at_ms, ids = turn * 10_000.0, {"response_id": f"r{turn}", "item_id": f"i{turn}"}
        for number in range(20):
            yield event(at_ms + 200 * number, "sent", "input_audio_buffer.append", audio=heard)
        yield event(at_ms + 4000, "received", "input_audio_buffer.committed", item_id=f"u{turn}")
        yield event(at_ms + 4000, "received", "response.created", response={"id": f"r{turn}"})
        for number in range(30):
            here_ms = at_ms + 4000 + 200 * number
            yield event(here_ms, "received", "response.output_audio_transcript.delta", delta=f"word {number} ", **ids)
            yield event(here_ms, "received", "response.output_audio.delta", delta=spoken, **ids)
        yield event(at_ms + 9990, "received", "response.done", response={"id": f"r{turn}", "status": "completed"})
    yield Record(turns * 10_000_000, 0, "sent", Close(1000))


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.tape"
    writer = Writer(path, HEADER)
    for record in call(40):
        writer.write(record)
    writer.end(400_000_000)
    assert path.stat().st_size > 6 * MOST_HELD
    return path


def read(path: Path) -> int:
    with Cassette.open(path) as cassette:
        return sum(1 for _ in cassette)


def shown(path: Path) -> int:
    with Cassette.open(path) as cassette:
        return sum(1 for _ in folded(listed(cassette, Scrubber())))


def checked(path: Path) -> int:
    with Cassette.open(path) as cassette:
        assert faults(cassette, Scrubber()) == []
        return len(cassette)


def linted(path: Path) -> int:
    recording = Recording.read(path)
    assert [each for each in lint(recording) if each.level == "error"] == []
    return len(recording.lines[0].moments)


def billed(path: Path) -> int:
    return round(bill(Recording.read(path), date(2026, 7, 6)).quantity("audio in"))


def enacted(path: Path) -> int:
    """The responses with audio of a conversation that is replayed adaptively."""
    (conversation,) = recorded_conversations(Recording.read(path))
    responder = RecordedResponder(conversation)
    steps = (step for number in range(40) for step in responder.reply(Turn(number, None)))
    return sum(isinstance(each, Say) and len(each.segments) for each in steps)


def played(path: Path) -> int:
    """The frames that a client gets that sends what was recorded."""
    (line,) = Recording.read(path).lines
    player, count = Player("long", Track(line), lambda _: ()), 0
    for moment in line.moments:
        if moment.way == "sent" and isinstance(moment.frame, Text):
            player.receive(moment.frame.data.decode(), moment.at_s)
        count += len(player.take_output(moment.at_s))
    return count


def compared(path: Path) -> int:
    events = Recording.read(path).received()
    assert compare(events, Recording.read(path).received()) == []
    return len(events)


def archived(path: Path) -> int:
    """Pieces of the text of a HAR, one for each message."""
    with Cassette.open(path) as cassette:
        return sum(1 for _ in har.lines(HEADER, cassette, "1", Scrubber()))


def written(path: Path) -> int:
    """WAV files of the call and of each turn."""
    return len(wav.write(Recording.read(path), path.parent / "wav"))


@pytest.mark.parametrize(
    ("work", "result"),
    [
        (read, 3324),
        (shown, 2564),
        (checked, 3324),
        (linted, 3322),
        (billed, 160),
        (enacted, 40),
        (played, 2521),
        (compared, 2521),
        (archived, 3326),
        (written, 41),
    ],
)
def test_memory_does_not_grow_with_a_tape(work: Callable[[Path], int], result: int, tape: Path):
    work(tape)  # what is loaded and remembered once does not count
    tracemalloc.start()
    try:
        assert work(tape) == result
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


def test_the_records_of_a_long_tape_are_those_that_were_written(tape: Path):
    with Cassette.open(tape) as cassette:
        assert list(cassette) == list(call(40))
        assert cassette[-1] == list(cassette[-2:])[1]
        assert [at_us for at_us, *_ in cassette.heads()] == [each.at_us for each in call(40)]


def test_a_list_reads_no_sound(tape: Path, monkeypatch: pytest.MonkeyPatch):
    """Only the beginnings of messages with sound, in which their type stands, and these once."""
    asked: list[int] = []
    read = Cassette._read

    def counted(cassette: Cassette, at: int, size: int) -> bytes:
        asked.append(size)
        return read(cassette, at, size)

    monkeypatch.setattr(Cassette, "_read", counted)
    with Cassette.open(tape) as cassette:
        del asked[:]
        first = list(listed(cassette, Scrubber()))
        once = sum(asked)
        assert list(listed(cassette, Scrubber())) == first == [line(record) for record in cassette]
    assert once < tape.stat().st_size / 20


def test_a_type_is_that_of_the_message_however_many_there_are(tmp_path: Path):
    texts = [f'{{"type":"t{number}"}}' for number in range(600)] + ['{"no":1}', "text", '{"a":"b", "type":"late"}']
    path = tmp_path / "types.tape"
    writer = Writer(path, HEADER)
    for number, text in enumerate(texts):
        writer.write(Record(number, 0, "sent", Text(text.encode())))
    writer.write(Record(999, 0, "sent", Close(1000)))
    writer.end(999)
    with Cassette.open(path) as cassette:
        for _ in range(2):
            found = [cassette.type_of(number) for number in range(len(cassette))]
            assert found == [*(f"t{number}" for number in range(600)), "", "", "late", ""]


def test_a_long_tape_that_is_shortened_while_it_is_read_is_named(tape: Path, tmp_path: Path):
    path = tmp_path / "a.tape"
    path.write_bytes(tape.read_bytes())
    with Cassette.open(path) as cassette:
        with path.open("r+b") as file:
            file.truncate(1 << 20)
        with pytest.raises(BadCassette, match=r"a\.tape: shortened since it was opened; record 3000 is gone"):
            cassette[3000]


def test_who_reads_a_long_tape_keeps_it_if_another_takes_its_name(tape: Path, tmp_path: Path):
    path = tmp_path / "a.tape"
    path.write_bytes(tape.read_bytes())
    recording = Recording.read(path)
    Writer(path, HEADER, overwrite=True).end(0)
    assert recording.lines[0].moments[1000].frame == list(call(40))[1002].content


def verdict(path: Path, held: int) -> list[str]:
    """What check says of a tape of which so many bytes are held."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file, "MOST_HELD", held)
        patch.setattr(file, "_AHEAD", 64)  # so that records lie across two reads
        try:
            with Cassette.so_far(path) as cassette:
                return faults(cassette, Scrubber())
        except BadCassette as problem:
            return [str(problem)]


@settings(max_examples=60)
@given(st.integers(0), st.binary(max_size=5), st.integers(0, 5), st.booleans())
def test_a_damaged_tape_has_the_same_faults_in_its_file_as_in_memory(at: int, put: bytes, instead_of: int, cut: bool):
    whole = (Path(__file__).parents[1] / "version-1.tape").read_bytes()
    at %= len(whole)
    with TemporaryDirectory() as folder:
        path = Path(folder, "a.tape")
        path.write_bytes(whole[:at] + put + (b"" if cut else whole[at + instead_of :]))
        assert verdict(path, held=0) == verdict(path, held=MOST_HELD)
