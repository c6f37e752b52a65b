"""Numbers are compared where both conversations share what they depend on, within the stated tolerance."""

from __future__ import annotations

from typing import Any

import pytest

from replay.diff.compare import compare, compared
from replay.diff.numbers import Basis, tolerance

EVERYTHING: frozenset[Basis] = frozenset(("words", "speech", "input", "clock"))


def done(text_tokens: int = 7, audio_tokens: int = 88, seconds: float = 1.75, billable: int = 3) -> dict[str, Any]:
    usage = {
        "input_tokens": 0,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 0, "grok_tokens": 0},
        "output_tokens": text_tokens + audio_tokens,
        "output_token_details": {"text_tokens": text_tokens, "audio_tokens": audio_tokens, "grok_tokens": 0},
        "total_tokens": text_tokens + audio_tokens,
        "output_audio_seconds": seconds,
        "billable_audio_seconds": billable,
    }
    return {"type": "response.done", "event_id": "e", "response": {"usage": {}}, "usage": usage}


@pytest.mark.parametrize(
    ("actual", "paths"),
    [
        (done(), []),
        (done(text_tokens=8), []),
        (done(text_tokens=9), ["usage.output_token_details.text_tokens"]),
        (done(audio_tokens=90), ["usage.output_token_details.audio_tokens"]),
        (done(seconds=1.77), ["usage.output_audio_seconds"]),
        (done(billable=4), ["usage.billable_audio_seconds"]),
    ],
)
def test_a_number_may_differ_by_its_tolerance(actual: dict[str, Any], paths: list[str]):
    assert compare([done()], [actual]) == []
    assert [each.path for each in compare([done()], [actual], EVERYTHING)] == paths


def test_a_number_counts_only_where_what_it_depends_on_is_the_same():
    longer = done(audio_tokens=176, seconds=3.5, billable=4)
    assert compare([done()], [longer], frozenset({"words"})) == []
    miscounted = done(audio_tokens=171, seconds=3.5, billable=4)
    (wrong,) = compare([done()], [miscounted], frozenset({"words"}))
    assert (wrong.kind, wrong.path) == ("number", "usage.output_token_details.audio_tokens")
    assert (wrong.expected, wrong.actual) == (176, 171)
    without_clock = compare([done()], [done(billable=6)], EVERYTHING - {"clock"})
    assert without_clock == []
    assert [each.kind for each in compare([done()], [done(billable=7)], EVERYTHING - {"clock"})] == ["number"]


def test_the_first_row_whose_basis_is_shared_decides():
    path = "usage.billable_audio_seconds"
    exact, about = (tolerance("response.done", path, shared) for shared in (EVERYTHING, EVERYTHING - {"clock"}))
    assert (exact and exact.absolute, about and about.absolute) == (0, 3)
    assert tolerance("response.done", path, frozenset()) is None


def test_the_score_is_the_share_of_values_that_agree():
    same = compared([done()], [done()])
    assert (same.score, same.shown_score) == (1, "1.000")
    wrong = compared([done()], [{**done(), "event_id": 7}])
    assert wrong.score == pytest.approx(1 - 1 / wrong.values)
    assert compared([done()], []).score == 0
    assert compared([], []).shown_score == "1.000"
    half = compared([done()], [done(), done()])
    assert half.score == pytest.approx(0.5)
