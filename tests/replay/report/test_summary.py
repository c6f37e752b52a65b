"""What `diff` says in words, and what of the wording it leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from realtape import main
from replay.diff.compare import compare
from replay.report.summary import summary

CASSETTES = Path(__file__).parents[3] / "cassettes"


def response(*tools: str) -> list[dict[str, Any]]:
    calls = [{"type": "response.output_item.done", "item": {"type": "function_call", "name": tool}} for tool in tools]
    return [{"type": "response.created"}, *calls, {"type": "response.done"}]


def told(expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> list[str]:
    return summary(expected, actual, compare(expected, actual))


def test_tools_and_responses_are_told_before_the_first_difference():
    assert told(response("look"), response("look")) == []
    assert told(response("look"), response()) == [
        "the tool look is no longer called",
        "the first difference is in response 1: response.output_item.done",
    ]
    assert told(response("look"), [*response("look", "look", "book"), *response()])[:3] == [
        "the tool book is called now",
        "the tool look is called 2 times in place of once",
        "there are 2 responses in place of 1",
    ]
    assert told([{"type": "ping"}], [])[-1] == "the first difference is before the first response: ping"


def typed(text: str) -> list[dict[str, Any]]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return [{"type": "conversation.item.added", "item": item}]


def test_typed_text_is_wording_and_another_role_is_not():
    (difference,) = compare(typed("hello"), typed("good day"))
    assert difference.is_wording
    assert str(difference).endswith('expected "hello", got "good day"')
    other = typed("hello")
    other[0]["item"]["role"] = "system"
    (difference,) = compare(typed("hello"), other)
    assert not difference.is_wording


def test_diff_leaves_wording_out_unless_asked(tmp_path: Path):
    rows = tmp_path / "b.jsonl"
    booking = CASSETTES / "booking.tape"
    CliRunner().invoke(main, ["export", str(booking), "--jsonl", str(rows)], catch_exceptions=False)
    changed = tmp_path / "changed.jsonl"
    text = rows.read_text(encoding="utf-8")
    assert "Maria Lopez" in text
    changed.write_text(text.replace("Maria Lopez", "Dora Lopez"), encoding="utf-8")
    same = CliRunner().invoke(main, ["diff", str(booking), str(changed), "--json"])
    assert (same.exit_code, json.loads(same.stdout)["differences"]) == (0, [])
    worded = CliRunner().invoke(main, ["diff", str(booking), str(changed), "--words"])
    assert worded.exit_code == 1
    assert "Dora Lopez" in worded.stdout
    assert "{'" not in worded.stdout
