"""The commands `diff` and `scenario`: recordings in, differences or a scenario out. The work is done elsewhere."""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import Any

import click

from replay.cassette.conversation import UnreadableRecording
from replay.cassette.file import BadCassette
from replay.cassette.recording import Recording
from replay.diff.compare import Difference, compare, report
from replay.diff.placeholders import Placeholder
from replay.formats import detect
from replay.report.as_scenario import scenario as derived
from replay.report.as_scenario import written

FILE = click.Path(dir_okay=False, path_type=Path)


class Unusable(click.ClickException):
    """Bad input; the message is one line that says what to do."""

    exit_code = 2


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@click.option("--words", is_flag=True, help="Also compare what was said and called, not only the form of the events.")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(a: Path, b: Path, words: bool, as_json: bool) -> None:
    """Compare what the service sent in two recordings, aligned by meaning: ids, times, sound and wording may differ.

    Exit code 1: they differ.
    """
    left, right = _read(a), _read(b)
    found = compare(left.received(), right.received())
    spoken = _wording(left, right) if words else []
    if as_json:
        differences = [_as_json(each) for each in found]
        click.echo(json.dumps({"equal": not found and not spoken, "differences": differences, "words": spoken}))
    else:
        click.echo("\n".join([report(found), *spoken]))
    if found or spoken:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("file", type=FILE)
def scenario(file: Path) -> None:
    """Print a recording as a scenario file, to be changed and played: `realtape serve --scenario`."""
    click.echo(written(_read(file)), nl=False)


def _read(path: Path) -> Recording:
    try:
        return detect.read_recording(path)
    except (BadCassette, UnreadableRecording) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{path}: {problem.strerror}; name a recording") from problem


def _wording(left: Recording, right: Recording) -> list[str]:
    """Responses that say or call something else, or are asked for otherwise."""
    pairs = enumerate(zip_longest(_entries(left), _entries(right), fillvalue="none"), start=1)
    return [f"response {number}: expected {one}, got {other}" for number, (one, other) in pairs if one != other]


def _entries(recording: Recording) -> list[Any]:
    (entries,) = [part for key, part in derived(recording).items() if key != "name"]
    return list(entries)


def _as_json(difference: Difference) -> dict[str, Any]:
    return {
        "kind": difference.kind,
        "event": difference.event,
        "path": difference.path,
        "expected": _plain(difference.expected),
        "actual": _plain(difference.actual),
        "at": difference.at,
    }


def _plain(value: object) -> object:
    """Marks as they are shown."""
    match value:
        case Placeholder():
            return str(value)
        case dict():
            return {str(key): _plain(part) for key, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case _:
            return value
