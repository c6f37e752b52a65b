"""The command `lint`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from replay.cli.files import FILE, read
from replay.cli.usage import Unusable
from replay.findings import LEVELS, Finding, Levels, counted, setting
from replay.findings.lint import lint as find


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
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def lint(
    files: tuple[Path, ...],
    named: tuple[str, ...],
    fail_on: str,
    write_tools: tuple[str, ...],
    claimed_seconds: float | None,
    as_json: bool,
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
    if as_json:
        rows = [{"file": file, **finding.as_json()} for file, findings in found.items() for finding in findings]
        click.echo(json.dumps({"findings": rows}))
    else:
        for file, findings in found.items():
            click.echo("\n".join([*map(_described, findings), f"{file}: {counted(findings)}"]))
    failing = LEVELS[LEVELS.index(fail_on) :]
    if any(finding.level in failing for findings in found.values() for finding in findings):
        raise click.exceptions.Exit(1)


def _described(finding: Finding) -> str:
    place = "" if finding.frame is None else f", frame {finding.frame}"
    where = f"{finding.at:.2f} s{place}" + (f", session {finding.session}" if finding.session else "")
    return f"{finding.level} {finding.rule} ({where})\n  {finding.message}.\n  {finding.fix}"
