"""Regular expressions that a hostile text makes slow, found from the parsed pattern before any text comes.

Python's `re` backtracks. It tries each way to split a text among repetitions, before it says that nothing matches.
Two kinds are refused: loops in which one text has several ways through, where the ways double with each character;
and rows of repetitions that match one another's text, where they multiply. The steps of the second kind are an
estimate. A back-reference counts as any text of its group's characters.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from itertools import combinations, product
from math import factorial, prod
from typing import Any

if sys.version_info >= (3, 11):
    from re import _parser as parser
else:
    import sre_parse as parser

MOST_STEPS = 5_000_000
"""Estimated steps of one search that an allowed pattern takes at most; a step takes about 10 ns."""
MANY = 10
"""Repetitions from which a bounded loop counts like an endless one."""
_MOST_POSITIONS = 400
"""Characters in the body of a loop; a longer body is not analysed, and refused if it repeats something itself."""

_MOST_STATES = 32
"""Ways through alternatives that are followed to the end of a pattern: those with the most steps so far."""
_MOST_TRIED = 200_000
"""Pairs of ways that the analysis of a loop tries; a loop that needs more is refused."""

Node = tuple[Any, Any]
"""An operation of the standard library's parser with its argument; the standard library gives them no type."""
Characters = frozenset[str]
_ANY_OF = "ANY_OF"
"""The operation, of this module, that matches one of these characters."""

_ALPHABET: Characters = frozenset(map(chr, range(128))) | frozenset("\xa0éß’…ſ日Ωж")
"""Stands for all characters: patterns differ in ASCII; the rest are one of each kind."""
_WORD: Characters = frozenset(each for each in _ALPHABET if each.isalnum() or each == "_")
_CATEGORIES = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


@lru_cache(maxsize=2_000)
def slow_part(pattern: str, characters: int) -> str | None:
    """What makes this valid pattern slow on a text of so many characters, ignoring case, and what to write; or None."""
    nodes = _parsed(pattern)
    if any(_doubles(loop) for loop in _loops(nodes)):
        part = next((piece for piece in _pieces(pattern) if _is_ambiguous(piece)), pattern)
        return (
            f"{_shown(part)} can match one text in very many ways, and takes minutes on some texts; repeat one thing "
            "only, such as \\w+ or (?:a|b)+, or let each repetition begin with a sign of its own, such as (?:, \\w+)*"
        )
    if _steps(nodes, characters) > MOST_STEPS:
        if pattern.startswith(".*") and _steps(nodes[1:], characters) <= MOST_STEPS:
            return f"the .* at the start makes it slow, and changes nothing; write {_shown(pattern[2:].lstrip('?'))}"
        return (
            "its repetitions match one another's text, and take seconds on some texts; bound them, such as .{0,30} "
            "instead of .*, or write ^ and one (?=.*word) for each word, such as ^(?=.*red)(?=.*blue)"
        )
    return None


def _parsed(pattern: str) -> list[Node]:
    tree: Any = parser.parse(pattern, re.IGNORECASE)
    return _without_references(list(tree), {})


def _without_references(nodes: Sequence[Node], groups: dict[int, list[Node]]) -> list[Node]:
    """The nodes with each back-reference as what its group can match: so many characters, or one and more."""
    found: list[Node] = []
    for op, value in nodes:
        match str(op):
            case "GROUPREF":
                found += groups.get(value, [])
                continue
            case "SUBPATTERN":
                group, *flags, body = value
                least, most = body.getwidth()
                inside = _without_references(list(body), groups)
                if group is not None:
                    automaton = _Automaton()
                    automaton.sequence(inside)
                    one = (_ANY_OF, frozenset[str]().union(*automaton.characters))
                    fixed = least == most and least < MANY
                    groups[group] = [one] * least if fixed else [("MAX_REPEAT", (min(least, 1), MANY**9, [one]))]
                value = (group, *flags, inside)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                value = (*value[:2], _without_references(list(value[2]), groups))
            case "ASSERT" | "ASSERT_NOT":
                value = (value[0], _without_references(list(value[1]), groups))
            case "ATOMIC_GROUP":
                value = _without_references(list(value), groups)
            case "BRANCH":
                value = (value[0], [_without_references(list(each), groups) for each in value[1]])
            case "GROUPREF_EXISTS":
                value = (value[0], *(_without_references(list(each or ()), groups) for each in value[1:]))
            case _:
                pass
        found.append((op, value))
    return found


