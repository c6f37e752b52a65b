"""Aligns the events of two conversations: which event of one corresponds to which of the other.

Works on normal forms (normal_form.py) and compares their form only, not what their ids refer to (see compare.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from replay.diff.audio_runs import Normal
from replay.diff.placeholders import form

_MOST_CELLS = 1_000_000
_SIMILAR = 0.5


@dataclass(frozen=True, slots=True)
class Pair:
    """An event of each side, or of one side only. `moved`: the right event is elsewhere in its conversation."""

    left: Normal | None
    right: Normal | None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class _Side:
    """One conversation's events, with what comparing them needs often."""

    events: list[Normal]
    forms: list[str]
    leaves: list[frozenset[str]]

    def slice(self, start: int, stop: int) -> _Side:
        return _Side(self.events[start:stop], self.forms[start:stop], self.leaves[start:stop])


def align(left: Sequence[Normal], right: Sequence[Normal]) -> list[Pair]:
    """The alignment with the greatest total similarity.

    It has every event of both sides once, in the order of the left side; events of the right side alone are at their
    place. Two events pair only if they have the same type and the same part of a run. Unpaired events of both sides
    that are similar have moved. Beyond a million cells only types are compared, to bound time and memory.
    """
    ours, theirs = _side(left), _side(right)
    head = _common(zip(ours.forms, theirs.forms, strict=False))
    most = min(len(left), len(right)) - head
    tail = min(most, _common(zip(reversed(ours.forms), reversed(theirs.forms), strict=False)))
    middle = _ordered_matches(ours.slice(head, len(left) - tail), theirs.slice(head, len(right) - tail))
    matches = [
        *((at, at) for at in range(head)),
        *((i + head, j + head) for i, j in middle),
        *((len(left) - tail + at, len(right) - tail + at) for at in range(tail)),
    ]
    return list(_pairs(ours, theirs, matches))


def _side(events: Sequence[Normal]) -> _Side:
    forms = [form(event.event) for event in events]
    leaves = [frozenset(_leaves(event, "")) for event in forms]
    return _Side(list(events), [repr((event.place, shape)) for event, shape in zip(events, forms, strict=True)], leaves)


def _leaves(value: object, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{path}[{index}]")
    else:
        yield f"{path}={value!r}"


def _common(pairs: Iterator[tuple[str, str]]) -> int:
    count = 0
    for ours, theirs in pairs:
        if ours != theirs:
            break
        count += 1
    return count


def _similarity(ours: _Side, i: int, theirs: _Side, j: int) -> float:
    """Share of equal leaves, from 0 to 1. Below 0 for events that must not pair."""
    if ours.events[i].place != theirs.events[j].place:
        return -1.0
    one, other = ours.leaves[i], theirs.leaves[j]
    return len(one & other) / max(len(one), len(other), 1)


def _ordered_matches(ours: _Side, theirs: _Side) -> list[tuple[int, int]]:
    """The matches in order with the greatest total similarity."""
    n, m = len(ours.events), len(theirs.events)
    if n * m > _MOST_CELLS:
        return _by_type(ours, theirs)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in reversed(range(n)):
        for j in reversed(range(m)):
            similarity = _similarity(ours, i, theirs, j)
            together = best[i + 1][j + 1] + 1 + similarity if similarity >= 0 else 0.0
            best[i][j] = max(together, best[i + 1][j], best[i][j + 1])
    matches: list[tuple[int, int]] = []
    i = j = 0
    while i < n and j < m:
        if best[i][j] == best[i + 1][j]:
            i += 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            matches.append((i, j))
            i, j = i + 1, j + 1
    return matches


def _by_type(ours: _Side, theirs: _Side) -> list[tuple[int, int]]:
    places = [event.place for event in ours.events], [event.place for event in theirs.events]
    blocks = SequenceMatcher(None, *places, autojunk=False).get_matching_blocks()
    return [(block.a + at, block.b + at) for block in blocks for at in range(block.size)]


def _pairs(ours: _Side, theirs: _Side, matches: Sequence[tuple[int, int]]) -> Iterator[Pair]:
    moved = _moved(ours, theirs, matches)
    arrived = set(moved.values())
    matched = dict(matches)
    reached = 0
    for i, event in enumerate(ours.events):
        if i in matched:
            yield from (Pair(None, theirs.events[j]) for j in range(reached, matched[i]) if j not in arrived)
            yield Pair(event, theirs.events[matched[i]])
            reached = matched[i] + 1
        elif i in moved:
            yield Pair(event, theirs.events[moved[i]], moved=True)
        else:
            yield Pair(event, None)
    yield from (Pair(None, theirs.events[j]) for j in range(reached, len(theirs.events)) if j not in arrived)


def _moved(ours: _Side, theirs: _Side, matches: Sequence[tuple[int, int]]) -> dict[int, int]:
    """For each unmatched event the most similar unmatched one of the other side."""
    used_here, used_there = {i for i, _ in matches}, {j for _, j in matches}
    alone = [j for j in range(len(theirs.events)) if j not in used_there]
    moved: dict[int, int] = {}
    for i in range(len(ours.events)):
        if i in used_here:
            continue
        similarity, j = max(((_similarity(ours, i, theirs, j), -j) for j in alone), default=(-1.0, 0))
        if similarity >= _SIMILAR:
            moved[i] = -j
            alone.remove(-j)
    return moved
