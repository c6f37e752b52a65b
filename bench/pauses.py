"""How long the garbage collector stops a server of a thousand sessions: each pause, by generation.

    python bench/pauses.py [--sessions N] [--seconds S] [--hang-up N] [--unsettled]

Each session has a typed turn about every two seconds; every second some clients hang up and others call. A pause is
the processor time of one collection, which other programs of the machine do not lengthen. `--unsettled` leaves Python's
collector as it is, to compare.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from time import monotonic

import uvloop
from load import Caller, Round, connect, hang_up, text_turn
from targets import first_line, process, python_build

TURN_EVERY_S = 2.0
PROGRAM = """
import atexit, gc, json, time
began, pauses = 0.0, []
def note(phase, info):
    global began
    if phase == "start":
        began = time.thread_time()
    else:
        pauses.append((time.monotonic(), info["generation"], time.thread_time() - began))
gc.callbacks.append(note)
atexit.register(lambda: open({path!r}, "w").write(json.dumps(pauses)))
{change}
import realtape
realtape.main()
"""
UNSETTLED = "import mockserver.cli.serve as serve; serve.settle = lambda: None"
MODEL = "grok-voice-3.0"


async def calls(url: str, sessions: int, seconds: float, hang_up_a_second: int) -> tuple[int, float, float]:
    """The turns that were answered; and from when until when, on the clock of the machine."""
    began = monotonic()
    callers, rng, answered = await connect(url, sessions), Random(1), 0
    loop, turn = asyncio.get_running_loop(), Round(text_turn("hello"), b'{"type":"response.done"')

    def speak(caller: Caller) -> None:
        if not caller.transport.is_closing():
            if caller.over.done():
                caller.start(turn, rounds=1)
            loop.call_later(TURN_EVERY_S * (0.5 + rng.random()), speak, caller)

    for caller in callers:
        loop.call_later(rng.random() * TURN_EVERY_S, speak, caller)
    ends = loop.time() + seconds
    while loop.time() < ends:
        await asyncio.sleep(1.0)
        leaving = [callers.pop(rng.randrange(len(callers))) for _ in range(hang_up_a_second)]
        answered += sum(caller.rounds for caller in leaving)
        await hang_up(leaving)
        for caller in await connect(url, hang_up_a_second):
            callers.append(caller)
            speak(caller)
    answered += sum(caller.rounds for caller in callers)
    over = monotonic()
    await hang_up(callers)
    return answered, began, over


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--hang-up", type=int, default=10, help="clients a second that leave and are replaced")
    parser.add_argument("--unsettled", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "pauses.json")
        program = PROGRAM.format(path=str(path), change=UNSETTLED if asked.unsettled else "")
        options = ("serve", "--port", "0", "--json", "--dialect", "xai", "--max-sessions", "100000")
        with process([sys.executable, "-c", program, *options, "--pacing", "burst"], subprocess.DEVNULL) as (server, _):
            url = json.loads(first_line(server))["ws"] + f"?model={MODEL}"
            answered, began, over = uvloop.run(calls(url, asked.sessions, asked.seconds, asked.hang_up))
        pauses = json.loads(path.read_text())
    print(f"{asked.sessions} sessions, {answered:,} turns in {asked.seconds:.0f} s; Python {python_build()}")
    for generation in range(3):
        times = [spent for at, which, spent in pauses if began <= at <= over and which == generation]
        longest, total = max(times, default=0.0) * 1000, sum(times) * 1000
        print(f"generation {generation}: {len(times):6,} pauses, longest {longest:6.1f} ms, all {total:8.0f} ms")


if __name__ == "__main__":
    main()
