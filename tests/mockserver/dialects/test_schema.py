"""Shapes of events: what is found amiss, and that the recordings fit the shapes that the mock is held to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from mockserver.dialects.names import ALIASES
from mockserver.dialects.provenance import EVIDENCE
from mockserver.dialects.registry import SERVICES
from mockserver.dialects.schema import complaint, mismatch
from replay.cassette.frames import Binary, Close, Text
from tests.conformance.play import dialect_of
from tests.conformance.recordings import read, recordings

SHAPE = {"type": "t", "id": str, "count?": int, "rest": [({"type": "a", "n": int}, {"type": "b"}, None)]}
FINE: dict[str, Any] = {"type": "t", "id": "x", "rest": [{"type": "a", "n": 1}, {"type": "b"}, None]}


def test_what_fits_fits():
    assert mismatch(FINE, SHAPE) is None
    assert mismatch({"type": "t", "id": "x", "count": 3, "rest": []}, SHAPE) is None


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({**FINE, "more": 1}, "more: no such key"),
        ({"type": "t", "id": "x"}, "rest: missing"),
        ({"id": "x", "type": "t", "rest": []}, "the event: keys in the order id, type, rest; expected type, id, rest"),
        ({**FINE, "id": None}, "id: expected str, got null"),
        ({"type": "t", "id": "x", "count": True, "rest": []}, "count: expected int, got true"),
        ({**FINE, "type": "u"}, "type: expected 't', got \"u\""),
        ({**FINE, "rest": {}}, "rest: expected an array, got {}"),
        ({**FINE, "rest": [None, {"type": "a", "n": 1.5}]}, "rest[1].n: expected int, got 1.5"),
        ({**FINE, "rest": [7]}, "rest[0]: expected one of 3 forms, got 7"),
        ([], "the event: expected an object, got []"),
    ],
)
def test_the_first_thing_amiss_is_told_with_its_place(changed: object, problem: str):
    assert mismatch(changed, SHAPE) == problem


def test_only_events_have_a_shape():
    assert complaint(Binary(b"sound"), {}) is complaint(Close(1000), {}) is None
    assert complaint(Text(orjson.dumps({"type": "news"})), {}) == "news: no such event in this dialect"


@pytest.mark.parametrize("dialect", SERVICES)
def test_every_event_of_a_dialect_has_a_shape(dialect: str):
    assert set(SERVICES[dialect].schema) == set(EVIDENCE[dialect.split("@")[0]])


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for name in ALIASES for path in recordings(name)], ids=lambda path: path.stem)
def test_what_the_live_services_sent_fits(path: Any):
    recording = read(path)
    schema = SERVICES[dialect_of(recording, path.parent.name)].schema
    problems = [complaint(Text(orjson.dumps(event)), schema) for event in recording.received()]
    assert [problem for problem in problems if problem is not None] == []
