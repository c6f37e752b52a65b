"""How fast cassettes are written, opened and read, beside the same records as JSON lines and as YAML.

    python bench/cassette.py

The call: ten minutes of sound both ways, appends of 100 ms and deltas of 250 ms (77 MB); for YAML, its first ten
seconds, since it takes minutes otherwise. JSON lines and YAML hold a frame as its text. Times are the best of several;
the files are in the page cache, as they are in a test run.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from pathlib import Path
from timeit import repeat
from typing import Any

import yaml

from replay.cassette.file import Cassette, Writer
from replay.cassette.frames import Text
from replay.cassette.records import Header, Record, Request, Response
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


def write_tape(path: Path, records: list[Record]) -> None:
    writer = Writer(path, HEADER, overwrite=True)
    for record in records:
        writer.write(record)
    writer.end(records[-1].at_us)


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


def main() -> None:
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
