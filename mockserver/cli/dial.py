"""The command `dial`: a phone company's call to somebody's bridge, with what came of it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from mockserver.calls.script import Entry
from mockserver.cli.caller_options import ScriptedCommand, caller_options, caller_script
from mockserver.cli.sections import SectionedOption
from mockserver.dial.plivo import CONTENT_TYPES
from mockserver.dial.report import DialReport
from mockserver.testing.dialler import (
    CALLED_NUMBER,
    CALLER_NUMBER,
    PROVIDERS,
    CannotDial,
    DialOptions,
    Watch,
)
from mockserver.testing.dialler import (
    dial as make_call,
)
from replay.cli.usage import Unusable

_waiting = partial(click.option, cls=SectionedOption, section="Caller, in the order given")
_line = partial(click.option, cls=SectionedOption, section="Line")
_company = partial(click.option, cls=SectionedOption, section="Phone company")
_output = partial(click.option, cls=SectionedOption, section="Output")


@click.command("dial", cls=ScriptedCommand)
@click.argument("url")
@_company("--as", "provider", type=click.Choice(PROVIDERS), default="twilio", show_default=True, help="Protocol.")
@caller_options
@_waiting(
    "--silence",
    "silence_s",
    type=click.FloatRange(0, 60, min_open=True),
    default=1.0,
    show_default=True,
    metavar="S",
    help="Take an answer as over after S seconds of silence; more than a tool takes.",
)
@_waiting(
    "--patience",
    "patience_s",
    type=click.FloatRange(0, 600, min_open=True),
    default=15.0,
    show_default=True,
    metavar="S",
    help="Wait S seconds for an answer to begin.",
)
@_line(
    "--jitter",
    "jitter_ms",
    type=click.FloatRange(0, 5000),
    default=0.0,
    metavar="MS",
    help="Delay messages by up to MS, in both directions.",
)
@_line(
    "--loss",
    "loss_percent",
    type=click.FloatRange(0, 99),
    default=0.0,
    metavar="PERCENT",
    help="Lose a share of the frames of sound, in both directions.",
)
@_line(
    "--drop-after",
    "drop_after_s",
    type=click.FloatRange(0, min_open=True),
    metavar="S",
    help="Break the connection after S seconds, without a stop.",
)
@_line(
    "--max-seconds",
    "longest_s",
    type=click.FloatRange(0, 3600, min_open=True),
    default=300.0,
    show_default=True,
    help="Hang up then.",
)
@_line("--seed", default="0", show_default=True, help="Seed of ids, delays and losses.")
@_company(
    "--auth-token-env",
    metavar="NAME",
    help="Environment variable with the account's auth token: sign the webhook and the handshake.",
)
@_company("--public-url", metavar="URL", help="Address by which the bridge knows itself, such as its tunnel's.")
@_company("--from", "caller", default=CALLER_NUMBER, show_default=True, help="Number of the caller.")
@_company("--to", "called", default=CALLED_NUMBER, show_default=True, help="Number that is called.")
@_company("--account", default="", metavar="ID", help="Account id. Default: made from the seed.")
@_company(
    "--parameter",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Custom parameter of the stream, if URL is the stream's.",
)
@_company(
    "--content-type",
    type=click.Choice(list(CONTENT_TYPES)),
    default="audio/x-mulaw;rate=8000",
    show_default=True,
    help="Plivo: format of the stream, if URL is the stream's.",
)
@_output("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the call as a stereo WAV file.")
@_output(
    "--max-latency",
    "max_latency_ms",
    type=click.FloatRange(0, min_open=True),
    metavar="MS",
    help="Exit with 1 if an answer begins later than MS after a turn.",
)
@_output("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.pass_context
def dial(
    ctx: click.Context,
    /,
    url: str,
    loss_percent: float,
    auth_token_env: str | None,
    parameters: tuple[str, ...],
    out: Path | None,
    max_latency_ms: float | None,
    as_json: bool,
    **rest: Any,
) -> None:
    """Call a bridge at URL as Twilio or Plivo does, in real time, and tell what came of it.

    URL with http:// is the webhook of a number, whose answer names the stream; with ws:// it is the stream itself.

    Exit code 1: the bridge made a mistake, left a turn unanswered, or answered later than --max-latency.

    Example:

    \b
      realtape dial http://127.0.0.1:5050/incoming-call --say "When are you open?"
      realtape dial ws://127.0.0.1:5050/media-stream --as plivo --audio booking.wav --out call.wav
    """
    entries = caller_script(ctx, rest)
    if not entries:
        raise Unusable("the caller does nothing; give --say TEXT or --audio FILE")
    named = dict(_named(each) for each in parameters)
    token = _token(auth_token_env)
    if out is not None and not out.absolute().parent.is_dir():
        raise Unusable(f"--out {out}: there is no folder {out.absolute().parent}; make it first")
    try:
        options = DialOptions(**rest, loss=loss_percent / 100, auth_token=token, parameters=named)
        run = ctx.obj or asyncio.run  # a program that embeds the command may bring another loop, such as a virtual one
        report = run(_watched(url, entries, options))
        click.echo(report.as_json() if as_json else str(report))
        if out is not None:
            report.save(out)
    except (CannotDial, ValueError, OSError, RuntimeError) as problem:
        raise Unusable(str(problem)) from problem
    late = _late(report, max_latency_ms)
    for line in late:
        click.echo(line, err=True)
    ctx.exit(1 if report.errors or late else 0)


async def _watched(url: str, entries: list[Entry], options: DialOptions) -> DialReport:
    """The call, told on a terminal while it goes on. Ctrl-C hangs up, so that the report and the sound are not lost."""
    watch = Watch(lambda line: click.echo(line, err=True) if sys.stderr.isatty() else None)
    with suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, and threads
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _hang_up, watch)
    return await make_call(url, entries, options=options, watch=watch)


def _hang_up(watch: Watch) -> None:
    if watch.hang_up is None:
        raise KeyboardInterrupt
    watch.hang_up()


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Unusable(f"--parameter {text!r} is not NAME=VALUE")
    return name, value


def _token(variable: str | None) -> str:
    if variable is None:
        return ""
    if not (token := os.environ.get(variable, "")):
        raise Unusable(f"{variable} is not set; put the auth token there, or leave out --auth-token-env")
    return token


def _late(report: DialReport, most_ms: float | None) -> list[str]:
    if most_ms is None:
        return []
    return [
        f'"{turn.text}" was answered after {turn.latency_s * 1000:.0f} ms, more than {most_ms:g} ms'
        for turn in report.turns
        if turn.latency_s is not None and turn.latency_s * 1000 > most_ms
    ]
