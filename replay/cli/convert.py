"""The commands `replay`, `import`, `export` and `bill`: options in, lines out. The work is done in other modules."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import date, datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from replay.cassette.file import CannotRecord, Writer
from replay.cassette.records import ORIGINS, Header, Origin, Record
from replay.cli.files import FILE, LOOPBACK, Unusable, each_record, opened, page, read, write
from replay.version import tool_version

if TYPE_CHECKING:
    from replay.cassette.recording import Recording
    from replay.playback.client_driver import Caller, Limits, Outcome

_KEYS = {"api.x.ai": "XAI_API_KEY", "api.openai.com": "OPENAI_API_KEY"}
_SHOWN = 40
"""Lines of drift that are printed; --json has them all."""


@click.command()
@click.argument("file", type=FILE)
@click.option("--to", "url", required=True, metavar="URL", help="The endpoint: wss://api.x.ai/v1/realtime, or a mock.")
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="2 is twice as fast.")
@click.option("--out", type=FILE, help="Write what happened as a new cassette.")
@click.option("--max-usd", type=click.FloatRange(min=0, min_open=True), help="Stop once it cost so much.")
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after so long.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def replay(
    file: Path,
    url: str,
    speed: float,
    out: Path | None,
    max_usd: float | None,
    max_seconds: float | None,
    as_json: bool,
) -> None:
    """Drive a cassette's client at an endpoint and report how the answers drift from the recorded ones.

    The key comes from XAI_API_KEY or OPENAI_API_KEY, by the host of the URL; on this machine any will do.
    Exit code 1: there is drift, something did not come, or a limit was reached.
    """
    key = _key(url)
    recording = read(file)
    if out is not None and out.exists():
        raise Unusable(f"{out} is there already; choose another name")
    limits = _limits(recording, url, max_usd, max_seconds)
    at = datetime.now(timezone.utc)  # noqa: TID251  # a recording has a date
    outcome = asyncio.run(_replayed(recording, url, key, speed, limits, out, at))
    click.echo(json.dumps(_told(outcome, out)) if as_json else "\n".join(_report(outcome, out)))
    if not outcome.same:
        raise click.exceptions.Exit(1)


async def _replayed(
    recording: Recording, url: str, key: str, speed: float, limits: Limits, out: Path | None, at: datetime
) -> Outcome:
    from replay.cassette.scrub import Scrubber, known_keys
    from replay.playback.client_driver import Caller, CannotReplay, records_into

    loop = asyncio.get_running_loop()
    start_s = loop.time()
    writer = Writer(out, _header(recording, url, at)) if out is not None else None
    scrubber = Scrubber([key, *known_keys()])

    def now_us() -> int:
        return round((loop.time() - start_s) * 1e6)

    def write(record: Record) -> None:
        if writer is not None:
            clean = scrubber.clean(record.content)
            writer.write(Record(record.at_us, record.connection, record.way, clean))

    caller: Caller = Caller(recording, url, key, speed=speed, limits=limits, note=records_into(write, now_us))
    try:
        outcome = await caller.run()
        if writer is not None:
            writer.end(now_us())
    except (CannotReplay, CannotRecord, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    finally:
        if writer is not None:
            writer.close()
    return outcome


def _header(recording: Recording, url: str, at: datetime) -> Header:
    from replay.cassette.records import provable_origin

    parts = urlsplit(url)
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    asked = next((line.request.target for line in recording.lines if line.request is not None), "")
    pairs = (pair.partition("=") for query in (parts.query, asked.partition("?")[2]) for pair in query.split("&"))
    model = next((value for name, _, value in pairs if name == "model"), None)
    return Header(
        provable_origin(url),
        shown,
        recording.dialect,
        model,
        at.isoformat(timespec="seconds"),
        f"realtape {tool_version()}",
    )


def _key(url: str) -> str:
    """The key for an endpoint. Keys of a service go to that service's host alone."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        parts, host = urlsplit(""), ""
    if not host or parts.scheme not in ("ws", "wss"):
        raise Unusable("--to is not a WebSocket address; give one like wss://api.x.ai/v1/realtime")
    if parts.username is not None:
        raise Unusable("leave user and password out of --to; the key comes from the environment")
    name = next((name for known, name in _KEYS.items() if host == known or host.endswith(f".{known}")), None)
    if name is None:
        if host not in LOOPBACK:
            raise Unusable(f"no key is kept for {host}; replay to {', '.join(_KEYS)}, or to a mock on this machine")
        return os.environ.get("REALTAPE_API_KEY") or "any-text"
    if parts.scheme != "wss":
        raise Unusable(f"a key does not travel unencrypted; write wss://{host}")
    if not (key := os.environ.get(name, "").strip()):
        raise Unusable(f"{name} is not set; export the key of {host}")
    return key


