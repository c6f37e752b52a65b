"""The command `diff`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from replay.cassette.recording import Recording
from replay.cli.files import FILE, read
from replay.cli.formats import Format, format_options, show_as
from replay.diff.compare import Difference, compare, report
from replay.report.annotations import Annotation
from replay.report.as_scenario import scenario as derived
from replay.report.summary import summary


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--words", is_flag=True, help="Also compare what was said and which tools were called.")
@format_options
def diff(a: Path, b: Path, words: bool, format: Format) -> None:
    """Compare the server events of two recordings.

    Events are aligned by meaning. Ids may differ but must refer to the same objects. Timing, audio, numbers, wording
    and the boundaries of deltas are ignored. The first lines say in words what differs.

    Exit code: 0 no difference, 1 at least one difference, 2 a file cannot be read.
    """
    left, right = read(a), read(b)
    found = [each for each in compare(left.received(), right.received()) if words or not each.is_wording]
    spoken = _wording(left, right) if words else []
    told = summary(left.received(), right.received(), found)
    differences = [each.as_json() for each in found]
    document = {"equal": not found and not spoken, "summary": told, "differences": differences, "words": spoken}
    marks = [*marks_of(found, b), *(Annotation("error", str(b), "words", each) for each in spoken)]
    show_as(format, "\n".join([*told, report(found), *spoken]), document, marks)
    if found or spoken:
        raise click.exceptions.Exit(1)


def marks_of(differences: Sequence[Difference], file: Path) -> list[Annotation]:
    """The differences of a file from another one, as results for other programs."""
    return [Annotation("error", str(file), each.kind, f"{each.event}: {each}") for each in differences]


def _wording(left: Recording, right: Recording) -> list[str]:
    """The responses that say or call something else, or that answer something else."""
    pairs = enumerate(zip_longest(_entries(left), _entries(right), fillvalue="none"), start=1)
    return [
        f"response {number}: expected {_plain(one)}, got {_plain(other)}"
        for number, (one, other) in pairs
        if one != other
    ]


def _plain(entry: Any) -> str:
    return json.dumps(entry, ensure_ascii=False, default=str)


def _entries(recording: Recording) -> list[Any]:
    (entries,) = [part for key, part in derived(recording).items() if key != "name"]
    return list(entries)
