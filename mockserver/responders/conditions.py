"""Conditions of rules: as their author writes them, and compiled.

A condition tests one turn and the remembered values; it changes neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from mockserver.documents.problems import DocumentError, Keys, Problems, advice, quoted
from mockserver.responders.base import Turn
from mockserver.responders.captures.kinds import Choice, Kind, Reading, kind_of
from replay.slow_patterns import slow_part

VARIABLES = frozenset({"says", "match", "result", "results", "arguments", "calls", "turn", "pressed"})
"""Variables of every template, besides the named groups of the rule's pattern, captures and remembered values."""

MATCHED_CHARACTERS = 1_000
"""Patterns match this many first characters of what was said, or of a result's error. This bounds the time."""
MATCHED_INSTRUCTIONS = 6_000
"""Likewise of the instructions."""


class ScenarioError(DocumentError):
    """A scenario that cannot be used: its problems, each with its place, the expected and the found value."""


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
    pressed: bool | str | None = None
    """Keys of the telephone that the caller pressed since the last response, all of them; True is any."""


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
        """Whether it waits for a tool result, for silence or for keys, not for words."""
        if self.when.tool is not None or self.when.silence or self.when.pressed:
            return True
        return bool(self.any) and all(each.answers_event for each in self.any)

    def holds(self, scene: Scene) -> bool:
        """Whether all parts hold in a turn."""
        turn, when = scene.turn, self.when
        if self.says is not None and (turn.says is None or self.says.search(turn.says[:MATCHED_CHARACTERS]) is None):
            return False
        if when.tool is not None and all(result.name != when.tool for result in turn.results):
            return False
        if when.silence and not turn.silence:
            return False
        if when.pressed is not None and when.pressed != (
            turn.pressed if isinstance(when.pressed, str) else bool(turn.pressed)
        ):
            return False
        if self.failed is not None and not _failed(self.failed, scene.results.get(when.tool or "")):
            return False
        instructions = turn.instructions[:MATCHED_INSTRUCTIONS]
        if self.instructions is not None and self.instructions.search(instructions) is None:
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
            return self.says.search(scene.turn.says[:MATCHED_CHARACTERS])
        chosen = next((each for each in self.any if each.holds(scene)), None)
        return None if chosen is None else chosen.match(scene)

    def kinds(self) -> Iterator[Kind]:
        """All kinds that it can capture."""
        yield from self.captures.values()
        for each in self.any:
            yield from each.kinds()


ANYTHING = object()
"""The required value of a `known` name without one."""


def prepared(
    when: When, keys: Keys, problems: Problems, captures: Mapping[str, Kind], known: frozenset[str]
) -> Condition:
    """Compile a condition. `captures` are the scenario's, `known` the names that captures and rules remember."""
    if not isinstance(when, When):
        problems.add(keys, f"expected a When, got {type(when).__name__}")
        return Condition(When())
    given = (when.says, when.tool, when.silence or None, when.failed, when.instructions, when.unless, when.pressed)
    more = [each for each in (when.captures, when.known, when.any) if each]
    has = bool(more) or any(each is not None for each in given)
    if when.always and has:
        problems.add(keys, "`always` stands alone; leave out it or the rest")
    if not when.always and not has:
        problems.add(
            keys,
            "expected says, tool, pressed, silence, captures, known, instructions, not, any or always; "
            "to answer anything leave out `when`",
        )
    if when.failed is not None and when.tool is None:
        problems.add((*keys, "failed"), "whose result? Give `tool` beside it")
    if isinstance(when.pressed, str) and not _KEYS.fullmatch(when.pressed):
        problems.add((*keys, "pressed"), f"expected keys out of 0 to 9, *, #, A to D, got {quoted(when.pressed)}")
    says, failed, instructions = when.says, when.failed, when.instructions
    return Condition(
        when,
        None if says is None else pattern(says, (*keys, "says"), problems),
        pattern(failed, (*keys, "failed"), problems) if isinstance(failed, str) else failed,
        _captures(when.captures, (*keys, "captures"), problems, captures),
        _known(when.known, (*keys, "known"), problems, known),
        None if instructions is None else pattern(instructions, (*keys, "instructions"), problems),
        None if when.unless is None else prepared(when.unless, (*keys, "not"), problems, captures, known),
        tuple(prepared(each, (*keys, "any", i), problems, captures, known) for i, each in enumerate(when.any)),
    )


_KEYS = re.compile(r"[0-9*#A-D]+")
_JAVASCRIPT_GROUP = re.compile(r"\(\?<(?![=!])")
_UNKNOWN_ESCAPE = re.compile(r"bad escape (\\.)")


