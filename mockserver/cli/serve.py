"""The command `serve`: options in, one line out when it is ready.

A quick start is worth a boundary: this module loads neither numpy nor pydantic nor aiohttp. It opens the port, prints
that it is ready, and loads the server after that, in one place; clients that connect meanwhile wait in the backlog.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mockserver.audio.names import DETECTORS, SYNTHESIZERS
from mockserver.cli.console import (
    Console,
    ConsoleHandler,
    Lines,
    LogFormat,
    Start,
    coloured,
    has_colours,
    plain,
    shortened,
)
from mockserver.cli.content import check_content
from mockserver.cli.sections import SectionedCommand, SectionedOption
from mockserver.cli.secure import Secure, secure_with, trust
from mockserver.cli.watch import Reload
from mockserver.cli.watch import watch as watch_files
from mockserver.cli.workers import Worker, check_shareable, open_port, supervise
from mockserver.dialects.names import ALIASES, AUTO, DIALECT_NAMES
from mockserver.protocol.limits import Limits
from mockserver.protocol.pacing import PRESETS
from mockserver.server.clock import rate_named, wall_clock
from mockserver.server.notices import MistakeFound
from mockserver.server.options import ECHO, Options
from replay.addresses import is_loopback_host
from replay.cli.plugin_choice import PluginChoice
from replay.cli.secrets import secret_options
from replay.cli.usage import SuggestingChoice, Unusable
from replay.findings import counted, setting
from replay.findings.rules.table import UNREACHABLE_RULE
from replay.loading import uncollected
from replay.outlets import logger
from replay.own_process import collect_when_quiet, settle, switch_soon
from replay.stopping import parent_end, stop_signal
from replay.tracing.setup import CLOSE_S, tracing_of
from replay.version import tool_version

if TYPE_CHECKING:
    from mockserver.server.app import Server
    from mockserver.server.shelf import Shelf
    from replay.tracing.spans import Tracing

CLOSING_S = 2.0
"""How long clients may take to read the frames that are on their way, and to answer the close frame after them."""
JOURNAL_BYTES = 16 << 20
"""Bytes of the journal: a server that runs for days keeps less than one that lives for a test."""
_LOG = logger(__name__)

_content = partial(click.option, cls=SectionedOption, section="Content")
_timing = partial(click.option, cls=SectionedOption, section="Timing")
_faults = partial(click.option, cls=SectionedOption, section="Faults")
_accounts = partial(click.option, cls=SectionedOption, section="Accounts and limits")
_diagnostics = partial(click.option, cls=SectionedOption, section="Diagnostics")
_serving = partial(click.option, cls=SectionedOption, section="Server")


@click.command(cls=SectionedCommand)
@_content(
    "--scenario",
    type=click.Path(path_type=Path),
    help="Scenario file, or a packaged scenario by its name, such as clinic.  [default: echo the user's words]",
)
@_content(
    "--cassette", type=click.Path(path_type=Path), help="Recording to replay, or a folder of recordings to choose from."
)
@_content(
    "--verbatim", is_flag=True, help="Replay the cassette frame by frame. The client must send what was recorded."
)
@_content(
    "--allow",
    multiple=True,
    metavar="TYPE",
    help="With --verbatim: type of server events that may remain unsent. Repeatable.",
)
@_content(
    "--ignore",
    multiple=True,
    metavar="WHAT",
    help="With --cassette: what may differ from it in the client's messages: a path such as session.instructions, date,"
    " time, id, or /PATTERN/. Repeatable.",
)
@_content(
    "--dialect",
    metavar="NAME",
    help="xai, openai, auto, a dated name such as xai@2026-09, or a plugin.  [default: the cassette's, else xai]",
)
@_content(
    "--responder",
    type=PluginChoice([ECHO], "realtape.responders"),
    default=ECHO,
    show_default=True,
    help="What answers without a scenario or a cassette: echo, or a plugin.",
)
@_content(
    "--voice",
    type=PluginChoice(SYNTHESIZERS, "realtape.voices"),
    default="auto",
    show_default=True,
    help="Speech synthesizer. auto: the first of hibari, espeak and tone that is installed.",
)
@_content(
    "--vad",
    type=SuggestingChoice(DETECTORS),
    default="energy",
    show_default=True,
    help="Voice activity detector.",
)
@_content(
    "--transcriber",
    default="auto",
    show_default=True,
    metavar="NAME",
    help="What transcribes unknown speech: auto, off, or a faster-whisper model by name or folder. auto: that of the "
    "extra 'hearing', if installed.",
)
@_content(
    "--hearing",
    type=click.Choice(("auto", "script")),
    help="What decides the words of a spoken turn. auto: known clip, transcriber, the scenario's "
    "'heard', in this order; script: 'heard' first.  [default: as the scenario says, else auto]",
)
@_content(
    "--chat",
    metavar="URL",
    help="OpenAI-compatible chat endpoint, such as http://127.0.0.1:11434/v1. Its model answers what no rule does.",
)
@_content("--chat-model", metavar="NAME", help="With --chat: the model's name.")
@_content("--chat-key-env", metavar="NAME", help="With --chat: environment variable with the endpoint's key.")
@_content(
    "--mcp",
    type=click.Choice(("scripted", "live")),
    default="scripted",
    show_default=True,
    help="MCP servers of a session. scripted: none is contacted; live: their tools are listed and "
    "called (extra 'mcp').",
)
@_content(
    "--seed",
    default="0",
    show_default=True,
    help="Same seed and same messages: same identifiers, text and audio. With --clock manual also the same times.",
)
@_timing(
    "--pacing",
    type=SuggestingChoice(PRESETS),
    default="live",
    show_default=True,
    help="live: as fast as the service was recorded; realtime: as fast as audio plays; burst: at once.",
)
@_timing(
    "--speed", default=1.0, show_default=True, type=float, help="With --verbatim: 2 is twice as fast, inf at once."
)
@_timing(
    "--clock",
    default="wall",
    show_default=True,
    help="wall, wall:RATE, or manual (moved with POST /_mock/clock/advance).",
)
@_faults("--faults", type=click.Path(path_type=Path), help="Fault file: which failures to inject, and where.")
@_accounts("--api-key", "api_keys", multiple=True, help="Key to accept. Repeatable.  [default: any non-empty key]")
@_accounts("--blocked-key", "blocked_keys", multiple=True, help="Key of a team without credits. Repeatable.")
@_accounts("--accounts", type=click.Path(path_type=Path), help="Accounts file: teams, their keys and limits.")
@_accounts("--max-sessions", type=int, help="Open sessions per team.  [default: the service's limit]")
@_accounts(
    "--requests-per-minute",
    "--rate",
    "requests_per_minute",
    type=int,
    help="Requests per minute and team; --rate is the older name.  [default: unlimited]",
)
@_accounts("--session-minutes", type=float, help="Longest session, in minutes.  [default: the service's limit]")
@_accounts(
    "--idle-minutes", type=float, help="Minutes without any message before a session is closed.  [default: unlimited]"
)
@_accounts(
    "--resumption-minutes",
    type=float,
    help="Minutes for which a closed conversation can be resumed.  [default: the service's limit]",
)
@_accounts(
    "--snapshot-ms",
    type=float,
    help="Resuming within this time returns the state before the last turn.  [default: the service's]",
)
@_accounts("--secret-seconds", type=int, help="Default lifetime of client secrets, in seconds.  [default: 600]")
@_accounts(
    "--secret-max-seconds",
    type=int,
    help="Maximum lifetime that a request may ask for, in seconds.  [default: 3600, OpenAI 7200]",
)
@_diagnostics(
    "--findings",
    metavar="LEVEL",
    help="Severity of client diagnostics: off, warn or error.  [default: each rule's own]",
)
@_diagnostics("--finding", "named", multiple=True, metavar="RULE=LEVEL", help="Severity of one rule. Repeatable.")
@_diagnostics(
    "--write-tool",
    "write_tools",
    multiple=True,
    metavar="NAME",
    help="Tool with side effects: report repeated calls with equal arguments. Repeatable.  "
    "[default: guessed from the tool's name]",
)
@_diagnostics(
    "--check",
    is_flag=True,
    help="Validate each event that is sent against the schema of the service. Exit code 1 if one is invalid.",
)
@_diagnostics(
    "--telephony",
    is_flag=True,
    help="Each session is a call over a telephone number of the service, whose surcharge the ledger adds.",
)
@_content("--webhook", metavar="URL", help="Where a ringing phone is announced.  [default: as each call says]")
@_content(
    "--webhook-secret", envvar="REALTAPE_WEBHOOK_SECRET", show_envvar=True, metavar="whsec_…", help="Signs the webhook."
)
@_diagnostics("--record", type=click.Path(path_type=Path), help="Folder to write each session to, as a cassette.")
@_accounts(
    "--allow-origin",
    "allow_origins",
    multiple=True,
    metavar="ORIGIN",
    help="Origin of web pages that may open sessions as any client may; * is all. Repeatable.  "
    "[default: pages of this machine]",
)
@secret_options(_diagnostics)
@_serving("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@_serving(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on; 0 picks one."
)
@_serving(
    "--admin-token",
    envvar="REALTAPE_ADMIN_TOKEN",
    show_envvar=True,
    help="Bearer token required for /_mock/.  [default: none, loopback only]",
)
@_serving(
    "--tls",
    is_flag=True,
    help="Also speak TLS under the services' host names, with a CA of this machine, and take CONNECT as a proxy.",
)
@_serving(
    "--tls-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="With --tls: folder of the CA.  [default: one of this user]",
)
@_serving(
    "--state",
    metavar="URL",
    help="Store that several servers share, such as redis://127.0.0.1:6379/0 (extra 'fleet').  [default: none]",
)
@_serving(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Processes that serve the port. Without --state they share a store of their own.  [default: this one]",
)
@_serving("--watch", is_flag=True, help="Read the scenario and fault files again when they change.")
@_serving("--with-parent", is_flag=True, help="Stop when standard input is closed or the parent process ends.")
@_serving("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@_serving("--quiet", is_flag=True, help="On stderr, say nothing but errors of the mock and what ends it.")
@_serving(
    "--log-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="What stderr gets: lines to read, or one JSON object a line.",
)
def serve(
    host: str,
    port: int,
    dialect: str | None,
    scenario: Path | None,
    cassette: Path | None,
    verbatim: bool,
    speed: float,
    allow: tuple[str, ...],
    ignore: tuple[str, ...],
    faults: Path | None,
    accounts: Path | None,
    watch: bool,
    tls: bool,
    tls_dir: Path | None,
    with_parent: bool,
    as_json: bool,
    quiet: bool,
    log_format: LogFormat,
    state: str | None,
    workers: int | None,
    **settings: Any,
) -> None:
    """Serve a mock of a realtime voice API until interrupted. One line on stdout tells when it is ready.

    On stderr it tells what goes on: each call and turn, each client mistake with its fix, each error sent, each refused
    request with its likely cause, and at the end what of the scenario no client used. Colours are for terminals, and
    off with NO_COLOR.

    SIGINT and SIGTERM close open sessions (1001) within two seconds and end with exit code 0; a second signal ends the
    process at once.

    Exit code 1, with the reasons on stderr: with --verbatim, a client did not send what was recorded; with --check, the
    mock sent an event that its schema does not allow. Exit code 2: bad usage or bad input.

    Examples:

    \b
      realtape serve
      realtape serve --scenario booking.yaml --pacing burst
      realtape serve --cassette call.tape --verbatim
    """
    switch_soon()
    parent = os.getppid() if with_parent else None  # now: it may end as soon as it has read the ready line
    check_content(cassette, verbatim, speed, allow, ignore, scenario, faults, watch, settings["responder"])
    options = _options(dialect, settings)
    secure = secure_with(tls_dir or Path(click.get_app_dir("realtape")) / "tls") if tls else None
    worker = None
    if state is not None or workers is not None:
        check_shareable("--state" if workers is None else "--workers", options, cassette)
    if workers is not None:
        ready = partial(_ready, host, as_json=as_json, secure=secure)
        tell = partial(Lines(plain, log_format).note, "error")
        worker = supervise(workers, partial(open_port, host, port), ready, tell, state, parent)  # only a worker returns
        state, parent, with_parent = worker.state, worker.parent, True
    shelf = None if cassette is None else _read(cassette, verbatim, speed, ignore)
    if shelf is not None and shelf.dialect is not None and dialect is None:
        options = replace(options, dialect=shelf.dialect)
    assemble = partial(
        _assembled,
        options,
        state=state,
        counts=None if worker is None else (worker.counts, worker.number),
        first=worker is None or worker.first,
        scenario=scenario,
        shelf=shelf,
        verbatim=verbatim,
        allow=allow,
        faults=faults,
        accounts=accounts,
    )
    watched = partial(_reloads, scenario, faults) if watch else None
    may_be_refused = {scenario, faults, accounts, options.record, state} != {None} or (
        options.voice != "auto"
        or options.vad != "energy"
        or options.transcriber not in ("auto", "off")
        or options.mcp == "live"
        or options.responder != ECHO
        or options.dialect not in (*ALIASES, *DIALECT_NAMES, AUTO)  # a plugin
    )
    # Before it says that it is ready. While it loads, it could not notice the end of its parent.
    early = assemble() if may_be_refused or with_parent else None
    content = scenario or cassette or (options.chat_model and f"model {options.chat_model}") or options.responder
    talk = _Talk(quiet, log_format, f"{options.dialect} · {content}")
    speaks = worker is None or worker.number == 1  # of what all workers have in common
    warn = partial(talk.note, "warning") if speaks else lambda text: None
    tracing = tracing_of(os.environ, "realtape-mock", warn)
    loop = _new_loop() if secure is None or sys.platform != "win32" else asyncio.SelectorEventLoop()
    try:
        if not is_loopback_host(host) and (worker is None or worker.number == 1):
            talk.note("warning", f"listening on {host}: others on the network can use this mock")
        server = loop.run_until_complete(
            _serve(lambda: early or assemble(), host, port, as_json, talk, secure, watched, parent, worker, tracing)
        )
        problems = _report(server, talk, check=options.check)
    finally:
        if tracing is not None:
            tracing.close(CLOSE_S)
        talk.close()
        loop.close()
    if problems:
        raise click.exceptions.Exit(1)


def _options(dialect: str | None, settings: dict[str, Any]) -> Options:
    if (name := settings.pop("chat_key_env")) is not None:
        settings["chat_key"] = os.environ.get(name)
        if not settings["chat_key"]:
            raise Unusable(f"--chat-key-env: the environment variable {name} is not set")
    if settings["webhook"] is not None and settings["webhook_secret"] is None:
        raise Unusable("--webhook is signed: give its secret with --webhook-secret, or in REALTAPE_WEBHOOK_SECRET")
    limits = {each.name: settings.pop(each.name) for each in fields(Limits)}
    clock, severity, by_rule = settings.pop("clock"), settings.pop("findings"), settings.pop("named")
    settings["write_tools"] = settings["write_tools"] or None
    try:
        return Options(
            **settings,
            dialect=dialect or "xai",
            findings=setting(severity, by_rule),
            limits=Limits(**limits),
            clock_rate=rate_named(clock),
            journal_bytes=JOURNAL_BYTES,
        )
    except ValueError as problem:
        raise Unusable(str(problem)) from problem


def _assembled(options: Options, **content: Any) -> Server:
    """The lazy boundary: everything that sessions need is loaded here, and nowhere else in a function."""
    with uncollected():
        from mockserver.cli.assembly import assembled

    return assembled(options, **content)


def _read(cassette: Path, verbatim: bool, speed: float, ignore: tuple[str, ...]) -> Shelf:
    """The recordings to play; the same boundary. Raises Unusable."""
    with uncollected():
        from mockserver.cli.played import read

    return read(cassette, verbatim, speed, ignore)


def _reloads(scenario: Path | None, faults: Path | None, server: Server) -> Mapping[Path, Reload]:
    """What reads watched files again; the same boundary."""
    from mockserver.cli.assembly import reloads

    return reloads(server, scenario, faults)


def _new_loop() -> asyncio.AbstractEventLoop:
    """uvloop if it is installed: it takes about 5 % less processor time (bench/README.md)."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class _Talk:
    """What the command says on stderr. `what`: dialect and content, for the banner."""

    def __init__(self, quiet: bool, form: LogFormat, what: str) -> None:
        stream = sys.stderr
        paint = coloured if form == "text" and has_colours(stream, dict(os.environ)) else plain
        self._console = Console(Lines(paint, form), stream)
        self._quiet = quiet
        self.for_machines = form == "json"
        self._banner = form == "json" or stream.isatty()
        self._dialect, _, self._content = what.partition(" · ")
        self._now: Callable[[], float] = wall_clock
        self._handler = ConsoleHandler(self._console, wall_clock)
        self._handler.setLevel(logging.ERROR if quiet else logging.WARNING)
        logging.root.addHandler(self._handler)

    def begin(self, host: str, port: int) -> None:
        """The server listens."""
        if self._banner and not self._quiet:
            origin = f"http://{_authority(host, port)}"
            ws = f"ws://{_authority(host, port)}/v1/realtime"
            start = Start(tool_version(), self._dialect, self._content, ws, f"{origin}/v1", f"{origin}/_mock/")
            self._console.put(self._console.lines.started(start, self._now()))

    def follow(self, server: Server) -> None:
        """Tell what happens at this server, by its clock."""
        if not self._quiet:
            service, console = server.service, self._console
            self._now = now = service.clock.unix
            for finding in service.watcher.findings:  # of the scenario, while it was loaded
                console.tell(MistakeFound(finding, advice=True), now())
            service.tell = lambda notice: console.tell(notice, now())

    def note(self, level: str, text: str) -> None:
        """A line of the server about itself."""
        if level == "error" or not self._quiet:
            self._console.put(self._console.lines.note(level, text, self._now()))

    def close(self) -> None:
        """Write what is left."""
        logging.root.removeHandler(self._handler)
        self._console.close()


