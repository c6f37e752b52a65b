"""What a rule finds, and how severe it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Literal, get_args

from replay.values import value

Level = Literal["off", "warn", "error"]
"""A rule's severity."""
LEVELS: tuple[Level, ...] = get_args(Level)
_WORDS = (("error", "error"), ("warn", "warning"))


@value
class Finding:
    """One mistake of a client.

    `rule`: the rule's id. `level`: its severity in this run. `at`: seconds since the connection opened. `frame`: the
    frame it was found at, counted from 0 over both directions, or None for the handshake. `message`: what is wrong,
    with the values seen. `fix`: what to do. `session`: the session's id, empty for what happened outside a session;
    `at` then counts from the start of the server or of the recording.
    """

    rule: str
    level: Level
    at: float
    frame: int | None
    message: str
    fix: str
    session: str = ""

    def __str__(self) -> str:
        frame = "" if self.frame is None else f", frame {self.frame}"
        return f"{self.rule}: {self.message} (at {self.at:.2f} s{frame}). {self.fix}"

    def as_json(self) -> dict[str, object]:
        """The finding as the control plane and `lint --json` show it."""
        return {**asdict(self), "at": round(self.at, 6), "session": self.session or None}


@value
class Found:
    """What a rule's check yields.

    A rule reports each `cause` once per connection. `at` (seconds) and `frame` name the place; without them the place
    is that of the step at which the rule looked.
    """

    message: str
    cause: str = ""
    at: float | None = None
    frame: int | None = None


def counted(findings: Iterable[Finding]) -> str:
    """A summary in one line: the number of errors and warnings, and the rules they are of."""
    found = list(findings)
    rules = Counter(finding.rule for finding in found)
    if not found:
        return "nothing found"
    numbers = [(sum(each.level == level for each in found), word) for level, word in _WORDS]
    totals = [f"{number} {word}{'s' * (number > 1)}" for number, word in numbers if number]
    return f"{', '.join(totals)}: " + ", ".join(f"{rule} ×{n}" if n > 1 else rule for rule, n in rules.items())
