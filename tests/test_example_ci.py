"""The example examples/ci: the agent passes its test, and each of its bugs fails the test with the name of the bug."""

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
    """The report of each test by its bug; empty for a test that passed."""
    environ = {**os.environ, "AGENT_BUG": bug, "PYTHONPATH": str(ROOT)}
    quiet = ("-q", *LEAN, "--junitxml", str(out))
    command = [sys.executable, "-m", "pytest", *quiet, *LOADED, str(FOLDER)]
    subprocess.run(command, env=environ, cwd=out.parent, capture_output=True, timeout=100)
    reports: dict[str, str] = {}
    for case in ElementTree.parse(out).iter("testcase"):
        name = (case.get("name") or "").partition("[")[2].rstrip("]")
        problems = [each for each in case if each.tag in ("failure", "error")]
        reports[name] = reports.get(name, "") + "".join(ElementTree.tostring(each, "unicode") for each in problems)
        if problems:
            reports[name] += "".join(each.text or "" for each in case if each.tag.startswith("system-"))
    return reports


@pytest.mark.slow
def test_the_agent_passes(tmp_path: Path):
    assert run("", tmp_path / "junit.xml") == {"": ""}


@pytest.mark.slow
def test_each_bug_fails_by_its_name(tmp_path: Path):
    reports = run("all", tmp_path / "junit.xml")
    assert sorted(reports) == sorted(rule.id for rule in RULES)
    assert [bug for bug, text in reports.items() if f"{bug}: " not in text] == []