async def _serve(
    assemble: Callable[[], Server],
    host: str,
    port: int,
    as_json: bool,
    talk: _Talk,
    secure: Secure | None = None,
    watched: Callable[[Server], Mapping[Path, Reload]] | None = None,
    parent: int | None = None,
    worker: Worker | None = None,
    tracing: Tracing | None = None,
) -> Server:
    sockets = open_port(host, port) if worker is None else worker.sockets
    with stop_signal() as stop:
        port = sockets[0].getsockname()[1]
        if worker is None:
            click.echo(_ready(host, port, as_json, secure))
            sys.stdout.flush()
        if worker is None or worker.number == 1:
            talk.begin(host, port)
            if secure is not None:
                talk.note("tls", trust(secure.authority, port))
        server = assemble()
        server.service.tracing = tracing
        await server.serve(sockets, secure.context if secure else None)
        if worker is not None:
            worker.tell_ready()
        talk.follow(server)
        missing = server.service.factory.equipment.deaf
        if missing is not None and (worker is None or worker.number == 1):
            _LOG.warning("%s", missing)
        loop = asyncio.get_running_loop()
        warming = loop.run_in_executor(None, _warm_up, server)
        waiting = [loop.create_task(collect_when_quiet(lambda: server.namespaces.busy))]
        if parent is not None:
            waiting.append(loop.create_task(_stop_with(parent, stop, talk)))
        try:
            if watched is not None:
                await watch_files(watched(server), talk.note, stop)
            await stop
        finally:
            for each in (warming, *waiting):
                each.cancel()
            if count := len(server.service.open_sessions):
                closed = "1 open session is" if count == 1 else f"{count} open sessions are"
                _LOG.warning("stopping: %s closed; another signal ends the process at once", closed)
            await server.stop(CLOSING_S)
    return server


