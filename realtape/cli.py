"""The `realtape` command line. The module of a command is loaded when that command runs, and not before."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from io import TextIOWrapper
from keyword import iskeyword
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from realtape.config import (
    all_variables,
    check_commands,
    defaults,
    environment_of,
    find,
    idle_variables,
    name_variables,
    prefix_of,
)
from replay.cli.usage import SuggestingGroup
from replay.loading import uncollected
from replay.outlets import guard_process


class LazyCommand(NamedTuple):
    """A command: the module that defines it, and its line in `realtape --help`, of at most 45 characters.

    The module defines it under the name of the command, as far as Python allows (`import_`, `record_suite`).
    """

    module: str
    help: str


SECTIONS = {
    "Serve": {
        "serve": LazyCommand("mockserver.cli.serve", "Run the mock server."),
        "init": LazyCommand("realtape.init", "Write an agent, its test and a scenario."),
    },
    "Record and replay": {
        "record": LazyCommand("replay.cli.record", "Record calls to a service through a proxy."),
        "replay": LazyCommand("replay.cli.replay", "Send a recorded client side to an endpoint."),
        "import": LazyCommand("replay.cli.convert", "Make a cassette from another tool's file."),
        "export": LazyCommand("replay.cli.convert", "Write a cassette as HAR, JSON lines or WAV."),
        "scenario": LazyCommand("mockserver.cli.scenario", "Make or check a scenario file."),
        "ignore": LazyCommand("replay.cli.ignore", "Say what may differ from a cassette."),
        "scrub": LazyCommand("replay.cli.scrub", "Remove secrets from a cassette."),
    },
    "Inspect": {
        "show": LazyCommand("replay.cli.inspect", "List the records of a cassette."),
        "check": LazyCommand("mockserver.cli.check", "Verify cassettes and scenario files."),
        "diff": LazyCommand("replay.cli.compare", "Compare the server events of two cassettes."),
        "lint": LazyCommand("replay.cli.lint", "Explain the client's mistakes in a cassette."),
        "schema": LazyCommand("mockserver.cli.schema", "Print the JSON Schemas of YAML files."),
        "bill": LazyCommand("replay.cli.convert", "Price the calls in a cassette."),
        "config": LazyCommand("realtape.config_command", "Show what options are set to, and where."),
    },
    "Test": {
        "dial": LazyCommand("mockserver.cli.dial", "Call a phone bridge as Twilio or Plivo does."),
        "faults": LazyCommand("mockserver.cli.faults", "Check a fault file, or run a fault sweep."),
        "say": LazyCommand("mockserver.cli.say", "Make a spoken WAV clip from text."),
        "degrade": LazyCommand("mockserver.cli.degrade", "Make a WAV clip noisy, narrow or broken."),
    },
    "Clinic example": {
        "demo": LazyCommand("realtape.demo", "Book an appointment by voice, offline."),
        "clinic": LazyCommand("realtape.clinic_command", "Run the clinic agent: call, phone, serve, ui."),
        "record-suite": LazyCommand("realtape.suite", "Record the six conversations of the clinic."),
    },
}
"""The commands by section of the help page."""

COMMANDS = {name: entry for commands in SECTIONS.values() for name, entry in commands.items()}


class _LazyGroup(SuggestingGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        attribute = cmd_name.replace("-", "_")
        attribute += "_" if iskeyword(attribute) else ""
        with uncollected():
            command = getattr(import_module(COMMANDS[cmd_name].module), attribute)
        assert isinstance(command, click.Command)
        name_variables(command, (cmd_name,))
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """As in click; a bad value that nobody typed is reported with the variable that has it."""
        try:
            return super().invoke(ctx)
        except click.BadParameter as problem:
            option, context = problem.param, problem.ctx
            if isinstance(option, click.Option) and context is not None and option.name is not None:
                if context.get_parameter_source(option.name) is ParameterSource.ENVIRONMENT:
                    problem.param_hint = f"{option.get_error_hint(context)} (from {environment_of(option)})"
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """As in click, without loading a command."""
        found = [CompletionItem(name, help=COMMANDS[name].help) for name in COMMANDS if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, COMMANDS))  # so that the columns of all sections stand under each other
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in commands.items()])


def _warn_of_idle_variables(context: click.Context, name: str) -> None:
    """A misspelt variable would go unnoticed, most of all in a container."""
    prefix = prefix_of(name)
    if any(each.startswith(prefix) for each in os.environ) and (command := main.get_command(context, name)) is not None:
        for idle, near in idle_variables(prefix, all_variables(command)).items():
            hint = f"; did you mean {near}?" if near else ""
            click.echo(f"warning: {idle} sets nothing{hint}", err=True)


@click.command(cls=_LazyGroup)
@click.version_option(package_name="realtape")
@click.pass_context
def main(context: click.Context) -> None:
    """A local mock server for the xAI Grok Voice Agent API and the OpenAI Realtime API, with recording, replay, fault
    injection and a pytest plugin."""
    guard_process()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # what the encoding lacks is escaped, as with cp1252 on Windows
            stream.reconfigure(errors="backslashreplace")
    name = context.invoked_subcommand
    if name is None or name == "config":
        return
    _warn_of_idle_variables(context, name)
    if (file := find(Path.cwd())) is not None:
        check_commands(file, COMMANDS)
        if name in file.settings and (command := main.get_command(context, name)) is not None:
            context.default_map = {name: defaults(command, (name,), file)}
