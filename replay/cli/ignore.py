"""The command `ignore`: what may differ from a cassette when a client plays it, kept in its header."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import click

from replay.cassette.file import CannotRecord, rewrite_header
from replay.cassette.may_differ import ignored
from replay.cli.files import FILE, opened
from replay.cli.usage import Unusable


def checked_ignore(names: Iterable[str]) -> None:
    """Raises Unusable for names that stand for nothing."""
    try:
        ignored(names)
    except ValueError as problem:
        raise Unusable(str(problem)) from problem


@click.command()
@click.argument("files", metavar="FILE...", type=FILE, nargs=-1, required=True)
@click.option("--add", multiple=True, metavar="WHAT", help="This may differ too. Repeatable.")
@click.option("--remove", multiple=True, metavar="WHAT", help="This may no longer differ. Repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the list of each file.")
def ignore(files: tuple[Path, ...], add: tuple[str, ...], remove: tuple[str, ...], as_json: bool) -> None:
    """Say what may differ from a cassette when a client plays it, and change that.

    WHAT is the path of a field, such as session.instructions or item.content[*].text, a part of texts (date, time or
    id), or a regular expression between slashes. The header of each cassette keeps its own list. The records stay as
    they are.

    Exit code: 0, or 2 if a file cannot be read or written.

    \b
    Examples:
      realtape ignore booking.tape
      realtape ignore cassettes/*.tape --add date --add session.instructions
    """
    checked_ignore(add)
    headers = {}
    for file in files:
        with opened(file) as cassette:
            headers[file] = cassette.header
            if unknown := set(remove) - set(cassette.header.ignore) - set(add):
                known = ", ".join(cassette.header.ignore) or "nothing"
                raise Unusable(f"{file}: {min(unknown)} is not ignored; ignored is {known}")
    listed = {}
    for file, header in headers.items():
        kept = tuple(each for each in dict.fromkeys((*header.ignore, *add)) if each not in remove)
        if kept != header.ignore:
            try:
                rewrite_header(file, replace(header, ignore=kept))
            except (CannotRecord, OSError) as problem:
                reason = getattr(problem, "strerror", None)
                raise Unusable(
                    f"{file}: {reason}; choose a folder that may be written to" if reason else str(problem)
                ) from problem
        listed[str(file)] = list(kept)
    if as_json:
        click.echo(json.dumps(listed))
    else:
        click.echo("\n".join(f"{file}: {', '.join(names) or 'nothing may differ'}" for file, names in listed.items()))
