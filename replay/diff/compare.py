"""Compares two conversations: server events aligned by meaning, then compared path by path.

It compares normal forms (normal_form.py), so the differences are of form. It does not judge whether a conversation
makes sense, and it compares neither audio nor wording.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, Literal

from replay.cassette.json_text import Event
from replay.cassette.may_differ import Ignored
from replay.diff.align import Pair, align
from replay.diff.audio_runs import Normal
from replay.diff.normal_form import normalize
from replay.diff.numbers import SECONDS, SPOKEN_TOKENS, Basis, differ, spoken_tokens
from replay.diff.placeholders import ABSENT, Placeholder, form, json_type

Kind = Literal["added", "missing", "reordered", "type", "value", "number", "keys", "order"]

_WORDING = frozenset(("text", "transcript", "arguments", "output", "delta", "instructions", "description"))
"""Fields that hold words."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    `kind`: an event or list element is `added`, `missing` or `reordered`; a key exists on one side only (`keys`) or in
    another position (`order`); a value has another JSON `type`, or the same type and another `value`, or is a `number`
    that is too far off (numbers.py). `event`: the event's type. `path`: the place in the event, empty for the whole
    event. `expected`, `actual`: the values; ABSENT for a side that has none, placeholders for normalized ones. `at`:
    the index of the event in `actual`, for a missing one in `expected`.
    """

    kind: Kind
    event: str
    path: str
    expected: object
    actual: object
    at: int

    @property
    def is_wording(self) -> bool:
        """Whether the sides differ only in a text of the client or the model, not in what it refers to."""
        name = self.path.rpartition(".")[2]
        return (
            self.kind == "value" and name in _WORDING and all(isinstance(x, str) for x in (self.expected, self.actual))
        )

    def as_json(self) -> dict[str, object]:
        """The difference with each placeholder as its text."""
        return {
            "kind": self.kind,
            "event": self.event,
            "path": self.path,
            "expected": _plain(self.expected),
            "actual": _plain(self.actual),
            "at": self.at,
        }

    def __str__(self) -> str:
        return f"{self.kind:9} {self.path or '(event)'}: expected {_shown(self.expected)}, got {_shown(self.actual)}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences of two conversations in the order of the first. `values`: how many values were compared."""

    differences: tuple[Difference, ...]
    values: int

    @property
    def score(self) -> float:
        """The share of values that agree, from 0 to 1. It is 1 only without any difference."""
        wrong = sum(_weight(each) for each in self.differences)
        return max(0.0, 1 - wrong / max(1, self.values, wrong))

    @property
    def shown_score(self) -> str:
        """The score with three decimals, rounded down, so that 1.000 means no difference."""
        return f"{int(self.score * 1000) / 1000:.3f}"


def unless(differences: Sequence[Difference], may_differ: Ignored) -> list[Difference]:
    """The differences but for what may differ."""
    return [each for each in differences if not may_differ.covers(each.path, each.expected, each.actual)]


def compare(
    expected: Sequence[Event], actual: Sequence[Event], shared: frozenset[Basis] | None = None
) -> list[Difference]:
    """The differences between two conversations' server events, in the order of the first. Equal conversations give
    `[]`. See `compared`.
    """
    return list(compared(expected, actual, shared).differences)


