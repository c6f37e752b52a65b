"""The `clinic` commands: options in, report and exit code out."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import date, datetime
from pathlib import Path

import click

from clinic_agent.assistant import Assistant, clinic_assistant, run_call, run_open_call
from clinic_agent.clinic import Clinic
from clinic_agent.config import Config, environment, from_environment
from clinic_agent.line import CallFailed
from clinic_agent.microphone import NoMicrophone, person
from clinic_agent.patience import Patience
from clinic_agent.report import CallReport
from clinic_agent.schedule import MemorySchedule, Schedule
from clinic_agent.schedule_sqlite import SqliteSchedule
from clinic_agent.speech import read_wav, write_wav


class NoCall(click.ClickException):
    """There was no call; the message says what to do."""

    exit_code = 2


class BrokeOff(click.ClickException):
    """The call began and broke off."""

    exit_code = 1


@click.group()
def clinic() -> None:
    """The clinic's telephone assistant."""


@clinic.command()
@click.option(
    "--wav",
    "wavs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A spoken turn, 24 kHz mono 16-bit; repeat for more. Spoken turns come before typed ones.",
)
@click.option("--text", "texts", multiple=True, help="A typed turn; repeat for more.")
@click.option("--mic", is_flag=True, help="Speak yourself, with headphones on (extra `mic`); Ctrl-C hangs up.")
@click.option("--url", help="Realtime endpoint.  [default: XAI_REALTIME_URL, else the live service]")
@click.option("--model", help="Model name.  [default: CLINIC_MODEL, else a pinned one]")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the answers: turn-1.wav, turn-2.wav, …"
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps the bookings.  [default: none; they end with the call]",
)
@click.option(
    "--today", type=click.DateTime(["%Y-%m-%d"]), help="The clinic's date, YYYY-MM-DD.  [default: this machine's]"
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Seconds a turn may take.",
)
@click.option("--fast", is_flag=True, help="Do not wait for answers to be heard, as nobody listens meanwhile.")
def call(
    wavs: tuple[Path, ...],
    texts: tuple[str, ...],
    mic: bool,
    url: str | None,
    model: str | None,
    out: Path | None,
    as_json: bool,
    database: Path | None,
    today: datetime | None,
    timeout_s: float,
    fast: bool,
) -> None:
    """Call the clinic once and print what was heard, said and done, and what it cost.

    The key comes from XAI_API_KEY, or from a file .env here. Exit code 1: the call broke off. 2: there was no call.
    """
    if mic is bool(wavs or texts):
        raise click.UsageError("say something: --wav FILE for a spoken turn, --text TEXT for a typed one, or --mic")
    this_day = date.today()  # noqa: TID251 - where a person starts a call, its date comes in
    try:
        config = _config(url, model)
        words: list[str | bytes] = [*map(read_wav, wavs), *texts]
        if out:  # before the call, which costs money
            out.mkdir(parents=True, exist_ok=True)
        with _schedule(database) as schedule:
            assistant = clinic_assistant(Clinic(today.date() if today else this_day, schedule))
            patience = Patience(turn_s=timeout_s)
            if mic:
                made = _spoken(config, assistant, this_day, patience)
            else:
                made = run_call(config, words, assistant, priced_on=this_day, patience=patience, plays=not fast)
            report = asyncio.run(made)
    except (CallFailed, NoMicrophone, ValueError, OSError) as problem:
        raise NoCall(str(problem)) from problem
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else report.as_text())
    if out:
        _write_answers(report, out)
    if report.failure:
        raise BrokeOff(report.failure)


async def _spoken(config: Config, assistant: Assistant, priced_on: date, patience: Patience) -> CallReport:
    """A call by whoever sits here, until they or the assistant hang up."""
    hang_up = asyncio.Event()
    caller = person(hang_up)
    with suppress(NotImplementedError):  # on Windows, where Ctrl-C ends the program
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hang_up.set)
    click.echo("Speak; Ctrl-C hangs up.", err=True)
    report, _ = await run_open_call(config, caller, assistant, priced_on=priced_on, patience=patience)
    return report


@contextmanager
def _schedule(database: Path | None) -> Iterator[Schedule]:
    if database is None:
        yield MemorySchedule()
        return
    with SqliteSchedule(database) as schedule:
        yield schedule


def _config(url: str | None, model: str | None) -> Config:
    chosen = {"XAI_REALTIME_URL": url, "CLINIC_MODEL": model}
    return from_environment({**environment(), **{name: value for name, value in chosen.items() if value}})


def _write_answers(report: CallReport, folder: Path) -> None:
    for number, turn in enumerate(report.turns, start=1):
        if turn.audio:
            write_wav(folder / f"turn-{number}.wav", turn.audio)
