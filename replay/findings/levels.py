"""Which rules are on, and at which level."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

from replay.cassette.records import Way
from replay.findings.call import ITEM
from replay.findings.finding import LEVELS, Level
from replay.findings.rules.table import RULES, Rule

Setting = str | Mapping[str, str] | None
"""One level for all rules, levels by rule id, or None for each rule's default."""
ALL = "all"
"""In a mapping: the level of the rules that it does not name."""


def setting(general: str | None, named: Iterable[str]) -> Setting:
    """A Setting from a command line: a level for all rules, and `RULE=LEVEL` for single ones.

    Raises ValueError for a text that is not `RULE=LEVEL`. Levels checks the names.
    """
    levels = {} if general is None else {ALL: general}
    for each in named:
        rule, given, level = each.partition("=")
        if not given:
            raise ValueError(f"findings: {each!r} is not RULE=LEVEL; a level is one of {', '.join(LEVELS)}")
        levels[rule] = level
    return levels


class Levels:
    """The level of each rule.

    `setting`: one level for all rules, or a mapping of rule ids to levels in which `all` stands for the other rules. A
    level for all rules does not raise an advisory rule to `error`. `write_tools`: names or patterns (`book_*`) of the
    tools with side effects; None guesses them from the verb in their names. Raises ValueError for an unknown level or
    rule.
    """

    def __init__(self, setting: Setting = None, write_tools: Iterable[str] | None = None) -> None:
        self.write_tools = None if write_tools is None else tuple(write_tools)
        given: Mapping[str, str] = {ALL: setting} if isinstance(setting, str) else setting or {}
        ids = [rule.id for rule in RULES]
        for name, level in given.items():
            _checked(level)
            if name != ALL and name not in ids:
                near = difflib.get_close_matches(name, ids, 1)
                hint = f"; did you mean {near[0]!r}?" if near else "; docs/findings.md lists the rules"
                raise ValueError(f"findings: there is no rule {name!r}{hint}")
        self._levels: dict[str, Level] = {}
        for rule in RULES:
            general = _checked(given.get(ALL, rule.level))
            if rule.advice and general == "error":
                general = rule.level
            self._levels[rule.id] = _checked(given.get(rule.id, general))
        self.silent = set(self._levels.values()) == {"off"}
        """Whether every rule is off."""
        self.sent, self.received = self._by_step("sent"), self._by_step("received")
        """The rules that are on, by the type of the step at which they look."""
        self.sent_items = {
            kind.removeprefix(f"{ITEM} "): self.sent.pop(kind)
            for kind in list(self.sent)
            if kind.startswith(f"{ITEM} ")
        }
        """The rules for an item that the client creates, by its type: those for all items, and those for this type.
        Items of other types have the rules of `sent`."""

    def __getitem__(self, rule: str) -> Level:
        return self._levels[rule]

    def _by_step(self, way: Way) -> dict[str, tuple[Rule, ...]]:
        looks = [
            (rule, {key.removeprefix(f"{way} ") for key in rule.on}) for rule in RULES if self._levels[rule.id] != "off"
        ]
        kinds = {kind for _, at in looks for kind in at if not kind.startswith(("sent ", "received "))}
        return {kind: tuple(rule for rule, at in looks if kind in at or kind.partition(" ")[0] in at) for kind in kinds}


def _checked(level: str) -> Level:
    for known in LEVELS:
        if level == known:
            return known
    raise ValueError(f"findings: {level!r} is no level; use {', '.join(LEVELS)}")