def compared(expected: Sequence[Event], actual: Sequence[Event], shared: frozenset[Basis] | None = None) -> Comparison:
    """Compare two conversations' server events.

    Events are parsed JSON objects with their keys in wire order. Ids may differ but must refer to the same objects.
    `shared`: what the conversations have in common, so that numbers that depend on it count too; None leaves all
    numbers out. Never raises: a value that is no event is compared as it is.
    """
    pairs = align(normalize(expected), normalize(actual))
    same = _Correspondence(pairs)
    found: list[Difference] = []
    values = 0
    for pair in pairs:
        values += max(_count(pair.left.event) if pair.left else 0, _count(pair.right.event) if pair.right else 0)
        match pair.left, pair.right:
            case Normal() as left, Normal() as right:
                if pair.moved:
                    found.append(Difference("reordered", left.place[0], "", left.at, right.at, right.at))
                found += _between(left, right, same)
                if shared is not None and right.part != "rest":  # of later deltas one shape stands for all
                    numbers = _numbers(left.place[0], left.event, right.event, "", shared)
                    found += [replace(each, at=right.at) for each in numbers]
                    if "speech" not in shared and left.place[0] == "response.done":
                        found += [replace(each, at=right.at) for each in _other_speech(left.event, right.event)]
            case Normal() as left, None:
                found.append(Difference("missing", left.place[0], "", left.event, ABSENT, left.at))
            case None, Normal() as right:
                found.append(Difference("added", right.place[0], "", ABSENT, right.event, right.at))
            case _:
                pass
    return Comparison(tuple(found), values)


def _count(value: object) -> int:
    """How many values there are in a value: its leaves, and each empty object or list."""
    match value:
        case Mapping():
            return max(1, sum(map(_count, value.values())))
        case list():
            return max(1, sum(map(_count, value)))
        case _:
            return 1


def _weight(difference: Difference) -> int:
    """How many values are wrong: all of an event, element or key that is on one side only, else one."""
    if difference.kind == "reordered":
        return 1
    if difference.expected is ABSENT:
        return _count(difference.actual)
    return _count(difference.expected) if difference.actual is ABSENT else 1


def report(differences: Sequence[Difference]) -> str:
    """The differences as text, one line per path, grouped by event."""
    if not differences:
        return "no differences"
    lines = [f"{len(differences)} difference{'s'[: len(differences) > 1]}"]
    for (at, event), group in groupby(differences, key=lambda difference: (difference.at, difference.event)):
        lines.append(f"#{at} {event}")
        lines += [f"    {difference}" for difference in group]
    return "\n".join(lines)


def _between(left: Normal, right: Normal, same: _Correspondence) -> list[Difference]:
    """The differences of two paired events, and of the deviating shapes in either run."""
    kind = left.place[0]
    found = [replace(each, event=kind, at=right.at) for each in _values(left.event, right.event, "", same)]
    for stray in _unknown(right, left):
        found += [replace(each, event=kind, at=stray.at) for each in _values(left.event, stray.event, "", same)]
    for stray in _unknown(left, right):
        found += [replace(each, event=kind, at=right.at) for each in _values(stray.event, right.event, "", same)]
    return found


def _unknown(here: Normal, there: Normal) -> list[Normal]:
    """The deviating shapes of one run that the other run does not have."""
    known = [repr(form(normal.event)) for normal in (there, *there.strays)]
    return [stray for stray in here.strays if repr(form(stray.event)) not in known]


