"""Faults to plant in a conversation, one at a time and at every place there is, each with what it is.

Not a list of known bugs: whatever changes an event's form must be found. What a rule leaves open on purpose (how many
deltas, which words were spoken) is not planted.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from replay.diff.audio_runs import run_of
from replay.diff.normal_form import normalize
from replay.diff.placeholders import Placeholder, id_shape

Events = list[dict[str, Any]]
Fault = tuple[str, Events]
_OTHER_ID = "f0000000-0000-4000-8000-0000000000ff"


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every value below with its path, the containers before what they hold."""
    yield path, value
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _places(part, (*path, key))


def _with(events: Sequence[Any], at: int, path: tuple[Any, ...], new: Any) -> Events:
    """A copy in which one value is another. An empty path is the event itself."""
    changed = list(events)
    if not path:
        changed[at] = new
        return changed
    changed[at] = copy.deepcopy(events[at])
    holder = changed[at]
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return changed


def _name(what: str, events: Sequence[Any], at: int, path: tuple[Any, ...] = ()) -> str:
    return f"{what}: #{at} {events[at]['type']} {'.'.join(map(str, path))}".strip()


def _objects(events: Sequence[Any]) -> Iterator[tuple[int, tuple[Any, ...], dict[str, Any]]]:
    for at, event in enumerate(events):
        for path, value in _places(event):
            if isinstance(value, dict):
                yield at, path, value


def _leaves(events: Sequence[Any]) -> Iterator[tuple[int, tuple[Any, ...], Any]]:
    for at, event in enumerate(events):
        for path, value in _places(event):
            if not isinstance(value, (dict, list)):
                yield at, path, value


def _swapped_keys(events: Sequence[Any]) -> Iterator[Fault]:
    for at, path, value in _objects(events):
        if len(value) > 1:
            first, second, *rest = value
            swapped = {key: value[key] for key in (second, first, *rest)}
            yield _name("swapped keys", events, at, path), _with(events, at, path, swapped)
            last = {key: value[key] for key in (*list(value)[1:], first)}
            yield _name("first key last", events, at, path), _with(events, at, path, last)


def _lost_keys(events: Sequence[Any]) -> Iterator[Fault]:
    for at, path, value in _objects(events):
        for lost in value:
            less = {key: part for key, part in value.items() if key != lost}
            yield _name(f"lost {lost}", events, at, path), _with(events, at, path, less)


def _extra_keys(events: Sequence[Any]) -> Iterator[Fault]:
    for at, path, value in _objects(events):
        yield _name("extra key", events, at, path), _with(events, at, path, {**value, "surprise": None})


def _other_types(events: Sequence[Any]) -> Iterator[Fault]:
    for at, path, value in _leaves(events):
        match value:
            case bool():
                others: tuple[Any, ...] = (int(value), str(value).lower(), None)
            case int():
                others = (float(value), str(value), None)
            case float():
                others = (int(value), str(value), None)
            case None:
                others = ("", 0, False, {})
            case _:
                others = (None, 0, [value])
        for other in others:
            yield _name(f"{value!r:.20} as {other!r:.20}", events, at, path), _with(events, at, path, other)


def _other_constants(events: Sequence[Any]) -> Iterator[Fault]:
    """A constant is a value that the normal form keeps."""
    for normal in normalize(events):
        if normal.run is not None:
            continue  # those events are no longer one by one
        for path, value in _places(normal.event):
            if isinstance(value, Placeholder) or value is None or isinstance(value, (dict, list)):
                continue
            other = not value if isinstance(value, bool) else value + (1 if isinstance(value, (int, float)) else "x")
            yield _name(f"{value!r:.20} changed", events, normal.at, path), _with(events, normal.at, path, other)


def _wrong_references(events: Sequence[Any]) -> Iterator[Fault]:
    """An id that stands in several places stands for another thing in one of them, or is built in another way."""
    ids = Counter(value for _, _, value in _leaves(events) if id_shape(value))
    for at, path, value in _leaves(events):
        if not id_shape(value):
            continue
        yield _name("id without dashes", events, at, path), _with(events, at, path, value.replace("-", "") + "0")
        if ids[value] > 1:
            yield _name("an unknown id", events, at, path), _with(events, at, path, _OTHER_ID)
            known = (other for other in ids if other != value and id_shape(other) == id_shape(value))
            for other in islice(known, 1):
                yield _name("another known id", events, at, path), _with(events, at, path, other)


def _dropped(events: Sequence[Any]) -> Iterator[Fault]:
    for at, event in enumerate(events):
        if run_of(event) is None:
            yield _name("dropped", events, at), [*events[:at], *events[at + 1 :]]


def _doubled(events: Sequence[Any]) -> Iterator[Fault]:
    for at in range(len(events)):
        yield _name("doubled", events, at), [*events[: at + 1], *events[at:]]


def _swapped(events: Sequence[Any]) -> Iterator[Fault]:
    for at in range(len(events) - 1):
        one, other = events[at], events[at + 1]
        begins = run_of(other) not in map(run_of, events[: at + 1])
        if not _is_free(one, other, begins):
            yield _name("swapped with the next", events, at), [*events[:at], other, one, *events[at + 2 :]]


def _is_free(one: Any, other: Any, begins: bool) -> bool:
    """What is heard comes whenever it comes; a run goes on while something else begins, and within it all is sound."""
    heard = [event for event in (one, other) if "input_audio_transcription" in event["type"]]
    if any(run_of(event) is not None or "status" not in event for event in heard):
        return True  # xAI's final transcript, which has a status beyond in_progress, has its place
    runs = run_of(one), run_of(other)
    if runs == (None, None):
        return False
    return runs[0] == runs[1] or (one.get("item_id") != other.get("item_id") and not begins)


def renamed(events: Any) -> Events:
    """Another run of the same conversation: the ids of talk.yaml replaced by others of the same shape."""

    def other(value: Any) -> Any:
        match value:
            case dict():
                return {key: other(part) for key, part in value.items()}
            case list():
                return [other(part) for part in value]
            case str():
                return value.replace("-4000-8000-", "-4000-9000-").replace("b000000000004000", "b000000000004fff")
            case _:
                return value

    renamed_events: Events = [other(event) for event in events]
    return renamed_events


FAULTS: dict[str, Callable[[Sequence[Any]], Iterator[Fault]]] = {
    "swapped keys": _swapped_keys,
    "lost keys": _lost_keys,
    "extra keys": _extra_keys,
    "other types": _other_types,
    "other constants": _other_constants,
    "wrong references": _wrong_references,
    "dropped events": _dropped,
    "doubled events": _doubled,
    "swapped events": _swapped,
}
"""Kinds of faults. Each plants its own at every place there is: what it is, and the conversation that has it."""
