"""The command `scrub`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import click

from replay.anonymize import without_voice, without_words
from replay.cassette.file import CannotRecord, Writer
from replay.cassette.records import Record
from replay.cassette.scrub import Scrubber
from replay.cli.files import FILE, each_record, opened
from replay.cli.secrets import secret_options
from replay.cli.usage import Unusable
from replay.secrets.named import Secrets


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
