"""A sweep: somebody's test command, run once for each fault at each place, and which of them it survives.

Each run has a mock of its own, whose address the command finds in its environment. What is run and how it is told is
here; the command line is cli_faults.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from mockserver.faults.files import FaultError, as_line, parse
from mockserver.faults.kinds import Fault
from mockserver.protocol.ids import stream
from mockserver.server.journal import SessionLog
from mockserver.testing.mock_server import MockServer

AT_HANDSHAKE = ("{status: 429, retry_after: 1}", "{status: 503}", "reset")
ON_THE_SOCKET = ("{close: 1011}", "reset", "drop", "duplicate")
"""What is tried if nothing is asked for."""
MOST_OUTPUT = 4_000
"""Characters of the command's last output that are kept."""
_RANDOM = (*ON_THE_SOCKET, "{delay: 1s}", "reorder", "corrupt", "{error: The server had an error.}", "{stall: 2s}")


@dataclass(frozen=True, slots=True)
class Place:
    """A place that a run without faults has come to; the first of its kind in its response."""

    at: str
    response: int | None = None

    def __str__(self) -> str:
        return self.at if self.response is None else f"{self.at} (response {self.response})"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the command did under some faults."""

    faults: tuple[Fault, ...]
    code: int | None
    """Its exit code; None if it took too long."""
    struck: bool
    """Whether any of the faults came about."""
    output: str = ""

    @property
    def survived(self) -> bool:
        return self.code == 0

    @property
    def word(self) -> str:
        if not self.struck and self.survived:
            return "-"
        return "ok" if self.survived else "timeout" if self.code is None else f"exit {self.code}"

    def as_json(self) -> dict[str, Any]:
        """With what the command said last, where it failed."""
        shown = {"faults": [as_line(fault) for fault in self.faults], "outcome": self.word, "exit_code": self.code}
        return shown if self.survived else {**shown, "output": self.output}


class Bench:
    """Runs a command against a fresh mock. `settings` are MockServer's, `timeout_s` is for one run."""

    def __init__(
        self, command: Sequence[str], timeout_s: float, settings: Mapping[str, Any], fault_seed: str | None = None
    ) -> None:
        self._command = command
        self._seed = {} if fault_seed is None else {"seed": fault_seed}
        self._timeout_s = timeout_s
        self._settings = settings

    async def run(self, faults: Sequence[Fault]) -> Outcome:
        """One run under these faults."""
        return (await self._run(faults))[0]

    async def places(self) -> tuple[Outcome, list[Place]]:
        """A run without faults, and the places that it comes to, in order."""
        outcome, sessions = await self._run(())
        return outcome, places(sessions)

    async def _run(self, faults: Sequence[Fault]) -> tuple[Outcome, list[SessionLog]]:
        plan = {"faults": list(faults), **self._seed}
        async with MockServer(faults=plan, findings="off", **self._settings) as mock:
            code, output = await self._call({**os.environ, **mock.environment})
            struck = any(armed.fired for armed in mock.faults)
            return Outcome(tuple(faults), code, struck, output), [*mock.sessions]

    async def _call(self, environment: Mapping[str, str]) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=sys.platform != "win32",
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), self._timeout_s)
        except asyncio.TimeoutError:
            return None, f"took longer than {self._timeout_s:g} s"
        finally:
            if process.returncode is None:
                _kill(process)
                await process.wait()
        return process.returncode, output.decode(errors="replace")[-MOST_OUTPUT:]


def _kill(process: asyncio.subprocess.Process) -> None:
    """With all that it started."""
    with contextlib.suppress(ProcessLookupError):
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


def places(sessions: Iterable[SessionLog]) -> list[Place]:
    """Where faults can strike: each type of event in each response, both ways, in order."""
    found: dict[Place, None] = {}
    for log in sessions:
        responses = 0
        for entry in log.entries:
            event = entry.event
            type = event.get("type") if event is not None else None
            if not isinstance(type, str):
                continue
            responses += type == "response.created"
            sign = "<" if entry.way == "in" else ""
            found[Place(f"{sign}{type}", responses or None)] = None
    return list(found)


