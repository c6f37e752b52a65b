"""Fuzzes what reads files: `python -m tests.fuzz.files --seconds 3600 --seed 7`.

Damaged cassettes, HAR, JSON lines, YAML, WAV, scenario, fault and accounts files go through the commands that take
them. Each must end with exit code 0, 1 or 2 and, unless it is 0, a line that says why; never with a traceback.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from time import perf_counter, process_time

import msgpack
from click.testing import CliRunner

from mockserver.audio.wav import read_wav
from realtape.cli import main as realtape
from replay.cassette.file import Cassette, Writer

ROOT = Path(__file__).resolve().parents[2]
MOST_RECORDS = 60
"""Records of a cassette of the corpus: what a fuzzer changes in more is seen in these too."""
SLOW_S = 5.0
"""Seconds of processor time: other work on the machine does not count."""
Command = tuple[str, ...]

_TAPE: tuple[Command, ...] = (
    ("show", "FILE"),
    ("show", "FILE", "--stable"),
    ("check", "FILE"),
    ("lint", "FILE"),
    ("bill", "FILE"),
    ("diff", "FILE", "FILE"),
    ("scenario", "FILE"),
    ("export", "FILE", "--jsonl", "OUT.jsonl"),
    ("export", "FILE", "--har", "OUT.har"),
    ("export", "FILE", "--html", "OUT.html"),
    ("export", "FILE", "--wav", "OUT"),
    ("scrub", "FILE", "--out", "OUT.tape"),
    ("scrub", "FILE", "--voice", "--text", "--out", "OUT2.tape"),
)
_IMPORTED: tuple[Command, ...] = (("import", "FILE", "--out", "OUT.tape"), ("lint", "FILE"), ("diff", "FILE", "FILE"))
_CHECKED: tuple[Command, ...] = (("check", "FILE"),)
_NUMBERS = (0, 1, -1, 127, 255, 1 << 15, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_VALUE = re.compile(rb'"(?:[^"\\]|\\.){0,200}"(?=\s*[,}\]])|-?\d+(?:\.\d+)?|true|false|null')
_STRINGS = (
    b'"response.created"',
    b'"response.done"',
    b'"audio/pcm"',
    b'"AAAA"',
    b'[{"a":[]}]',
    b"1.5",
    b'"x"',
    b"1e308",
)
_TEXTS = (b"null", b"true", b"[]", b"{}", b'""', b"-1", b"1e999", b"NaN", b'"\\ud800"', b"\x00", b"\xff", b"9" * 400)


def corpus(folder: Path) -> list[tuple[str, bytes, tuple[Command, ...]]]:
    """Suffix, bytes and commands of each kind of file. The exports are made from the first cassette."""
    found: list[tuple[str, bytes, tuple[Command, ...]]] = []
    short = folder
    for path in sorted((ROOT / "cassettes").glob("*.tape"))[:2]:
        short = folder / path.name
        with Cassette.open(path) as cassette:
            writer = Writer(short, cassette.header)
            for record in islice(cassette, MOST_RECORDS):
                writer.write(record)
            writer.end(cassette.last_us)
        found.append((".tape", short.read_bytes(), _TAPE))
    for form in ("jsonl", "har"):
        out = folder / f"seed.{form}"
        CliRunner().invoke(realtape, ["export", str(short), f"--{form}", str(out)])
        found.append((f".{form}", out.read_bytes(), _IMPORTED))
    found.append((".yaml", (ROOT / "cassettes/scenarios/clinic.yaml").read_bytes(), _CHECKED))
    found.append(
        (".yaml", b"seed: 7\nfaults:\n  - {at: handshake, do: {status: 429, retry_after: 2}, times: 1}\n", _CHECKED)
    )
    found.append((".yaml", b"limits: {session_minutes: 30}\nteams:\n  - {name: a, keys: [k-1]}\n", _CHECKED))
    found.append((".wav", next((ROOT / "cassettes/voices").glob("*.wav")).read_bytes()[:4000], ()))
    return found


def damaged(data: bytes, rng: random.Random, suffix: str) -> bytes:
    """The file with one to four changes."""
    for _ in range(rng.randint(1, 4)):
        data = rng.choice(_RECORD_CHANGES if suffix == ".tape" and rng.random() < 0.8 else _CHANGES)(data, rng)
    return data[: 4 << 20]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        if changed:
            changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def _replaced(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_TEXTS) + data[at + rng.randint(0, 12) :]


def _doubled(data: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.randint(1, 400))
    return data[:end] + data[start:end] * rng.choice((1, 2, 20)) + data[end:]


def _number(data: bytes, rng: random.Random) -> bytes:
    size = rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(data) + 1)
    return data[:at] + (rng.choice(_NUMBERS) & ((1 << (8 * size)) - 1)).to_bytes(size, "big") + data[at + size :]


def _added(data: bytes, rng: random.Random) -> bytes:
    """A record of a random kind and shape before the end."""
    shape: object = rng.choice(
        (
            None,
            [],
            [None] * 4,
            [1000],
            ["GET", "/", [["a", "b"]], b""],
            [101, [], b""],
            ["text", [[2**40, b"", "pcm", 0]]],
            ["text", [b"{", [64, b"x" * 32, "pcm", 9]]],
            {"a": 1},
            "text",
            [2**40, "x"],
            [-5, "y"],
            ["x", 1, 2],
            [[[[]]]],
        )
    )
    payload = rng.choice((msgpack.packb(shape), json.dumps(shape, default=str).encode(), b'{"type":"session.created"}'))
    head = b"\x95\xcf" + rng.choice((0, 10**6, 10**12, 2**64 - 1)).to_bytes(8, "big") + b"\xcd"
    head += rng.choice((0, 1, 65535)).to_bytes(2, "big") + bytes([rng.choice((0, 1, 2)), rng.randrange(9)])
    record = head + b"\xc6" + len(payload).to_bytes(4, "big") + payload
    return data[:-21] + record + data[-21:]


def _valued(data: bytes, rng: random.Random) -> bytes:
    """One value of JSON is another one."""
    start = rng.randrange(len(data) + 1)
    places = list(islice(_VALUE.finditer(data, start), 50))
    if not places:
        return data
    place = rng.choice(places)
    return data[: place.start()] + rng.choice((*_TEXTS, *_STRINGS)) + data[place.end() :]


def _event(data: bytes, rng: random.Random) -> bytes:
    """One value of one event on a cassette is another one; the record stays whole."""
    unpacker = msgpack.Unpacker(max_buffer_size=len(data) + 1)
    unpacker.feed(data)
    try:
        unpacker.unpack()
    except Exception:  # damaged before
        return data
    places, at = [], unpacker.tell()
    while at + 20 <= len(data):
        places.append(at)
        at += 20 + int.from_bytes(data[at + 16 : at + 20], "big")
    if not places:
        return data
    at = rng.choice(places)
    end = at + 20 + int.from_bytes(data[at + 16 : at + 20], "big")
    payload = _valued(data[at + 20 : end], rng)
    return data[: at + 16] + len(payload).to_bytes(4, "big") + payload + data[end:]


_CHANGES: Sequence[Callable[[bytes, random.Random], bytes]] = (
    _cut,
    _flipped,
    _replaced,
    _doubled,
    _number,
    _valued,
    _valued,
)
_RECORD_CHANGES: Sequence[Callable[[bytes, random.Random], bytes]] = (_added, _number, _event, _event, _event, _event)


class Failure(AssertionError):
    """A file that a command does not survive; the message tells how to make it again."""


def fire(seed: str, folder: Path) -> Iterator[str]:
    """Damaged files without end, each through one command of its kind. Yields what was done. Raises Failure."""
    files = corpus(folder)
    for number in count():
        rng = random.Random(f"{seed}/{number}")
        suffix, data, commands = rng.choice(files)
        data = damaged(data, rng, suffix)
        where = f"--seed {seed}, file {number}"
        if not commands:
            try:
                read_wav(data)
            except ValueError:
                pass
            except Exception as problem:
                raise Failure(f"{where}: read_wav: {problem!r}") from problem
            yield "wav"
            continue
        command = rng.choice(commands)
        path = folder / f"file{suffix}"
        path.write_bytes(data)
        for old in folder.glob("OUT*"):
            if old.is_file():
                old.unlink()
        filled = [
            str(path) if each == "FILE" else str(folder / each) if each.startswith("OUT") else each for each in command
        ]
        began = process_time()
        result = CliRunner().invoke(realtape, filled)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise Failure(f"{where}: {' '.join(command)}: {result.exception!r}") from result.exception
        if result.exit_code not in (0, 1, 2) or (result.exit_code and not result.output.strip()):
            raise Failure(f"{where}: {' '.join(command)}: exit code {result.exit_code}: {result.output[-300:]!r}")
        if (took := process_time() - began) > SLOW_S:
            raise Failure(f"{where}: {' '.join(command)}: took {took:.1f} s")
        yield f"{suffix} {command[0]} {result.exit_code}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    done: Counter[str] = Counter()
    began = perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for what in fire(options.seed, Path(folder)):
            done[what] += 1
            if perf_counter() - began > options.seconds:
                break
    sys.stdout.write(f"{sum(done.values())} files: {dict(sorted(done.items()))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
