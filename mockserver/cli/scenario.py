"""The command `scenario`: a cassette as a scenario, a new one, and a check of scenario files."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mockserver.cli.check import verify
from replay.cli.files import FILE
from replay.cli.formats import Format, format_options
from replay.cli.recordings import read
from replay.cli.usage import Unusable
from replay.report.as_scenario import written
from replay.secrets.named import Secrets

FIRST = """\
# Serve this file:  realtape serve --scenario {name}
# Check it:         realtape scenario check {name}
name: {stem}
turns:                                   # rules; the first that matches responds
  - when: {{says: "open|hours"}}           # a pattern on what the user typed or said
    reply:
      - say: "We are open from eight to five."
  - when: {{says: '(?P<number>\\d+)'}}      # a named group is a variable
    reply:
      - say: "One moment."
      - call: {{name: look_up, arguments: {{number: "{{{{ number }}}}"}}}}
  - when: {{tool: look_up}}                # the client sent the function's result
    reply:
      - say: "It is {{{{ result.state }}}}."
  - reply:                               # anything else
      - say: "Sorry, could you repeat that?"
"""


class _WithDefault(click.Group):
    """A group whose first argument may also be a file: `scenario FILE` is `scenario show FILE`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click; what is no command is a file."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["show", *args])


@click.group(cls=_WithDefault)
def scenario() -> None:
    """Make or check scenario files. `scenario FILE` prints a recording as a scenario.

    Examples:

    \b
      realtape scenario call.tape > call.yaml
      realtape scenario new booking.yaml
      realtape scenario check booking.yaml
    """


@scenario.command(short_help="Print a recording as a scenario file.")
@click.argument("file", type=FILE)
def show(file: Path) -> None:
    """Print a recording as a scenario file, to edit and to play with `realtape serve --scenario`.

    Exit code: 0, or 2 if the file cannot be read.
    """
    click.echo(written(read(file), sys.stdout.encoding), nl=False)


@scenario.command(short_help="Report all mistakes of scenario files.")
@click.argument("files", type=FILE, nargs=-1, required=True)
@format_options
def check(files: tuple[Path, ...], format: Format) -> None:
    """Report all mistakes of scenario files, each with line, column and the lines that would be right.

    Exit code: 0 all files are fine, 1 at least one is not, 2 a file cannot be read.
    """
    verify(files, format, lambda file: "scenario", Secrets())


@scenario.command(short_help="Write a scenario file to start from.")
@click.argument("file", type=FILE, default=Path("scenario.yaml"))
def new(file: Path) -> None:
    """Write a commented scenario file, by default scenario.yaml, and print its path. An existing file is kept.

    Exit code: 0, or 2 if the file exists or cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8", newline="\n") as out:
            out.write(FIRST.format(name=file, stem=file.stem))
    except FileExistsError as problem:
        raise Unusable(f"{file} is there already; choose another name") from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; choose another path") from problem
    click.echo(f"{file}\nserve it:  realtape serve --scenario {file}")
