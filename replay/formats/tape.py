"""A complete conversation on its way into a cassette. Writing removes secrets, and happens completely or not at all."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from replay.cassette.file import CannotRecord, Writer
from replay.cassette.records import Header, Record
from replay.cassette.scrub import Scrubber, cleaned
from replay.secrets.named import Secrets

MOST_BYTES = 256 << 20
"""Bytes of a file to import."""
MOST_RECORDS = 2_000_000


@dataclass(frozen=True, slots=True)
class Tape:
    """The content of a cassette: header, records in order, and when it ended, in microseconds."""

    header: Header
    records: tuple[Record, ...]
    end_us: int


def write(tape: Tape, path: Path, *, secrets: Secrets | None = None, overwrite: bool = False) -> int:
    """Write a cassette. Returns the number of records. Raises CannotRecord; `path` is then unchanged."""
    if path.exists() and not overwrite:
        raise CannotRecord(f"{path} is there already; choose another name")
    target = path.resolve()
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    scrubber = Scrubber(secrets or Secrets())
    try:
        writer = Writer(part, scrubber.header(tape.header))
        try:
            for record in cleaned(tape.records, scrubber):
                writer.write(record)
            writer.end(tape.end_us)
        finally:
            writer.close()
        part.replace(target)
    except OSError as problem:
        raise CannotRecord(f"{path}: {problem.strerror or problem}; choose another place") from problem
    finally:
        part.unlink(missing_ok=True)
    return writer.records
