"""The commands `record`, `show`, `check` and `scrub`: options in, lines out. The work is done in other modules."""

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

from replay.cli.files import FILE, LOOPBACK, Unusable
from replay.version import tool_version

if TYPE_CHECKING:
    from replay.relay.relay import Mode, Relay, Settings

SWITCH_S = 0.0002
"""How long the thread that writes may keep the one that relays waiting; Python's own 5 ms would be heard."""


@click.command()
@click.option("--upstream", required=True, metavar="URL", help="The service, such as wss://api.x.ai/v1/realtime.")
@click.option("--out", required=True, type=FILE, help="The cassette to write; .tape by custom.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8766, show_default=True, type=click.IntRange(0, 65535), help="0 picks a free one.")
@click.option("--max-usd", type=click.FloatRange(min=0, min_open=True), help="End the calls once they cost so much.")
@click.option(
    "--max-seconds", type=click.FloatRange(min=0, min_open=True), help="End them so long after the first began."
)
@click.option(
    "--audio",
    type=click.Choice(["keep", "outline"]),
    default="keep",
    show_default=True,
    help="Keep sound, or only its length, hash and loudness.",
)
@click.option(
    "--mode",
    type=click.Choice(["none", "once", "all"]),
    help="Never record; record if FILE is missing; replace FILE.  [default: refuse to replace]",
)
@click.option("--origin", type=click.Choice(["mock", "hand"]), help="Claim less than the upstream proves.")
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
def record(
    upstream: str,
    out: Path,
    host: str,
    port: int,
    max_usd: float | None,
    mode: Mode | None,
    as_json: bool,
    **rest: object,
) -> None:
    """Relay calls to a service and write all that crosses into a cassette, until interrupted or at a limit.

    Clients connect here instead of to the service; keys are passed on and never written.
    Exit code 1: something was not recorded.
    """
    if not _may_record(out, mode):
        return
    if host not in LOOPBACK:
        click.echo(f"warning: listening on {host}: others on the network can use this relay", err=True)
    from replay.cassette.scrub import known_keys
    from replay.relay.relay import Settings

    settings = Settings(
        out=out,
        recorded_at=datetime.now(timezone.utc),  # noqa: TID251  # a recording has a date
        tool=f"realtape {tool_version()}",
        overwrite=mode == "all",
        max_usd=None if max_usd is None else Fraction(str(max_usd)),
        secrets=known_keys(),
        **rest,  # type: ignore[arg-type]
    )
    sys.setswitchinterval(SWITCH_S)
    if not asyncio.run(_record(upstream, settings, host, port, as_json)):
        raise click.exceptions.Exit(1)


def _may_record(out: Path, mode: Mode | None) -> bool:
    from replay.relay.relay import whether_to_record

    match whether_to_record(out.exists(), mode):
        case "keep":
            click.echo(f"{out} is there already; nothing is recorded")
            return False
        case "missing":
            click.echo(f"{out} is missing, and --mode none records nothing; record it with --mode once", err=True)
            raise click.exceptions.Exit(1)
        case "refuse":
            raise Unusable(f"{out} is there already; choose another name, or give --mode all to replace it")
        case _:
            pass
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise Unusable(f"{out.parent} is not a folder that may be written to; make it, or choose another")
    return True


async def _record(upstream: str, settings: Settings, host: str, port: int, as_json: bool) -> bool:
    """Whether all that crossed is in the cassette."""
    from replay.relay.relay import Relay
    from replay.relay.upstream import PATH, BadUpstream, Upstream

    try:
        found = await Upstream.find(upstream)
        relay = Relay(found, settings, lambda text: click.echo(f"warning: {text}", err=True))
        await relay.start(host, port)
    except (BadUpstream, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise Unusable(f"cannot listen on {host}:{port} ({reason}); --port 0 picks a free port") from problem
    authority = f"[{host}]:{relay.port}" if ":" in host else f"{host}:{relay.port}"
    ready = {"ws": f"ws://{authority}{PATH}", "http": f"http://{authority}/v1"}
    told = {**ready, "upstream": found.url, "out": str(settings.out), "pid": os.getpid()}
    click.echo(json.dumps(told) if as_json else f"ready {ready['ws']} -> {found.url}")
    sys.stdout.flush()
    await _until_over(relay)
    return _closing_words(relay, settings.out)


async def _until_over(relay: Relay) -> None:
    from replay.stopping import stop_signal

    with stop_signal() as interrupted:
        limited = asyncio.get_running_loop().create_task(relay.until_limit())
        try:
            await asyncio.wait([interrupted, limited], return_when=asyncio.FIRST_COMPLETED)
        finally:
            limited.cancel()
            await relay.stop()


def _closing_words(relay: Relay, out: Path | None) -> bool:
    if relay.limit is not None:
        click.echo(relay.limit, err=True)
    if relay.failure is not None:
        click.echo(f"not everything was recorded: {relay.failure}", err=True)
        return False
    if relay.connections:
        click.echo(f"recorded {out}: {relay.connections} connection{'s'[: relay.connections > 1]}", err=True)
    else:
        click.echo(f"nobody connected; {out} was not written", err=True)
    return True
