"""Reading and writing the files that commands are given. A file that cannot be used raises Unusable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette, Cassette
from replay.cassette.recording import Recording, connections
from replay.cassette.records import Record
from replay.cassette.scrub import Scrubber, cleaned
from replay.cli.usage import Unusable
from replay.formats import page
from replay.formats.detect import read_recording

FILE = click.Path(dir_okay=False, path_type=Path)


def opened(file: Path, *, whole: bool = False) -> Cassette:
    """A cassette to read. `whole` refuses one without an end mark. Raises Unusable."""
    try:
        return Cassette.open(file) if whole else Cassette.so_far(file)
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a cassette") from problem


def each_record(cassette: Cassette) -> Iterator[Record]:
    """The records of a cassette. Raises Unusable at one that cannot be read."""
    try:
        yield from cassette
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem


def read(file: Path) -> Recording:
    """The recording in a file of any known format. Raises Unusable."""
    try:
        return read_recording(file)
    except (BadCassette, UnreadableRecording) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a recording") from problem


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a text file and print its path. Raises OSError."""
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(f"{line}\n")
    click.echo(str(path))


def write_page(file: Path, out: Path, scrubber: Scrubber) -> None:
    """Write a cassette, without secrets, as one HTML page and print its path. Raises Unusable."""
    with opened(file, whole=True) as cassette:
        header = scrubber.header(cassette.header)
        lines = connections(cleaned(each_record(cassette), scrubber))
    recording = Recording(file.stem, header.dialect, header.origin, lines)
    try:
        write(out, [page.render(header, recording, title=file.stem)])
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose another path") from problem
