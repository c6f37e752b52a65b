"""Options from a file and from the environment.

The file is `realtape.toml`, or `[tool.realtape]` in `pyproject.toml`, in the working folder or the nearest one above.
`realtape.toml` wins over a `pyproject.toml` beside it; files further up are not read. The command line wins over the
environment, the environment over the file, the file over the default.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import click

from replay.cli.usage import Unusable

PREFIX = "REALTAPE"
OWN_FILE = "realtape.toml"
PROJECT_FILE = "pyproject.toml"
_TABLE = "tool.realtape"


class ConfigFile(NamedTuple):
    """A configuration file. `table` is the name of the outermost table in it, empty in `realtape.toml`."""

    path: Path
    table: str
    settings: Mapping[str, Any]

    def section(self, command: tuple[str, ...]) -> str:
        """The header of a command's section, as the file has it."""
        return f"[{'.'.join(filter(None, (self.table, *command)))}]"


def find(folder: Path) -> ConfigFile | None:
    """The configuration for a working folder. Raises Unusable for a file that cannot be read."""
    for each in (folder, *folder.parents):
        if (own := each / OWN_FILE).is_file():
            return ConfigFile(own, "", _load(own))
        project = each / PROJECT_FILE
        if project.is_file() and b"realtape" in (text := _bytes(project)) and b"tool" in text:
            tool = _load(project).get("tool", {})
            if isinstance(tool, dict) and isinstance(table := tool.get("realtape"), dict):
                return ConfigFile(project, _TABLE, table)
    return None


def check_commands(file: ConfigFile, known: Mapping[str, object] | list[str]) -> None:
    """Raises Unusable for a section that names no command."""
    for name, value in file.settings.items():
        if name == "tool" and not file.table:
            raise Unusable(f"{file.path}: [{_TABLE}.…] is for {PROJECT_FILE}; here a section is the command: [serve]")
        if name not in known:
            raise Unusable(f"{file.path}: {file.section((name,))} is no command; {_nearest(name, list(known))}")
        if not isinstance(value, dict):
            raise Unusable(f"{file.path}: {name} is a command; write its options below {file.section((name,))}")


def defaults(command: click.Command, names: tuple[str, ...], file: ConfigFile) -> dict[str, Any]:
    """The `default_map` of click for a command, from its section. Raises Unusable for an unknown option."""
    section: Any = file.settings
    for name in names:
        section = section.get(name, {})
    if isinstance(command, click.Group):
        nested = command.commands
        for name, value in section.items():
            if name not in nested or not isinstance(value, dict):
                raise Unusable(
                    f"{file.path}: {file.section(names)}: {name!r} is no command; {_nearest(name, list(nested))}"
                )
        return {name: defaults(nested[name], (*names, name), file) for name in section}
    options = {long: option for option in options_of(command) for long in _long_names(option)}
    found: dict[str, Any] = {}
    for name, value in section.items():
        option = options.get(name.replace("_", "-"))
        if option is None or option.name is None:
            raise Unusable(
                f"{file.path}: {file.section(names)} has no option {name!r}; {_nearest(name, list(options))}"
            )
        place = f"{file.path}: {file.section(names)} {name}"
        if (taken := _taken(option, value, place, file.path.parent)) is not None:
            found[option.name] = taken
    return found


def name_variables(command: click.Command, names: tuple[str, ...]) -> None:
    """Let each option of a command be set by a variable, `REALTAPE_<COMMAND>_<OPTION>`, beside those that it has."""
    if isinstance(command, click.Group):
        for name, nested in command.commands.items():
            name_variables(nested, (*names, name))
    for option in options_of(command):
        variable = variable_of(names, option)
        known = variables_of(option)
        if variable not in known:
            option.envvar = [*known, variable]


def all_variables(command: click.Command) -> set[str]:
    """The variables that set an option of a command, or of one below it."""
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return {each for option in options_of(command) for each in variables_of(option)}.union(*map(all_variables, below))


def idle_variables(prefix: str, known: set[str]) -> dict[str, str | None]:
    """The variables of this process with a prefix that are none of the known, each with the nearest of these."""
    found = sorted(each for each in os.environ if each.startswith(prefix) and each not in known)
    return {each: next(iter(get_close_matches(each, sorted(known), 1)), None) for each in found}


def prefix_of(*names: str) -> str:
    """How the variables of a command begin: `REALTAPE_SERVE_`."""
    return "_".join((PREFIX, *names, "")).upper().replace("-", "_")


def options_of(command: click.Command) -> Iterator[click.Option]:
    """The options of a command that can be set; `--help` and `--version` cannot."""
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.expose_value and _long_names(parameter):
            yield parameter


def variable_of(names: tuple[str, ...], option: click.Option) -> str:
    """The variable of an option: `REALTAPE_SERVE_API_KEY` for `serve --api-key`."""
    return prefix_of(*names) + option_name(option).upper().replace("-", "_")


def variables_of(option: click.Option) -> list[str]:
    """The variables that set an option; the first that is not empty does."""
    return [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())


def option_name(option: click.Option) -> str:
    """The name of an option as the file has it: `api-key` for `--api-key`."""
    return _long_names(option)[0]


def _long_names(option: click.Option) -> list[str]:
    return [each[2:] for each in option.opts if each.startswith("--")]


def _taken(option: click.Option, value: Any, place: str, folder: Path) -> Any:
    if option.is_flag:
        if not isinstance(value, bool):
            raise Unusable(f"{place} is a switch: write true or false")
        flag: Any = option.flag_value  # such as json for --json, which shares its place with --format
        return value if isinstance(flag, bool) or flag is None else (flag if value else None)
    several = option.multiple or option.nargs != 1
    if isinstance(value, list) and not several:
        raise Unusable(f"{place} takes one value, not a list")
    values = value if isinstance(value, list) else [value]
    for each in values:
        if isinstance(each, bool) or not isinstance(each, (str, int, float)):
            raise Unusable(f"{place}: write a text{' or a list of texts' if several else ' or a number'}")
    converted = [_value(option, each, place, folder) for each in values]
    return converted if several else converted[0]


def _value(option: click.Option, value: str | float, place: str, folder: Path) -> str | float:
    if isinstance(option.type, click.Path):
        text = str(value)
        is_name = option.name == "scenario" and Path(text).name == text and not Path(text).suffix
        if text != "-" and not (is_name and not (folder / text).exists()):
            return str(folder / text)
    if isinstance(value, float) and isinstance(option.type, click.types.IntParamType):
        raise Unusable(f"{place}: {value} is no whole number")
    try:
        option.type.convert(value, option, None)
    except click.BadParameter as problem:
        raise Unusable(f"{place}: {problem.message}") from problem
    return value


def _nearest(name: str, known: list[str]) -> str:
    near = get_close_matches(name.lower().replace("_", "-"), known, 1)
    return f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise Unusable(f"{path}: {problem.strerror}; make it readable, or work in another folder") from problem


def _load(path: Path) -> dict[str, Any]:
    try:
        text = _bytes(path).decode("utf-8-sig")
        return dict(_toml().loads(text.replace("\r\n", "\n")))
    except ValueError as problem:  # of the encoding too
        raise Unusable(f"{path}: {problem}; write it as TOML in UTF-8") from problem


def _toml() -> Any:
    """Loaded when there is a file, for `realtape --help` is asked for more often."""
    try:
        return import_module("tomllib")
    except ModuleNotFoundError:  # Python 3.10
        return import_module("tomli")


def environment_of(option: click.Option) -> str | None:
    """The variable that sets an option in this process, if one does."""
    return next((name for name in variables_of(option) if os.environ.get(name)), None)
