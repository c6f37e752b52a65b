"""The façade: what programs import and the `realtape` command. It loads a part only when that part is used.

from realtape import MockServer, Scenario, Say, Call
"""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mockserver import faults
    from mockserver.autojump import virtual_time
    from mockserver.brains import Call, Fail, Hosted, NotTranscribed, Pause, Say
    from mockserver.brains.scenario import Clip, Rule, Scenario, ScenarioError, When
    from mockserver.limits import Limits
    from mockserver.mock import MockServer

__all__ = [
    "Call",
    "Clip",
    "Fail",
    "Hosted",
    "Limits",
    "MockServer",
    "NotTranscribed",
    "Pause",
    "Rule",
    "Say",
    "Scenario",
    "ScenarioError",
    "When",
    "faults",
    "main",
    "virtual_time",
]

_HOMES = {
    "Call": "mockserver.brains",
    "Fail": "mockserver.brains",
    "Hosted": "mockserver.brains",
    "NotTranscribed": "mockserver.brains",
    "Pause": "mockserver.brains",
    "Say": "mockserver.brains",
    "Clip": "mockserver.brains.scenario",
    "Rule": "mockserver.brains.scenario",
    "Scenario": "mockserver.brains.scenario",
    "ScenarioError": "mockserver.brains.scenario",
    "When": "mockserver.brains.scenario",
    "Limits": "mockserver.limits",
    "MockServer": "mockserver.mock",
    "virtual_time": "mockserver.autojump",
}
_COMMANDS = {
    "serve": "mockserver.cli",
    "say": "mockserver.cli",
    "faults": "mockserver.cli_faults",
    "record": "replay.cli",
    "show": "replay.cli",
    "check": "replay.cli",
    "scrub": "replay.cli",
    "diff": "replay.cli_compare",
    "scenario": "replay.cli_compare",
    "replay": "replay.cli_tools",
    "import": "replay.cli_tools",
    "export": "replay.cli_tools",
    "bill": "replay.cli_tools",
    "lint": "replay.cli_lint",
    "record-suite": "realtape_suite",
    "demo": "realtape_demo",
    "clinic": "clinic_agent.cli",
}
"""Where each command is; there it goes by the same name, as far as Python allows (`import_`, `record_suite`)."""


def __getattr__(name: str) -> object:
    if name == "faults":
        return import_module("mockserver.faults")
    if name not in _HOMES:
        raise AttributeError(f"module 'realtape' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


def _attribute(command: str) -> str:
    name = command.replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


class _Lazy(click.Group):
    """A group whose commands are loaded when they are named, so that one does not pay for the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(_COMMANDS[cmd_name]), _attribute(cmd_name))
        assert isinstance(command, click.Command)
        return command


@click.command(cls=_Lazy)
@click.version_option(package_name="realtape")
def main() -> None:
    """The offline twin of realtime voice APIs."""


if __name__ == "__main__":
    main(prog_name="realtape")