def _limits(recording: Recording, url: str, max_usd: float | None, max_seconds: float | None) -> Limits:
    from replay.billing.meter import prices
    from replay.playback.client_driver import Limits

    host = urlsplit(url).hostname or ""
    service = "openai" if host.endswith("openai.com") else "xai" if host.endswith("x.ai") else recording.dialect
    table = prices(service, date.today())  # noqa: TID251  # today's prices count
    if max_usd is None:
        return Limits(max_seconds)
    if table is None:
        raise Unusable(f"no prices per minute are known for {service}; limit it by --max-seconds")
    return Limits(max_seconds, Fraction(str(max_usd)), table)


def _report(outcome: Outcome, out: Path | None) -> Iterator[str]:
    from replay.diff.compare import report

    lines = report(outcome.drift()).splitlines()
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"… and {len(lines) - _SHOWN} lines more; --json has them all"
    yield from outcome.overdue
    if outcome.stopped is not None:
        yield f"stopped: {outcome.stopped}"
    yield f"{len(outcome.received)} events came, {len(outcome.expected)} are on the tape"
    if out is not None:
        yield f"recorded {out}"


def _told(outcome: Outcome, out: Path | None) -> dict[str, object]:
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


@click.command("import")
@click.argument("file", type=FILE)
@click.option("--out", required=True, type=FILE, help="The cassette to write; .tape by custom.")
@click.option(
    "--origin",
    type=click.Choice(ORIGINS),
    default="hand",
    show_default=True,
    help="Who made it. A file cannot prove that a live service did: say `live` only if you know it.",
)
def import_(file: Path, out: Path, origin: Origin) -> None:
    """Turn another tool's recording into a cassette: a HAR, a YAML of pydantic-ai's tests, or lines of JSON.

    The kind is told by the content. Keys, cookies and tokens in it are not written.
    """
    from replay.cassette.conversation import UnreadableRecording
    from replay.cassette.scrub import known_keys
    from replay.formats import detect, tape

    at = datetime.now(timezone.utc)  # noqa: TID251  # stands in where the file has no date
    try:
        found = detect.read(file, origin=origin, imported_at=at, tool=f"realtape {tool_version()}")
        records = tape.write(found, out, secrets=known_keys())
    except (UnreadableRecording, CannotRecord) as problem:
        raise Unusable(str(problem)) from problem
    except OSError as problem:
        raise Unusable(f"{file}: {problem.strerror}; give the path of a recording") from problem
    click.echo(f"{out}: {records} records, origin {found.header.origin}, dialect {found.header.dialect}")


@click.command()
@click.argument("file", type=FILE)
@click.option("--har", type=FILE, help="Write a HAR with WebSocket messages.")
@click.option("--jsonl", type=FILE, help="Write lines of JSON; `import` gives the same cassette back.")
@click.option("--wav", type=click.Path(file_okay=False, path_type=Path), help="Write WAV files into this folder.")
@click.option("--html", type=FILE, help="Write a page to look at.")
def export(file: Path, har: Path | None, jsonl: Path | None, wav: Path | None, html: Path | None) -> None:
    """Write a cassette in other forms: HAR, lines of JSON, WAV files of each turn and of the call, a page."""
    if not (har or jsonl or wav or html):
        raise click.UsageError("say in which form: --har FILE, --jsonl FILE, --wav FOLDER or --html FILE")
    try:
        if har:
            write(har, _har(file))
        if jsonl:
            write(jsonl, _jsonl(file))
        if wav:
            _wav(file, wav)
        if html:
            page(file, html)
    except (OSError, ValueError) as problem:
        raise Unusable(str(problem)) from problem


def _har(file: Path) -> Iterator[str]:
    from replay.formats import har

    with opened(file, whole=True) as cassette:
        yield har.dumps(har.document(cassette.header, each_record(cassette), tool_version()))


def _jsonl(file: Path) -> Iterator[str]:
    from replay.formats import jsonl

    with opened(file, whole=True) as cassette:
        yield from jsonl.lines(cassette.header, each_record(cassette), cassette.last_us)


def _wav(file: Path, folder: Path) -> None:
    from replay.formats import wav

    for path in wav.write(read(file), folder):
        click.echo(str(path))


@click.command()
@click.argument("file", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def bill(file: Path, as_json: bool) -> None:
    """Price a recorded conversation from its frames, with the prices of the day of its recording.

    Exit code 2: the price of something in it is not known; nothing is guessed.
    """
    from replay.billing.bill import NoPrice
    from replay.billing.bill import bill as priced

    with opened(file, whole=True) as cassette:
        on = date.fromisoformat(cassette.header.recorded_at[:10])
    try:
        found = priced(read(file), on)
    except NoPrice as problem:
        raise Unusable(f"{file}: {problem}") from problem
    click.echo(json.dumps(found.as_json()) if as_json else found.as_text())
