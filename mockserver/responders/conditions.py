"""Conditions of rules: as their author writes them, and compiled.

A condition tests one turn and the remembered values; it changes neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from mockserver.documents.reader import Keys, Where
from mockserver.responders.base import Turn
from mockserver.responders.captures.kinds import Choice, Kind, Reading, kind_of

VARIABLES = frozenset({"says", "match", "result", "results", "arguments", "calls", "turn"})
"""Variables of every template, besides the named groups of the rule's pattern, captures and remembered values."""


class ScenarioError(ValueError):
    """A scenario that cannot be used: one line with the place, the expected and the found value."""


@dataclass(frozen=True, slots=True)
class When:
    """The condition of a rule; all given parts must hold. `says` is a regular expression; case does not matter."""

    says: str | None = None
    tool: str | None = None
    """The turn contains a result of this function."""
    silence: bool = False
    """The idle timeout requests the response."""
    always: bool = False
    """Always holds, like no condition."""
    failed: bool | str | None = None
    """Whether the tool's result has a non-empty `error`, or a pattern that the error matches."""
    captures: Mapping[str, object] | Sequence[str] = ()
    """Values that the user said in this turn: kinds by name, or names of the scenario's captures."""
    known: Mapping[str, object] | Sequence[str] = ()
    """Remembered values: names, or names with the required values."""
    instructions: str | None = None
    """A pattern that the instructions of the response match, or those of the session if it has none."""
    unless: When | None = None
    """A condition that must not hold; the key `not` of a file."""
    any: Sequence[When] = ()
    """Conditions of which at least one must hold."""


class Scene:
    """One turn, for conditions. Its text is read once per kind, and only if a condition captures."""

    def __init__(
        self,
        turn: Turn,
        results: Mapping[str, object],
        memory: Mapping[str, object],
        today: date,
        others: frozenset[str] = frozenset(),
    ) -> None:
        self.turn = turn
        self.results = results
        """The latest result of each function."""
        self.memory = memory
        self._others = others
        self._reading = None if turn.says is None else Reading(turn.says, today)
        self._values: dict[int, object] = {}

    def captured(self, kind: Kind) -> object:
        """The value of this kind in this turn, or None."""
        if self._reading is None:
            return None
        if id(kind) not in self._values:
            self._values[id(kind)] = self._reading.value(kind, self._others)
        return self._values[id(kind)]

    def said(self, captures: Mapping[str, Kind]) -> dict[str, object]:
        """The values of these kinds in this turn, by name; kinds without a value are left out."""
        values = {name: self.captured(kind) for name, kind in captures.items()}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Condition:
    """A compiled condition."""

    when: When
    says: re.Pattern[str] | None = None
    failed: re.Pattern[str] | bool | None = None
    captures: Mapping[str, Kind] = field(default_factory=dict)
    known: Mapping[str, object] = field(default_factory=dict)
    instructions: re.Pattern[str] | None = None
    unless: Condition | None = None
    any: tuple[Condition, ...] = ()

    @property
    def answers_event(self) -> bool:
        """Whether it waits for a tool result or for silence, not for words."""
        if self.when.tool is not None or self.when.silence:
            return True
        return bool(self.any) and all(each.answers_event for each in self.any)

    def holds(self, scene: Scene) -> bool:
        """Whether all parts hold in a turn."""
        turn, when = scene.turn, self.when
        if self.says is not None and (turn.says is None or self.says.search(turn.says) is None):
            return False
        if when.tool is not None and all(result.name != when.tool for result in turn.results):
            return False
        if when.silence and not turn.silence:
            return False
        if self.failed is not None and not _failed(self.failed, scene.results.get(when.tool or "")):
            return False
        if self.instructions is not None and self.instructions.search(turn.instructions) is None:
            return False
        for name, value in self.known.items():
            if name not in scene.memory or (value is not ANYTHING and scene.memory[name] != value):
                return False
        if any(scene.captured(kind) is None for kind in self.captures.values()):
            return False
        if self.unless is not None and self.unless.holds(scene):
            return False
        return not self.any or any(each.holds(scene) for each in self.any)

    def said(self, scene: Scene) -> dict[str, object]:
        """The captured values, by name; of `any`, those of its first condition that holds."""
        found = scene.said(self.captures)
        chosen = next((each for each in self.any if each.holds(scene)), None)
        return found if chosen is None else found | chosen.said(scene)

    def match(self, scene: Scene) -> re.Match[str] | None:
        """The match of its pattern, or that of the first condition of `any` that holds."""
        if self.says is not None and scene.turn.says is not None:
            return self.says.search(scene.turn.says)
        chosen = next((each for each in self.any if each.holds(scene)), None)
        return None if chosen is None else chosen.match(scene)

    def kinds(self) -> Iterator[Kind]:
        """All kinds that it can capture."""
        yield from self.captures.values()
        for each in self.any:
            yield from each.kinds()


ANYTHING = object()
"""The required value of a `known` name without one."""