def _shown(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def _characters(node: Node) -> Characters | None:
    """The characters that a node for one character matches, in lower case; None for other nodes."""
    name, value = str(node[0]), node[1]
    match name:
        case "ANY_OF":
            return frozenset(value)
        case "LITERAL":
            return frozenset(chr(value).lower())
        case "NOT_LITERAL":
            return _ALPHABET - {chr(value).lower()}
        case "ANY":
            return _ALPHABET
        case "IN":
            negated = any(str(kind) == "NEGATE" for kind, _ in value)
            found = frozenset[str]().union(*(_member(str(kind), item) for kind, item in value))
            return _ALPHABET - found if negated else found
        case _:
            return None


def _member(kind: str, value: Any) -> Characters:
    match kind:
        case "LITERAL":
            return frozenset(chr(value).lower())
        case "RANGE":
            first, last = value
            ends = {chr(first).lower(), chr(last).lower()}
            return frozenset(each.lower() for each in _ALPHABET if first <= ord(each) <= last) | ends
        case "CATEGORY":
            *_, no, category = ("", *str(value).split("_"))
            matcher = re.compile(_CATEGORIES.get(category, r"\w"))
            return frozenset(each for each in _ALPHABET if (matcher.match(each) is None) is (no == "NOT"))
        case _:
            return frozenset()


def _bodies(node: Node) -> list[list[Node]]:
    """The sequences inside a node, one after another or instead of one another."""
    name, value = str(node[0]), node[1]
    match name:
        case "SUBPATTERN" | "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return [list(value[-1])]
        case "ASSERT" | "ASSERT_NOT":
            return [list(value[1])]
        case "ATOMIC_GROUP":
            return [list(value)]
        case "BRANCH":
            return [list(each) for each in value[1]]
        case "GROUPREF_EXISTS":
            return [list(value[1]), list(value[2] or ())]
        case _:
            return []


def _loops(nodes: Sequence[Node]) -> Iterator[Node]:
    """All loops that backtrack, also those in look-arounds and in other loops."""
    for node in nodes:
        if str(node[0]) in ("MAX_REPEAT", "MIN_REPEAT") and node[1][1] >= MANY:
            yield node
        for body in _bodies(node):
            yield from _loops(body)


@dataclass(frozen=True, slots=True)
class _Shape:
    """A part as an automaton: the positions that can be first and last, as often as there are ways to them, and the
    ways to match nothing at all, counted up to 2."""

    first: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    empty: int = 1


class _Automaton:
    """Positions of a loop's characters, with the ways from one to the next; two ways count twice."""

    def __init__(self) -> None:
        self.characters: list[Characters] = []
        self.ways: Counter[tuple[int, int]] = Counter()

    def sequence(self, nodes: Sequence[Node]) -> _Shape:
        return reduce(self._then, map(self.part, nodes), _Shape())

    def part(self, node: Node) -> _Shape:
        """Add a node."""
        if len(self.characters) > _MOST_POSITIONS:
            return _Shape()
        if (characters := _characters(node)) is not None:
            self.characters.append(characters)
            here = (len(self.characters) - 1,)
            return _Shape(here, here, 0)
        name, value = str(node[0]), node[1]
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            return self._repeated(*value)
        if name in ("BRANCH", "GROUPREF_EXISTS"):
            shapes = [self.sequence(body) for body in _bodies(node)]
            first = tuple(each for shape in shapes for each in shape.first)
            last = tuple(each for shape in shapes for each in shape.last)
            return _Shape(first, last, min(2, sum(shape.empty for shape in shapes)))
        if name in ("SUBPATTERN", "ATOMIC_GROUP", "POSSESSIVE_REPEAT"):
            return self.sequence(_bodies(node)[0])
        return _Shape()  # an edge or a look-around

    def _repeated(self, least: int, most: int, nodes: Sequence[Node]) -> _Shape:
        shape = self.sequence(nodes)
        if least == most and least < MANY:  # as often as it says, so that (?:\d{2})* has one way
            for _ in range(least - 1):
                shape = self._then(shape, self.sequence(nodes))
        elif most > 1:
            self.ways.update((last, first) for last in shape.last for first in shape.first)
        return replace(shape, empty=min(2, shape.empty * min(most, 2) + (least == 0)))

    def _then(self, one: _Shape, two: _Shape) -> _Shape:
        self.ways.update((last, first) for last in one.last for first in two.first)
        first = one.first + two.first * one.empty
        last = two.last + one.last * two.empty
        return _Shape(first, last, min(2, one.empty * two.empty))

    def is_ambiguous(self) -> bool:
        """Whether a text leads from some position back to it in two ways."""
        after: dict[int, list[int]] = {}
        for (last, first), ways in self.ways.items():
            if ways > 1 and self._reaches(first, last):
                return True
            after.setdefault(last, []).append(first)
        tried = 0
        for (
            start
        ) in after:  # follow pairs of positions that one text reaches, from the pair of this position with itself
            todo, seen = [(start, start)], {(start, start)}
            while todo:
                pair = todo.pop()
                for one, two in product(after.get(pair[0], ()), after.get(pair[1], ())):
                    tried += 1
                    if tried > _MOST_TRIED:
                        return True
                    if one == two and pair[0] != pair[1] and self._reaches(one, start):
                        return True
                    following = (min(one, two), max(one, two))
                    if (
                        one != two
                        and following not in seen
                        and not self.characters[one].isdisjoint(self.characters[two])
                    ):
                        seen.add(following)
                        todo.append(following)
        return False

    def _reaches(self, start: int, end: int) -> bool:
        todo, seen = [start], {start}
        while todo:
            here = todo.pop()
            if here == end:
                return True
            following = {first for (last, first) in self.ways if last == here} - seen
            seen |= following
            todo += following
        return False


def _doubles(loop: Node) -> bool:
    """Whether the ways through a loop double with the length of the text."""
    (body,) = _bodies(loop)
    if len(body) == 1 and _characters(body[0]) is not None:
        return False
    automaton = _Automaton()
    automaton.part(loop)
    if len(automaton.characters) > _MOST_POSITIONS:
        return any(True for _ in _loops(body))
    return automaton.is_ambiguous()


_QUANTIFIER = re.compile(r"(?:[*+?]|\{\d*,?\d*\})[?+]?")
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.DOTALL)


