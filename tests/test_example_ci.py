"""examples/ci as its user runs it: the agent passes, and each of its bugs fails the test with the name of that bug."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from replay.findings.rules.table import RULES
from tests.mockserver.suites import LEAN, LOADED

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "ci"


def run(bug: str, out: Path) -> dict[str, str]:
    """What was told of each test that did not pass, by its bug."""
    given = {**os.environ, "AGENT_BUG": bug, "PYTHONPATH": str(ROOT)}
    quiet = ("-q", *LEAN, "--junitxml", str(out))
    command = [sys.executable, "-m", "pytest", *quiet, *LOADED, str(FOLDER)]
    subprocess.run(command, env=given, cwd=out.parent, capture_output=True, timeout=100)
    told: dict[str, str] = {}
    for case in ElementTree.parse(out).iter("testcase"):
        name = (case.get("name") or "").partition("[")[2].rstrip("]")
        problems = [each for each in case if each.tag in ("failure", "error")]
        told[name] = told.get(name, "") + "".join(ElementTree.tostring(each, "unicode") for each in problems)
        if problems:
            told[name] += "".join(each.text or "" for each in case if each.tag.startswith("system-"))
    return told


@pytest.mark.slow
def test_the_agent_passes(tmp_path: Path):
    assert run("", tmp_path / "junit.xml") == {"": ""}


@pytest.mark.slow
def test_each_bug_fails_by_its_name(tmp_path: Path):
    told = run("all", tmp_path / "junit.xml")
    assert sorted(told) == sorted(rule.id for rule in RULES)
    assert [bug for bug, text in told.items() if f"{bug} at " not in text] == []
