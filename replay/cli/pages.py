"""Writing the HTML page of a cassette."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from replay.cassette.file import SUFFIX, CannotRecord, Writer
from replay.cassette.recording import Recording
from replay.cassette.records import Header
from replay.cassette.scrub import Scrubber, cleaned
from replay.cli.files import each_record, opened, write_texts
from replay.cli.usage import Unusable
from replay.formats import page


def write_page(file: Path, out: Path, scrubber: Scrubber) -> None:
    """Write a cassette, without secrets, as one HTML page and print its path. Raises Unusable."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # Windows deletes no open file
        clean = Path(folder, f"{file.stem}{SUFFIX}")
        try:
            header = _write_clean(file, clean, scrubber)
            recording = Recording.read(clean)
            data = clean.read_bytes() if clean.stat().st_size <= page.MOST_TAPE else None
            write_texts(out, chain(page.texts(header, recording, title=file.stem, tape=data), ("\n",)))
            click.echo(str(out))
        except CannotRecord as problem:
            raise Unusable(str(problem)) from problem
        except OSError as problem:
            raise Unusable(f"{out}: {problem.strerror}; choose another path") from problem


def _write_clean(file: Path, out: Path, scrubber: Scrubber) -> Header:
    """Write the cassette without secrets. Returns its header. Raises Unusable, CannotRecord and OSError."""
    with opened(file, whole=True) as cassette:
        header = scrubber.header(cassette.header)
        writer = Writer(out, header)
        try:
            for record in cleaned(each_record(cassette), scrubber):
                writer.write(record)
            writer.end(cassette.last_us)
        finally:
            writer.close()
    return header
