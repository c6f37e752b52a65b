"""The command `replay`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, timezone
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import click

from replay.addresses import LOOPBACK
from replay.billing.prices import UnknownPrice, price_table
from replay.cassette.file import CannotRecord, Writer
from replay.cassette.recording import Recording
from replay.cassette.records import Header, Record, provable_origin, public_address
from replay.cassette.scrub import Scrubber
from replay.cli.files import FILE, read
from replay.cli.usage import Unusable
from replay.diff.compare import report
from replay.playback.client_driver import CannotReplay, ClientDriver, Limits, Outcome, records_into
from replay.secrets.named import known_keys
from replay.version import tool_version

_KEYS = {"api.x.ai": "XAI_API_KEY", "api.openai.com": "OPENAI_API_KEY"}
_SHOWN = 40
"""Lines of differences that are printed; --json has them all."""


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--to", "url", required=True, metavar="URL", help="WebSocket address: wss://api.x.ai/v1/realtime, or a mock's."
)
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="2 is twice as fast.")
@click.option("--out", type=FILE, help="Record the new conversation in this cassette.")
@click.option("--max-usd", type=click.FloatRange(min=0, min_open=True), help="Stop when it costs this, in USD.")
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this many seconds.")
@click.option("--key-env", metavar="NAME", help="Environment variable with the API key for this address.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def replay(
    file: Path,
    url: str,
    key_env: str | None,
    speed: float,
    out: Path | None,
    max_usd: float | None,
    max_seconds: float | None,
    as_json: bool,
) -> None:
    """Send the client frames of a recording to a server and compare its events with the recorded ones.

    The API key comes from the variable that --key-env names, else from XAI_API_KEY or OPENAI_API_KEY, depending on the
    host of the URL. A server on this machine gets REALTAPE_API_KEY, else the key of the recorded service, else a
    placeholder.

    Exit code: 0 no difference, 1 a difference, a missing event or a limit reached, 2 the replay could not start.
    """
    recording = read(file)
    key = _key(url, key_env, recording.service)
    if out is not None and out.exists():
        raise Unusable(f"{out} is there already; choose another name")
    limits = _limits(recording, url, max_usd, max_seconds)
    at = datetime.now(timezone.utc)  # noqa: TID251  # a recording has a date
    outcome = asyncio.run(_replayed(recording, url, key, speed, limits, out, at))
    click.echo(json.dumps(_as_json(outcome, out)) if as_json else "\n".join(_as_text(outcome, out)))
    if not outcome.same:
        raise click.exceptions.Exit(1)


async def _replayed(
    recording: Recording, url: str, key: str, speed: float, limits: Limits, out: Path | None, at: datetime
) -> Outcome:
    loop = asyncio.get_running_loop()
    start_s = loop.time()
    writer = Writer(out, _header(recording, url, at)) if out is not None else None
    scrubber = Scrubber([key, *known_keys()])

    def now_us() -> int:
        return round((loop.time() - start_s) * 1e6)

    total = sum(len(line.moments) for line in recording.lines)
    done = 0

    def write(record: Record) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty() and done <= total and done % max(1, total // 10) == 0:
            click.echo(f"{done} of {total} frames", err=True)
        if writer is not None:
            clean = scrubber.clean(record.content)
            writer.write(Record(record.at_us, record.connection, record.way, clean))

    driver = ClientDriver(recording, url, key, speed=speed, limits=limits, note=records_into(write, now_us))
    try:
        outcome = await driver.run()
        if writer is not None:
            writer.end(now_us())
    except (CannotReplay, CannotRecord, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    finally:
        if writer is not None:
            writer.close()
    return outcome


def _header(recording: Recording, url: str, at: datetime) -> Header:
    parts = urlsplit(url)
    requested = next((line.request.target for line in recording.lines if line.request is not None), "")
    pairs = (pair.partition("=") for query in (parts.query, requested.partition("?")[2]) for pair in query.split("&"))
    model = next((value for name, _, value in pairs if name == "model"), None)
    return Header(
        provable_origin(url),
        public_address(url),
        recording.dialect,
        model,
        at.isoformat(timespec="seconds"),
        f"realtape {tool_version()}",
    )


def _key(url: str, named: str | None, service: str | None) -> str:
    """The API key for an address: that of the variable `named`, else that of the host, else on this machine that of
    the recorded service. No key leaves this machine unencrypted."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.scheme not in ("ws", "wss"):
        raise Unusable("--to is not a WebSocket address; give one like wss://api.x.ai/v1/realtime")
    if parts.username is not None:
        raise Unusable("leave user and password out of --to; the key comes from the environment")
    local = host in LOOPBACK
    name = named or next((name for known, name in _KEYS.items() if host == known or host.endswith(f".{known}")), None)
    if name is None and not local:
        known = ", ".join(_KEYS)
        raise Unusable(f"there is no key for {host}; name its variable with --key-env, or replay to {known} or a mock")
    if not local and parts.scheme != "wss":
        raise Unusable(f"realtape sends no key unencrypted; write wss://{host}")
    if name is None:
        vendor = (service or "").partition("@")[0]
        usual = "OPENAI_API_KEY" if vendor in ("openai", "azure") else "XAI_API_KEY"
        found = (os.environ.get(each, "").strip() for each in ("REALTAPE_API_KEY", usual))
        return next(filter(None, found), "any-text")
    if not (key := os.environ.get(name, "").strip()):
        raise Unusable(f"{name} is not set; export the key of {host}")
    return key


def _limits(recording: Recording, url: str, max_usd: float | None, max_seconds: float | None) -> Limits:
    host = urlsplit(url).hostname or ""
    service = "openai" if host.endswith("openai.com") else "xai" if host.endswith("x.ai") else recording.dialect
    if max_usd is None:
        return Limits(max_seconds)
    try:
        table = price_table(service, date.today())  # noqa: TID251  # today's prices count
    except UnknownPrice as problem:
        raise Unusable(f"{problem}; limit the replay by --max-seconds") from problem
    return Limits(max_seconds, Fraction(str(max_usd)), table)


def _as_text(outcome: Outcome, out: Path | None) -> Iterator[str]:
    lines = report(outcome.drift()).splitlines()
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"… and {len(lines) - _SHOWN} more lines; --json has them all"
    yield from outcome.overdue
    if outcome.stopped is not None:
        yield f"stopped: {outcome.stopped}"
    yield f"{len(outcome.received)} events received, {len(outcome.expected)} recorded; the number of deltas may differ"
    if out is not None:
        yield f"recorded {out}"


def _as_json(outcome: Outcome, out: Path | None) -> dict[str, object]:
    drift = [
        {"kind": each.kind, "event": each.event, "path": each.path, "at": each.at, "text": str(each)}
        for each in outcome.drift()
    ]
    return {
        "same": outcome.same,
        "drift": drift,
        "overdue": outcome.overdue,
        "stopped": outcome.stopped,
        "expected_events": len(outcome.expected),
        "received_events": len(outcome.received),
        "out": None if out is None else str(out),
    }