def _warm_up(server: Server) -> None:
    server.warm_up()
    settle()


async def _stop_with(parent: int, stop: asyncio.Future[None], talk: _Talk) -> None:
    reason = await parent_end(parent)
    talk.note("warning", f"stopping with the parent process (--with-parent): {reason}")
    if not stop.done():
        stop.set_result(None)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _ready(host: str, port: int, as_json: bool, secure: Secure | None = None) -> str:
    authority, s = _authority(host, port), "" if secure is None else "s"
    ws = f"ws{s}://{authority}/v1/realtime"
    if as_json:
        more = {} if secure is None else {"ca": str(secure.authority), "proxy": f"http://{authority}"}
        origin = f"http{s}://{authority}"
        places = {"ws": ws, "http": f"{origin}/v1", "origin": origin, "control": f"{origin}/_mock"}
        return json.dumps({**places, **more, "pid": os.getpid()})
    return f"ready {ws}"


def _report(server: Server, talk: _Talk, check: bool) -> bool:
    """What is to be said at the end; whether a promise was broken."""
    service = server.service
    verbatim = service.factory.verbatim
    problems = [] if verbatim is None else verbatim.report()
    wrong = [each.message for each in service.watcher.findings if each.rule == UNREACHABLE_RULE.id]
    places = [message.partition(": no turn")[0] for message in wrong]
    unused = service.unused() if verbatim is None else service.faults.unused()
    if service.state.shared != "no":  # some other server may have used it
        unused = []
    for line in unused if talk.for_machines else shortened(unused, places):
        talk.note("unused", line)
    if verbatim is None and service.factory.recordings is not None:
        for line in service.factory.recordings.report():
            talk.note("unrecorded", line)
    if service.watcher.findings:
        talk.note("findings", counted(service.watcher.findings))
    if check and service.errors:
        bugs = "1 bug of the mock" if len(service.errors) == 1 else f"{len(service.errors)} bugs of the mock, the first"
        problems.append(f"{bugs}: {service.errors[0]}")
    if service.recorder is not None and (count := service.recorder.failures):
        sessions = "1 session is" if count == 1 else f"{count} sessions are"
        problems.append(f"{sessions} not recorded to the end; see above why")
    if service.options.findings and (count := service.serious_findings):
        problems.append(f"{count} finding{'s' * (count > 1)} of severity error (--findings, --finding)")
    for problem in problems:
        talk.note("error", problem)
    return bool(problems)
