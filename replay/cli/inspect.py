"""`show`, `check` and `scrub`: look at a cassette, verify it, remove secrets from it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from replay.cassette.file import BadCassette, CannotRecord, Writer
from replay.cassette.records import Record
from replay.cli.files import FILE, Unusable, each_record, opened

if TYPE_CHECKING:
    from replay.cassette.scrub import Scrubber


@click.command()
@click.argument("file", type=FILE)
@click.option("--html", type=FILE, help="Write a page to look at instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(file: Path, html: Path | None, as_json: bool) -> None:
    """List a cassette: its header, a line for each record, and what they add up to.

    It may still be recorded, or be cut off; the last line then says so.
    """
    if html is not None:
        from replay.cli.files import page

        return page(file, html)
    from replay.report.listing import Totals, line

    with opened(file) as cassette:
        totals = Totals()
        lines = []
        for record in each_record(cassette):
            lines.append(line(record))
            totals.count(lines[-1])
        header = {"version": cassette.version, **asdict(cassette.header)}
        seconds = cassette.last_us / 1e6
        if as_json:
            told = {"header": header, "records": list(map(asdict, lines)), "totals": asdict(totals)}
            click.echo(json.dumps({**told, "seconds": seconds, "complete": cassette.end_us is not None}))
            return
        click.echo("  ".join(f"{name}: {value}" for name, value in header.items() if value is not None))
        click.echo("\n".join(map(str, lines)))
        click.echo(
            f"{totals.records} records, {seconds:.1f} s, {totals.connections} connections, "
            f"{totals.bytes['sent']} bytes sent, {totals.bytes['received']} received"
        )
        if cassette.end_us is None:
            click.echo(cassette.cut)


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, reasons by file.")
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Verify cassettes: end mark, no secrets, origin, nothing dropped, audio only within responses.

    Values of XAI_API_KEY and OPENAI_API_KEY are looked for as well. Exit code 1: a file has a fault.
    """
    from replay.report.listing import faults

    found: dict[str, list[str]] = {}
    for file in files:
        with opened(file) as cassette:
            try:
                found[str(file)] = faults(cassette, _scrubber())
            except BadCassette as problem:
                found[str(file)] = [str(problem)]
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, reasons in found.items():
            click.echo("\n".join(f"{name}: {reason}" for reason in reasons) or f"{name}: fine")
    if any(found.values()):
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("file", type=FILE)
@click.option("--out", type=FILE, help="Write here and leave FILE as it is.")
@click.option("--voice", is_flag=True, help="Put another sound for the caller's voice, as long and as loud.")
@click.option("--text", is_flag=True, help="Put x and 0 for what was said, typed and passed to tools.")
@click.option("--json", "as_json", is_flag=True, help="Print what was taken out as JSON.")
def scrub(file: Path, out: Path | None, voice: bool, text: bool, as_json: bool) -> None:
    """Take secrets out of a cassette, in place: the new file replaces the old one only once it is whole.

    Values of XAI_API_KEY and OPENAI_API_KEY are looked for as well. With --voice and --text the people go too.
    """
    if out is not None and out.exists():
        raise Unusable(f"{out} is there already; choose another name")
    taken = _scrubbed(file, out or file, _anonymous(voice, text))
    if as_json:
        click.echo(json.dumps({"out": str(out or file), "scrubbed": taken}))
    else:
        replaced = [what for what, asked in (("voice replaced", voice), ("words replaced", text)) if asked]
        told = [*replaced, *(f"{count} × {kind}" for kind, count in taken.items())]
        click.echo(f"{out or file}: {', '.join(told) or 'nothing to take out'}")


def _anonymous(voice: bool, text: bool) -> Callable[[Iterator[Record]], Iterator[Record]]:
    from replay.anonymize import without_voice, without_words

    def passed_on(records: Iterator[Record]) -> Iterator[Record]:
        records = without_voice(records) if voice else records
        return without_words(records) if text else records

    return passed_on


def _scrubbed(file: Path, out: Path, anonymous: Callable[[Iterator[Record]], Iterator[Record]]) -> dict[str, int]:
    """Write the clean cassette and give how many secrets of each kind were in the other one."""
    target = out.resolve()  # where a link points to, not the link
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    taken: dict[str, int] = {}
    try:
        with opened(file) as cassette:
            writer = Writer(part, cassette.header)
            try:
                scrubber = _scrubber()
                for record in anonymous(each_record(cassette)):
                    for kind in scrubber.kinds(record.content):
                        taken[kind] = taken.get(kind, 0) + 1
                    clean = scrubber.clean(record.content)
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
    return taken


def _scrubber() -> Scrubber:
    from replay.cassette.scrub import Scrubber, known_keys

    return Scrubber(known_keys())
