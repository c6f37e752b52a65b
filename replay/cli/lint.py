"""The command `lint`: recordings in, the mistakes of their clients out. The rules are in findings/."""

from __future__ import annotations

import json
from pathlib import Path

import click

from replay.cli.files import Unusable, read
from replay.findings import LEVELS, Finding, Levels, counted, setting

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("--level", "named", multiple=True, metavar="RULE=LEVEL", help="off, warn or error; `all` for every rule.")
@click.option(
    "--fail-on",
    type=click.Choice(LEVELS[1:]),
    default="error",
    show_default=True,
    help="Exit with 1 from this level on.",
)
@click.option(
    "--write-tool", "write_tools", multiple=True, metavar="NAME", help="Must not run twice alike.  [default: by verb]"
)
@click.option("--claimed-seconds", type=float, help="What the client counted as billable audio; for one file.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def lint(
    files: tuple[Path, ...],
    named: tuple[str, ...],
    fail_on: str,
    write_tools: tuple[str, ...],
    claimed_seconds: float | None,
    as_json: bool,
) -> None:
    """Explain what the client did wrong in recorded conversations: cassettes, and all that `import` reads.

    Exit code 1: there is a finding at the level of --fail-on or above.
    """
    from replay.findings.lint import lint as linted

    if claimed_seconds is not None and len(files) > 1:
        raise Unusable("--claimed-seconds belongs to one recording; give one file")
    try:
        levels = Levels(setting(None, named), write_tools or None)
    except ValueError as problem:
        raise Unusable(str(problem)) from problem
    found = {str(file): linted(read(file), levels, claimed_seconds) for file in files}
    if as_json:
        rows = [{"file": file, **finding.as_json()} for file, findings in found.items() for finding in findings]
        click.echo(json.dumps({"findings": rows}))
    else:
        for file, findings in found.items():
            click.echo("\n".join([*map(_told, findings), f"{file}: {counted(findings)}"]))
    failing = LEVELS[LEVELS.index(fail_on) :]
    if any(finding.level in failing for findings in found.values() for finding in findings):
        raise click.exceptions.Exit(1)


def _told(finding: Finding) -> str:
    place = "" if finding.frame is None else f", frame {finding.frame}"
    where = f"{finding.at:.2f} s{place}" + (f", session {finding.session}" if finding.session else "")
    return f"{finding.level} {finding.rule} ({where})\n  {finding.message}.\n  {finding.fix}"
