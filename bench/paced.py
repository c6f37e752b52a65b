"""How late a server is that answers live calls: continuous microphones, turn detection, answers in the live rhythm.

    python bench/paced.py [--sessions N ...] [--seconds S] [--dialect xai]

Each session sends 100 ms of sound ten times a second: 2.5 s of speech, then 7.5 s of silence, from a place of its own.
Turn detection ends the turn, and the server says about ten seconds of speech as fast as a listener hears it. Late is
the time from the `ts` of a sound, which is in whole ms, to its arrival, so what the client and the machine take is in
it. `sent late` is the client's own lateness with its appends. `core` is the part of a core that the server used, and
`waited` the part of the time for which other programs had the core instead: with more than a few hundredths, lateness
says nothing of the server. A session-second is a second of one session.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from random import Random

import uvloop
from load import Caller, append, connect, hang_up, masked
from targets import Target, python_build, realtape

from mockserver.audio.tts import synthesizer_named

APPEND_S = 0.1
APPEND_BYTES = 4800  # at 24 kHz
SPEECH_S, CYCLE_S = 2.5, 10.0
SETTLING_S = 11.0  # A cycle: each session has had a turn, and the voice has spoken what it says.
WORDS = "I would like an appointment for a dental cleaning, please. "
SCENARIO = f"""
turns:
  - heard: "{WORDS.strip()}"
    reply:
      - say: "Of course. We have Monday at nine or Tuesday at half past two. Which one suits you better?"
"""
DETECTION = masked({"type": "session.update", "session": {"turn_detection": {"type": "server_vad"}}})


def microphone() -> list[bytes]:
    """The appends of a cycle, as frames."""
    speech = synthesizer_named("tone").speak(WORDS * 4).samples[: int(SPEECH_S * 24000)].tobytes()
    sound = speech + bytes(int(CYCLE_S * 48000) - len(speech))
    return [append(sound[at : at + APPEND_BYTES]) for at in range(0, len(sound), APPEND_BYTES)]


class Microphones:
    """Those of all callers, each in a phase of its own."""

    def __init__(self, callers: list[Caller]) -> None:
        rng, self._frames = Random(1), microphone()
        places = [(rng.random() * APPEND_S, rng.randrange(len(self._frames)), caller) for caller in callers]
        self._places = sorted(places, key=lambda place: place[0])
        self.late_ms: list[float] = []

    async def send(self) -> None:
        """Until cancelled."""
        began, tick = time.perf_counter(), 0
        while True:
            for number, (phase_s, start, caller) in enumerate(self._places):
                due = began + tick * APPEND_S + phase_s
                if (early_s := due - time.perf_counter()) > 0.001:
                    await asyncio.sleep(early_s)
                elif number % 16 == 0:
                    await asyncio.sleep(0)
                self.late_ms.append((time.perf_counter() - due) * 1000)
                caller.transport.write(self._frames[(start + tick) % len(self._frames)])
            tick += 1


async def paced(target: Target, sessions: int, seconds: float) -> dict[str, float | int | None]:
    """The figures of a number of sessions."""
    late_ms: list[float] = []

    def sound(data: bytes, start: int, stop: int) -> None:
        if (at := data.rfind(b'"ts":', max(start, stop - 80), stop)) > 0:
            late_ms.append(time.time() * 1000 - int(data[at + 5 : data.index(b",", at)]))  # noqa: TID251

    callers = await connect(target.url, sessions, sound)
    for caller in callers:
        caller.transport.write(DETECTION)
    microphones = Microphones(callers)
    sending = asyncio.get_running_loop().create_task(microphones.send())
    await asyncio.sleep(SETTLING_S)
    late_ms.clear()
    microphones.late_ms.clear()
    began, cpu, waited = time.perf_counter(), target.cpu_s(), target.waited_s()
    await asyncio.sleep(seconds)
    took, spent, waits = time.perf_counter() - began, target.cpu_s(), target.waited_s()
    sending.cancel()
    await hang_up(callers)
    used = None if cpu is None or spent is None else spent - cpu
    return {
        "sessions": sessions,
        "sounds": len(late_ms),
        "late p50 ms": part(late_ms, 0.5),
        "p99": part(late_ms, 0.99),
        "sent late p99 ms": part(microphones.late_ms, 0.99),
        "core": None if used is None else round(used / took, 3),
        "waited": None if waited is None or waits is None else round((waits - waited) / took, 3),
        "µs a session-second": None if used is None else round(used * 1e6 / took / sessions),
    }


def part(values: list[float], share: float) -> float | None:
    """The value that this share of them do not exceed."""
    return round(sorted(values)[min(len(values) - 1, int(len(values) * share))], 2) if values else None


def lateness(sessions: list[int], seconds: float, dialect: str) -> list[dict[str, float | int | None]]:
    """The figures of each number of sessions, with a new server for each."""
    figures = []
    with tempfile.TemporaryDirectory() as place:
        scenario = Path(place, "paced.yaml")
        scenario.write_text(SCENARIO)
        for count in sessions:
            with realtape("--scenario", str(scenario), dialect=dialect) as target:
                figures.append(uvloop.run(paced(target, count, seconds)))
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, nargs="+", default=[200, 400, 600, 1000])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--dialect", default="xai")
    asked = parser.parse_args()
    print(f"Python {python_build()}")
    for figures in lateness(asked.sessions, asked.seconds, asked.dialect):
        print("  ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
