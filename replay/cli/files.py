"""What the commands share: opening files, and refusing what cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from replay.cassette.file import BadCassette, Cassette
from replay.cassette.records import Record

if TYPE_CHECKING:
    from replay.cassette.recording import Recording

LOOPBACK = ("127.0.0.1", "localhost", "::1")


FILE = click.Path(dir_okay=False, path_type=Path)


class Unusable(click.ClickException):
    """Bad input; the message is one line that says what to do."""

    exit_code = 2


def opened(file: Path, *, whole: bool = False) -> Cassette:
    """A cassette to read. With `whole` one that was cut off is refused. Raises Unusable."""
    try:
        return Cassette.open(file) if whole else Cassette.so_far(file)
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a cassette") from problem


def each_record(cassette: Cassette) -> Iterator[Record]:
    """The records of a cassette; one that cannot be read ends the command with a line."""
    try:
        yield from cassette
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem


def page(file: Path, out: Path) -> None:
    """Write a cassette as one HTML file, for `show` as well. Raises Unusable."""
    from replay.formats.page import render

    with opened(file, whole=True) as cassette:
        header = cassette.header
    try:
        write(out, [render(header, read(file), title=file.stem)])
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose another place") from problem


def write(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for line in lines:
            out.write(f"{line}\n")
    click.echo(str(path))


def read(file: Path) -> Recording:
    from replay.cassette.conversation import UnreadableRecording
    from replay.formats import detect

    try:
        return detect.read_recording(file)
    except (BadCassette, UnreadableRecording) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a cassette") from problem
