"""`realtape faults`: check a fault file, sweep a test command over faults. What a sweep does: see sweep.py."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from replay.cli.usage import Unusable

if TYPE_CHECKING:
    from mockserver.faults.files import FaultFile
    from mockserver.faults.kinds import Fault
    from mockserver.testing.fault_sweep import Bench, Outcome, Place


@click.group()
def faults() -> None:
    """Failures on demand: check a fault file, or find out which faults a client survives."""


@faults.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Read a fault file and print its faults, one a line, as they are understood."""
    from mockserver.faults.files import as_line

    for fault in _read(file).faults:
        click.echo(as_line(fault))


@faults.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--do", "do", multiple=True, help="What to try, as in a fault file: drop, 'close: 1011'; repeatable.")
@click.option("--at", "at", multiple=True, help="Only at such places: 'response.*', '<response.create'; repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many runs, spread over all places.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds for one run.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1, 64), help="Runs at once.")
@click.option("--faults", "plan", type=click.Path(path_type=Path), help="Try this plan, and shrink it if it fails.")
@click.option("--random", "randoms", type=click.IntRange(min=1), help="Try so many plans of several faults, at random.")
@click.option("--seed", default="0", show_default=True, help="Of the mock, and of --random.")
@click.option("--dialect", default="xai", show_default=True, help="Service to be.")
@click.option("--pacing", type=click.Choice(["live", "realtime", "burst"]), default="live", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with the output of what failed.")
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
    as_json: bool,
    **settings: Any,
) -> None:
    """Run COMMAND once for each fault at each place that it comes to, and tell which it survives.

    Write `--` before COMMAND. Each run has a fresh mock of SCENARIO (or of a cassette), whose address and key are in
    the environment: XAI_REALTIME_URL, XAI_HTTP_URL, XAI_API_KEY, OPENAI_BASE_URL, OPENAI_WEBSOCKET_BASE_URL,
    OPENAI_API_KEY. A fault strikes once; COMMAND survives it if it ends with 0.

    Exit code 1: it did not survive all. A plan of several faults that it does not survive is shrunk to the smallest
    that it does not, and printed as a fault file.
    """
    from mockserver.testing.fault_sweep import Bench, served

    if shutil.which(command[0]) is None:
        raise Unusable(f"there is no command {command[0]!r}; give one that can be run")
    file = None if plan is None else _read(plan)
    bench = Bench(command, timeout, {**served(scenario), **settings}, file.seed if file else None)
    asyncio.run(_swept(bench, do, at, limit, jobs, file, randoms, str(settings["seed"]), as_json))


async def _swept(
    bench: Bench,
    do: Sequence[str],
    at: Sequence[str],
    limit: int | None,
    jobs: int,
    plan: FaultFile | None,
    randoms: int | None,
    seed: str,
    as_json: bool,
) -> None:
    from mockserver.faults.files import FaultError
    from mockserver.testing.fault_sweep import at_random, plans

    chosen = [list(plan.faults)] if plan is not None else []
    try:
        clean, met = await bench.places()
    except (OSError, ValueError) as problem:
        raise Unusable(str(problem)) from problem
    _check_clean(clean, met)
    chosen += [at_random(met, seed, number) for number in range(randoms or 0)]
    if chosen:
        await _try_plans(bench, chosen, plan.seed if plan else None, as_json)
        return
    try:
        tried = plans(met, do, at, limit)
    except FaultError as problem:
        raise Unusable(str(problem)) from problem
    if not tried:
        raise Unusable("none of the places that the command comes to is asked for; without --at, all are tried")
    await _try_each(bench, tried, jobs, as_json)


def _check_clean(clean: Outcome, met: Sequence[Place]) -> None:
    if not clean.survived:
        click.echo(clean.output, err=True)
        raise Unusable(f"the command fails without any fault ({clean.word}); make it pass first")
    if not met:
        raise Unusable(
            "the command never came to the mock; it must call the address in XAI_REALTIME_URL, or another of --help"
        )


async def _try_each(bench: Bench, tried: Sequence[tuple[str, str, Fault]], jobs: int, as_json: bool) -> None:
    from mockserver.testing.fault_sweep import table

    turnstile = asyncio.Semaphore(jobs)

    async def one(place: str, what: str, fault: Fault) -> tuple[str, str, Outcome]:
        async with turnstile:
            outcome = await bench.run([fault])
        click.echo(f"{place}: {what}: {outcome.word}", err=True)
        return place, what, outcome

    outcomes = await asyncio.gather(*(one(*each) for each in tried))
    struck = [outcome for _, _, outcome in outcomes if outcome.word != "-"]
    survived = sum(outcome.survived for outcome in struck)
    if as_json:
        runs = [{"place": place, "do": what, **outcome.as_json()} for place, what, outcome in outcomes]
        click.echo(json.dumps({"survived": survived, "struck": len(struck), "runs": runs}))
    else:
        click.echo(f"{table(outcomes)}\nsurvived {survived} of {len(struck)}")
    if survived < len(struck):
        raise click.exceptions.Exit(1)


async def _try_plans(bench: Bench, chosen: Sequence[Sequence[Fault]], seed: str | None, as_json: bool) -> None:
    from mockserver.faults.files import as_line, as_text
    from mockserver.testing.fault_sweep import shrunk

    async def fails(faults: Sequence[Fault]) -> bool:
        return not (await bench.run(faults)).survived

    found: list[dict[str, Any]] = []
    for plan in chosen:
        failed = await fails(plan)
        smallest = as_text(await shrunk(plan, fails), seed) if failed else None
        found.append({"faults": [as_line(each) for each in plan], "survived": not failed, "smallest": smallest})
        if not as_json:
            head = f"# {len(plan)} faults, of which these are enough\n" if failed else f"# survived {len(plan)} faults"
            click.echo(f"{head}{smallest or ''}".rstrip())
    if as_json:
        click.echo(json.dumps({"plans": found}))
    if not all(each["survived"] for each in found):
        raise click.exceptions.Exit(1)


def _read(path: Path) -> FaultFile:
    from mockserver.faults.files import FaultError, load

    try:
        return load(path)
    except FaultError as problem:
        raise Unusable(str(problem)) from problem
