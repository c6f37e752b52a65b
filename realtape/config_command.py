"""The command `config`: the options that commands take in this folder and environment, and where each comes from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import click

from realtape.config import (
    ConfigFile,
    all_variables,
    check_commands,
    defaults,
    environment_of,
    find,
    idle_variables,
    option_name,
    options_of,
    prefix_of,
    variable_of,
)
from replay.cli.usage import Unusable
from replay.outlets import clean
from replay.secrets.names import strength

HIDDEN = "(hidden)"
"""What is shown of a secret that is set."""
OTHER_VARIABLES = (
    "REALTAPE_API_KEY",
    "REALTAPE_ASR_MODEL",
    "REALTAPE_COMMAND",
    "REALTAPE_UPSTREAM",
    "REALTAPE_VENV",
)
"""Variables that belong to no option: see docs/reference/environment.md."""


class Setting(NamedTuple):
    """An option of a command with its value. `source` is a variable, a file, or `default`."""

    command: tuple[str, ...]
    option: str
    value: Any
    source: str
    variable: str

    def as_json(self) -> dict[str, object]:
        """The fields of the JSON output."""
        return {
            "command": " ".join(self.command),
            "option": self.option,
            "value": self.value,
            "source": self.source,
            "variable": self.variable,
        }


@click.command()
@click.argument("command", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print all options of all commands as JSON.")
@click.pass_context
def config(context: click.Context, command: tuple[str, ...], as_json: bool) -> None:
    """Show the options that are set by a file or a variable, and where. With COMMAND: all options of that command.

    The file is realtape.toml, or [tool.realtape] in pyproject.toml, in this folder or the nearest above. The command
    line wins over variables, variables over the file, the file over the default. Values of secrets are not shown.

    Exit code: 0, or 2 if the file or a variable has a mistake.

    Examples:

    \b
      realtape config
      realtape config serve
      REALTAPE_SERVE_PORT=9000 realtape config serve
    """
    root = context.find_root()
    assert isinstance(root.command, click.Group)
    file = find(Path.cwd())
    names = root.command.list_commands(root)
    if file is not None:
        check_commands(file, names)
    settings = [each for name in names for each in _of_command(root, name, file)]
    if command and not any(each.command[: len(command)] == command for each in settings):
        raise Unusable(f"no command '{' '.join(command)}' has options; list the commands with: realtape --help")
    chosen = [each for each in settings if each.command[: len(command)] == command]
    unknown = _unknown(root.command)
    if as_json:
        shown = {"file": str(file.path) if file else None, "settings": [each.as_json() for each in chosen]}
        click.echo(json.dumps({**shown, "unknown_variables": unknown}, indent=2))
        return
    click.echo(f"file: {file.path if file else 'none'}")
    if not command:
        chosen = [each for each in chosen if each.source != "default"]
    rows = [(" ".join((*each.command, f"--{each.option}")), _text(each.value), each.source) for each in chosen]
    left, middle = (max((len(row[column]) for row in rows), default=0) for column in (0, 1))
    for name, value, source in rows:
        click.echo(f"{name.ljust(left)}  {value.ljust(middle)}  {source}")
    if not rows:
        click.echo("every option has its default; realtape config COMMAND lists them")
    for name, hint in unknown.items():
        click.echo(f"{name}: no option has this variable{f'; did you mean {hint}?' if hint else ''}", err=True)


def _of_command(root: click.Context, name: str, file: ConfigFile | None) -> Iterator[Setting]:
    assert isinstance(root.command, click.Group)
    command = root.command.get_command(root, name)
    assert command is not None
    from_file = defaults(command, (name,), file) if file is not None else {}
    yield from _settings(command, (name,), from_file, file)


def _settings(
    command: click.Command, names: tuple[str, ...], from_file: Mapping[str, Any], file: ConfigFile | None
) -> Iterator[Setting]:
    if isinstance(command, click.Group):
        for name, nested in command.commands.items():
            yield from _settings(nested, (*names, name), from_file.get(name, {}), file)
    context = click.Context(command, info_name=names[-1])
    for option in options_of(command):
        value, source = _value(option, context, from_file, file)
        yield Setting(names, option_name(option), value, source, variable_of(names, option))


def _value(
    option: click.Option, context: click.Context, from_file: Mapping[str, Any], file: ConfigFile | None
) -> tuple[Any, str]:
    if (variable := environment_of(option)) is not None:
        value, source = option.value_from_envvar(context), variable
        try:
            option.type_cast_value(context, value)
        except click.BadParameter as problem:
            raise Unusable(f"{variable}: {problem.message}") from problem
    elif option.name in from_file and file is not None:
        value, source = from_file[option.name], str(file.path)
    else:
        value, source = option.get_default(context), "default"
    if isinstance(value, Enum) or value is None or value in ((), []):  # click's mark of no value is an Enum
        return None, source
    if strength(option_name(option)) is not None:
        return HIDDEN, source
    if isinstance(value, (list, tuple)):
        return [clean(str(each)) for each in value], source
    return value if isinstance(value, (bool, int, float)) else clean(str(value)), source


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _unknown(command: click.Group) -> dict[str, str | None]:
    """The variables of realtape's prefix that set nothing, each with the nearest that does."""
    context = click.Context(command)
    commands = (command.get_command(context, name) for name in command.list_commands(context))
    return idle_variables(prefix_of(), set(OTHER_VARIABLES).union(*(all_variables(one) for one in commands if one)))
