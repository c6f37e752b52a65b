"""What docs/fidelity.md says is so: every event has its row; every row its event, its proof and maybe its recording."""

from __future__ import annotations

import ast

import pytest

from mockserver.dialects.names import ALIASES, BEGINS, DIALECT_NAMES, DialectName
from mockserver.dialects.provenance import DATED, EVIDENCE, UNSERVED, as_of
from mockserver.dialects.registry import SERVICES
from tests.conformance.fidelity import COMMAND, PAGE, ROOT, dated, grades, page, proof, sent
from tests.conformance.golden import date_of
from tests.conformance.play import dialect_of
from tests.conformance.recordings import read, recordings

VENDORS = list(EVIDENCE)
ROWS = [(service, type) for service, rows in EVIDENCE.items() for type in rows]


@pytest.mark.slow
def test_the_page_is_what_its_command_writes():
    assert PAGE.read_text(encoding="utf-8") == page(), f"run {COMMAND}"


@pytest.mark.parametrize("dialect", SERVICES)
def test_no_event_is_sent_that_has_no_row(dialect: str):
    service = dialect.split("@")[0]
    assert set(sent(dialect)) - set(EVIDENCE[service]) == set()


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
def test_each_date_has_a_grade_and_a_source_for_each_event(dialect: DialectName):
    events = EVIDENCE[dialect.partition("@")[0]]
    assert set(DATED[dialect]) <= set(events)
    for type in events:
        name, how = as_of(dialect, type)
        assert how.seen.startswith("20")
        if type in DATED[dialect]:
            assert (name, dated(dialect, type)) == (dialect, f"{how.grade}, {how.source}, {how.seen}")
        else:
            assert name != dialect and dated(dialect, type).startswith("as of the date ")
    assert sum(grades(dialect).values()) == len(events)
    assert grades(dialect)["as before"] == len(set(events) - set(DATED[dialect]))


def test_no_evidence_is_of_a_later_date_than_the_next_one_of_its_service():
    for dialect, events in DATED.items():
        later = [BEGINS[name] for name in DATED if name.partition("@")[0] == dialect.partition("@")[0]]
        end = min((day for day in later if day > BEGINS[dialect]), default=None)
        assert [type for type, how in events.items() if end and how.seen > end.isoformat()] == []


@pytest.mark.parametrize("service", VENDORS)
def test_a_date_observes_in_recordings_what_the_recordings_of_its_time_have(service: str):
    days: dict[tuple[str, str], str] = {}
    for path in recordings(service):
        recording = read(path)
        dialect, day = dialect_of(recording, service), f"{date_of(recording):.10}"
        for event in recording.received():
            days[dialect, event["type"]] = max(day, days.get((dialect, event["type"]), ""))
    if not days:
        pytest.skip("no recordings here")
    claimed = {
        (name, type): how.seen
        for name, events in DATED.items()
        for type, how in events.items()
        if name.startswith(f"{service}@") and how.source == "recordings"
    }
    assert {key: day[:7] for key, day in days.items()} == {key: day[:7] for key, day in claimed.items()}


@pytest.mark.parametrize("service", VENDORS)
def test_every_row_is_an_event_that_some_story_brings_about(service: str):
    assert set(EVIDENCE[service]) - set(sent(ALIASES[service])) == set()


@pytest.mark.parametrize("service", VENDORS)
def test_nothing_is_both_served_and_not(service: str):
    assert set(EVIDENCE[service]) & set(UNSERVED[service]) == set()


@pytest.mark.parametrize("service", VENDORS)
def test_what_is_said_to_be_in_recordings_is_there_and_all_that_is_there_is_said(service: str):
    known = {event["type"] for path in recordings(service) for event in read(path).received()}
    if not known:
        pytest.skip("no recordings here")
    assert {type for type, row in EVIDENCE[service].items() if row.source == "recordings"} == known


@pytest.mark.parametrize(("service", "type"), ROWS)
def test_an_event_s_proof_is_a_test_and_one_of_what_was_not_recorded_names_the_event(service: str, type: str):
    path, _, name = proof(service, type).partition("::")
    source = (ROOT / "tests" / path).read_text(encoding="utf-8")
    tests = (node for node in ast.parse(source).body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))
    bodies = {node.name: ast.get_source_segment(source, node) or "" for node in tests}
    assert name in bodies
    if EVIDENCE[service][type].source != "recordings":  # "…delete" asks for "…deleted", "…clear" for "…cleared"
        assert any(stem in bodies[name] for stem in (type, type[:-1], type[:-2]))
