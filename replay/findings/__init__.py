"""Findings: what a client does wrong, told with the values seen and what to do about it.

A rule reads what crossed the wire, both ways, with times: so the same rules judge a live session of the mock and a
recording of any service. Not a validator: what the service refuses by itself is not said again, unless the client goes
on as if it had been accepted. The rules stand in table.py, their families beside it, what they know in call.py.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from replay.findings.call import Call, Step

Level = Literal["off", "warn", "error"]
LEVELS: tuple[Level, ...] = get_args(Level)
Setting = str | Mapping[str, str] | None
"""A level for all rules, levels by rule, or None for each rule's own."""
_WORDS = (("error", "error"), ("warn", "warning"))
ALL = "all"
"""In a mapping: the level of the rules that it does not name."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake. `at` is seconds since its connection opened, `frame` counts the connection's frames from 0."""

    rule: str
    level: Level
    at: float
    frame: int | None
    message: str
    fix: str
    session: str = ""
    """Its id; empty for what happened outside of any: then `at` counts from the start of the server or recording."""

    def __str__(self) -> str:
        return f"{self.rule} at {self.at:.2f} s: {self.message}. {self.fix}"

    def as_json(self) -> dict[str, object]:
        """As the control plane and `lint --json` show it."""
        return {**asdict(self), "at": round(self.at, 6), "session": self.session or None}


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule says. It is told once per `cause` and connection; its place is the step's if it names none."""

    message: str
    cause: str = ""
    at: float | None = None
    frame: int | None = None


Check = Callable[["Call", "Step"], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A row of the table: when to look (`sent TYPE`, `received TYPE`, OPENED, TICK or CLOSED), and what to say."""

    id: str
    level: Level
    check: Check
    on: tuple[str, ...]
    fix: str
    advice: bool = False
    """It harms no call by itself: a level given for all rules does not make an error of it."""


def setting(general: str | None, named: Iterable[str]) -> Setting:
    """From a command line: a level for all rules, and `RULE=LEVEL` for single ones. Raises ValueError."""
    levels = {} if general is None else {ALL: general}
    for each in named:
        rule, given, level = each.partition("=")
        if not given:
            raise ValueError(f"findings: {each!r} is not RULE=LEVEL; a level is one of {', '.join(LEVELS)}")
        levels[rule] = level
    return levels


def counted(findings: Iterable[Finding]) -> str:
    """In a few words how many there are, and of which rules."""
    found = list(findings)
    rules = Counter(finding.rule for finding in found)
    if not found:
        return "nothing found"
    numbers = [(sum(each.level == level for each in found), word) for level, word in _WORDS]
    told = [f"{number} {word}{'s' * (number > 1)}" for number, word in numbers if number]
    return f"{', '.join(told)}: " + ", ".join(f"{rule} ×{n}" if n > 1 else rule for rule, n in rules.items())


class Levels:
    """Which rules are on, and how loud; and which tools change something: names or patterns such as `book_*`, or None
    to tell it by their verbs. Raises ValueError for an unknown level or rule."""

    def __init__(self, setting: Setting = None, write_tools: Iterable[str] | None = None) -> None:
        from replay.findings.rules.table import RULES

        self.write_tools = None if write_tools is None else tuple(write_tools)
        named = {ALL: setting} if isinstance(setting, str) else dict(setting or {})
        for name, level in named.items():
            if level not in LEVELS:
                raise ValueError(f"findings: {level!r} is no level; use {', '.join(LEVELS)}")
            if name != ALL and name not in {rule.id for rule in RULES}:
                raise ValueError(f"findings: there is no rule {name!r}{_nearest(name, [rule.id for rule in RULES])}")
        self._levels: dict[str, Level] = {}
        for rule in RULES:
            general = named.get(ALL, rule.level)
            if rule.advice and general == "error":
                general = rule.level
            self._levels[rule.id] = named.get(rule.id, general)  # type: ignore[assignment]
        self.sent, self.received = self._by_step("sent"), self._by_step("received")
        """What is on, by the type of the step at which it looks."""

    def __getitem__(self, rule: str) -> Level:
        return self._levels[rule]

    def _by_step(self, way: str) -> dict[str, tuple[Rule, ...]]:
        from replay.findings.rules.table import RULES

        steps: dict[str, tuple[Rule, ...]] = {}
        for rule in RULES:
            for key in rule.on if self._levels[rule.id] != "off" else ():
                side, _, type = key.rpartition(" ")
                if side in ("", way):
                    steps[type] = (*steps.get(type, ()), rule)
        return steps

    @property
    def silent(self) -> bool:
        """Nothing is on."""
        return set(self._levels.values()) == {"off"}


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]!r}?" if near else f"; the rules are {', '.join(known)}"
