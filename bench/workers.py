"""What workers and a store cost: sessions and turns in processor time, and how many live calls are on time.

    python bench/workers.py [--rounds 3] [--sessions 200 400 600] [--seconds 10] [--no-live]

It compares one process, one worker with a store, and as many workers with it as there are cores. The first worker has
the first core; callers and store have the others, so that the second worker shares its core with them. Figures of
sessions and turns are the least of alternating rounds, of the servers alone, and then of the store. A session
connects, is configured and hangs up. A turn is typed and answered, at 50 sessions and `--pacing burst`. Live calls are
those of paced.py, once for each number of sessions: the 99th percentile of lateness says whether they are on time.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop
from fleet_soak import children, store
from load import Round, connect, drive, hang_up, text_turn
from paced import SCENARIO, paced
from targets import CORES, Target, first_line, process, python_build

TURN_ENDS = b'{"type":"response.done"'
OPTIONS = ("--max-sessions", "100000", "--voice", "tone", "--transcriber", "off", "--quiet", "--port", "0")
CONNECTIONS = 200
TALKING = 50
KINDS = ("one process", "one worker, store", "workers, store")


@dataclass(frozen=True, slots=True)
class Servers(Target):
    """All processes that serve a port."""

    pids: tuple[int, ...] = ()
    store_pid: int = 0

    def cpu_s(self) -> float | None:
        return sum(used(pid) for pid in self.pids)

    def waited_s(self) -> float | None:
        return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) for pid in self.pids) / 1e9


def used(pid: int) -> float:
    """Processor seconds of a process so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@contextlib.contextmanager
def servers(kind: str, *options: str) -> Iterator[Servers]:
    """Those of one of KINDS."""
    with contextlib.ExitStack() as stack:
        command, store_pid = [sys.executable, "-m", "realtape", "serve", *OPTIONS, *options], 0
        count = max(2, len(CORES)) if kind == "workers, store" else 1
        if kind != "one process":
            before = set(children(os.getpid()))
            command += ["--workers", str(count), "--state", stack.enter_context(store())]
            (store_pid,) = set(children(os.getpid())) - before
            move(store_pid, CORES[1:])
        started, _ = stack.enter_context(process(command))
        port = int(first_line(started).rpartition(":")[2].partition("/")[0])
        url = f"ws://127.0.0.1:{port}/v1/realtime?model=grok-voice-latest"
        pids = (started.pid,) if kind == "one process" else tuple(children(started.pid))
        for number, pid in enumerate(pids):
            move(pid, CORES[number % len(CORES) :][:1])
        yield Servers(kind, url, started.pid, 0.0, TURN_ENDS, pids, store_pid)


def move(pid: int, cores: list[int]) -> None:
    if cores:
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


async def costs(target: Servers) -> dict[str, float]:
    """µs of a session and of a turn, of the servers and of the store."""
    await hang_up(await connect(target.url, CONNECTIONS // 2))  # what a server loads for its first sessions
    await asyncio.sleep(1)
    began = spent(target)
    await hang_up(await connect(target.url, CONNECTIONS))
    await asyncio.sleep(0.5)
    sessions = [(now - then) * 1e6 / CONNECTIONS for then, now in zip(began, spent(target), strict=True)]
    callers = await connect(target.url, TALKING)
    turn = Round(text_turn("hello"), TURN_ENDS)
    await drive(callers, turn, 0.5, target.cpu_s)
    began, before = spent(target), sum(each.rounds for each in callers)
    await asyncio.gather(*(each.start(turn, seconds=2.0) for each in callers))
    await asyncio.sleep(0.5)  # what is copied to the store is part of it
    turns = sum(each.rounds for each in callers) - before
    took = [(now - then) * 1e6 / turns for then, now in zip(began, spent(target), strict=True)]
    await hang_up(callers)
    return {"session": sessions[0], "its store": sessions[1], "turn": took[0], "the turn's store": took[1]}


def spent(target: Servers) -> tuple[float, float]:
    return target.cpu_s() or 0.0, used(target.store_pid) if target.store_pid else 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, nargs="+", default=[200, 400, 600], help="live calls at once")
    parser.add_argument("--seconds", type=float, default=10.0, help="of live calls, for each number of them")
    parser.add_argument("--no-live", action="store_true")
    asked = parser.parse_args()
    print(f"Python {python_build()}, load {os.getloadavg()[0]:.1f}, {time.strftime('%Y-%m-%d %H:%M')}")
    least: dict[str, dict[str, float]] = {}
    for _ in range(asked.rounds):
        for kind in KINDS:
            with servers(kind, "--pacing", "burst") as target:
                found = uvloop.run(costs(target))
            known = least.setdefault(kind, found)
            least[kind] = {name: min(figure, known[name]) for name, figure in found.items()}
    for kind, figures in least.items():
        print(f"{kind:20}", "  ".join(f"{name} {figure:.0f}" for name, figure in figures.items()), "µs")
    with tempfile.TemporaryDirectory() as place:
        scenario = Path(place, "paced.yaml")
        scenario.write_text(SCENARIO)
        for count in () if asked.no_live else asked.sessions:
            for kind in KINDS:
                with servers(kind, "--scenario", str(scenario)) as target:
                    began = time.process_time()
                    live = uvloop.run(paced(target, count, asked.seconds))
                    callers = time.process_time() - began
                print(f"{kind:20}", "  ".join(f"{name} {figure}" for name, figure in live.items()), end="  ")
                print(f"callers' processor s {callers:.1f}")


if __name__ == "__main__":
    main()
