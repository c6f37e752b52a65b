"""`check TAPE --against TAPE`: a score, what differs, and an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import realtape
from replay.cassette.recording import Recording
from replay.diff.basis import shared_basis
from replay.diff.milestones import milestones, without_later
from tests.replay.recordings import line, typed

CASSETTES = Path(__file__).parents[3] / "cassettes"
BOOKING = CASSETTES / "booking.tape"


def check(*arguments: object) -> Result:
    return CliRunner().invoke(realtape.main, ["check", *map(str, arguments)])


def changed(out: Path, **usage: float) -> Path:
    """The booking as lines of JSON, with other numbers in the first usage."""
    CliRunner().invoke(realtape.main, ["export", str(BOOKING), "--jsonl", str(out)], catch_exceptions=False)
    rows = out.read_text(encoding="utf-8").splitlines()
    at = next(number for number, row in enumerate(rows) if "response.done" in row)
    row = json.loads(rows[at])
    event = json.loads(row["data"])
    event["usage"].update(usage)
    rows[at] = json.dumps({**row, "data": json.dumps(event)})
    out.write_text("\n".join(rows), encoding="utf-8")
    return out


def test_a_recording_agrees_with_itself():
    result = check(BOOKING, "--against", BOOKING)
    assert result.exit_code == 0
    assert result.output.startswith(f"1.000 {BOOKING} against {BOOKING}: 0 of ")
    assert "the same clock, input, speech, words" in result.output


def test_a_wrong_number_is_shown_and_costs_the_exit_code(tmp_path: Path):
    file = changed(tmp_path / "b.jsonl", billable_audio_seconds=40)
    result = check(file, "--against", BOOKING)
    assert result.exit_code == 1
    assert "1 x response.done: number    usage.billable_audio_seconds: expected " in result.output
    assert check(file, "--against", BOOKING, "--least", "0.9").exit_code == 0
    shown = json.loads(check(file, "--against", BOOKING, "--json").stdout)
    assert 0.99 < shown["score"] < 1
    assert [each["kind"] for each in shown["differences"]] == ["number"]
    assert shown["same"] == ["clock", "input", "speech", "words"]


def test_another_conversation_scores_less():
    result = check(BOOKING, "--against", CASSETTES / "unclear-audio.tape", "--least", "0")
    assert result.exit_code == 0
    assert result.output[:5] < "0.900"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([BOOKING, BOOKING, "--against", BOOKING], "--against scores one file"),
        ([BOOKING, "--against", "nowhere.tape"], "nowhere.tape"),
        ([BOOKING, "--against", BOOKING, "--least", "7"], "not in the range"),
    ],
)
def test_bad_usage_is_refused(arguments: list[object], says: str):
    result = check(*arguments)
    assert result.exit_code == 2
    assert says in result.output


def delta(number: int) -> dict[str, Any]:
    return {"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": str(number)}


def test_what_came_after_the_recorder_had_left_does_not_count():
    done, later = {"type": "response.done"}, {"type": "rate_limits.updated"}
    recorded = [{"type": "session.created"}, delta(1), delta(2), done]
    said = [{"type": "session.created"}, delta(1), delta(2), delta(3), done, later]
    assert list(milestones(recorded)) == ["session.created", "the first delta of an answer", "response.done"]
    assert without_later(said, recorded) == said[:-1]
    assert without_later(said, recorded[:2]) == said[:2]
    assert without_later(said, []) == said
    assert without_later(said[:2], recorded) == said[:2]


def recording(*told: Any) -> Recording:
    return Recording("made", "xai", "hand", (line(*told),))


def test_what_two_recordings_have_in_common():
    done = {"type": "response.done", "usage": {"output_audio_seconds": 1.5}}
    heard = {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Hello."}
    one = recording((">", 1.0, typed("Hi.")), ("<", 1.2, heard), ("<", 2.0, done))
    assert shared_basis(one, one) == {"words", "speech", "input", "clock"}
    later = recording((">", 1.4, typed("Hi.")), ("<", 1.6, heard), ("<", 2.4, done))
    assert shared_basis(one, later) == {"words", "speech", "input"}
    longer = recording((">", 1.0, typed("Ho.")), ("<", 1.2, heard), ("<", 2.0, {**done, "usage": {}}))
    assert shared_basis(one, longer) == {"input", "clock"}
    untimed = recording((">", 0.001, typed("Hi.")), ("<", 0.002, heard), ("<", 0.003, done))
    assert "clock" not in shared_basis(untimed, untimed)
