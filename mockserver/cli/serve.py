"""The commands `serve` and `say`: options in, one line out. What they do is server.py's and the voices' affair."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from mockserver.server.options import Options
    from mockserver.server.recordings import Reenacted, Verbatim
    from mockserver.server.service import Server

LOOPBACK = ("127.0.0.1", "localhost", "::1")
GOODBYE_S = 2.0
"""How long clients may take to read what is on its way to them, and the close frame behind it."""
_LOG = logging.getLogger(__name__)
JOURNAL_BYTES = 16 << 20
"""A server that runs for days keeps less than one that lives for a test."""


class Unusable(click.ClickException):
    """Bad input; the message is one line that says what to do."""

    exit_code = 2


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--dialect", help="Service to be, by name or dated name.  [default: that of the cassette, else xai]")
@click.option("--scenario", type=click.Path(path_type=Path), help="What to answer.  [default: what it is told]")
@click.option(
    "--cassette", type=click.Path(path_type=Path), help="A recording, or a folder of them, to give anew as a session."
)
@click.option("--verbatim", is_flag=True, help="Play the cassette frame by frame, to a client that does the same.")
@click.option(
    "--speed", default=1.0, show_default=True, type=float, help="Of --verbatim: 2 is twice as fast, inf at once."
)
@click.option(
    "--allow",
    multiple=True,
    metavar="TYPE",
    help="Of --verbatim: server events that may be left over without a report; repeat for more.",
)
@click.option(
    "--pacing",
    type=click.Choice(["live", "realtime", "burst"]),
    default="live",
    show_default=True,
    help="Rhythm of answers.",
)
@click.option("--faults", type=click.Path(path_type=Path), help="A fault file: what goes wrong, and where.")
@click.option("--record", type=click.Path(path_type=Path), help="A folder that gets each session as a cassette.")
@click.option("--check", is_flag=True, help="Hold each event against its dialect's shape; what does not fit is a bug.")
@click.option("--seed", default="0", show_default=True, help="Same seed and traffic, same frames.")
@click.option("--api-key", "api_keys", multiple=True, help="Accept this key; repeatable.  [default: any]")
@click.option("--blocked-key", "blocked_keys", multiple=True, help="A key whose team has no credits; repeatable.")
@click.option("--accounts", type=click.Path(path_type=Path), help="Teams, their keys and limits, by file.")
@click.option("--max-sessions", type=int, help="Open at once per team.  [default: the service's]")
@click.option("--rate", type=int, help="Requests a minute per team.  [default: unlimited]")
@click.option("--session-minutes", type=float, help="How long a session may last.  [default: as at the service]")
@click.option("--idle-minutes", type=float, help="How long nothing may cross the wire.  [default: unlimited]")
@click.option(
    "--resumption-minutes", type=float, help="How long a conversation is remembered.  [default: the service's]"
)
@click.option(
    "--snapshot-ms", type=float, help="Who is back sooner gets a stale conversation.  [default: the dialect's]"
)
@click.option("--secret-seconds", type=int, help="Life of a client secret that asks for none.  [default: 600]")
@click.option("--secret-max-seconds", type=int, help="The most one may ask for.  [default: 3600, OpenAI 7200]")
@click.option(
    "--voice", type=click.Choice(["auto", "tone", "espeak"]), default="auto", show_default=True, help="Who speaks."
)
@click.option(
    "--vad", type=click.Choice(["energy", "silero"]), default="energy", show_default=True, help="Who finds turns."
)
@click.option("--findings", metavar="LEVEL", help="How loud clients' mistakes are told: off, warn or error.")
@click.option("--finding", "named", multiple=True, metavar="RULE=LEVEL", help="The same for one rule; repeatable.")
@click.option(
    "--write-tool", "write_tools", multiple=True, metavar="NAME", help="Must not run twice alike.  [default: by verb]"
)
@click.option("--clock", default="wall", show_default=True, help="wall, wall:RATE or manual (moved over HTTP).")
@click.option(
    "--admin-token", envvar="REALTAPE_ADMIN_TOKEN", help="Asked of whoever uses /_mock/.  [default: this machine only]"
)
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
def serve(
    host: str,
    port: int,
    scenario: Path | None,
    cassette: Path | None,
    verbatim: bool,
    speed: float,
    allow: tuple[str, ...],
    faults: Path | None,
    as_json: bool,
    **settings: object,
) -> None:
    """Serve the mock until interrupted. It prints one line when it is ready.

    SIGINT and SIGTERM close open sessions (1001) within two seconds, and end with 0; a second one ends at once.
    Exit code 1, told on stderr: with --verbatim, a client did not do what was recorded; with --check, the mock sent
    what its dialect does not know.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("realtape.findings").setLevel(logging.INFO)
    if host not in LOOPBACK:
        click.echo(f"warning: listening on {host}: others on the network can use this mock", err=True)
    tapes = _tapes(cassette, verbatim, speed, allow, scenario)
    settings["dialect"] = settings["dialect"] or (tapes and tapes.dialect) or "xai"
    server = _server(_options(settings), scenario)
    if tapes is not None:
        server.play_tapes(tapes)
    if faults is not None:
        _set_faults(server, faults)
    loop = _new_loop()
    try:
        loop.run_until_complete(_serve(server, host, port, as_json))
    finally:
        loop.close()
    for unused in server.faults.unused():
        click.echo(unused, err=True)
    if server.watcher.findings:
        from replay.findings import counted

        click.echo(f"findings: {counted(server.watcher.findings)}", err=True)
    told = [] if server.verbatim is None else server.verbatim.report()
    if settings["check"] and server.errors:
        told.append(f"{len(server.errors)} bugs of the mock, the first of them: {server.errors[0]}")
    if told:
        click.echo("\n".join(told), err=True)
        raise click.exceptions.Exit(1)


