"""docs/findings.md has every rule with its level and its fix, and an example in which that rule alone speaks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from replay.cli.lint import lint as command
from replay.findings import Rule
from replay.findings.lint import lint
from replay.findings.rules.table import RULES
from replay.formats.detect import read_recording

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "findings.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"(?ms)^### ([a-z-]+)\n(.*?)(?=^##|\Z)", PAGE))
every = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


def example(rule: Rule, kind: str) -> str | None:
    found = re.search(rf"(?ms)^```{kind}\n(.*?)^```", SECTIONS[rule.id])
    return found[1] if found else None


def test_the_page_has_these_rules_and_no_others():
    assert sorted(SECTIONS) == sorted(rule.id for rule in RULES)


@every
def test_the_page_tells_a_rule_s_level_and_fix(rule: Rule):
    advice = ", advice" if rule.advice else ""
    assert f"Level `{rule.level}`{advice}. {rule.fix}" in SECTIONS[rule.id]


@every
def test_a_rule_s_example_shows_that_rule_alone(rule: Rule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f"{rule.id}.jsonl"
    program = example(rule, "python")
    if program is not None:
        exec(compile(program, rule.id, "exec"), {})
    else:
        file.write_text(example(rule, "jsonl") or "", encoding="utf-8")
    if file.exists():
        assert [finding.rule for finding in lint(read_recording(file))] == [rule.id]
        told = CliRunner().invoke(command, [str(file), "--fail-on", "warn"])
        assert (told.exit_code, rule.fix in told.output) == (1, True)
    else:
        assert program is not None and f'["{rule.id}"]' in program
