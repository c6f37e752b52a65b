"""Two calls as one document: pairs of events with their frames, differences at their pairs, and no secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import realtape
from replay.cassette.recording import Recording
from replay.cassette.scrub import Scrubber
from replay.diff.compare import compare
from replay.viewer import comparison
from replay.viewer.comparison import document, without_secrets
from tests.replay.recordings import line, typed

CASSETTES = Path(__file__).parents[3] / "cassettes"


def call(*told):
    return Recording("call", "xai", "mock", (line(*told),))


def rows_of(left, right):
    found, _ = document(left, right, compare(left.received(), right.received()), ["It differs."])
    return found


def test_pairs_name_the_frames_of_both_calls_and_hold_their_differences():
    created = {"type": "session.created", "session": {"id": "s", "voice": "ara"}}
    left = call(("<", 0.0, created), (">", 0.1, typed("hello")), ("<", 0.2, "conversation.created"), ("<", 0.3, "ping"))
    other = {"type": "session.created", "session": {"id": "s", "voice": "eve"}}
    right = call(("<", 0.0, other), ("<", 0.1, "ping"), ("<", 0.2, "input_audio_buffer.cleared"))
    found = rows_of(left, right)
    assert [(row.get("left"), row.get("right")) for row in found["rows"]] == [(0, 0), (2, None), (3, 1), (None, 2)]
    (voice,) = found["rows"][0]["differences"]
    assert (voice["path"], voice["expected"], voice["actual"]) == ("session.voice", "ara", "eve")
    assert [[each["kind"] for each in row["differences"]] for row in found["rows"][1:]] == [["missing"], [], ["added"]]
    assert (found["summary"], found["count"]) == (["It differs."], 3)


@pytest.mark.parametrize("other", ["fully-booked", "resumed-booking", "booking"])
def test_each_difference_of_two_cassettes_is_at_a_pair(other: str):
    left, right = (Recording.read(CASSETTES / f"{name}.tape") for name in ("booking", other))
    differences = compare(left.received(), right.received())
    found = rows_of(left, right)
    assert sum(len(row["differences"]) for row in found["rows"]) == len(differences)
    for side, shown in zip(("left", "right"), found["calls"], strict=True):
        types = {shown["frames"][row[side]]["way"] for row in found["rows"] if side in row}
        assert types == {"received"}


def test_pairs_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison, "MOST_ROWS", 2)
    many = call(*[("<", float(at), {"type": f"event.{at}"}) for at in range(5)])
    found = rows_of(many, many)
    assert (len(found["rows"]), found["rows_left_out"]) == (2, 3)


def test_the_page_of_two_calls_has_no_secrets():
    key = "sk-proj-Zk81xQ0vTn2LmYp7WsRb6CdUeHj4GfAi"
    clean = without_secrets(call((">", 0.0, typed(f"My key is {key}.")), ("<", 0.1, "ping")), Scrubber())
    assert key not in json.dumps(rows_of(clean, clean)) and "My key is" in json.dumps(rows_of(clean, clean))


def test_the_command_writes_the_page_and_prints_as_without_it(tmp_path: Path):
    files = [str(CASSETTES / f"{name}.tape") for name in ("booking", "fully-booked")]
    without = CliRunner().invoke(realtape.main, ["diff", *files])
    page = CliRunner().invoke(realtape.main, ["diff", *files, "--html", str(tmp_path / "both.html")])
    assert (page.exit_code, page.stdout) == (without.exit_code, without.stdout) == (1, without.stdout)
    assert page.stderr == f"{tmp_path / 'both.html'}\n"
    assert "no longer called" in (tmp_path / "both.html").read_text(encoding="utf-8")
    nowhere = CliRunner().invoke(realtape.main, ["diff", *files, "--html", str(tmp_path / "no" / "both.html")])
    assert (nowhere.exit_code, "choose another path" in nowhere.stderr) == (2, True)