def _tapes(
    cassette: Path | None, verbatim: bool, speed: float, allow: tuple[str, ...], scenario: Path | None
) -> Reenacted | Verbatim | None:
    if cassette is None:
        if verbatim:
            raise Unusable("--verbatim plays a cassette; name it with --cassette FILE")
        return None
    if speed != 1.0 and not verbatim:
        raise Unusable("--speed belongs to --verbatim; the pace of a session is --pacing")
    if allow and not verbatim:
        raise Unusable("--allow belongs to --verbatim; a session leaves nothing over")
    if scenario is not None:
        raise Unusable("--scenario and --cassette both say what to answer; leave out one of them")
    from mockserver.server.recordings import Reenacted, Verbatim
    from replay.cassette.conversation import UnreadableRecording
    from replay.cassette.file import BadCassette
    from replay.playback.library import EmptyLibrary

    try:
        return Verbatim(cassette, speed, allow) if verbatim else Reenacted(cassette)
    except (BadCassette, UnreadableRecording, EmptyLibrary, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{cassette}: {problem.strerror}; name a cassette or a folder of them") from problem


def _options(settings: dict[str, object]) -> Options:
    from mockserver.protocol.limits import Limits
    from mockserver.server.clock import rate_named
    from mockserver.server.options import Options
    from replay.findings import setting

    settings["requests_per_minute"], clock = settings.pop("rate"), str(settings.pop("clock"))
    limits = {each.name: settings.pop(each.name) for each in fields(Limits)}
    accounts = settings.pop("accounts")
    general, named = settings.pop("findings"), settings.pop("named")
    settings["write_tools"] = settings["write_tools"] or None
    try:
        settings["findings"] = setting(general, named)  # type: ignore[arg-type]
        if accounts is not None:
            from mockserver.server.accounts_file import load

            settings["roster"] = load(accounts)  # type: ignore[arg-type]
        return Options(
            **settings,  # type: ignore[arg-type]
            limits=Limits(**limits),  # type: ignore[arg-type]
            clock_rate=rate_named(clock),
            journal_bytes=JOURNAL_BYTES,
        )
    except ValueError as problem:
        raise Unusable(str(problem)) from problem


def _server(options: Options, scenario: Path | None) -> Server:
    from mockserver.server.service import Server

    try:
        server = Server(options)
    except OSError as problem:
        raise Unusable(f"{options.record}: {problem.strerror}; name a folder that may be written to") from problem
    if scenario is not None:
        from mockserver.responders.scenario import Scenario, ScenarioError

        try:
            server.play(Scenario.load(scenario))
        except ScenarioError as problem:
            raise Unusable(str(problem)) from problem
    if options.voice != "auto" or options.vad != "energy":
        try:
            _ = server.voice, server.engine
        except (ImportError, RuntimeError) as problem:
            raise Unusable(str(problem)) from problem
    return server


def _set_faults(server: Server, path: Path) -> None:
    from mockserver.faults.files import FaultError, load

    try:
        file = load(path)
    except FaultError as problem:
        raise Unusable(str(problem)) from problem
    server.set_faults(file.faults, file.seed)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed; a tenth faster."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(server: Server, host: str, port: int, as_json: bool) -> None:
    try:
        await server.start(host, port)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise Unusable(f"cannot listen on {host}:{port} ({reason}); --port 0 picks a free port") from problem
    from replay.stopping import stop_signal

    with stop_signal() as stop:
        click.echo(_ready(host, server.port, as_json))
        sys.stdout.flush()
        asyncio.get_running_loop().call_soon(server.warm_up)
        try:
            await stop
        finally:
            if server.live:
                _LOG.warning("stopping: %d open sessions are closed; another signal ends at once", len(server.live))
            await server.stop(GOODBYE_S)


def _ready(host: str, port: int, as_json: bool) -> str:
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    ws = f"ws://{authority}/v1/realtime"
    if as_json:
        return json.dumps({"ws": ws, "http": f"http://{authority}/v1", "pid": os.getpid()})
    return f"ready {ws}"


@click.command()
@click.argument("text")
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), help="The WAV file to write.")
@click.option("--voice", default="ara", show_default=True, help="Any voice id of the service.")
@click.option("--speed", default=1.0, show_default=True, type=float, help="1.0 is the normal rate.")
@click.option(
    "--engine", type=click.Choice(["auto", "tone", "espeak"]), default="auto", show_default=True, help="Who speaks."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def say(text: str, out: Path, voice: str, speed: float, engine: str, as_json: bool) -> None:
    """Speak TEXT into a WAV file (24 kHz, mono, 16 bit) and print its seconds."""
    from mockserver.audio.codecs import resample
    from mockserver.audio.tts import voice_named
    from mockserver.audio.wav import write_wav

    if not text.strip():
        raise Unusable("TEXT is empty; give the words to speak")
    try:
        clip = voice_named(engine).speak(text, voice=voice, speed=speed)
        write_wav(out, resample(clip.samples, clip.rate, 24_000), 24_000)
    except (ValueError, RuntimeError) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{out}: {problem.strerror}; choose a folder that exists and may be written to") from problem
    seconds = round(clip.seconds, 3)
    click.echo(json.dumps({"out": str(out), "seconds": seconds}) if as_json else f"{out}: {seconds} s")
