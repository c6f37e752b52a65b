"""The command `record`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click
from typing_extensions import assert_never

from replay.addresses import is_loopback_host
from replay.cassette.file import CannotRecord
from replay.cassette.records import Audio, Origin
from replay.cli.files import FILE
from replay.cli.ignore import checked_ignore
from replay.cli.record_log import LogFormat, RecordLog
from replay.cli.secrets import secret_options
from replay.cli.usage import Unusable
from replay.outlets import clean
from replay.own_process import collect_when_quiet, settle, switch_soon
from replay.relay.followed import Following
from replay.relay.relay import Mode, Relay, Settings, whether_to_record
from replay.relay.upstream import PATH, BadUpstream, Upstream
from replay.secrets.named import Secrets
from replay.stopping import parent_end, stop_signal
from replay.tracing.setup import CLOSE_S, tracing_of
from replay.version import tool_version

if TYPE_CHECKING:
    from replay.tracing.spans import Tracing


@click.command()
@click.option(
    "--upstream", required=True, metavar="URL", help="WebSocket address of the service: wss://api.x.ai/v1/realtime."
)
@click.option("--out", required=True, type=FILE, help="Cassette to write, by convention *.tape.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8766, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 picks a free one."
)
@click.option(
    "--max-usd", type=click.FloatRange(min=0, min_open=True), help="End all calls when together they cost this, in USD."
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="End all calls this many seconds after the first one opened.",
)
@click.option(
    "--audio",
    type=click.Choice(["keep", "outline"]),
    default="keep",
    show_default=True,
    help="Keep audio, or only its length, hash and peak level (outline).",
)
@click.option(
    "--mode",
    type=click.Choice(["none", "once", "all"]),
    help="Never record; record if the cassette is missing; replace it.  [default: refuse to replace it]",
)
@click.option(
    "--ignore",
    multiple=True,
    metavar="WHAT",
    help="Note in the cassette what may differ when it is replayed: a path such as session.instructions, date, time,"
    " id, or /PATTERN/. Repeatable.",
)
@click.option("--keep-refused", is_flag=True, help="Also keep a recording in which the service accepted no call.")
@click.option(
    "--origin", type=click.Choice(["mock", "hand"]), help="Override the origin label (it can only be lowered)."
)
@click.option(
    "--trace-live",
    is_flag=True,
    help="Pass the client's traceparent and tracestate on to a live service, too.  [default: only to a mock]",
)
@click.option(
    "--log-format",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="What stderr gets: lines to read, or one JSON object a line, also for sessions and responses.",
)
@click.option("--with-parent", is_flag=True, help="Stop when standard input is closed or the parent process ends.")
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
@secret_options()
def record(
    upstream: str,
    out: Path,
    host: str,
    port: int,
    max_usd: float | None,
    max_seconds: float | None,
    audio: Audio,
    mode: Mode | None,
    ignore: tuple[str, ...],
    keep_refused: bool,
    origin: Origin | None,
    trace_live: bool,
    log_format: LogFormat,
    with_parent: bool,
    as_json: bool,
    secrets: Secrets,
) -> None:
    """Run a recording proxy: forward every frame in both directions and write it to a cassette.

    Clients connect to the proxy instead of the service. Keys are forwarded and not written. Recording ends at a limit,
    or at SIGINT or SIGTERM.

    Exit code: 0 everything was recorded, 1 something was not, 2 the proxy could not start.
    """
    parent = os.getppid() if with_parent else None  # now: it may end as soon as it has read the ready line
    checked_ignore(ignore)
    if not _may_record(out, mode):
        return
    log = RecordLog(log_format)
    if not is_loopback_host(host):
        log.warn(f"listening on {host}: others on the network can use this proxy")
    settings = Settings(
        out=out,
        recorded_at=datetime.now(timezone.utc),  # noqa: TID251  # a recording has a date
        tool=f"realtape {tool_version()}",
        audio=audio,
        overwrite=mode == "all",
        keep_refused=keep_refused,
        ignore=ignore,
        origin=origin,
        max_usd=None if max_usd is None else Fraction(str(max_usd)),
        max_seconds=max_seconds,
        trace_live=trace_live,
        secrets=secrets,
    )
    switch_soon()
    tracing = tracing_of(os.environ, "realtape-record", log.warn)
    try:
        complete = asyncio.run(_record(upstream, settings, host, port, as_json, parent, log, tracing))
    finally:
        if tracing is not None:
            tracing.close(CLOSE_S)
        log.close()
    if not complete:
        raise click.exceptions.Exit(1)


def _may_record(out: Path, mode: Mode | None) -> bool:
    decision = whether_to_record(os.path.exists(out), mode)
    match decision:
        case "keep":
            click.echo(f"{out} is there already; nothing is recorded")
            return False
        case "missing":
            click.echo(f"{out} is missing, and --mode none records nothing; record it with --mode once", err=True)
            raise click.exceptions.Exit(1)
        case "refuse":
            raise Unusable(f"{out} is there already; choose another name, or give --mode all to replace it")
        case "record" | "overwrite":
            if not os.path.isdir(out.parent) or not os.access(out.parent, os.W_OK):
                raise Unusable(f"{out.parent} is not a folder that may be written to; make it, or choose another")
            return True
        case _:
            assert_never(decision)


async def _record(
    upstream: str,
    settings: Settings,
    host: str,
    port: int,
    as_json: bool,
    parent: int | None,
    log: RecordLog,
    tracing: Tracing | None,
) -> bool:
    """Record until a signal, a limit or the parent's end. Gives whether everything that was forwarded is in the
    cassette."""
    try:
        found = await Upstream.find(upstream)
        tell = log.line if log.for_machines else None
        following = None if tracing is None and tell is None else Following(log.unix, tracing, tell)
        relay = Relay(found, settings, log.warn, following=following)
        await relay.start(host, port)
    except (BadUpstream, CannotRecord, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise Unusable(f"cannot listen on {host}:{port} ({reason}); --port 0 picks a free port") from problem
    if found.unreachable is not None:
        log.warn(f"{found.url} cannot be reached now ({found.unreachable})")
    authority = f"[{host}]:{relay.port}" if ":" in host else f"{host}:{relay.port}"
    ready = {"ws": f"ws://{authority}{PATH}", "http": f"http://{authority}/v1"}
    facts = {**ready, "upstream": clean(found.url), "out": str(settings.out), "pid": os.getpid()}
    settle()
    with stop_signal() as interrupted:
        click.echo(json.dumps(facts) if as_json else f"ready {ready['ws']} -> {clean(found.url)}")
        sys.stdout.flush()
        if log.for_machines:
            log.line(
                {"event": "started", "at": log.unix(), "version": tool_version(), "dialect": found.dialect, **facts}
            )
        loop = asyncio.get_running_loop()
        ends = [loop.create_task(relay.until_limit())]
        if parent is not None:
            ends.append(loop.create_task(_parent_end(parent, log)))
        tidying = loop.create_task(collect_when_quiet(lambda: relay.busy))
        try:
            await asyncio.wait([interrupted, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (*ends, tidying):
                each.cancel()
            await relay.stop()
    return _reported(relay, settings.out, log)


async def _parent_end(parent: int, log: RecordLog) -> None:
    log.say(f"stopping with the parent process (--with-parent): {await parent_end(parent)}")


def _reported(relay: Relay, out: Path | None, log: RecordLog) -> bool:
    """Say how the recording ended. Gives whether it is complete."""
    if relay.limit is not None:
        log.say(relay.limit)
    if relay.failure is not None:
        log.say(f"not everything was recorded: {relay.failure}")
        return False
    if relay.connections and not relay.kept:
        stays = f"; {out} stays as it was" if out is not None and os.path.exists(out) else f"; {out} was not written"
        log.say(f"nothing was recorded: the service accepted no call{stays} (--keep-refused keeps refusals)")
        return False
    if relay.connections:
        log.say(f"recorded {out}: {relay.connections} connection{'s'[: relay.connections > 1]}")
    else:
        log.say(f"nobody connected; {out} was not written")
    return True
