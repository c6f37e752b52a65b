"""Writing the HTML page of a cassette."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from replay.cassette.file import CannotRecord
from replay.cassette.recording import Recording, connections
from replay.cassette.scrub import Scrubber, cleaned
from replay.cli.files import each_record, opened, write
from replay.cli.usage import Unusable
from replay.formats import page, tape


def write_page(file: Path, out: Path, scrubber: Scrubber) -> None:
    """Write a cassette, without secrets, as one HTML page and print its path. Raises Unusable."""
    with opened(file, whole=True) as cassette:
        header = scrubber.header(cassette.header)
        records = tuple(cleaned(each_record(cassette), scrubber))
        end_us = cassette.end_us or cassette.last_us
    recording = Recording(file.stem, header.dialect, header.origin, connections(records))
    try:
        clean = _bytes(tape.Tape(header, records, end_us)) if file.stat().st_size <= page.MOST_TAPE else None
        write(out, [page.render(header, recording, title=file.stem, tape=clean)])
    except CannotRecord as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose another path") from problem


def _bytes(cassette: tape.Tape) -> bytes:
    """The file of a cassette. Raises CannotRecord and OSError."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "call.tape")
        tape.write(cassette, path)
        return path.read_bytes()
