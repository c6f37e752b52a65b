"""The schema of server events: keys, their order, the types of their values. Pure; schemas are data.

A schema is a type, a constant text, None, a list with the schema of its entries, a mapping of keys to schemas (in wire
order; `?` after a key that may be missing), or a tuple of alternatives. `object` is any value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from mockserver.protocol.peer import Act, Peer
from replay.cassette.frames import Outgoing, Text

Schema = Any
"""One of the above; it has no more precise type."""
Events = Mapping[str, Mapping[str, Schema]]
"""By event type."""


class SchemaMismatch(Exception):
    """The mock sent an event that does not fit its dialect's schema: a bug of the mock."""


def mismatch(value: object, schema: Schema, path: str = "") -> str | None:
    """The first deviation of a value from a schema, with its path; None if it fits."""
    match schema:
        case tuple():
            return _mismatch_of_all(value, schema, path)
        case Mapping():
            return _mismatch_of_object(value, schema, path)
        case [each]:
            if not isinstance(value, list):
                return _unexpected(value, "an array", path)
            found = (mismatch(entry, each, f"{path}[{at}]") for at, entry in enumerate(value))
            return next((problem for problem in found if problem is not None), None)
        case type():
            fits = isinstance(value, schema) and (schema is not int or not isinstance(value, bool))
            return None if fits else _unexpected(value, schema.__name__, path)
        case _:
            return None if value == schema else _unexpected(value, repr(schema), path)


def _mismatch_of_all(value: object, schemas: tuple[Schema, ...], path: str) -> str | None:
    """The deviation from the alternative of the same `type`, if there is one; else that none fits."""
    problems = [mismatch(value, schema, path) for schema in schemas]
    if None in problems:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    for schema, problem in zip(schemas, problems, strict=True):
        if kind is not None and isinstance(schema, Mapping) and schema.get("type") == kind:
            return problem
    return _unexpected(value, f"one of {len(schemas)} forms", path)


def _mismatch_of_object(value: object, schema: Mapping[str, Schema], path: str) -> str | None:
    if not isinstance(value, dict):
        return _unexpected(value, "an object", path)
    known = {key.rstrip("?"): each for key, each in schema.items()}
    if unknown := [key for key in value if key not in known]:
        return f"{_at(path, unknown[0])}: no such key"
    if missing := [key for key in schema if not key.endswith("?") and key not in value]:
        return f"{_at(path, missing[0])}: missing"
    if (order := [key for key in known if key in value]) != list(value):
        return f"{path or 'the event'}: keys in the order {', '.join(value)}; expected {', '.join(order)}"
    found = (mismatch(each, known[key], _at(path, key)) for key, each in value.items())
    return next((problem for problem in found if problem is not None), None)


def _unexpected(value: object, expected: str, path: str) -> str:
    return f"{path or 'the event'}: expected {expected}, got {orjson.dumps(value).decode()[:80]}"


def _at(path: str, key: str) -> str:
    return f"{path}.{key}".lstrip(".")


def complaint(frame: object, events: Events) -> str | None:
    """How a server frame deviates from the schema. Binary messages and close frames have no schema."""
    if not isinstance(frame, Text):
        return None
    event = orjson.loads(frame.data)
    kind = event.get("type")
    if kind not in events:
        return f"{kind}: no such event in this dialect"
    problem = mismatch(event, events[kind])
    return None if problem is None else f"{kind}: {problem}"


class Checked:
    """A peer whose frames are checked as they leave. A deviation is reported; the frame leaves nonetheless."""

    def __init__(self, peer: Peer, events: Events, report: Callable[[str], None]) -> None:
        self._peer = peer
        self._events = events
        self._report = report
        self.receive = peer.receive
        self.lost = peer.lost
        self.next_due = peer.next_due
        self.take_requests = peer.take_requests
        self.deliver = peer.deliver
        self.hear = peer.hear
        self.press = peer.press
        self.truncate = peer.truncate

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        """All frames up to and including `now`, oldest first."""
        out = self._peer.take_output(now)
        for each in out:
            if (problem := complaint(each.frame, self._events)) is not None:
                self._report(problem)
        return out
