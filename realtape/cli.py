"""The `realtape` command. A subcommand's module is loaded when that subcommand runs, so none pays for the others."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword

import click

COMMANDS = {
    "serve": "mockserver.cli.serve",
    "say": "mockserver.cli.serve",
    "faults": "mockserver.cli.faults",
    "record": "replay.cli.record",
    "show": "replay.cli.inspect",
    "check": "replay.cli.inspect",
    "scrub": "replay.cli.inspect",
    "diff": "replay.cli.compare",
    "scenario": "replay.cli.compare",
    "replay": "replay.cli.convert",
    "import": "replay.cli.convert",
    "export": "replay.cli.convert",
    "bill": "replay.cli.convert",
    "lint": "replay.cli.lint",
    "record-suite": "realtape.suite",
    "demo": "realtape.demo",
    "clinic": "clinic_agent.cli",
}
"""The module of each command. There it has the same name, as far as Python allows (`import_`, `record_suite`)."""


def _attribute(command: str) -> str:
    name = command.replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), _attribute(cmd_name))
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_LazyGroup)
@click.version_option(package_name="realtape")
def main() -> None:
    """The offline twin of realtime voice APIs."""
