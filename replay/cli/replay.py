"""The command `replay`: the client side of a recording, or of many, against an endpoint."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from fractions import Fraction
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from replay.addresses import is_loopback_host
from replay.billing.prices import UnknownPrice, price_table
from replay.cassette.file import SUFFIX, CannotRecord, Writer
from replay.cassette.may_differ import Ignored, ignored
from replay.cassette.recording import Recording
from replay.cassette.records import Header, Record, provable_origin, public_address
from replay.cassette.scrub import Scrubber
from replay.cli.ignore import checked_ignore
from replay.cli.recordings import read
from replay.cli.usage import Unusable
from replay.diff.compare import report
from replay.playback.client_driver import CannotConnect, CannotReplay, ClientDriver, Limits, Outcome, records_into
from replay.secrets.named import known_keys
from replay.stopping import parent_end
from replay.version import tool_version

_KEYS = {"api.x.ai": "XAI_API_KEY", "api.openai.com": "OPENAI_API_KEY"}
_SHOWN = 40
"""Lines of differences that are printed; --json has them all."""


@click.command()
@click.argument("paths", metavar="FILE...", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--to", "url", required=True, metavar="URL", help="WebSocket address: wss://api.x.ai/v1/realtime, or a mock's."
)
@click.option("--speed", type=click.FloatRange(0.01, 1000), default=1.0, show_default=True, help="2 is twice as fast.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Record the new conversation in this cassette; of several, in this folder.",
)
@click.option("--max-usd", type=click.FloatRange(min=0, min_open=True), help="Stop when all cost this, in USD.")
@click.option("--max-seconds", type=click.FloatRange(min=0, min_open=True), help="Stop after this many seconds.")
@click.option("--key-env", metavar="NAME", help="Environment variable with the API key for this address.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="WHAT",
    help="What may differ, besides what the header names: a path such as session.instructions, date, time, id, or"
    " /PATTERN/. Repeatable.",
)
@click.option("--with-parent", is_flag=True, help="Stop when standard input is closed or the parent process ends.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def replay(
    paths: tuple[Path, ...],
    url: str,
    key_env: str | None,
    speed: float,
    out: Path | None,
    max_usd: float | None,
    max_seconds: float | None,
    ignore: tuple[str, ...],
    with_parent: bool,
    as_json: bool,
) -> None:
    """Send the client frames of recordings to a server and compare its events with the recorded ones.

    FILE is a recording, or a folder: of a folder, all cassettes in it and below it are replayed, one after the other.
    Several are reported as a table, with a line for each, and the limits are those of all together. Recordings of
    another service than that of the URL are left out.

    The API key comes from the variable that --key-env names, else from XAI_API_KEY or OPENAI_API_KEY, depending on the
    host of the URL. A server on this machine gets REALTAPE_API_KEY, else the key of the recorded service, else a
    placeholder.

    Exit code: 0 no difference, 1 a difference, a missing event, a limit reached, an end with the parent process, or one
    of several that could not be replayed, 2 the replay could not start.
    """
    parent = os.getppid() if with_parent else None  # now: it may end while the recording is read
    checked_ignore(ignore)
    run = Run(url, key_env, speed, max_usd, max_seconds, ignored(ignore))
    files = _files(paths) if len(paths) > 1 or paths[0].is_dir() else paths[0]
    if isinstance(files, Path) and out is not None and out.exists():
        raise Unusable(f"{out} is there already; choose another name")
    if not asyncio.run(_replay(files, run, out, as_json, parent)):
        raise click.exceptions.Exit(1)


async def _replay(files: Path | Sequence[Path], run: Run, out: Path | None, as_json: bool, parent: int | None) -> bool:
    """Replay and report. Gives whether no recording differs."""
    if parent is not None:
        run.until = asyncio.get_running_loop().create_task(_parent_end(parent))
    if isinstance(files, Path):
        try:
            outcome = await run.replayed(read(files), out)
        except CannotReplay as problem:
            raise Unusable(str(problem)) from problem
        click.echo(json.dumps(_as_json(outcome, out)) if as_json else "\n".join(_as_text(outcome, out)))
        return outcome.same
    drifts = [each async for each in _of_each(files, run, out)]
    click.echo(json.dumps(_all_as_json(drifts)) if as_json else "\n".join(_all_as_text(drifts)))
    return all(each.verdict in ("same", "skipped") for each in drifts)


async def _parent_end(parent: int) -> str:
    return f"{await parent_end(parent)} (--with-parent)"


class Run:
    """What all recordings of one command share: the server, and what is left of the limits. `until`: ends the replay
    when it is done; its result is the reason."""

    def __init__(
        self,
        url: str,
        key_env: str | None,
        speed: float,
        max_usd: float | None,
        max_seconds: float | None,
        ignored: Ignored,
    ) -> None:
        self.url = url
        self._key_env = key_env
        self._speed = speed
        self._usd = None if max_usd is None else Fraction(str(max_usd))
        self._seconds = max_seconds
        self._ignored = ignored
        _key(url, key_env, None)
        self._reached: str | None = None
        self.until: asyncio.Future[str] | None = None

    async def replayed(self, recording: Recording, out: Path | None) -> Outcome:
        """Replay a recording. Raises CannotReplay, and Unusable for a key or price that is missing."""
        key = _key(self.url, self._key_env, recording.service)
        limits = self._limits(recording)
        try:
            may_differ = ignored(recording.ignore).and_(self._ignored)
        except ValueError as problem:
            raise CannotReplay(str(problem)) from problem
        at = datetime.now(timezone.utc)  # noqa: TID251  # a recording has a date
        outcome = await _replayed(recording, self.url, key, self._speed, limits, out, at, may_differ, self.until)
        self._reached = outcome.stopped
        self._usd = None if self._usd is None else self._usd - outcome.usd
        self._seconds = None if self._seconds is None else self._seconds - outcome.seconds
        return outcome

    @property
    def over(self) -> str | None:
        """The limit that was reached, or the other reason that ended the replay, if one did."""
        spent = (self._usd is not None and self._usd <= 0) or (self._seconds is not None and self._seconds <= 0)
        return self._reached or ("a limit is reached" if spent else None)

    def other_service(self, recording: Recording) -> str | None:
        """The service of a recording that this server is not."""
        there, here = _service_at(self.url), (recording.service or "").partition("@")[0]
        return here if there is not None and here and here != there else None

    def _limits(self, recording: Recording) -> Limits:
        service = _service_at(self.url) or recording.dialect
        try:
            table = price_table(service, date.today())  # noqa: TID251  # today's prices count
        except UnknownPrice as problem:
            if self._usd is None:
                return Limits(self._seconds)
            raise Unusable(f"{problem}; limit the replay by --max-seconds") from problem
        return Limits(self._seconds, self._usd, table)


def _service_at(url: str) -> str | None:
    host = urlsplit(url).hostname or ""
    return "openai" if host.endswith("openai.com") else "xai" if host.endswith("x.ai") else None


async def _replayed(
    recording: Recording,
    url: str,
    key: str,
    speed: float,
    limits: Limits,
    out: Path | None,
    at: datetime,
    may_differ: Ignored,
    until: asyncio.Future[str] | None,
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

    note = records_into(write, now_us)
    driver = ClientDriver(recording, url, key, speed=speed, limits=limits, note=note, ignored=may_differ, until=until)
    try:
        outcome = await driver.run()
        if writer is not None:
            writer.end(now_us())
    except (CannotRecord, ValueError) as problem:
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
    local = is_loopback_host(host)
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
        "seconds": round(outcome.seconds, 3),
        "usd": float(outcome.usd),
        "out": None if out is None else str(out),
    }


# Several recordings.

Verdict = Literal["same", "differs", "stopped", "failed", "skipped"]
"""`stopped`: a limit or the parent's end ended the replay, or came before it. `failed`: it could not be replayed.
`skipped`: of another service."""
_SHOWN_OF_EACH, _WIDTH = 3, 100
"""Differences that the table shows of each recording, and their characters."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What became of one of several recordings. `reason`: why it was not replayed to its end."""

    file: Path
    verdict: Verdict
    reason: str = ""
    outcome: Outcome | None = None
    out: Path | None = None


