"""A fault sweep: a test command, run once for each fault at each injection point, and which faults it survives.

Each run has a mock of its own, whose address the command finds in its environment. The command line is cli/faults.py.
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
from mockserver.faults.injection_points import WEBHOOK
from mockserver.faults.kinds import Fault
from mockserver.protocol.ids import stream
from mockserver.server.journal import SessionLog
from mockserver.testing.mock_server import MockServer
from replay.addresses import LOOPBACK
from replay.findings import Finding, Setting

AT_HANDSHAKE = ("{status: 429, retry_after: 1}", "{status: 503}", "reset")
ON_THE_SOCKET = ("{close: 1011}", "reset", "drop", "duplicate")
AT_WEBHOOK = ("{slow: 2s}", "drop", "duplicate", "forge")
"""The faults to try by default."""
ACCEPT = "POST /v1/realtime/calls/*/accept"
"""The request with which OpenAI's clients accept a phone call."""
MOST_OUTPUT = 4_000
"""Characters of the command's last output that are kept."""
_RANDOM = (*ON_THE_SOCKET, "{delay: 1s}", "reorder", "corrupt", "{error: The server had an error.}", "{stall: 2s}")


@dataclass(frozen=True, slots=True)
class MetPoint:
    """An injection point that a run without faults reached: the first event of its type in its response."""

    at: str
    response: int | None = None

    def __str__(self) -> str:
        return self.at if self.response is None else f"{self.at} (response {self.response})"


@dataclass(frozen=True, slots=True)
class SweepOutcome:
    """How the command ended under some faults."""

    faults: tuple[Fault, ...]
    code: int | None
    """Its exit code; None if it timed out."""
    triggered: bool
    """Whether any of the faults was triggered."""
    output: str = ""
    findings: tuple[Finding, ...] = ()
    """Mistakes of severity `error`."""

    @property
    def survived(self) -> bool:
        return self.code == 0 and not self.findings

    @property
    def word(self) -> str:
        if not self.triggered and self.survived:
            return "-"
        if self.code == 0 and self.findings:
            worst = next((each for each in self.findings if each.rule == "repeated-write"), self.findings[0])
            if worst.rule != "repeated-write":
                return worst.rule
            return "booked twice" if worst.message.startswith("book") else "wrote twice"
        return "ok" if self.survived else "timeout" if self.code is None else f"exit {self.code}"

    def as_json(self) -> dict[str, Any]:
        """With the end of the command's output, if it failed."""
        lines = [as_line(fault) for fault in self.faults]
        shown: dict[str, Any] = {"faults": lines, "outcome": self.word, "exit_code": self.code}
        if self.findings:
            shown["findings"] = [each.as_json() for each in self.findings]
        return shown if self.survived else {**shown, "output": self.output}


class SweepRunner:
    """Runs a command against a fresh mock. `options` are MockServer's, `timeout_s` is for one run. `findings` is the
    severity of client mistakes; those of severity `error` fail a run. By default that is only a repeated write."""

    def __init__(
        self,
        command: Sequence[str],
        timeout_s: float,
        options: Mapping[str, Any],
        fault_seed: str | None = None,
        findings: Setting = None,
    ) -> None:
        self._findings: Setting = {"all": "off", "repeated-write": "error"} if findings is None else findings
        self._command = command
        self._seed = {} if fault_seed is None else {"seed": fault_seed}
        self._timeout_s = timeout_s
        self._options = options

    async def run(self, faults: Sequence[Fault]) -> SweepOutcome:
        """One run under these faults."""
        return (await self._run(faults))[0]

    async def met_points(self) -> tuple[SweepOutcome, list[MetPoint]]:
        """A run without faults, and the places that it comes to, in order."""
        outcome, sessions = await self._run(())
        return outcome, met_points(sessions)

    async def _run(self, faults: Sequence[Fault]) -> tuple[SweepOutcome, list[SessionLog]]:
        plan = {"faults": list(faults), **self._seed}
        async with MockServer(faults=plan, findings=self._findings, **self._options) as mock:
            here = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), *LOOPBACK)))
            direct = {"NO_PROXY": here, "no_proxy": here}  # a proxy of the environment does not reach the mock
            code, output = await self._call({**os.environ, **direct, **mock.environment})
            triggered = any(armed.fired for armed in mock.faults)
            wrong = tuple(each for each in mock.findings if each.level == "error")
            return SweepOutcome(tuple(faults), code, triggered, output, wrong), [*mock.sessions]

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
                with contextlib.suppress(ProcessLookupError):
                    if sys.platform == "win32":
                        process.kill()
                    else:
                        os.killpg(process.pid, signal.SIGKILL)  # with all that it started
                await process.wait()
        return process.returncode, output.decode(errors="replace")[-MOST_OUTPUT:]


