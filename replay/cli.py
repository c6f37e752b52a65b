"""The commands `record`, `show`, `check` and `scrub`: options in, lines out. The work is done in other modules."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from replay.cassette import BadCassette, CannotRecord, Cassette, Record, Writer
from replay.version import tool_version

if TYPE_CHECKING:
    from replay.recorder import Mode, Relay, Settings
    from replay.scrub import Scrubber

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SWITCH_S = 0.0002
"""How long the thread that writes may keep the one that relays waiting; Python's own 5 ms would be heard."""
_FILE = click.Path(dir_okay=False, path_type=Path)


class Unusable(click.ClickException):
    """Bad input; the message is one line that says what to do."""

    exit_code = 2


@click.command()
@click.option("--upstream", required=True, metavar="URL", help="The service, such as wss://api.x.ai/v1/realtime.")
@click.option("--out", required=True, type=_FILE, help="The cassette to write; .tape by custom.")
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
    from replay.recorder import Settings
    from replay.scrub import known_keys

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
    from replay.recorder import whether_to_record

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
    from replay.recorder import Relay
    from replay.upstream import PATH, BadUpstream, Upstream

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
    from replay.stopping import told_to_stop

    with told_to_stop() as interrupted:
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


@click.command()
@click.argument("file", type=_FILE)
@click.option("--html", type=_FILE, help="Write a page to look at instead.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def show(file: Path, html: Path | None, as_json: bool) -> None:
    """List a cassette: its header, a line for each record, and what they add up to.

    It may still be recorded, or be cut off; the last line then says so.
    """
    if html is not None:
        from replay.cli_tools import page

        return page(file, html)
    from replay.listing import Totals, line

    with _opened(file) as cassette:
        totals = Totals()
        lines = []
        for record in each_record(cassette):
            lines.append(line(record))
            totals.count(lines[-1])
        header = {"version": cassette.version, **asdict(cassette.header)}
        seconds = cassette.last_us / 1e6
        if as_json:
            told = {"header": header, "records": list(map(asdict, lines)), "totals": asdict(totals)}
            click.echo(json.dumps({**told, "seconds": seconds, "complete": cassette.end_us is not None}))
            return
        click.echo("  ".join(f"{name}: {value}" for name, value in header.items() if value is not None))
        click.echo("\n".join(map(str, lines)))
        click.echo(
            f"{totals.records} records, {seconds:.1f} s, {totals.connections} connections, "
            f"{totals.bytes['sent']} bytes sent, {totals.bytes['received']} received"
        )
        if cassette.end_us is None:
            click.echo(cassette.cut)


@click.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, reasons by file.")
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Verify cassettes: end mark, no secrets, origin, nothing dropped, audio only within responses.

    Values of XAI_API_KEY and OPENAI_API_KEY are looked for as well. Exit code 1: a file has a fault.
    """
    from replay.listing import faults

    found: dict[str, list[str]] = {}
    for file in files:
        with _opened(file) as cassette:
            try:
                found[str(file)] = faults(cassette, _scrubber())
            except BadCassette as problem:
                found[str(file)] = [str(problem)]
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, reasons in found.items():
            click.echo("\n".join(f"{name}: {reason}" for reason in reasons) or f"{name}: fine")
    if any(found.values()):
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("file", type=_FILE)
@click.option("--out", type=_FILE, help="Write here and leave FILE as it is.")
@click.option("--voice", is_flag=True, help="Put another sound for the caller's voice, as long and as loud.")
@click.option("--text", is_flag=True, help="Put x and 0 for what was said, typed and passed to tools.")
@click.option("--json", "as_json", is_flag=True, help="Print what was taken out as JSON.")
def scrub(file: Path, out: Path | None, voice: bool, text: bool, as_json: bool) -> None:
    """Take secrets out of a cassette, in place: the new file replaces the old one only once it is whole.

    Values of XAI_API_KEY and OPENAI_API_KEY are looked for as well. With --voice and --text the people go too.
    """
    if out is not None and out.exists():
        raise Unusable(f"{out} is there already; choose another name")
    taken = _scrubbed(file, out or file, _anonymous(voice, text))
    if as_json:
        click.echo(json.dumps({"out": str(out or file), "scrubbed": taken}))
    else:
        replaced = [what for what, asked in (("voice replaced", voice), ("words replaced", text)) if asked]
        told = [*replaced, *(f"{count} × {kind}" for kind, count in taken.items())]
        click.echo(f"{out or file}: {', '.join(told) or 'nothing to take out'}")


def _anonymous(voice: bool, text: bool) -> Callable[[Iterator[Record]], Iterator[Record]]:
    from replay.voice_scrub import without_voice, without_words

    def passed_on(records: Iterator[Record]) -> Iterator[Record]:
        records = without_voice(records) if voice else records
        return without_words(records) if text else records

    return passed_on


def _scrubbed(file: Path, out: Path, anonymous: Callable[[Iterator[Record]], Iterator[Record]]) -> dict[str, int]:
    """Write the clean cassette and give how many secrets of each kind were in the other one."""
    target = out.resolve()  # where a link points to, not the link
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    taken: dict[str, int] = {}
    try:
        with _opened(file) as cassette:
            writer = Writer(part, cassette.header)
            try:
                scrubber = _scrubber()
                for record in anonymous(each_record(cassette)):
                    for kind in scrubber.kinds(record.content):
                        taken[kind] = taken.get(kind, 0) + 1
                    clean = scrubber.clean(record.content)
                    writer.write(Record(record.at_us, record.connection, record.way, clean))
                if cassette.end_us is not None:
                    writer.end(cassette.end_us)
            finally:
                writer.close()
        part.replace(target)
    except CannotRecord as problem:
        raise Unusable(str(problem)) from problem
    finally:
        part.unlink(missing_ok=True)
    return taken


def _opened(file: Path) -> Cassette:
    try:
        return Cassette.so_far(file)
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a cassette") from problem


def each_record(cassette: Cassette) -> Iterator[Record]:
    """The records of a cassette; one that cannot be read ends the command with a line."""
    try:
        yield from cassette
    except BadCassette as problem:
        raise Unusable(str(problem)) from problem


def _scrubber() -> Scrubber:
    from replay.scrub import Scrubber, known_keys

    return Scrubber(known_keys())
