"""Recorded sessions of clients that do it right: what is said about them must be true, and is no error."""

from __future__ import annotations

from pathlib import Path

import pytest

from replay.findings.lint import lint
from replay.formats.detect import read_recording
from tests.conformance.recordings import recordings

REMARKS = {"latest-model"}
"""The recorded clients named the alias."""
KEPT = sorted((Path(__file__).resolve().parents[2] / "cassettes").glob("*.tape"))


@pytest.mark.parametrize(
    "path", [*recordings("xai"), *recordings("openai")], ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_a_recorded_session_has_no_mistakes(path: Path):
    found = lint(read_recording(path))
    assert [str(finding) for finding in found if finding.rule not in REMARKS] == []


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_cassette_of_the_clinic_has_no_findings(path: Path):
    assert [str(finding) for finding in lint(read_recording(path))] == []