class _Correspondence:
    """Which id or text of one side corresponds to which of the other: the one that most often stands in the
    same place.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._there: dict[Placeholder, Placeholder] = {}
        self._back: dict[Placeholder, Placeholder] = {}
        met = Counter(
            met for pair in pairs if pair.left and pair.right for met in _meetings(pair.left.event, pair.right.event)
        )
        for (left, right), _ in met.most_common():
            if left not in self._there and right not in self._back:
                self._there[left], self._back[right] = right, left

    def agree(self, left: Placeholder, right: Placeholder) -> bool:
        return left == right if left.number is None else self._there.get(left) == right

    def ours(self, right: Placeholder) -> Placeholder:
        """The other side's placeholder with our side's number. One without a counterpart is another id or text."""
        if right.number is None:
            return right
        return self._back.get(right, Placeholder(f"another {right.what}", shape=right.shape))


def _meetings(left: Any, right: Any) -> Iterator[tuple[Placeholder, Placeholder]]:
    """Numbered placeholders of the same form in the same places."""
    if isinstance(left, Placeholder) and isinstance(right, Placeholder):
        if left.number is not None and right.number is not None and form(left) == form(right):
            yield left, right
    elif isinstance(left, Mapping) and isinstance(right, Mapping):
        for key in left:
            if key in right:
                yield from _meetings(left[key], right[key])
    elif isinstance(left, list) and isinstance(right, list):
        for ours, theirs in zip(left, right, strict=False):
            yield from _meetings(ours, theirs)


def _values(left: Any, right: Any, path: str, same: _Correspondence) -> Iterator[Difference]:
    if json_type(left) != json_type(right):
        yield Difference("type", "", path, left, right, 0)
    elif isinstance(left, Placeholder) and isinstance(right, Placeholder):
        if not same.agree(left, right):
            yield Difference("value", "", path, left, same.ours(right), 0)
    elif isinstance(left, Mapping) and isinstance(right, Mapping):
        yield from _objects(left, right, path, same)
    elif isinstance(left, list) and isinstance(right, list):
        yield from _lists(left, right, path, same)
    elif repr(left) != repr(right):
        yield Difference("value", "", path, left, right, 0)


def _numbers(event: str, left: Any, right: Any, path: str, shared: frozenset[Basis]) -> Iterator[Difference]:
    """Numbers in the same place that are too far apart."""
    match left, right:
        case Placeholder(value=float() | int() as ours), Placeholder(value=float() | int() as theirs):
            if differ(event, path, ours, theirs, shared):
                yield Difference("number", event, path, ours, theirs, 0)
        case Mapping(), Mapping():
            for key in left:
                if key in right:
                    yield from _numbers(event, left[key], right[key], f"{path}.{key}" if path else str(key), shared)
        case list(), list():
            for index, (one, other) in enumerate(zip(left, right, strict=False)):
                yield from _numbers(event, one, other, f"{path}[{index}]", shared)
        case _:
            pass


def _other_speech(left: Any, right: Any) -> Iterator[Difference]:
    """Tokens that do not fit the length of the speech, of two responses that spoke for different lengths of time."""
    ours_s, theirs_s = _number(left, SECONDS), _number(right, SECONDS)
    ours, theirs = _number(left, SPOKEN_TOKENS), _number(right, SPOKEN_TOKENS)
    if ours_s is None or theirs_s is None or ours is None or theirs is None:
        return
    fitting = spoken_tokens(ours, ours_s, theirs_s)
    if differ("response.done", SPOKEN_TOKENS, fitting, theirs, frozenset({"speech"})):
        yield Difference("number", "response.done", SPOKEN_TOKENS, round(fitting), theirs, 0)


def _number(value: Any, path: str) -> float | None:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value.value if isinstance(value, Placeholder) else None


def _objects(
    left: Mapping[Any, Any], right: Mapping[Any, Any], path: str, same: _Correspondence
) -> Iterator[Difference]:
    for key in [*left, *(key for key in right if key not in left)]:
        step = f"{path}.{key}" if path else str(key)
        if key in left and key in right:
            yield from _values(left[key], right[key], step, same)
        else:
            yield Difference("keys", "", step, left.get(key, ABSENT), right.get(key, ABSENT), 0)
    ours, theirs = [key for key in left if key in right], [key for key in right if key in left]
    if ours != theirs:
        yield Difference("order", "", path, ours, theirs, 0)


def _lists(left: list[Any], right: list[Any], path: str, same: _Correspondence) -> Iterator[Difference]:
    for index in range(max(len(left), len(right))):
        step = f"{path}[{index}]"
        if index >= len(right):
            yield Difference("missing", "", step, left[index], ABSENT, 0)
        elif index >= len(left):
            yield Difference("added", "", step, ABSENT, right[index], 0)
        else:
            yield from _values(left[index], right[index], step, same)


def _plain(value: object) -> object:
    """The value with each placeholder as its text."""
    match value:
        case Placeholder():
            return str(value)
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items()}
        case list():
            return [_plain(part) for part in value]
        case _:
            return value


def _shown(value: object) -> str:
    """The value as JSON; a placeholder as its text."""
    text = str(value) if isinstance(value, Placeholder) else json.dumps(_plain(value), ensure_ascii=False, default=str)
    return text if len(text) <= 120 else f"{text[:117]}..."
