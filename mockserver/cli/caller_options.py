"""The options by which a command takes what a caller does, in the order of the command line."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from mockserver.audio.names import SYNTHESIZERS
from mockserver.calls.caller import HangUp, Interrupt, Pause, Press
from mockserver.calls.script import Entry
from mockserver.calls.script_file import read_script
from mockserver.cli.sections import SectionedCommand, SectionedOption
from replay.cli.usage import Unusable

F = TypeVar("F", bound=Callable[..., Any])
_ORDER = "the options of the caller's script, in their order"
_SCRIPT = {
    "--say": "said",
    "--audio": "played",
    "--barge-in": "barged_in",
    "--pause": "paused",
    "--press": "pressed",
    "--hang-up": "hung_up",
    "--script": "scripted",
}


class ScriptedCommand(SectionedCommand):
    """A command that remembers in which order the caller's options stand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As in click."""
        ctx.meta[_ORDER] = [_SCRIPT[name] for each in args if (name := each.partition("=")[0]) in _SCRIPT]
        return super().parse_args(ctx, args)


_caller = partial(click.option, cls=SectionedOption, section="Caller, in the order given")
_OPTIONS = (
    _caller("--say", "said", multiple=True, metavar="TEXT", help="Say words, then listen to the answer."),
    _caller(
        "--audio",
        "played",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Play a WAV file, then listen to the answer.",
    ),
    _caller(
        "--barge-in",
        "barged_in",
        multiple=True,
        type=click.FloatRange(0, 600_000),
        metavar="MS",
        help="Do what follows after MS of the answer, not after its end.",
    ),
    _caller("--press", "pressed", multiple=True, metavar="KEYS", help="Press keys: 0 to 9, *, #, A to D."),
    _caller(
        "--pause",
        "paused",
        multiple=True,
        type=click.FloatRange(0, 3600),
        metavar="S",
        help="Say nothing for S seconds.",
    ),
    _caller("--hang-up", "hung_up", count=True, help="Hang up here; else at the end."),
    _caller(
        "--script",
        "scripted",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Do what a YAML file says: a list of words and steps.",
    ),
    _caller(
        "--greeting",
        "greeting_s",
        type=click.FloatRange(0, 60),
        default=2.0,
        show_default=True,
        metavar="S",
        help="Wait S seconds for the other side to speak first.",
    ),
    _caller("--voice", type=click.Choice(SYNTHESIZERS), default="auto", show_default=True, help="Of --say."),
)


def caller_options(command: F) -> F:
    """The options of the caller's script, of the time that it waits for a greeting, and of its voice."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def caller_script(ctx: click.Context, given: dict[str, Any]) -> list[Entry]:
    """The caller's script, with the options in the order in which they were given; takes them out of `given`. Raises
    Unusable for a file that is no script."""
    try:
        return list(_entries(ctx.meta[_ORDER], {name: given.pop(name) for name in _SCRIPT.values()}))
    except ValueError as problem:
        raise Unusable(str(problem)) from problem


def _entries(order: list[str], given: Mapping[str, Any]) -> Iterator[Entry]:
    taken: defaultdict[str, int] = defaultdict(int)
    for name in order:
        number = taken[name]
        taken[name] += 1
        match name:
            case "said" | "played":
                yield given[name][number]
            case "barged_in":
                yield Interrupt(given[name][number] / 1000)
            case "pressed":
                yield Press(given[name][number])
            case "scripted":
                yield from read_script(given[name][number])
            case "paused":
                yield Pause(given[name][number])
            case _:
                yield HangUp()