def pattern(text: str, keys: Keys, problems: Problems) -> re.Pattern[str] | None:
    """Compile a regular expression that ignores case; None if it is invalid, or slow on some texts."""
    key = str(keys[-1]) if keys else "says"
    if "\b" in text:
        line = f"{key}: '{text.replace(chr(8), chr(92) + 'b')}'"
        problems.add(keys, "\\b in double quotes is a backspace, not the edge of a word; use single quotes", line)
        return None
    try:
        compiled = re.compile(text, re.IGNORECASE)
    except re.error as bad:
        at = "" if bad.pos is None else f" at character {bad.pos + 1}"
        if _JAVASCRIPT_GROUP.search(text):
            said = "(?<name>...) is JavaScript; Python writes a named group (?P<name>...)"
            problems.add(keys, f"bad pattern{at}: {said}", f"{key}: '{_JAVASCRIPT_GROUP.sub('(?P<', text)}'")
        else:
            problems.add(keys, f"bad pattern{at}: {bad.msg}{_hint(bad.msg)}")
        return None
    except (OverflowError, RecursionError, Warning) as bad:
        problems.add(keys, f"bad pattern: {bad}")
        return None
    if taken := VARIABLES & set(compiled.groupindex):
        problems.add(keys, f"the group name {quoted(min(taken))} is a variable already; choose another")
    characters = MATCHED_INSTRUCTIONS if key in ("instructions", "today") else MATCHED_CHARACTERS
    if (slow := slow_part(text, characters)) is not None:
        problems.add(keys, f"slow pattern: {slow}")
        return None
    return compiled


def _hint(message: str) -> str:
    if "nothing to repeat" in message or "multiple repeat" in message:
        return "; to match the sign itself, write a backslash before it, such as '\\?' in single quotes"
    if "unterminated" in message or "missing )" in message or "unbalanced" in message:
        return "; to match a bracket itself, write a backslash before it, such as '\\(' in single quotes"
    if _UNKNOWN_ESCAPE.search(message):
        return "; Python's patterns do not know this escape"
    return ""


def kinds(given: Mapping[str, object], keys: Keys, problems: Problems) -> dict[str, Kind]:
    """Captures as kinds, by name."""
    found: dict[str, Kind] = {}
    for name, kind in given.items():
        check_name(name, (*keys, name), problems)
        try:
            found[name] = kind_of(kind)
        except ValueError as bad:
            problems.add((*keys, name), str(bad))
    return found


def check_name(name: str, keys: Keys, problems: Problems) -> None:
    """Report a name that cannot be a template variable, or is one already."""
    if not name.isidentifier():
        problems.add(keys, f"expected a name of letters, figures and _, got {quoted(name)}", at_key=True)
    elif name in VARIABLES:
        problems.add(keys, f"{quoted(name)} is a variable already; choose another", at_key=True)


def capture_names(when: When | None) -> Iterator[str]:
    """All names that a condition can capture, as far as it is well-formed."""
    if isinstance(when, When):
        yield from when.captures
        for each in when.any:
            yield from capture_names(each)


def _captures(
    given: Mapping[str, object] | Sequence[str], keys: Keys, problems: Problems, captures: Mapping[str, Kind]
) -> dict[str, Kind]:
    if isinstance(given, Mapping):
        return kinds(given, keys, problems)
    found: dict[str, Kind] = {}
    for i, name in enumerate(given):
        if name in captures:
            found[name] = captures[name]
            continue
        there = f"the scenario captures {', '.join(captures)}" if captures else "the scenario has no `captures`"
        problems.add((*keys, i), f"nothing captures {quoted(name)}; {there}; or give it a kind here")
    return found


def _known(
    given: Mapping[str, object] | Sequence[str], keys: Keys, problems: Problems, known: frozenset[str]
) -> dict[str, object]:
    wanted = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, ANYTHING)
    for i, name in enumerate(wanted):
        if name not in known:
            there = f"remembered here: {', '.join(sorted(known))}" if known else "give it to `captures` or `remember`"
            place = (*keys, name if isinstance(given, Mapping) else i)
            near = advice(name, sorted(known)) if known else ""
            problems.add(place, f"nothing remembers {quoted(name)}; {near if near.startswith('did') else there}")
    return wanted


def _failed(wanted: re.Pattern[str] | bool, result: object) -> bool:
    """Whether a result has the wanted error, under the key `error`."""
    error = result.get("error") if isinstance(result, Mapping) else None
    if isinstance(wanted, bool):
        return bool(error) is wanted
    return bool(error) and wanted.search(str(error)[:MATCHED_CHARACTERS]) is not None


def words_of_choices(given: Iterator[Kind]) -> frozenset[str]:
    """All words of all choices; they are not names."""
    return frozenset(word for kind in given if isinstance(kind, Choice) for word in kind.words)