def plans(
    met: Sequence[Place], do: Sequence[str] = (), at: Sequence[str] = (), limit: int | None = None
) -> list[tuple[str, str, Fault]]:
    """What is to be tried: each place, what is done there, and both as a fault that strikes once.

    `at` are patterns of places (client events only if asked for), `do` faults as in a file; `limit` is how many at
    most, spread over all. Raises FaultError for a `do` that is none, or that none of the places can have.
    """
    tried: list[tuple[str, str, Fault]] = []
    if not at or any(fnmatchcase("handshake", pattern) for pattern in at):
        tried += [
            ("handshake", what, fault) for what in do or AT_HANDSHAKE for fault in _fault("handshake", what, bool(do))
        ]
    for place in met:
        wanted = any(fnmatchcase(place.at, pattern) for pattern in at) if at else not place.at.startswith("<")
        for what in do or ON_THE_SOCKET:
            if wanted:
                tried += [(str(place), what, fault) for fault in _fault(place, what, bool(do))]
    if limit is not None and len(tried) > limit:
        tried = [tried[index * len(tried) // limit] for index in range(limit)]
    return tried


def _fault(place: Place | str, what: str, picky: bool) -> list[Fault]:
    """One that strikes once; none where the place does not fit to what was asked for."""
    where = f"at: {place}" if isinstance(place, str) else f'at: "{place.at}", nth: 1'
    if isinstance(place, Place) and place.response is not None and not place.at.startswith("<"):
        where += f", response: {place.response}"
    done = what if what.lstrip().startswith("{") else json.dumps(what)
    try:
        return list(parse(f"{{{where}, times: 1, do: {done}}}", "--do").faults)
    except FaultError as problem:
        if picky and ("handshake" in str(problem) or "needs an" in str(problem)):
            return []
        raise


def at_random(met: Sequence[Place], seed: str, number: int, size: int = 4) -> list[Fault]:
    """A plan of some faults, drawn from the places met; the same for the same seed and number."""
    rng = stream(seed, f"sweep/{number}")
    server = [place for place in met if not place.at.startswith("<")]
    drawn = [_fault(rng.choice(server), rng.choice(_RANDOM), False)[0] for _ in range(size)] if server else []
    return list(dict.fromkeys(drawn))


async def shrunk(faults: Sequence[Fault], fails: Callable[[Sequence[Fault]], Awaitable[bool]]) -> list[Fault]:
    """The smallest part of a failing plan that still fails, none of whose faults can be left out (Zeller's ddmin)."""
    plan, parts = list(faults), 2
    while len(plan) >= 2:
        size = -(-len(plan) // parts)
        chunks = [plan[at : at + size] for at in range(0, len(plan), size)]
        rests = [[fault for other in chunks if other is not chunk for fault in other] for chunk in chunks]
        for smaller in (*chunks, *(rests if parts > 2 else ())):
            if await fails(smaller):
                plan, parts = smaller, max(2, parts - 1 if smaller in rests else 2)
                break
        else:
            if parts >= len(plan):
                break
            parts = min(len(plan), parts * 2)
    return plan


def table(outcomes: Sequence[tuple[str, str, Outcome]]) -> str:
    """Places down, what was done across."""
    dos = list(dict.fromkeys(do for _, do, _ in outcomes))
    cells = {(place, do): outcome.word for place, do, outcome in outcomes}
    rows = [["", *(do.strip("{}") for do in dos)]]
    rows += [[place, *(cells.get((place, do), "") for do in dos)] for place in dict.fromkeys(p for p, _, _ in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(dos) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def served(source: Path) -> dict[str, Any]:
    """A scenario file, or anything else as a cassette, as MockServer takes it."""
    return {"scenario" if source.suffix in (".yaml", ".yml", ".json") else "cassette": source}
