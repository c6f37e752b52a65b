"""The forms of results for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from realtape import main
from replay.report.annotations import Annotation, github, sarif

CASSETTES = Path(__file__).parents[3] / "cassettes"
BOOKING, OTHER = str(CASSETTES / "booking.tape"), str(CASSETTES / "unclear-audio.tape")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_annotations_escape_what_workflow_commands_reserve():
    found = [Annotation("warning", "a,b:c.tape", "rule", "100 %\nof it")]
    assert github(found) == "::warning file=a%2Cb%3Ac.tape,title=rule::100 %25%0Aof it"


def test_a_sarif_log_names_each_rule_once():
    found = [Annotation("error", "a.tape", rule, "wrong") for rule in ("keys", "order", "keys")]
    (run_,) = sarif(found, "1.0")["runs"]
    assert run_["tool"]["driver"]["rules"] == [{"id": "keys"}, {"id": "order"}]
    assert [each["ruleIndex"] for each in run_["results"]] == [0, 1, 0]


@pytest.mark.parametrize(
    "arguments",
    [("diff", BOOKING, OTHER), ("check", OTHER, "--against", BOOKING), ("check", str(CASSETTES / "README.md"))],
)
@pytest.mark.slow
def test_each_form_has_the_same_exit_code(arguments: tuple[str, ...]):
    codes = {format: run(*arguments, "--format", format).exit_code for format in ("text", "json", "github", "sarif")}
    assert len(set(codes.values())) == 1
    assert run(*arguments, "--json").output == run(*arguments, "--format", "json").output


def test_results_of_commands_are_annotations():
    lines = run("diff", BOOKING, OTHER, "--format", "github").stdout.splitlines()
    assert lines and all(line.startswith(f"::error file={OTHER},title=") for line in lines)
    log = json.loads(run("check", OTHER, "--against", BOOKING, "--format", "sarif").stdout)
    assert log["version"] == "2.1.0"
    assert log["runs"][0]["results"]
    assert run("check", BOOKING, "--format", "github").stdout == ""
    assert json.loads(run("lint", BOOKING, "--format", "sarif").stdout)["runs"][0]["results"] == []
