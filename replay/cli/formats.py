"""The options `--format` and `--json` of `lint`, `check` and `diff`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import click
from typing_extensions import assert_never

from replay.outlets import clean, printable_lines
from replay.report.annotations import Annotation, github, sarif
from replay.version import tool_version

Format = Literal["text", "json", "github", "sarif"]
_Command = TypeVar("_Command", bound=Callable[..., None])


def format_options(command: _Command) -> _Command:
    """`--format`, whose value the command gets as `format`; `--json` is short for `--format json`."""
    choice = click.Choice(["text", "json", "github", "sarif"])
    shown = "Form of the output: text, one JSON object, annotations for GitHub Actions, or SARIF."
    command = click.option("--json", "format", flag_value="json", help="The same as --format json.")(command)
    return click.option("--format", "format", type=choice, default="text", show_default=True, help=shown)(command)


def show_as(format: Format, text: str, document: object, annotations: Sequence[Annotation]) -> None:
    """Print the result, without secrets, in one of its forms."""
    match format:
        case "text":
            click.echo(printable_lines(clean(text)))
        case "json":
            click.echo(clean(json.dumps(document)))
        case "github":
            if annotations:
                click.echo(clean(github(annotations)))
        case "sarif":
            click.echo(clean(json.dumps(sarif(annotations, tool_version()))))
        case _:
            assert_never(format)
