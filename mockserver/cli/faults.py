"""The command `faults`: check a fault file, or run a test command once for each fault."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import click

from mockserver.faults.files import FaultError, FaultFile, as_line, as_text, load
from mockserver.faults.kinds import Fault
from mockserver.protocol.pacing import PRESETS
from mockserver.testing.fault_sweep import (
    SweepOutcome,
    SweepRunner,
    content_option,
    minimized,
    outcome_table,
    random_plan,
    single_faults,
)
from replay.cli.usage import SuggestingGroup, Unusable
from replay.findings import LEVELS


@click.group(cls=SuggestingGroup)
def faults() -> None:
    """Check a fault file, or find out which faults a client survives."""


@faults.command(short_help="Check a fault file and print its faults.")
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Read a fault file and print its faults, one a line, as realtape understood them."""
    for fault in _read(file).faults:
        click.echo(as_line(fault))


@faults.command(short_help="Run a test command once for each fault.")
@click.argument("scenario", type=click.Path(path_type=Path))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--do", "do", multiple=True, help="Fault to try, as in a fault file: drop, 'close: 1011'. Repeatable.")
@click.option("--at", "at", multiple=True, help="Injection point to try: 'response.*', '<response.create'. Repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum number of runs, spread over all injection points.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds for one run.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Parallel runs.")
@click.option("--faults", "plan", type=click.Path(path_type=Path), help="Fault file to try as a whole.")
@click.option(
    "--random", "randoms", type=click.IntRange(min=1), help="Number of random plans to try, of several faults each."
)
@click.option("--seed", default="0", show_default=True, help="Seed of the mock and of --random.")
@click.option("--dialect", default="xai", show_default=True, help="xai, openai, auto, or a dated name.")
@click.option(
    "--pacing", type=click.Choice(PRESETS), default="live", show_default=True, help="Pace of the mock's responses."
)
@click.option(
    "--findings",
    type=click.Choice(LEVELS),
    help="Severity of client mistakes; with error, any mistake fails a run.  [default: only a repeated write does]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the output of the runs that failed.")
def sweep(
    scenario: Path,
    command: tuple[str, ...],
    do: tuple[str, ...],
    at: tuple[str, ...],
    limit: int | None,
    timeout: float,
    jobs: int,
    plan: Path | None,
    randoms: int | None,
    findings: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Run COMMAND once for each fault at each injection point that it reaches, and report which faults it survives.

    Write `--` before COMMAND. Each run has a fresh mock of SCENARIO (or of a cassette), whose address and key are in
    the environment: XAI_REALTIME_URL, XAI_HTTP_URL, XAI_API_KEY, OPENAI_BASE_URL, OPENAI_WEBSOCKET_BASE_URL,
    OPENAI_API_KEY, OPENAI_WEBHOOK_SECRET. A fault is triggered once. COMMAND survives it if its exit code is 0 and it
    made no mistake of severity error: with --findings any, without it a write that was carried out twice ("booked
    twice").

    With --faults or --random, several faults are tried together. A failing plan is minimized to the smallest failing
    subset, which is printed as a fault file.

    Exit code 1: COMMAND did not survive all faults.

    Example:

    \b
      realtape faults sweep booking.yaml --do drop --do "close: 1011" -- python agent.py
    """
    if shutil.which(command[0]) is None:
        raise Unusable(f"there is no command {command[0]!r}; give one that can be run")
    file = None if plan is None else _read(plan)
    settings = {**content_option(scenario), **options}
    runner = SweepRunner(command, timeout, settings, file.seed if file else None, findings)
    asyncio.run(_sweep(runner, do, at, limit, jobs, file, randoms, str(options["seed"]), as_json))


async def _sweep(
    runner: SweepRunner,
    do: Sequence[str],
    at: Sequence[str],
    limit: int | None,
    jobs: int,
    file: FaultFile | None,
    randoms: int | None,
    seed: str,
    as_json: bool,
) -> None:
    try:
        clean, met = await runner.met_points()
    except (OSError, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    if not clean.survived:
        click.echo(clean.output, err=True)
        raise Unusable(f"the command fails without any fault ({clean.word}); make it pass first")
    if not met:
        raise Unusable("the command never connected to the mock; it must use XAI_REALTIME_URL, or another of --help")
    plans = [list(file.faults)] if file is not None else []
    plans += [random_plan(met, seed, number) for number in range(randoms or 0)]
    if plans:
        await _try_plans(runner, plans, file.seed if file else None, as_json)
        return
    try:
        tried = single_faults(met, do, at, limit)
    except FaultError as problem:
        raise Unusable(str(problem)) from problem
    if not tried:
        raise Unusable("the command reaches no injection point that --at names; without --at, all are tried")
    await _try_each(runner, tried, jobs, as_json)


async def _try_each(runner: SweepRunner, tried: Sequence[tuple[str, str, Fault]], jobs: int, as_json: bool) -> None:
    free_jobs, done = asyncio.Semaphore(jobs), count(1)

    async def one(point: str, what: str, fault: Fault) -> tuple[str, str, SweepOutcome]:
        async with free_jobs:
            outcome = await runner.run([fault])
        click.echo(f"{next(done)} of {len(tried)}: {point}: {what}: {outcome.word}", err=True)
        return point, what, outcome

    outcomes = await asyncio.gather(*(one(*each) for each in tried))
    triggered = [outcome for _, _, outcome in outcomes if outcome.word != "-"]
    survived = sum(outcome.survived for outcome in triggered)
    if as_json:
        runs = [{"place": point, "do": what, **outcome.as_json()} for point, what, outcome in outcomes]
        click.echo(json.dumps({"survived": survived, "struck": len(triggered), "runs": runs}))
    else:
        click.echo(f"{outcome_table(outcomes)}\nsurvived {survived} of {len(triggered)}")
    if survived < len(triggered):
        raise click.exceptions.Exit(1)


async def _try_plans(runner: SweepRunner, plans: Sequence[Sequence[Fault]], seed: str | None, as_json: bool) -> None:
    async def fails(faults: Sequence[Fault]) -> bool:
        return not (await runner.run(faults)).survived

    found: list[dict[str, Any]] = []
    for plan in plans:
        failed = await fails(plan)
        smallest = as_text(await minimized(plan, fails), seed) if failed else None
        found.append({"faults": [as_line(each) for each in plan], "survived": not failed, "smallest": smallest})
        if not as_json:
            heading = (
                f"# {len(plan)} faults, of which these are enough\n" if failed else f"# survived {len(plan)} faults"
            )
            click.echo(f"{heading}{smallest or ''}".rstrip())
    if as_json:
        click.echo(json.dumps({"plans": found}))
    if not all(each["survived"] for each in found):
        raise click.exceptions.Exit(1)


def _read(path: Path) -> FaultFile:
    try:
        return load(path)
    except FaultError as problem:
        raise Unusable(str(problem)) from problem
