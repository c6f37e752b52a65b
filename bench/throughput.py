"""The mock compared with aimock and bare aiohttp: turns, appends, memory, start, live calls. About three minutes.

    python bench/throughput.py [--seconds S] [--rounds N] [--sessions N ...] [--paced N ...] [--dialect NAME] [--json]

All servers run side by side on the first core and take turns, the client on the others: a busy machine slows them
alike. Rates are the median of the rounds. Processor time is the server's own, and the least of the rounds, since other
programs only add to it. Nothing is asserted. A turn of the mock carries the answer's sound, which aimock's has not: see
bytes a turn.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from statistics import median

import uvloop
from load import CLEAR, UPDATE, WRITES, Caller, Rate, Round, append, connect, drive, hang_up, text_turn
from paced import lateness
from targets import Target, aimock, aimock_folder, aimock_version, bare, python_build, realtape

from mockserver.audio.tts import synthesizer_named

TURN = text_turn("hello")
SPEECH = "I would like an appointment for a dental cleaning, please. " * 4
APPEND_BYTES = 4800  # 100 ms at 24 kHz
CONVERSATION = 1000
HANDSHAKES = 200
MEMORY_SESSIONS = 200

Report = dict[str, object]


# --- Rates ---


def turns(target: Target) -> Round:
    return Round(TURN, target.turn_ends)


def appends(_: Target) -> Round:
    """Two seconds of speech and two of silence in pieces of 100 ms; the buffer is cleared after them, and says so."""
    speech = synthesizer_named("tone").speak(SPEECH).samples[: 2 * 24000].tobytes()
    sound = speech + bytes(len(speech))
    pieces = [append(sound[at : at + APPEND_BYTES]) for at in range(0, len(sound), APPEND_BYTES)]
    return Round(b"".join(pieces) + CLEAR, b'{"type":"input_audio_buffer.clear', len(pieces))


async def rate(target: Target, round: Round, sessions: int, seconds: float, update: bytes) -> Rate:
    callers = await connect(target.url, sessions, update=update)
    try:
        await drive(callers, round, 0.2, target.cpu_s)
        return await drive(callers, round, seconds, target.cpu_s)
    finally:
        await hang_up(callers)


async def rates(
    targets: list[Target],
    make: Callable[[Target], Round],
    sessions: int,
    rounds: int,
    seconds: float,
    update: bytes = UPDATE,
) -> Report:
    found: dict[str, list[Rate]] = {target.name: [] for target in targets}
    for number in range(rounds):
        for target in targets if number % 2 else reversed(targets):
            found[target.name].append(await rate(target, make(target), sessions, seconds, update))
    return {name: _middle(measured) for name, measured in found.items()}


def _middle(measured: list[Rate]) -> Report:
    spent = [each.cpu_us for each in measured if each.cpu_us is not None]
    return {
        "per_s": round(median(each.per_s for each in measured), 1),
        "cpu_us": round(min(spent), 1) if spent else None,  # other programs only add to it
        "events": round(measured[-1].events, 2),
        "bytes": round(measured[-1].bytes),
    }


async def handshakes(targets: list[Target], rounds: int) -> Report:
    """µs of processor time for a connection: its handshake, a `session.update`, and its end."""
    found: dict[str, list[float]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            cpu = target.cpu_s()
            await hang_up(await connect(target.url, HANDSHAKES))
            spent = target.cpu_s()
            if cpu is not None and spent is not None:
                found[target.name].append((spent - cpu) * 1e6 / HANDSHAKES)
    return {name: round(min(each), 1) for name, each in found.items() if each}


# --- One long conversation ---


async def conversation(target: Target) -> float:
    """The rate of its last hundred turns relative to turns 11 to 110."""
    (caller,) = await connect(target.url, 1)
    caller.timed = True
    try:
        await caller.start(turns(target), rounds=CONVERSATION)
    finally:
        await hang_up([caller])
    times = caller.last_s[-CONVERSATION:]
    return median(times[10:110]) / median(times[-100:])


async def conversations(targets: list[Target], rounds: int) -> Report:
    found: dict[str, list[float]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            found[target.name].append(await conversation(target))
    return {name: round(median(each), 3) for name, each in found.items()}


# --- Memory ---


async def memory(target: Target) -> Report:
    """KiB a session: idle, after 1 and after 20 turns. Ten talk at a time, so that what is held shows, not the rush."""
    callers = await connect(target.url, 10)
    await _talk(callers, target, 20)
    await hang_up(callers)
    before = target.resident_kib()
    callers = await connect(target.url, MEMORY_SESSIONS)
    seen: Report = {"idle": _each(target, before)}
    for name, rounds in (("1 turn", 1), ("20 turns", 19)):
        await _talk(callers, target, rounds)
        seen[name] = _each(target, before)
    await hang_up(callers)
    return seen


async def _talk(callers: list[Caller], target: Target, rounds: int) -> None:
    for first in range(0, len(callers), 10):
        await asyncio.gather(*(caller.start(turns(target), rounds=rounds) for caller in callers[first : first + 10]))


def _each(target: Target, before: float | None) -> float | None:
    now = target.resident_kib()
    return None if before is None or now is None else round((now - before) / MEMORY_SESSIONS, 1)


# --- All of it ---


def starts(rounds: int, with_aimock: bool) -> Report:
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for start in (realtape, bare, *((aimock,) if with_aimock else ())):
            with start() as target:
                found.setdefault(target.name, []).append(target.ready_s)
    return {name: round(median(each), 3) for name, each in found.items()}


@contextlib.contextmanager
def all_targets(dialect: str, with_aimock: bool) -> Iterator[list[Target]]:
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(realtape("--pacing", "burst", dialect=dialect))]
        started.append(stack.enter_context(bare()))
        if with_aimock:
            started.append(stack.enter_context(aimock()))
        yield started


async def measure(asked: argparse.Namespace) -> Report:
    with_aimock = aimock_folder() is not None
    report: Report = {"python": python_build(), "aimock": aimock_version(), "ready s": starts(3, with_aimock)}
    with all_targets(asked.dialect, with_aimock) as targets:
        for sessions in asked.sessions:
            report[f"turns at {sessions}"] = await rates(targets, turns, sessions, asked.rounds, asked.seconds)
        report["appends at 50"] = await rates(targets, appends, 50, asked.rounds, asked.seconds)
        report["µs a connection"] = await handshakes(targets, asked.rounds)
        report["1,000th turn"] = await conversations(
            [each for each in targets if each.name != "bare aiohttp"], asked.rounds
        )
    report["turns in text alone at 50, OpenAI"] = await written(asked.rounds, asked.seconds, with_aimock)
    report["KiB a session"] = await memories(asked.dialect, with_aimock)
    return report


async def written(rounds: int, seconds: float, with_aimock: bool) -> Report:
    """Turns without sound, as aimock's are."""
    with all_targets("openai", with_aimock) as targets:
        compared = [each for each in targets if each.name != "bare aiohttp"]
        return await rates(compared, turns, 50, rounds, seconds, WRITES)


