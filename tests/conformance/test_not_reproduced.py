"""The recordings that the mock does not reproduce yet: each fails, and the day that it passes its row must go."""

from __future__ import annotations

import pytest

from tests.conformance.recordings import FOLDER, NONE_HERE, NOT_REPRODUCED, read
from tests.conformance.score import is_dialogue, report, scored

ROWS = [
    pytest.param(name, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason))
    for name, reason in NOT_REPRODUCED.items()
    if (FOLDER / f"{name}.yaml").exists()
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ROWS or [NONE_HERE])
def test_a_recording_of_what_is_not_served_yet(name: str):
    path = FOLDER / f"{name}.yaml"
    assert is_dialogue(read(path))
    found, played = scored(path)
    assert found.shown_score == "1.000", report(path)
    assert played.overdue == []
