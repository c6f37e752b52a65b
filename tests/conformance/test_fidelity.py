"""What docs/fidelity.md says is so: every event has its row; every row its event, its proof and maybe its recording."""

from __future__ import annotations

import ast

import pytest

from mockserver.dialects.names import ALIASES
from mockserver.dialects.provenance import EVIDENCE, UNSERVED
from mockserver.dialects.registry import SERVICES
from tests.conformance.fidelity import COMMAND, PAGE, ROOT, page, proof, sent
from tests.conformance.recordings import read, recordings

VENDORS = list(EVIDENCE)
ROWS = [(service, type) for service, rows in EVIDENCE.items() for type in rows]


def test_the_page_is_what_its_command_writes():
    assert PAGE.read_text(encoding="utf-8") == page(), f"run {COMMAND}"


@pytest.mark.parametrize("dialect", SERVICES)
def test_no_event_is_sent_that_has_no_row(dialect: str):
    service = dialect.split("@")[0]
    assert set(sent(dialect)) - set(EVIDENCE[service]) == set()


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
