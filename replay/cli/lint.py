"""The command `lint`."""

from __future__ import annotations

from pathlib import Path

import click

from replay.cli.files import FILE
from replay.cli.formats import Format, format_options, show_as
from replay.cli.recordings import read
from replay.cli.usage import Unusable
from replay.findings import LEVELS, Finding, Levels, counted, setting
from replay.findings.lint import lint as find
from replay.report.annotations import Annotation, Severity


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option(
    "--level",
    "named",
    multiple=True,
    metavar="RULE=LEVEL",
    help="Severity of a rule: off, warn or error; RULE `all` sets every rule.",
)
@click.option(
    "--fail-on",
    type=click.Choice(LEVELS[1:]),
    default="error",
    show_default=True,
    help="Lowest severity that makes the exit code 1.",
)
@click.option(
    "--write-tool",
    "write_tools",
    multiple=True,
    metavar="NAME",
    help="Tool with side effects: report repeated calls with equal arguments.  [default: guessed from the tool's name]",
)
@click.option(
    "--claimed-seconds", type=float, help="Billable audio that the client counted, in seconds; only with one FILE."
)
@format_options
def lint(
    files: tuple[Path, ...],
    named: tuple[str, ...],
    fail_on: str,
    write_tools: tuple[str, ...],
    claimed_seconds: float | None,
    format: Format,
) -> None:
    """Report what a client did wrong in recorded conversations, and how to fix it.

    FILES are cassettes, or recordings that `realtape import` reads.

    Exit code: 0 no finding at the severity of --fail-on or above, 1 at least one, 2 a file cannot be read.
    """
    if claimed_seconds is not None and len(files) > 1:
        raise Unusable("--claimed-seconds belongs to one recording; give one file")
    try:
        levels = Levels(setting(None, named), write_tools or None)
    except ValueError as problem:
        raise Unusable(str(problem)) from problem
    found = {str(file): find(read(file), levels, claimed_seconds) for file in files}
    all_found = [(file, finding) for file, findings in found.items() for finding in findings]
    text = [line for file, each in found.items() for line in (*map(_described, each), f"{file}: {counted(each)}")]
    show_as(
        format,
        "\n".join(text),
        {"findings": [{"file": file, **finding.as_json()} for file, finding in all_found]},
        [_annotation(file, finding) for file, finding in all_found],
    )
    failing = LEVELS[LEVELS.index(fail_on) :]
    if any(finding.level in failing for findings in found.values() for finding in findings):
        raise click.exceptions.Exit(1)


def _annotation(file: str, finding: Finding) -> Annotation:
    severity: Severity = "error" if finding.level == "error" else "warning"
    return Annotation(severity, file, finding.rule, f"{finding.message}. {finding.fix}")


def _described(finding: Finding) -> str:
    place = "" if finding.frame is None else f", frame {finding.frame}"
    where = f"{finding.at:.2f} s{place}" + (f", session {finding.session}" if finding.session else "")
    return f"{finding.level} {finding.rule} ({where})\n  {finding.message}.\n  {finding.fix}"
