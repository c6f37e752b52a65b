"""How fast cassettes are written, opened and read, beside the same records as JSON lines and as YAML; and what commands
cost for a long one.

    python bench/cassette.py [SECONDS]
    python bench/cassette.py --long [MINUTES]

The call: ten minutes of sound both ways, appends of 100 ms and deltas of 250 ms (77 MB); for YAML, its first ten
seconds, since it takes minutes otherwise. JSON lines and YAML hold a frame as its text. Times are the best of several;
the files are in the page cache, as they are in a test run.

The long call: two hours of turns of ten seconds, in which the user speaks for four and the service for five (about 700
MB). Each command runs in a process of its own, of which the processor time and the largest resident memory are shown;
of `serve`, until its ready line. With another tree first in PYTHONPATH, the commands are those of that tree.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from timeit import repeat
from typing import Any

import yaml

from replay.cassette.file import Cassette, Writer
from replay.cassette.frames import Close, Text
from replay.cassette.records import Header, Record, Request, Response, Way
from replay.report.listing import line

HEADER = Header("hand", "ws://127.0.0.1:8765/v1/realtime", "xai", None, "2026-07-01T09:00:00+00:00", "bench")
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def call(seconds: int, rng: random.Random) -> list[Record]:
    records = [Record(0, 0, "sent", Request("GET", "/v1/realtime", ())), Record(1, 0, "received", Response(101, ()))]
    for at_ms in range(0, seconds * 1000, 50):
        if at_ms % 100 == 0:
            sound = b64encode(rng.randbytes(4800))
            frame = b'{"type":"input_audio_buffer.append","audio":"' + sound + b'"}'
            records.append(Record(at_ms * 1000, 0, "sent", Text(frame)))
        if at_ms % 250 == 0:
            sound = b64encode(rng.randbytes(12_000))
            frame = b'{"event_id":"e","type":"response.output_audio.delta","response_id":"r","delta":"' + sound + b'"}'
            records.append(Record(at_ms * 1000 + 1, 0, "received", Text(frame)))
    return records


def plain(records: list[Record]) -> list[list[Any]]:
    return [[r.at_us, r.connection, r.way, r.content.data.decode()] for r in records if isinstance(r.content, Text)]


def write_tape(path: Path, records: Iterable[Record]) -> None:
    writer = Writer(path, HEADER, overwrite=True)
    record = None
    for record in records:
        writer.write(record)
    writer.end(record.at_us if record else 0)


def write_lines(path: Path, rows: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
            file.flush()


def write_yaml(path: Path, rows: list[list[Any]]) -> None:
    path.write_text(yaml.dump(rows, Dumper=DUMPER), encoding="utf-8")


def read_tape(path: Path) -> int:
    with Cassette.open(path) as cassette:
        return sum(1 for _ in cassette)


def list_tape(path: Path) -> int:
    with Cassette.open(path) as cassette:
        return sum(len(str(line(record))) for record in cassette)


def open_tape(path: Path) -> int:
    with Cassette.open(path) as cassette:
        return len(cassette)


def read_lines(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return sum(1 for _ in map(json.loads, file))


def read_yaml(path: Path) -> int:
    return len(yaml.load(path.read_bytes(), LOADER))


def best(work: Callable[[], object], times: int = 3) -> float:
    return min(repeat(work, number=1, repeat=times))


def speeds(folder: Path, records: list[Record]) -> None:
    """Megabytes a second of frames, and how many times a cassette is as fast."""
    short = [record for record in records if record.at_us < 10_000_000]
    tape, lines, yamls = folder / "a.tape", folder / "a.jsonl", folder / "a.yaml"
    measured: dict[str, tuple[float, float]] = {}
    for name, of, write, read in (
        ("cassette", records, lambda: write_tape(tape, records), lambda: read_tape(tape)),
        ("JSON lines", records, lambda: write_lines(lines, plain(records)), lambda: read_lines(lines)),
        ("YAML", short, lambda: write_yaml(yamls, plain(short)), lambda: read_yaml(yamls)),
    ):
        megabytes = sum(len(r.content.data) for r in of if isinstance(r.content, Text)) / 1e6
        times = 1 if name == "YAML" else 3
        measured[name] = megabytes / best(write, times), megabytes / best(read, times)
    for name, (written, read_back) in measured.items():
        ratios = measured["cassette"][0] / written, measured["cassette"][1] / read_back
        print(
            f"{name:11} write {written:8.1f} MB/s (cassette is {ratios[0]:6.1f} times as fast)"
            f"   read {read_back:8.1f} MB/s ({ratios[1]:6.1f} times)"
        )


def thousand(folder: Path, records: list[Record]) -> None:
    """A folder of 1,000 short tapes: what looking for one costs."""
    rows = plain(records)
    for number in range(1000):
        write_tape(folder / f"{number}.tape", records)
        write_lines(folder / f"{number}.jsonl", rows)
    write_yaml(folder / "0.yaml", rows)
    tapes = best(lambda: [open_tape(folder / f"{number}.tape") for number in range(1000)])
    lines = best(lambda: [read_lines(folder / f"{number}.jsonl") for number in range(1000)])
    yamls = best(lambda: read_yaml(folder / "0.yaml")) * 1000
    size = (folder / "0.tape").stat().st_size
    print(f"open 1,000 tapes of {size >> 10} KiB: {tapes * 1e3:.0f} ms; JSON lines {lines / tapes:.0f} times, YAML "
          f"{yamls / tapes:.0f} times as long (from one file)")  # fmt: skip


def long_call(minutes: int) -> Iterator[Record]:
    """A call under server VAD, with a continuous microphone."""
    rng = random.Random(3)
    loud = [b64encode(rng.randbytes(4800)).decode() for _ in range(16)]
    spoken = [b64encode(rng.randbytes(12_000)).decode() for _ in range(16)]
    quiet, number = b64encode(bytes(4800)).decode(), 0

    def event(at_ms: int, way: Way, kind: str, **fields: object) -> Record:
        nonlocal number
        number += 1
        event = {"type": kind, **({"event_id": f"event_{number:020}"} if way == "received" else {}), **fields}
        return Record(
            at_ms * 1000 + (way == "received"), 0, way, Text(json.dumps(event, separators=(",", ":")).encode())
        )

    form = {"format": {"type": "audio/pcm", "rate": 24_000}}
    yield Record(0, 0, "sent", Request("GET", "/v1/realtime?model=grok-voice-2.0", (("upgrade", "websocket"),)))
    yield Record(1, 0, "received", Response(101, ()))
    yield event(1, "received", "session.created", session={"id": "s", "model": "grok-voice-2.0"})
    yield event(1, "received", "conversation.created", conversation={"id": "c"})
    yield event(1, "sent", "session.update", session={"audio": {"input": form, "output": form}})
    yield event(1, "received", "session.updated", session={"id": "s", "model": "grok-voice-2.0"})
    for at_ms in range(100, minutes * 60_000, 50):
        turn, here_ms = divmod(at_ms, 10_000)
        response, user = {"response_id": f"r{turn}", "item_id": f"i{turn}"}, {"item_id": f"u{turn}"}
        if at_ms % 100 == 0:
            sound = loud[at_ms // 100 % 16] if 500 < here_ms < 4000 else quiet
            yield event(at_ms, "sent", "input_audio_buffer.append", audio=sound)
        if here_ms == 500:
            yield event(at_ms, "received", "input_audio_buffer.speech_started", audio_start_ms=at_ms, **user)
        elif here_ms == 4500:
            yield event(at_ms, "received", "input_audio_buffer.speech_stopped", audio_end_ms=at_ms, **user)
            yield event(at_ms, "received", "input_audio_buffer.committed", **user)
            heard = {"transcript": f"turn {turn} of a long call", "status": "completed"}
            yield event(at_ms, "received", "conversation.item.input_audio_transcription.completed", **user, **heard)
            yield event(at_ms, "received", "response.created", response={"id": f"r{turn}", "status": "in_progress"})
            item = {"id": f"i{turn}", "type": "message", "role": "assistant"}
            yield event(at_ms, "received", "response.output_item.added", response_id=f"r{turn}", item=item)
        elif 4750 <= here_ms < 9750 and at_ms % 250 == 0:
            yield event(
                at_ms, "received", "response.output_audio_transcript.delta", delta=f"word {here_ms} ", **response
            )
            yield event(at_ms, "received", "response.output_audio.delta", delta=spoken[at_ms // 250 % 16], **response)
        elif here_ms == 9750:
            yield event(at_ms, "received", "response.done", response={"id": f"r{turn}", "status": "completed"})
    yield Record(minutes * 60_000_000, 0, "sent", Close(1000))


def long(folder: Path, minutes: int) -> None:
    """What each command costs."""
    tape = folder / "long.tape"
    write_tape(tape, long_call(minutes))
    print(f"{minutes} minutes, {tape.stat().st_size / 1e6:.0f} MB")
    for arguments in (
        ("show", tape),
        ("check", tape),
        ("lint", tape),
        ("bill", tape),
        ("diff", tape, tape),
        ("export", tape, "--jsonl", folder / "a.jsonl"),
        ("export", tape, "--har", folder / "a.har"),
        ("export", tape, "--wav", folder / "wav"),
        ("scrub", tape, "--out", folder / "clean.tape"),
        ("serve", "--port", "0", "--cassette", tape),
        ("serve", "--port", "0", "--cassette", tape, "--verbatim"),
    ):
        seconds, mib, code = cost(list(map(str, arguments)))
        shown = " ".join(
            str(each) for each in arguments if each not in (tape, "0", "--port") and folder != Path(each).parent
        )
        print(f"{shown:28} {seconds:7.2f} s {mib:7.0f} MiB{f'  exit code {code}' if code else ''}")


def cost(arguments: list[str]) -> tuple[float, float, int]:
    """Seconds of processor time, MiB of resident memory, and the exit code of a command."""
    process = subprocess.Popen(
        [sys.executable, "-m", "realtape", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),  # not in a tree: PYTHONPATH says which one it is
        text=True,
    )
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("ready "):
            process.send_signal(signal.SIGKILL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    code = 0 if process.returncode == -signal.SIGKILL else process.returncode
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, code


def main() -> None:
    if sys.argv[1:2] == ["--long"]:
        with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
            long(Path(name), int(sys.argv[2]) if sys.argv[2:] else 120)
        return
    seconds = int(sys.argv[1]) if sys.argv[1:] else 600
    records = call(seconds, random.Random(1))
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        speeds(folder, records)
        tape = folder / "a.tape"
        size = tape.stat().st_size / 1e6
        print(f"{seconds} s of call, {size:.0f} MB, {len(records)} records:", end=" ")
        for what, work in (("open", open_tape), ("open and read", read_tape), ("open and list", list_tape)):
            print(f"{what} {best(partial(work, tape), 5) * 1e3:.1f} ms", end="; ")
        print()
        thousand(folder, call(2, random.Random(2)))


if __name__ == "__main__":
    main()
