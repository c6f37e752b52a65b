from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import realtape
from replay.cassette.frames import Text
from replay.cassette.records import Way
from tests.replay.cli.test_cli import ANSWER, END, OPEN, tape


def run(*arguments: object) -> Result:
    return CliRunner().invoke(realtape.main, [str(argument) for argument in arguments])


UNANSWERED = [
    *OPEN,
    ("received", Text(b'{"type":"response.created","response":{"id":"r1"}}')),
    (
        "received",
        Text(b'{"type":"response.function_call_arguments.done","call_id":"c","name":"look","arguments":"{}"}'),
    ),
    ("received", Text(b'{"type":"response.done","response":{"id":"r1","status":"completed"}}')),
    (
        "sent",
        Text(
            b'{"type":"conversation.item.create","item":{"type":"function_call_output","call_id":"c","output":"9:00"}}'
        ),
    ),
    *END,
]


def test_lint_takes_the_tools_that_write(tmp_path: Path):
    def again(id: str) -> list[tuple[Way, Text]]:
        call = f'{{"type":"response.function_call_arguments.done","call_id":"{id}","name":"tick","arguments":"{{}}"}}'
        item = f'{{"type":"function_call_output","call_id":"{id}","output":"{id}"}}'
        return [
            ("received", Text(call.encode())),
            ("sent", Text(f'{{"type":"conversation.item.create","item":{item}}}'.encode())),
            ("sent", Text(b'{"type":"response.create"}')),
        ]

    path = tape(tmp_path / "a.tape", [*OPEN, *again("a"), *again("b"), *END])
    assert "repeated-write" not in run("lint", path).output
    assert "repeated-write" in run("lint", path, "--write-tool", "t?ck").output


def test_lint_tells_mistakes_with_their_place_and_exits_with_1(tmp_path: Path):
    result = run("lint", tape(tmp_path / "a.tape", UNANSWERED))
    assert result.exit_code == 1
    assert "error tool-result-unanswered" in result.output and "frame 4" in result.output
    assert "Send response.create" in result.output and "1 error: tool-result-unanswered" in result.output


def test_lint_finds_nothing_in_a_call_without_mistakes(tmp_path: Path):
    result = run("lint", tape(tmp_path / "a.tape", [*OPEN, *ANSWER, *END]))
    assert (result.exit_code, result.output.endswith(": nothing found\n")) == (0, True)


def test_lint_fails_from_the_level_on_that_it_is_given(tmp_path: Path):
    file = tape(tmp_path / "a.tape", UNANSWERED)
    assert run("lint", file, "--level", "tool-result-unanswered=warn").exit_code == 0
    assert run("lint", file, "--level", "all=warn", "--fail-on", "warn").exit_code == 1
    assert run("lint", file, "--level", "all=off", "--fail-on", "warn").exit_code == 0


def test_lint_as_json_names_file_rule_and_fix(tmp_path: Path):
    file = tape(tmp_path / "a.tape", UNANSWERED)
    (row,) = json.loads(run("lint", file, "--json").output)["findings"]
    assert (row["file"], row["rule"], row["frame"]) == (str(file), "tool-result-unanswered", 4)
    assert {"at", "message", "fix", "level", "session"} <= set(row)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--level", "repeated-writ=warn"], "did you mean 'repeated-write'"),
        (["--level", "repeated-write"], "is not RULE=LEVEL"),
        (["--level", "repeated-write=loud"], "no level"),
        (["nowhere.tape"], "nowhere.tape"),
    ],
)
def test_lint_refuses_what_it_cannot_use_in_one_line(arguments: list[str], problem: str, tmp_path: Path):
    result = run("lint", tape(tmp_path / "a.tape", UNANSWERED), *arguments)
    assert result.exit_code == 2
    assert problem in result.output and result.output.count("\n") == 1
