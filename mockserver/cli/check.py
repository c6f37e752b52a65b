"""The command `check`: cassettes, and scenario, fault and accounts files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from mockserver.documents.problems import Problem
from replay.cli.files import FILE, DocumentKind, document_kind
from replay.cli.formats import Format, format_options, show_as
from replay.cli.secrets import secret_options
from replay.cli.usage import Unusable
from replay.cli.verification import reasons
from replay.report.annotations import Annotation
from replay.secrets.named import Secrets


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--against", type=FILE, metavar="TAPE", help="Score one file on how far it agrees with this recording.")
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="With --against: the lowest score that passes.",
)
@secret_options()
@format_options
def check(files: tuple[Path, ...], against: Path | None, least: float, format: Format, secrets: Secrets) -> None:
    """Verify cassettes, scenario files, fault files and accounts files, each recognised by its content.

    Cassettes: end mark, no secrets, a provable origin, nothing dropped, audio only within responses. The values of
    XAI_API_KEY and OPENAI_API_KEY count as secrets. Other files: all mistakes at once, each with line, column and the
    lines that would be right.

    With --against, compare the server events of one recording with those of another, numbers included. The score is the
    share of values that agree; 1.000 means no difference.

    Exit code: 0 all files passed, 1 at least one file failed verification or the score is too low, 2 a file cannot be
    read.
    """
    if against is not None:
        if len(files) != 1:
            raise click.UsageError("--against scores one file; give one")
        return _check_against(files[0], against, least, format)
    verify(files, format, document_kind, secrets)


def verify(
    files: Sequence[Path], format: Format, kind: Callable[[Path], DocumentKind | None], secrets: Secrets
) -> None:
    """Print what is wrong with each file; `kind` tells its kind, None is a cassette.

    Exits with 1 if anything is, and with 2 if a file cannot be read; the others are checked all the same.
    """
    unreadable: list[str] = []
    found: dict[str, list[str]] = {}
    text: list[str] = []
    marks: list[Annotation] = []
    for file in files:
        name, document = str(file), kind(file)
        try:
            listed = reasons(file, secrets) if document is None else []
            problems = () if document is None else _problems(file, document)
        except Unusable as missing:
            unreadable.append(str(missing))
            continue
        if document is None:
            found[name] = listed
            text += [f"{name}: {reason}" for reason in found[name] or ["fine"]]
            marks += [Annotation("error", name, "cassette", reason) for reason in found[name]]
            continue
        found[name] = [str(problem) for problem in problems]
        text += found[name] or [f"{name}: fine"]
        marks += [_mark(name, document, problem) for problem in problems]
    if found or not unreadable:
        show_as(format, "\n".join(text), found, marks)
    if unreadable:
        raise Unusable("\n".join(unreadable))
    if any(found.values()):
        raise click.exceptions.Exit(1)


def _check_against(file: Path, against: Path, least: float, format: Format) -> None:
    """The same boundary."""
    from replay.cli.against import check_against

    check_against(file, against, least, format)


def _problems(file: Path, kind: DocumentKind) -> tuple[Problem, ...]:
    """The lazy boundary: a tape needs nothing of what reads other files."""
    from mockserver.cli.document_check import problems_of

    return problems_of(file, kind)


def _mark(file: str, kind: DocumentKind, problem: Problem) -> Annotation:
    message = "\n".join((problem.head, *problem.fix))
    return Annotation("error", file, kind, message, problem.line, problem.column)
