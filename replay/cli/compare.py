"""The command `diff`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from replay.cassette.may_differ import Ignored, ignored
from replay.cassette.recording import Recording
from replay.cassette.scrub import Scrubber
from replay.cli.files import FILE, write_texts
from replay.cli.formats import Format, format_options, show_as
from replay.cli.ignore import checked_ignore
from replay.cli.recordings import read
from replay.cli.usage import Unusable
from replay.diff.compare import Difference, compare, report, unless
from replay.formats import page
from replay.report.annotations import Annotation
from replay.report.as_scenario import scenario as derived
from replay.report.summary import summary
from replay.secrets.named import known_keys
from replay.viewer.comparison import without_secrets


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--words", is_flag=True, help="Also compare what was said and which tools were called.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="WHAT",
    help="What may differ, besides what either header names: a path such as session.instructions, date, time, id, or"
    " /PATTERN/. Repeatable.",
)
@click.option("--html", type=FILE, help="Also write a page with both calls side by side.")
@format_options
def diff(a: Path, b: Path, words: bool, ignore: tuple[str, ...], html: Path | None, format: Format) -> None:
    """Compare the server events of two recordings.

    Events are aligned by meaning. Ids may differ but must refer to the same objects. Timing, audio, numbers, wording
    and the boundaries of deltas are ignored, and what --ignore and the headers of the cassettes name. The first lines
    say in words what differs. With --html, a page shows both calls side by side, aligned in the same way.

    Exit code: 0 no difference, 1 at least one difference, 2 a file cannot be read.
    """
    left, right = read(a), read(b)
    checked_ignore((*left.ignore, *right.ignore, *ignore))
    may_differ = ignored((*left.ignore, *right.ignore, *ignore))
    differences = unless(compare(left.received(), right.received()), may_differ)
    found = [each for each in differences if words or not each.is_wording]
    spoken = _wording(left, right, may_differ) if words else []
    told = summary(left.received(), right.received(), found)
    if html is not None:
        _write_page(left, right, words, may_differ, html)
    as_json = [each.as_json() for each in found]
    document = {"equal": not found and not spoken, "summary": told, "differences": as_json, "words": spoken}
    marks = [*marks_of(found, b), *(Annotation("error", str(b), "words", each) for each in spoken)]
    show_as(format, "\n".join([*told, report(found), *spoken]), document, marks)
    if found or spoken:
        raise click.exceptions.Exit(1)


def _write_page(left: Recording, right: Recording, words: bool, may_differ: Ignored, out: Path) -> None:
    """Write the page of both recordings, without secrets, and print its path as a remark. Raises Unusable."""
    one, other = (without_secrets(each, Scrubber(known_keys())) for each in (left, right))
    differences = unless(compare(one.received(), other.received()), may_differ)
    found = [each for each in differences if words or not each.is_wording]
    try:
        told = summary(one.received(), other.received(), found)
        write_texts(out, page.comparison_texts(one, other, found, told))
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose another path") from problem
    click.echo(str(out), err=True)


def marks_of(differences: Sequence[Difference], file: Path) -> list[Annotation]:
    """The differences of a file from another one, as results for other programs."""
    return [Annotation("error", str(file), each.kind, f"{each.event}: {each}") for each in differences]


def _wording(left: Recording, right: Recording, may_differ: Ignored) -> list[str]:
    """The responses that say or call something else, or that answer something else."""
    pairs = enumerate(zip_longest(_entries(left), _entries(right), fillvalue="none"), start=1)
    return [
        f"response {number}: expected {_plain(one)}, got {_plain(other)}"
        for number, (one, other) in pairs
        if may_differ.without(_plain(one)) != may_differ.without(_plain(other))
    ]


def _plain(entry: Any) -> str:
    return json.dumps(entry, ensure_ascii=False, default=str)


def _entries(recording: Recording) -> list[Any]:
    (entries,) = [part for key, part in derived(recording).items() if key != "name"]
    return list(entries)
