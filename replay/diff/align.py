"""Which event of one conversation answers to which of the other: the alignment that gives the most likeness.

Works on normal forms (normalize.py) and looks at their form alone, not at what their ids refer to: see diff.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from replay.diff.audio_runs import Normal
from replay.diff.placeholders import form

_MOST_CELLS = 1_000_000
_ALIKE = 0.5


@dataclass(frozen=True, slots=True)
class Pair:
    """An event of each side, or of one side only. `moved` says that the right one stands elsewhere."""

    left: Normal | None
    right: Normal | None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class _Side:
    """One conversation's events with what comparing them often needs."""

    events: list[Normal]
    forms: list[str]
    leaves: list[frozenset[str]]

    def slice(self, start: int, stop: int) -> _Side:
        return _Side(self.events[start:stop], self.forms[start:stop], self.leaves[start:stop])


def align(left: Sequence[Normal], right: Sequence[Normal]) -> list[Pair]:
    """Every event of both sides once, in the left side's order, with what only the right one has at its place.

    Two events pair only if type and place in a run are the same. What pairs nowhere in order, but has its like among
    what is left over, has moved. Beyond a million cells, types alone decide: time and memory stay bounded.
    """
    ours, theirs = _side(left), _side(right)
    head = _common(zip(ours.forms, theirs.forms, strict=False))
    most = min(len(left), len(right)) - head
    tail = min(most, _common(zip(reversed(ours.forms), reversed(theirs.forms), strict=False)))
    middle = _ways(ours.slice(head, len(left) - tail), theirs.slice(head, len(right) - tail))
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


def _likeness(ours: _Side, i: int, theirs: _Side, j: int) -> float:
    """From 0 to 1, by the share of equal leaves; below 0 for what must not pair."""
    if ours.events[i].place != theirs.events[j].place:
        return -1.0
    one, other = ours.leaves[i], theirs.leaves[j]
    return len(one & other) / max(len(one), len(other), 1)


def _ways(ours: _Side, theirs: _Side) -> list[tuple[int, int]]:
    """The in-order matches of greatest total likeness."""
    n, m = len(ours.events), len(theirs.events)
    if n * m > _MOST_CELLS:
        return _by_type(ours, theirs)
    best = [[0.0] * (m + 1) for _ in range(n + 1)]
    for i in reversed(range(n)):
        for j in reversed(range(m)):
            likeness = _likeness(ours, i, theirs, j)
            together = best[i + 1][j + 1] + 1 + likeness if likeness >= 0 else 0.0
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
    """For each event without a match, its like among the other side's."""
    used_here, used_there = {i for i, _ in matches}, {j for _, j in matches}
    alone = [j for j in range(len(theirs.events)) if j not in used_there]
    moved: dict[int, int] = {}
    for i in range(len(ours.events)):
        if i in used_here:
            continue
        likeness, j = max(((_likeness(ours, i, theirs, j), -j) for j in alone), default=(-1.0, 0))
        if likeness >= _ALIKE:
            moved[i] = -j
            alone.remove(-j)
    return moved