def _pieces(pattern: str) -> Iterator[str]:
    """The groups of a pattern with what repeats them, the innermost first."""
    opened: list[int] = []
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            opened.append(token.start())
        elif token[0] == ")" and opened:
            start = opened.pop()
            if (quantifier := _QUANTIFIER.match(pattern, token.end())) is not None:
                yield pattern[start : quantifier.end()]


def _is_ambiguous(piece: str) -> bool:
    try:
        return any(_doubles(loop) for loop in _loops(_parsed(piece)))
    except (re.error, OverflowError, RecursionError):  # a part that refers to another one
        return False


@dataclass(frozen=True, slots=True)
class _Open:
    """A choice that backtracking may revise: how many ways it has, and what it matches."""

    characters: Characters
    ways: int
    after: tuple[Characters, ...] = ()
    """The required characters behind it, up to the next choice."""

    def count(self) -> float:
        """Its ways, less those where what comes behind cannot begin: `monday` begins at each sixth character."""
        shifts = range(1, len(self.after))
        period = next(
            (n for n in shifts if all(not a.isdisjoint(b) for a, b in zip(self.after, self.after[n:], strict=False))),
            max(1, len(self.after)),
        )
        return max(1.0, self.ways / period)

    def multiplies(self, later: _Open) -> bool:
        """Whether a later choice can match the text of this one again, with what is required between them."""
        return not any(later.characters.isdisjoint(each) for each in (self.characters, *self.after))


def _together(choices: Sequence[_Open]) -> float:
    """The ways of choices together. Those that need different words share the text among them."""
    *earlier, last = choices
    counted = [each for i, each in enumerate(earlier) if any(map(each.multiplies, choices[i + 1 :]))]
    differ = all(
        any(a.isdisjoint(b) for a, b in zip(one.after, two.after, strict=False))
        for one, two in combinations(counted, 2)
    )
    n = 1 + sum(each.ways > MANY for each in counted)
    return last.ways * prod(each.count() for each in counted) / (n**n if differ and n > 2 else factorial(n))


