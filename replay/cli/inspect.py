"""The commands `show` and `scrub`, and the verification of cassettes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click

from replay.anonymize import without_voice, without_words
from replay.cassette.file import CannotRecord, Writer
from replay.cassette.may_differ import ignored
from replay.cassette.records import Record
from replay.cassette.scrub import Scrubber, cleaned
from replay.cli.files import FILE, each_record, opened
from replay.cli.secrets import secret_options
from replay.cli.usage import Unusable
from replay.outlets import scrubber
from replay.report.listing import Totals, folded, listed
from replay.report.stable import stable
from replay.secrets.named import Secrets


@click.command()
@click.argument("file", type=FILE)
@click.option("--html", type=FILE, help="Write an HTML page instead of the list.")
@click.option("--stable", "is_stable", is_flag=True, help="Leave out times, sizes, ids and the boundaries of deltas.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(file: Path, html: Path | None, is_stable: bool, as_json: bool) -> None:
    """List a cassette: its header, one line for each record, and totals.

    The cassette may be incomplete: cut off, or still being written. The last line then says so. Audio messages of the
    client that follow one another are one line. With --stable, two recordings of the same call print about the same
    lines, as `git diff` needs it.

    Exit code: 0, or 2 if the file cannot be read.
    """
    if html is not None:
        return _write_page(file, html)
    with opened(file) as cassette:
        totals, cleaner = Totals(), scrubber()
        if sys.stdout.isatty():
            cassette.on_read = None  # the list itself shows how far it is
        if is_stable:
            header = cleaner.header(cassette.header)
            shown = ("origin", "dialect", "model", "audio", "source")
            click.echo("  ".join(f"{name}: {value}" for name in shown if (value := getattr(header, name)) is not None))
            click.echo("".join(f"ignore: {name}\n" for name in header.ignore), nl=False)
            try:
                may_differ = ignored(header.ignore)
            except ValueError as problem:
                raise Unusable(f"{file}: {problem}; remove it with `realtape ignore --remove`") from problem
            click.echo("\n".join(stable(cleaned(each_record(cassette), cleaner), may_differ)))
            return
        lines = totals.counting(listed(each_record(cassette), cleaner))
        fields = {"version": cassette.version, **asdict(cleaner.header(cassette.header))}
        seconds = cassette.last_us / 1e6
        if as_json:
            click.echo(f'{{"header": {json.dumps(fields)}, "records": [', nl=False)
            _echo((json.dumps(asdict(each)) for each in lines), separator=", ")
            rest = {"totals": asdict(totals), "seconds": seconds, "complete": cassette.end_us is not None}
            click.echo(f"], {json.dumps(rest)[1:]}")
            return
        fields["ignore"] = ", ".join(cassette.header.ignore) or None
        click.echo("  ".join(f"{name}: {value}" for name, value in fields.items() if value is not None))
        _echo(folded(lines), separator="\n")
        click.echo()
        click.echo(
            f"{totals.records} records, {seconds:.1f} s, {totals.connections} connections, "
            f"{totals.bytes['sent']} bytes sent, {totals.bytes['received']} received"
        )
        if cassette.end_us is None:
            click.echo(cassette.cut)


def _write_page(file: Path, out: Path) -> None:
    """The lazy boundary: the list needs nothing of the viewer."""
    from replay.cli.pages import write_page

    write_page(file, out, scrubber())


def _echo(texts: Iterable[str], separator: str) -> None:
    """Print many texts, a thousand at a time."""
    texts, before = iter(texts), ""
    while some := list(islice(texts, 1000)):
        click.echo(before + separator.join(some), nl=False)
        before = separator


@click.command()
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, help="Write the result here and leave FILE unchanged.")
@click.option("--voice", is_flag=True, help="Anonymize speech: replace the user's voice, equally long and loud.")
@click.option("--text", is_flag=True, help="Anonymize text: replace letters by x and digits by 0.")
@click.option("--json", "as_json", is_flag=True, help="Print what was removed as JSON.")
@secret_options()
def scrub(file: Path, out: Path | None, voice: bool, text: bool, as_json: bool, secrets: Secrets) -> None:
    """Remove secrets from a cassette. --voice and --text also anonymize speech and text.

    The values of XAI_API_KEY and OPENAI_API_KEY count as secrets. Without --out the result replaces FILE once it is
    complete.

    Exit code: 0, or 2 if the file cannot be read or the result cannot be written.
    """
    if out is not None and out.exists():
        raise Unusable(f"{out} is there already; choose another name")
    removed = _scrubbed(file, out or file, secrets, voice=voice, text=text)
    if as_json:
        click.echo(json.dumps({"out": str(out or file), "scrubbed": removed}))
    else:
        replaced = [what for what, asked in (("voice replaced", voice), ("words replaced", text)) if asked]
        done = [*replaced, *(f"{count} × {kind}" for kind, count in removed.items())]
        click.echo(f"{out or file}: {', '.join(done) or 'nothing to remove'}")


def _scrubbed(file: Path, out: Path, secrets: Secrets, *, voice: bool, text: bool) -> dict[str, int]:
    """Write the clean cassette. Gives the number of removed secrets by kind."""
    target = out.resolve()  # the file that a link points to, not the link
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    removed: dict[str, int] = {}
    try:
        with opened(file) as cassette:
            cleaner = Scrubber(secrets)
            header = cleaner.header(cassette.header)
            if header != cassette.header:
                removed["header"] = 1
            writer = Writer(part, header)
            try:
                records: Iterator[Record] = each_record(cassette)
                records = without_voice(records) if voice else records
                records = without_words(records) if text else records
                for record in records:
                    for kind in cleaner.kinds(record.content):
                        removed[kind] = removed.get(kind, 0) + 1
                    clean = cleaner.clean(record.content)
                    writer.write(Record(record.at_us, record.connection, record.way, clean))
                if cassette.end_us is not None:
                    writer.end(cassette.end_us)
            finally:
                writer.close()
        part.replace(target)
    except CannotRecord as problem:
        raise Unusable(str(problem)) from problem
    finally:
        part.unlink(missing_ok=True)
    return removed
