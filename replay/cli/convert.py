"""The commands `import`, `export` and `bill`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TypeVar

import click

from replay.billing import bill as billing
from replay.billing.prices import UnknownPrice
from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette, CannotRecord
from replay.cassette.records import ORIGINS, Origin
from replay.cassette.scrub import Scrubber, cleaned
from replay.cli.files import FILE, each_record, opened, write
from replay.cli.pages import write_page
from replay.cli.recordings import read
from replay.cli.secrets import secret_options
from replay.cli.usage import Unusable
from replay.formats import detect, har, jsonl, tape, wav
from replay.secrets.named import Secrets
from replay.version import tool_version

_Command = TypeVar("_Command", bound=Callable[..., None])


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--out", required=True, type=FILE, help="Cassette to write, by convention *.tape.")
@click.option(
    "--origin",
    type=click.Choice(ORIGINS),
    help="Origin label. State `live` only if you know that a live service answered.  [default: what the file proves]",
)
@click.option("--source", metavar="TEXT", help="Where the recording comes from, such as a URL; the cassette keeps it.")
@secret_options()
def import_(file: Path, out: Path, origin: Origin | None, source: str | None, secrets: Secrets) -> None:
    """Turn another tool's recording into a cassette: a HAR, the YAML of pydantic-ai's tests, or JSON lines.

    The format is detected from the content. Keys, cookies and tokens are not written. The origin is `live` by itself
    only if every address in the file is a service's own, and a response carries a header of the service's network that
    the mock never sends. Otherwise it is `hand`.

    Exit code: 0, or 2 if the file cannot be read or the cassette cannot be written.
    """
    at = datetime.now(timezone.utc)  # noqa: TID251  # the date of a file that has none
    try:
        found = detect.read(file, origin=origin, source=source, imported_at=at, tool=f"realtape {tool_version()}")
        records = tape.write(found, out, secrets=secrets)
    except (UnreadableRecording, CannotRecord) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a recording") from problem
    header = found.header
    whence = f" (source: {header.source})" if header.source else ""
    click.echo(f"{out}: {records} records, origin {header.origin}{whence}, dialect {header.dialect}")


def _har(file: Path, out: Path, scrubber: Scrubber) -> None:
    with opened(file, whole=True) as cassette:
        write(out, har.lines(scrubber.header(cassette.header), cassette, tool_version(), scrubber))


def _jsonl(file: Path, out: Path, scrubber: Scrubber) -> None:
    with opened(file, whole=True) as cassette:
        header, records = scrubber.header(cassette.header), cleaned(each_record(cassette), scrubber)
        write(out, jsonl.lines(header, records, cassette.last_us))


def _wav(file: Path, out: Path, _: Scrubber) -> None:
    for path in wav.write(read(file), out):
        click.echo(str(path))


@dataclass(frozen=True, slots=True)
class Export:
    """A form that `export` writes: the help of its option, and the function that writes FILE, without secrets,
    to the option's path.
    """

    help: str
    write: Callable[[Path, Path, Scrubber], None]
    folder: bool = False


EXPORTS: Mapping[str, Export] = {
    "har": Export("Write a HAR with WebSocket messages.", _har),
    "jsonl": Export("Write JSON lines; `import` makes the same cassette of them.", _jsonl),
    "wav": Export("Write a WAV file of the call and of each turn into this folder.", _wav, folder=True),
    "html": Export("Write an HTML page.", write_page),
}
"""By the name of the option."""


def _export_options(command: _Command) -> _Command:
    for name, export in reversed(list(EXPORTS.items())):
        path = click.Path(file_okay=False, path_type=Path) if export.folder else FILE
        command = click.option(f"--{name}", type=path, help=export.help)(command)
    return command


@click.command()
@click.argument("file", type=FILE)
@_export_options
@secret_options()
def export(file: Path, secrets: Secrets, **outputs: Path | None) -> None:
    """Write a cassette in other forms: HAR, JSON lines, WAV files, an HTML page. Secrets are removed, as by `scrub`.

    Exit code: 0, or 2 if the cassette cannot be read or an output cannot be written.
    """
    if not any(outputs.values()):
        raise click.UsageError("give at least one of --har FILE, --jsonl FILE, --wav FOLDER and --html FILE")
    try:
        for name, form in EXPORTS.items():
            if (out := outputs[name]) is not None:
                form.write(file, out, Scrubber(secrets))
    except (BadCassette, OSError, ValueError) as problem:
        raise Unusable(str(problem)) from problem


@click.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bill(file: Path, as_json: bool) -> None:
    """Compute the cost of a recorded conversation from its frames.

    realtape uses its price table for the day of the recording: the latest one that had begun by then, else the first.
    Recordings of `REGION.api.openai.com` have the surcharge of that region. The total names the table. A warning says
    when the day is before the first table, or after the last check.

    Exit code: 0, or 2 if the file cannot be read or the price of something in it is not known.
    """
    with opened(file, whole=True) as cassette:
        on, url = date.fromisoformat(cassette.header.recorded_at[:10]), cassette.header.url
    try:
        found = billing.bill(read(file), on, url)
    except UnknownPrice as problem:
        raise Unusable(f"{file}: {problem}") from problem
    if found.doubt is not None:
        click.echo(f"warning: {found.doubt}", err=True)
    click.echo(json.dumps(found.as_json()) if as_json else found.as_text())