@dataclass(frozen=True, slots=True)
class _Search:
    """The choices that are open at one place of a pattern, and the most steps at any place so far."""

    open: tuple[_Open, ...]
    worst: float = 1.0

    def ways(self) -> float:
        """The most ways of choices that match one another's text, up to any of them."""
        return max((_together(self.open[:i]) for i in range(1, len(self.open) + 1)), default=1.0)

    def required(self, characters: Characters) -> _Search:
        """A character that must follow: choices that cannot match it are settled. It may fail."""
        worst = max(self.worst, self.ways())
        still = [each for each in self.open if not each.characters.isdisjoint(characters)]
        if still and (still[-1] is self.open[-1]):
            still[-1] = replace(still[-1], after=(*still[-1].after, characters))
        return _Search(tuple(still), worst)


Searches = tuple[_Search, ...]


def _steps(nodes: Sequence[Node], characters: int) -> float:
    """About how many steps a search in so many characters takes at most."""
    anchored = bool(nodes) and str(nodes[0][0]) == "AT" and str(nodes[0][1]) in ("AT_BEGINNING", "AT_BEGINNING_STRING")
    start = () if anchored else (_Open(_ALPHABET, characters),)
    return _worst(_through(nodes, (_Search(start),), characters))


def _worst(searches: Iterable[_Search]) -> float:
    return max(each.worst for each in searches)


def _through(nodes: Sequence[Node], searches: Searches, n: int) -> Searches:
    for node in nodes:
        searches = _apart(after for search in searches for after in _past(node, search, n))
    return searches


def _apart(searches: Iterable[_Search]) -> Searches:
    """Those that differ in their choices; of equal ones the one with the most steps so far."""
    found: dict[tuple[tuple[Characters, int], ...], _Search] = {}
    worst = 1.0
    for each in searches:
        choices = tuple((choice.characters, choice.ways) for choice in each.open)
        worst = max(worst, each.worst)
        known = found.get(choices)
        if known is None or each.ways() > known.ways():
            found[choices] = each
    most = sorted(found.values(), key=_Search.ways, reverse=True)[:_MOST_STATES]
    return tuple(replace(each, worst=worst) for each in most)


def _past(node: Node, search: _Search, n: int) -> Searches:
    """The searches behind a node: one for each way through its alternatives."""
    if (characters := _characters(node)) is not None:
        return (search.required(characters),)
    name, value = str(node[0]), node[1]
    match name:
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, body = value
            one_character = len(body) == 1 and _characters(body[0]) is not None
            if most < MANY and not one_character:
                searches: Searches = (search,)
                for turn in range(most):
                    once = _through(body, searches, n)
                    searches = once if turn < least else _apart((*searches, *once))
                return searches
            inside: Searches = (search,)
            for _ in range(min(least, MANY) if one_character else 1):
                inside = _through(body, inside, n)
            if most == least and one_character:
                return inside
            automaton = _Automaton()
            automaton.sequence(body)
            union = frozenset[str]().union(*automaton.characters)
            opened = [each for each in search.open if not least or not each.characters.isdisjoint(union)]
            choice = _Open(union, min(most - least + 1, n))
            return (_Search((*opened, choice), max(search.worst, _worst(inside))),)
        case "ASSERT" | "ASSERT_NOT" | "ATOMIC_GROUP" | "POSSESSIVE_REPEAT":
            (body,) = _bodies(node)
            return (replace(search, worst=max(search.worst, _worst(_through(body, (search,), n)))),)
        case "AT" if str(value) == "AT_BOUNDARY":  # a run of words or of other signs ends here, and only here
            still = tuple(
                each for each in search.open if not (each.characters <= _WORD or each.characters.isdisjoint(_WORD))
            )
            return (_Search(still, max(search.worst, search.ways())),)
        case "AT":
            return (replace(search, worst=max(search.worst, search.ways())),)
        case _:
            return _apart(after for body in _bodies(node) for after in _through(body, (search,), n)) or (search,)
