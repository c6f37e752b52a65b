"""`check TAPE --against TAPE`: how much of a recording agrees with another one, as a score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from replay.cassette.json_text import Event
from replay.cassette.recording import Line, Recording, without_sound
from replay.cli.compare import marks_of
from replay.cli.formats import Format, show_as
from replay.cli.recordings import read
from replay.diff.basis import shared_basis
from replay.diff.compare import Comparison, Difference, compared
from replay.diff.milestones import without_later
from replay.diff.numbers import Basis

WORST = 20
"""Kinds of differences that are shown as text."""


def check_against(file: Path, against: Path, least: float, format: Format) -> None:
    """Print the score of `file`. Exit code 1 if it is below `least`."""
    actual, expected = read(file), read(against)
    basis = shared_basis(expected, actual)
    found = compared(expected.received(), _comparable(actual, expected), basis)
    text = "\n".join(_as_text(found, file, against, basis))
    show_as(format, text, _as_json(found, file, against, basis), marks_of(found.differences, file))
    if found.score < least:
        raise click.exceptions.Exit(1)


def _comparable(actual: Recording, expected: Recording) -> list[Event]:
    """The server events, each connection up to where the other recorder left it."""
    events: list[Event] = []
    for number, line in enumerate(actual.lines):
        there = _received(expected.lines[number]) if number < len(expected.lines) else []
        events += without_later(_received(line), there)
    return events


def _received(line: Line) -> list[Event]:
    events = (each.event for each in line.moments if each.way == "received" and each.event is not None)
    return list(map(without_sound, events))


def _as_text(found: Comparison, file: Path, against: Path, basis: frozenset[Basis]) -> Iterator[str]:
    yield f"{found.shown_score} {file} against {against}: {len(found.differences)} of {found.values} values differ"
    kinds = Counter(map(_kind, found.differences))
    for kind, times in kinds.most_common(WORST):
        first = next(each for each in found.differences if _kind(each) == kind)
        yield f"{times:5} x {first.event}: {first}"
    if len(kinds) > WORST:
        yield f"      and {len(kinds) - WORST} more kinds of differences; --json lists all"
    yield f"numbers: compared as far as they depend on the same {', '.join(sorted(basis)) or 'course only'}"


def _as_json(found: Comparison, file: Path, against: Path, basis: frozenset[Basis]) -> dict[str, object]:
    return {
        "file": str(file),
        "against": str(against),
        "score": float(found.shown_score),
        "values": found.values,
        "same": sorted(basis),
        "differences": [each.as_json() for each in found.differences],
    }


def _kind(difference: Difference) -> tuple[str, str, str]:
    return difference.event, difference.kind, difference.path