def met_points(sessions: Iterable[SessionLog]) -> list[MetPoint]:
    """Where faults can strike: each type of event in each response, both ways, in order; and what comes before a phone
    call."""
    found: dict[MetPoint, None] = {}
    for log in sessions:
        if log.came == "phone":
            found[MetPoint(WEBHOOK)] = None
            if log.dialect.startswith("openai@"):
                found[MetPoint(ACCEPT)] = None
        responses = 0
        for entry in log.entries:
            event = entry.event
            type = event.get("type") if event is not None else None
            if not isinstance(type, str):
                continue
            responses += type == "response.created"
            sign = "<" if entry.way == "in" else ""
            found[MetPoint(f"{sign}{type}", responses or None)] = None
    return list(found)


def single_faults(
    met: Sequence[MetPoint], do: Sequence[str] = (), at: Sequence[str] = (), limit: int | None = None
) -> list[tuple[str, str, Fault]]:
    """The single faults to try: point, what is done there, and both as a fault that is triggered once.

    at: patterns of injection points; without any, all but client events. do: faults as in a fault file; without any,
    AT_HANDSHAKE, AT_WEBHOOK and ON_THE_SOCKET. limit: at most this many, spread over all. Raises FaultError for an
    invalid `do`.
    """
    tried: list[tuple[str, str, Fault]] = []
    if not at or any(fnmatchcase("handshake", pattern) for pattern in at):
        tried += [
            ("handshake", what, fault) for what in do or AT_HANDSHAKE for fault in _fault("handshake", what, bool(do))
        ]
    for point in met:
        wanted = any(fnmatchcase(point.at, pattern) for pattern in at) if at else not point.at.startswith("<")
        for what in do or {WEBHOOK: AT_WEBHOOK, ACCEPT: AT_HANDSHAKE}.get(point.at, ON_THE_SOCKET):
            if wanted:
                tried += [(str(point), what, fault) for fault in _fault(point, what, bool(do))]
    if limit is not None and len(tried) > limit:
        tried = [tried[index * len(tried) // limit] for index in range(limit)]
    return tried


def _fault(point: MetPoint | str, what: str, picky: bool) -> list[Fault]:
    """The fault, to be triggered once. With `picky` none, if the point cannot have it."""
    where = f"at: {point}" if isinstance(point, str) else f'at: "{point.at}", nth: 1'
    if isinstance(point, MetPoint) and point.response is not None and not point.at.startswith("<"):
        where += f", response: {point.response}"
    done = what if what.lstrip().startswith("{") else json.dumps(what)
    try:
        return list(parse(f"{{{where}, times: 1, do: {done}}}", "--do").faults)
    except FaultError as problem:
        if picky and any(each in str(problem) for each in ("handshake", "needs an", "webhook")):
            return []
        raise


def random_plan(met: Sequence[MetPoint], seed: str, number: int, size: int = 4) -> list[Fault]:
    """A plan of up to `size` faults, drawn from the points met. The same seed and number give the same plan."""
    rng = stream(seed, f"sweep/{number}")
    server = [point for point in met if not point.at.startswith("<") and point.at not in (WEBHOOK, ACCEPT)]
    drawn = [_fault(rng.choice(server), rng.choice(_RANDOM), False)[0] for _ in range(size)] if server else []
    return list(dict.fromkeys(drawn))


async def minimized(faults: Sequence[Fault], fails: Callable[[Sequence[Fault]], Awaitable[bool]]) -> list[Fault]:
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


def outcome_table(outcomes: Sequence[tuple[str, str, SweepOutcome]]) -> str:
    """Places down, what was done across."""
    dos = list(dict.fromkeys(do for _, do, _ in outcomes))
    cells = {(place, do): outcome.word for place, do, outcome in outcomes}
    rows = [["", *(do.strip("{}") for do in dos)]]
    rows += [[place, *(cells.get((place, do), "") for do in dos)] for place in dict.fromkeys(p for p, _, _ in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(dos) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def content_option(source: Path) -> dict[str, Any]:
    """A scenario file, or anything else as a cassette, as MockServer takes it."""
    return {"scenario" if source.suffix in (".yaml", ".yml", ".json") else "cassette": source}
