"""What a server event must look like: keys, their order, the types of their values. Pure; the shapes are data.

A shape is a type, a constant text, None, a list with the one shape of its entries, a mapping of keys to shapes (in wire
order; `?` behind a key that may be missing), or a tuple of alternatives. `object` is anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from mockserver.protocol.peer import Act, Peer
from replay.cassette.frames import Outgoing, Text

Shape = Any
"""One of those; a recursive type would say no more."""
Events = Mapping[str, Mapping[str, Shape]]
"""By event type."""


class SchemaMismatch(Exception):
    """The mock sent what its own dialect does not allow: a bug of the mock."""


def mismatch(value: object, shape: Shape, path: str = "") -> str | None:
    """The first thing that is not as the shape says, with its place; None when all is."""
    match shape:
        case tuple():
            return _none_of(value, shape, path)
        case Mapping():
            return _misformed(value, shape, path)
        case [each]:
            if not isinstance(value, list):
                return _unlike(value, "an array", path)
            found = (mismatch(entry, each, f"{path}[{at}]") for at, entry in enumerate(value))
            return next((problem for problem in found if problem is not None), None)
        case type():
            fits = isinstance(value, shape) and (shape is not int or not isinstance(value, bool))
            return None if fits else _unlike(value, shape.__name__, path)
        case _:
            return None if value == shape else _unlike(value, repr(shape), path)


def _none_of(value: object, shapes: tuple[Shape, ...], path: str) -> str | None:
    """What is wrong with the alternative of the same `type`, if there is one; else that none fits."""
    problems = [mismatch(value, shape, path) for shape in shapes]
    if None in problems:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    for shape, problem in zip(shapes, problems, strict=True):
        if kind is not None and isinstance(shape, Mapping) and shape.get("type") == kind:
            return problem
    return _unlike(value, f"one of {len(shapes)} forms", path)


def _misformed(value: object, shape: Mapping[str, Shape], path: str) -> str | None:
    if not isinstance(value, dict):
        return _unlike(value, "an object", path)
    known = {key.rstrip("?"): each for key, each in shape.items()}
    if unknown := [key for key in value if key not in known]:
        return f"{_at(path, unknown[0])}: no such key"
    if missing := [key for key in shape if not key.endswith("?") and key not in value]:
        return f"{_at(path, missing[0])}: missing"
    if (order := [key for key in known if key in value]) != list(value):
        return f"{path or 'the event'}: keys in the order {', '.join(value)}; expected {', '.join(order)}"
    found = (mismatch(each, known[key], _at(path, key)) for key, each in value.items())
    return next((problem for problem in found if problem is not None), None)


def _unlike(value: object, expected: str, path: str) -> str:
    return f"{path or 'the event'}: expected {expected}, got {orjson.dumps(value).decode()[:80]}"


def _at(path: str, key: str) -> str:
    return f"{path}.{key}".lstrip(".")


def complaint(frame: object, events: Events) -> str | None:
    """What is wrong with a server frame. Sound in binary messages and close frames have no shape."""
    if not isinstance(frame, Text):
        return None
    event = orjson.loads(frame.data)
    kind = event.get("type")
    if kind not in events:
        return f"{kind}: no such event in this dialect"
    problem = mismatch(event, events[kind])
    return None if problem is None else f"{kind}: {problem}"


class Checked:
    """A peer whose frames are all looked at as they leave; what is amiss is reported, and leaves all the same."""

    def __init__(self, peer: Peer, events: Events, report: Callable[[str], None]) -> None:
        self._peer = peer
        self._events = events
        self._report = report
        self.receive = peer.receive
        self.lost = peer.lost
        self.next_due = peer.next_due

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        """All frames up to and including `now`, oldest first."""
        out = self._peer.take_output(now)
        for each in out:
            if (problem := complaint(each.frame, self._events)) is not None:
                self._report(problem)
        return out