def _files(paths: Iterable[Path]) -> list[Path]:
    """The recordings, and those of each folder and below it, by name. Hidden files are left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            tapes = sorted(path.rglob(f"*{SUFFIX}"))
            found += [each for each in tapes if not any(part.startswith(".") for part in each.relative_to(path).parts)]
        else:
            found.append(path)
    if not found:
        raise Unusable(f"{', '.join(map(str, paths))}: there is no cassette; record one with `realtape record`")
    return found


async def _of_each(files: Sequence[Path], run: Run, folder: Path | None) -> AsyncIterator[Drift]:
    outs = _outs(files, folder)
    reached = False
    for number, (file, out) in enumerate(zip(files, outs, strict=True), start=1):
        if sys.stderr.isatty():
            click.echo(f"{number} of {len(files)}: {file}", err=True)
        if run.over is not None:
            yield Drift(file, "stopped", f"not replayed: {run.over}")
            continue
        try:
            recording = read(file)
            if (other := run.other_service(recording)) is not None:
                yield Drift(file, "skipped", f"recorded from {other}")
                continue
            outcome = await run.replayed(recording, out)
        except CannotConnect as problem:
            if not reached:  # then the server is not there for the others either
                raise Unusable(str(problem)) from problem
            yield Drift(file, "failed", str(problem))
        except (CannotReplay, Unusable) as problem:
            yield Drift(file, "failed", str(problem).removeprefix(f"{file}: "))
        else:
            reached = True
            verdict: Verdict = "same" if outcome.same else "stopped" if outcome.stopped else "differs"
            yield Drift(file, verdict, outcome.stopped or "", outcome, out)


def _outs(files: Sequence[Path], folder: Path | None) -> list[Path | None]:
    """Where each new conversation is recorded. Raises Unusable."""
    if folder is None:
        return [None] * len(files)
    common = os.path.commonpath([each.resolve().parent for each in files])
    outs = [(folder / each.resolve().relative_to(common)).with_suffix(SUFFIX) for each in files]
    for each in outs:
        if each.exists():
            raise Unusable(f"{each} is there already; choose another folder")
    try:
        for each in outs:
            each.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise Unusable(f"{folder}: {problem.strerror}; choose another folder") from problem
    return list(outs)


def _all_as_text(drifts: Sequence[Drift]) -> Iterator[str]:
    yield f"{'verdict':8} {'differences':>11} {'seconds':>8} {'USD':>8}  recording"
    for tape in drifts:
        numbers = f"{'':11} {'':8} {'':8}"
        found: list[str] = []
        if (outcome := tape.outcome) is not None:
            drift = outcome.drift()
            found = [*(" ".join(f"{each.event}: {each}".split()) for each in drift), *outcome.overdue]
            numbers = f"{len(found):11} {outcome.seconds:8.1f} {float(outcome.usd):8.4f}"
        yield f"{tape.verdict:8} {numbers}  {tape.file}{f': {tape.reason}' if tape.reason else ''}"
        for line in found[:_SHOWN_OF_EACH]:
            yield f"    {line if len(line) <= _WIDTH else f'{line[: _WIDTH - 1]}…'}"
        if len(found) > _SHOWN_OF_EACH:
            yield f"    and {len(found) - _SHOWN_OF_EACH} more; --json has them all"
    counts = Counter(each.verdict for each in drifts)
    seconds, usd = _totals(drifts)
    verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    yield f"{len(drifts)} recording{'s'[: len(drifts) > 1]}: {verdicts}; {seconds:.1f} s, {usd:.4f} USD"


def _all_as_json(drifts: Sequence[Drift]) -> dict[str, object]:
    seconds, usd = _totals(drifts)
    recordings = [
        {
            "file": str(each.file),
            "verdict": each.verdict,
            "reason": each.reason or None,
            **({} if each.outcome is None else _as_json(each.outcome, each.out)),
        }
        for each in drifts
    ]
    same = all(each.verdict in ("same", "skipped") for each in drifts)
    return {"same": same, "recordings": recordings, "seconds": round(seconds, 3), "usd": usd}


def _totals(drifts: Sequence[Drift]) -> tuple[float, float]:
    """Seconds and USD of all."""
    outcomes = [each.outcome for each in drifts if each.outcome is not None]
    return sum(each.seconds for each in outcomes), float(sum(each.usd for each in outcomes))