async def memories(dialect: str, with_aimock: bool) -> Report:
    seen: Report = {}
    for name, journal in (("realtape", True), ("realtape without journal", False)):
        with realtape("--pacing", "burst", journal=journal, dialect=dialect) as target:
            seen[name] = await memory(target)
    if with_aimock:
        with aimock() as target:
            seen["aimock"] = await memory(target)
    return seen


def lines(report: Report) -> Iterable[str]:
    for name, figures in report.items():
        if not isinstance(figures, dict):
            yield f"{name}: {figures}"
            continue
        yield f"{name}:"
        ours = figures.get("realtape")
        for who, figure in figures.items():
            yield f"  {who:26} {_shown(figure)}{_ratio(ours, figure) if who != 'realtape' else ''}"


def _shown(figure: object) -> str:
    if not isinstance(figure, dict):
        return str(figure)
    return "  ".join(f"{name} {value:,}" if value is not None else f"{name} ?" for name, value in figure.items())


def _ratio(ours: object, theirs: object) -> str:
    if not (isinstance(ours, dict) and isinstance(theirs, dict) and "per_s" in ours):
        return ""
    by_event = ours["per_s"] * ours["events"] / (theirs["per_s"] * theirs["events"])
    cpu = f", {by_event:.2f} x by events" if theirs["events"] > 1 else ""
    if ours["cpu_us"] and theirs["cpu_us"]:
        cpu += f", {theirs['cpu_us'] / ours['cpu_us']:.2f} x by processor time"
    return f"   -> realtape {ours['per_s'] / theirs['per_s']:.2f} x{cpu}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sessions", type=int, nargs="+", default=[50, 200], help="at once, for turns")
    parser.add_argument("--paced", type=int, nargs="*", default=[200], help="at once, of live calls: see paced.py")
    parser.add_argument("--dialect", default="xai")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    report = uvloop.run(measure(asked))
    report["live calls"] = {f"{each['sessions']} sessions": each for each in lateness(asked.paced, 12.0, asked.dialect)}
    print(json.dumps(report) if asked.json else "\n".join(lines(report)))


if __name__ == "__main__":
    main()
