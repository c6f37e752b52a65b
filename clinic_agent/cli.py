"""The commands `realtape clinic call`, `serve` and `ui`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date, datetime
from importlib.util import find_spec
from pathlib import Path

import click

from clinic_agent.app.call_page import CallPage
from clinic_agent.app.call_store import CallStore, Frame, call_record
from clinic_agent.app.settings import AppSettings, settings_from
from clinic_agent.call.connection import CallFailed, Watcher
from clinic_agent.call.microphone import NoMicrophone, person
from clinic_agent.call.pcm import read_wav, write_wav
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.tool import Unavailable
from clinic_agent.call.tracing import export_spans
from clinic_agent.clinic.assistant import Assistant, clinic_assistant, run_call, run_open_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.safety import CallLock
from clinic_agent.clinic.schedule import MemorySchedule, Schedule
from clinic_agent.clinic.schedule_sqlite import SqliteSchedule
from clinic_agent.config import Config, environment
from clinic_agent.extras import install_command


class NoCall(click.ClickException):
    """The call could not start; the message says what to do."""

    exit_code = 2


class BrokeOff(click.ClickException):
    """The call broke off."""

    exit_code = 1


@click.group()
def clinic() -> None:
    """The clinic agent: a telephone assistant that books appointments."""


@clinic.command(short_help="Make one call and print its report.")
@click.option(
    "--wav",
    "wavs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="WAV file of a spoken turn, 24 kHz mono 16-bit; repeat for more. Spoken turns come before typed ones.",
)
@click.option("--text", "texts", multiple=True, help="Text of a typed turn; repeat for more.")
@click.option("--mic", is_flag=True, help="Use the microphone, with headphones (extra `mic`); Ctrl-C hangs up.")
@click.option("--url", help="Realtime endpoint.  [default: XAI_REALTIME_URL, else the live service]")
@click.option("--model", help="Model name.  [default: CLINIC_MODEL, else grok-voice-think-fast-1.0]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the answers: turn-1.wav, turn-2.wav, …",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="SQLite file that keeps the bookings.  [default: none, the bookings are lost after the call]",
)
@click.option("--data", help="Folder for the record of the call.  [default: CLINIC_DATA, else clinic-data]")
@click.option(
    "--today",
    envvar="CLINIC_TODAY",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The clinic's date, YYYY-MM-DD.  [default: CLINIC_TODAY, else today]",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0, min_open=True),
    default=60.0,
    show_default=True,
    help="Time limit of a turn, in seconds.",
)
@click.option("--fast", is_flag=True, help="Do not wait for the playback of answers.")
def call(
    wavs: tuple[Path, ...],
    texts: tuple[str, ...],
    mic: bool,
    url: str | None,
    model: str | None,
    out: Path | None,
    as_json: bool,
    database: Path | None,
    data: str | None,
    today: datetime | None,
    timeout_s: float,
    fast: bool,
) -> None:
    """Make one call to the clinic agent, and print transcript, tool calls, latency and cost.

    The call leaves a record, as those of `realtape clinic serve` do.

    The key is read from XAI_API_KEY. With the extra `app` installed, variables are also read from the file .env in the
    current folder.

    Exit code 1: the call broke off. Exit code 2: the call could not start.
    """
    if mic is bool(wavs or texts):
        raise click.UsageError(
            "no turn given: use --wav FILE (a spoken turn), --text TEXT (a typed turn), or --mic alone"
        )
    this_day = date.today()  # noqa: TID251 - the one place where the command reads the date
    try:
        settings = settings_from({**environment(), **_named({"url": url, "model": model, "data": data})})
        export_spans()
        words: list[str | bytes] = [*map(read_wav, wavs), *texts]
        if out:  # before the call, which costs money
            out.mkdir(parents=True, exist_ok=True)
        with _schedule(database) as schedule:
            clinic_day = today.date() if today else this_day
            record = _Record(settings.store(), CallLock(clinic_day))
            assistant = clinic_assistant(Clinic(clinic_day, schedule), lock=record.lock)
            retry, watch = RetryPolicy(turn_s=timeout_s), record.watcher
            if mic:
                running = _microphone_call(settings.config, assistant, this_day, retry, watch)
            else:
                running = run_call(
                    settings.config, words, assistant, priced_on=this_day, retry=retry, plays=not fast, watch=watch
                )
            report = asyncio.run(running)
            record.write(report)
    except (CallFailed, NoMicrophone, Unavailable, ValueError, OSError) as problem:
        raise NoCall(str(problem)) from problem
    click.echo(json.dumps(report.as_json(), indent=2) if as_json else report.as_text())
    if out:
        for number, turn in enumerate(report.turns, start=1):
            if turn.audio:
                write_wav(out / f"turn-{number}.wav", turn.audio)
    if report.failure:
        raise BrokeOff(report.failure)


class _Record:
    """The record of one call, written when the call is over."""

    def __init__(self, store: CallStore, lock: CallLock) -> None:
        self.lock = lock
        self._store = store
        self._frames: list[Frame] = []
        self._began = store.now()
        self.watcher = store.watcher(self._frames)

    def write(self, report: CallReport) -> None:
        """Add the call to the records; a full disk costs no more than a warning."""
        if report.conversation_id is None:
            return
        record = call_record(report, "command", self._began, self._store.now(), self.lock)
        try:
            self._store.add(record, self._frames)
        except (OSError, sqlite3.Error) as error:
            click.echo(f"warning: the call could not be written to {self._store.path}: {error}", err=True)


async def _microphone_call(
    config: Config, assistant: Assistant, priced_on: date, retry: RetryPolicy, watch: Watcher
) -> CallReport:
    """A call with the microphone of this machine, until the person or the assistant hangs up."""
    hang_up = asyncio.Event()
    caller = person(hang_up)
    with suppress(NotImplementedError):  # on Windows Ctrl-C ends the program
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, hang_up.set)
    click.echo("Speak; Ctrl-C hangs up.", err=True)
    report, _ = await run_open_call(config, caller, assistant, priced_on=priced_on, retry=retry, watch=watch)
    return report


@contextmanager
def _schedule(database: Path | None) -> Iterator[Schedule]:
    if database is None:
        yield MemorySchedule()
        return
    with SqliteSchedule(database) as schedule:
        yield schedule


_SERVER_OPTIONS = [
    click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
    click.option("--url", help="Realtime endpoint.  [default: XAI_REALTIME_URL, else the live service]"),
    click.option("--model", help="Model name.  [default: CLINIC_MODEL, else grok-voice-think-fast-1.0]"),
    click.option("--data", help="Folder for bookings and transcripts.  [default: CLINIC_DATA, else clinic-data]"),
    click.option("--today", help="The clinic's date, YYYY-MM-DD.  [default: CLINIC_TODAY, else today]"),
]


def _server_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SERVER_OPTIONS):
        command = option(command)
    return command


@clinic.command(short_help="Serve the call page and the HTTP API.")
@_server_options
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--allow-host", "hosts", multiple=True, help="Another host name for requests; repeat for more.")
@click.option("--audio", help="Folder of WAV files that requests may name.  [default: CLINIC_AUDIO, else none]")
@click.option("--keep-audio", is_flag=True, help="Keep the audio of the calls.")
@click.pass_obj
def serve(
    call_page: CallPage | None, /, host: str, port: int, hosts: tuple[str, ...], keep_audio: bool, **chosen: str | None
) -> None:
    """Serve the call page and the HTTP API until interrupted. One line is printed when the server is ready.

    The key is read from XAI_API_KEY, or from the file .env in the current folder; browsers do not get it. Needs the
    extra `app`.
    """
    settings = _settings({**chosen, "hosts": ",".join(hosts), "keep_audio": "1" if keep_audio else None})
    if host not in settings.hosts:
        click.echo(f"warning: listening on {host}: every client that reaches it can make calls at your cost", err=True)
    if settings.webhook_keys and settings.hand_over_to is None:
        click.echo("warning: CLINIC_HANDOVER_URI is not set: on the telephone nobody takes over", err=True)
    try:
        from clinic_agent.app.server import run
    except ImportError as error:
        raise _without_app(error) from error
    try:
        run(settings, host, port, lambda url: click.echo(f"ready {url}"), call_page)
    except (Unavailable, ValueError, OSError) as problem:
        raise NoCall(str(problem)) from problem


@clinic.command(short_help="Open the playground, a Streamlit page.")
@_server_options
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535), help="Port to listen on.")
def ui(host: str, port: int, **chosen: str | None) -> None:
    """Open the playground, a Streamlit page: type, upload or record a turn; see transcript, tools, events and cost.

    The key is read from XAI_API_KEY, or from the file .env in the current folder. Needs the extra `app`.
    """
    _settings(chosen)
    if find_spec("streamlit") is None:
        raise _without_app("streamlit")
    script = Path(__file__).with_name("app") / "playground.py"
    options = ["--server.address", host, "--server.port", str(port), "--browser.gatherUsageStats", "false"]
    options += ["--client.toolbarMode", "viewer"]
    options += ["--theme.light.primaryColor", "#0f766e", "--theme.dark.primaryColor", "#2dd4bf"]
    command = [sys.executable, "-m", "streamlit", "run", str(script), *options]
    os.environ.update(_named(chosen))
    if os.name == "nt":
        sys.exit(subprocess.run(command, check=False).returncode)
    sys.stdout.flush()
    os.execv(command[0], command)  # so that signals reach it


def _settings(chosen: Mapping[str, str | None]) -> AppSettings:
    try:
        return settings_from({**environment(), **_named(chosen)})
    except ValueError as problem:
        raise NoCall(str(problem)) from problem


def _named(chosen: Mapping[str, str | None]) -> dict[str, str]:
    """The given options, by their names in the environment."""
    names = {"url": "XAI_REALTIME_URL"}
    return {names.get(option, f"CLINIC_{option.upper()}"): value for option, value in chosen.items() if value}


def _without_app(what: object) -> NoCall:
    return NoCall(f"{what}: this command needs the extra `app`: {install_command('app')}")
