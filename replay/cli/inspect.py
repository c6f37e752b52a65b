"""The command `show`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import click

from replay.cassette.may_differ import ignored
from replay.cassette.scrub import cleaned
from replay.cli.files import FILE, each_record, opened
from replay.cli.usage import Unusable
from replay.outlets import printable, scrubber
from replay.report.listing import Totals, folded, listed
from replay.report.stable import stable


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
            values = (f"{name}: {value}" for name in shown if (value := getattr(header, name)) is not None)
            click.echo(printable("  ".join(values)))
            click.echo("".join(f"ignore: {name}\n" for name in header.ignore), nl=False)
            try:
                may_differ = ignored(header.ignore)
            except ValueError as problem:
                raise Unusable(f"{file}: {problem}; remove it with `realtape ignore --remove`") from problem
            click.echo("\n".join(map(printable, stable(cleaned(each_record(cassette), cleaner), may_differ))))
            return
        lines = totals.counting(each_record(listed(cassette, cleaner)))
        fields = {"version": cassette.version, **asdict(cleaner.header(cassette.header))}
        seconds = cassette.last_us / 1e6
        if as_json:
            click.echo(f'{{"header": {json.dumps(fields)}, "records": [', nl=False)
            _echo((json.dumps(asdict(each)) for each in lines), separator=", ")
            rest = {"totals": asdict(totals), "seconds": seconds, "complete": cassette.end_us is not None}
            click.echo(f"], {json.dumps(rest)[1:]}")
            return
        fields["ignore"] = ", ".join(cassette.header.ignore) or None
        values = (f"{name}: {value}" for name, value in fields.items() if value is not None)
        click.echo(printable("  ".join(values)))
        _echo(map(printable, folded(lines)), separator="\n")
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