def prepared(when: When, keys: Keys, where: Where, captures: Mapping[str, Kind], known: frozenset[str]) -> Condition:
    """Compile a condition. `captures` are the scenario's, `known` the names that captures and rules remember.

    Raises ScenarioError.
    """
    if not isinstance(when, When):
        raise ScenarioError(f"{where(keys)}: expected a When, got {type(when).__name__}")
    given = (when.says, when.tool, when.silence or None, when.failed, when.instructions, when.unless)
    more = [each for each in (when.captures, when.known, when.any) if each]
    has = bool(more) or any(each is not None for each in given)
    if when.always and has:
        raise ScenarioError(f"{where(keys)}: `always` stands alone; leave out it or the rest")
    if not when.always and not has:
        raise ScenarioError(
            f"{where(keys)}: expected says, tool, silence, captures, known, instructions, not, any or always; "
            "to answer anything leave out `when`"
        )
    if when.failed is not None and when.tool is None:
        raise ScenarioError(f"{where((*keys, 'failed'))}: whose result? Give `tool` beside it")
    return Condition(
        when,
        None if when.says is None else pattern(when.says, where((*keys, "says"))),
        pattern(when.failed, where((*keys, "failed"))) if isinstance(when.failed, str) else when.failed,
        _captures(when.captures, (*keys, "captures"), where, captures),
        _known(when.known, (*keys, "known"), where, known),
        None if when.instructions is None else pattern(when.instructions, where((*keys, "instructions"))),
        None if when.unless is None else prepared(when.unless, (*keys, "not"), where, captures, known),
        tuple(prepared(each, (*keys, "any", i), where, captures, known) for i, each in enumerate(when.any)),
    )


def pattern(text: str, place: str) -> re.Pattern[str]:
    """Compile a regular expression that ignores case. Raises ScenarioError if it is invalid."""
    try:
        compiled = re.compile(text, re.IGNORECASE)
    except re.error as bad:
        at = "" if bad.pos is None else f" at character {bad.pos + 1}"
        raise ScenarioError(f"{place}: bad pattern{at}: {bad.msg}") from None
    except (OverflowError, RecursionError, Warning) as bad:
        raise ScenarioError(f"{place}: bad pattern: {bad}") from None
    if taken := VARIABLES & set(compiled.groupindex):
        raise ScenarioError(f"{place}: the group name {min(taken)!r} is a variable already; choose another")
    return compiled


def kinds(given: Mapping[str, object], keys: Keys, where: Where) -> dict[str, Kind]:
    """Captures as kinds, by name. Raises ScenarioError."""
    found: dict[str, Kind] = {}
    for name, kind in given.items():
        check_name(name, where((*keys, name)))
        try:
            found[name] = kind_of(kind)
        except ValueError as bad:
            raise ScenarioError(f"{where((*keys, name))}: {bad}") from None
    return found


def check_name(name: str, place: str) -> None:
    """Raise ScenarioError if a name cannot be a template variable, or is one already."""
    if not name.isidentifier():
        raise ScenarioError(f"{place}: expected a name of letters, figures and _, got {name!r}")
    if name in VARIABLES:
        raise ScenarioError(f"{place}: {name!r} is a variable already; choose another")


def capture_names(when: When | None) -> Iterator[str]:
    """All names that a condition can capture, as far as it is well-formed."""
    if isinstance(when, When):
        yield from when.captures
        for each in when.any:
            yield from capture_names(each)


def _captures(
    given: Mapping[str, object] | Sequence[str], keys: Keys, where: Where, captures: Mapping[str, Kind]
) -> dict[str, Kind]:
    if isinstance(given, Mapping):
        return kinds(given, keys, where)
    found: dict[str, Kind] = {}
    for i, name in enumerate(given):
        if name not in captures:
            there = f"the scenario captures {', '.join(captures)}" if captures else "the scenario has no `captures`"
            raise ScenarioError(f"{where((*keys, i))}: nothing captures {name!r}; {there}; or give it a kind here")
        found[name] = captures[name]
    return found


def _known(
    given: Mapping[str, object] | Sequence[str], keys: Keys, where: Where, known: frozenset[str]
) -> dict[str, object]:
    wanted = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, ANYTHING)
    for i, name in enumerate(wanted):
        if name not in known:
            there = f"remembered here: {', '.join(sorted(known))}" if known else "give it to `captures` or `remember`"
            place = where((*keys, name if isinstance(given, Mapping) else i))
            raise ScenarioError(f"{place}: nothing remembers {name!r}; {there}")
    return wanted


def _failed(wanted: re.Pattern[str] | bool, result: object) -> bool:
    """Whether a result has the wanted error, under the key `error`."""
    error = result.get("error") if isinstance(result, Mapping) else None
    if isinstance(wanted, bool):
        return bool(error) is wanted
    return bool(error) and wanted.search(str(error)) is not None


def words_of_choices(given: Iterator[Kind]) -> frozenset[str]:
    """All words of all choices; they are not names."""
    return frozenset(word for kind in given if isinstance(kind, Choice) for word in kind.words)
