"""The example examples/ci: the agent passes its test, and each of its bugs fails the test with the name of the bug."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from mockserver.testing.mock_server import MockServer
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


def nightly(url: str, place: Path) -> tuple[int, str]:
    """Run the step of the nightly workflow that replays the tapes. Gives its exit code and the job's summary."""
    document = yaml.safe_load((FOLDER / "workflows" / "nightly.yml").read_text(encoding="utf-8"))
    (step,) = [each for each in document["jobs"]["drift"]["steps"] if each.get("name") == "Replay all tapes"]
    command = place / "bin" / "realtape"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m realtape "$@"\n')
    command.chmod(0o755)
    summary = place / "summary.md"
    environ = {
        **os.environ,
        **document["jobs"]["drift"]["env"],
        "TAPES": str(FOLDER),
        "UPSTREAM": url,
        "GITHUB_STEP_SUMMARY": str(summary),
        "PATH": f"{command.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]  # as GitHub runs it
    done = subprocess.run(shell, env=environ, cwd=place, capture_output=True, timeout=100)
    return done.returncode, summary.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the workflow's shell is bash")
@pytest.mark.parametrize(
    ("scenario", "code", "verdict"), [("clinic.yaml", 0, "same"), ("interrupted.yaml", 1, "differs")]
)
def test_the_nightly_workflow_says_of_each_tape_whether_the_service_has_changed(
    scenario: str, code: int, verdict: str, tmp_path: Path
):
    with MockServer(FOLDER / scenario, dialect="xai@2026-09", voice="tone") as mock:
        ended, summary = nightly(mock.ws_url, tmp_path)
    assert ended == code
    head, *rows, end = summary.splitlines()
    assert (head, end) == ("```text", "```")
    assert any(row.startswith(verdict) and row.endswith("call.tape") for row in rows)
    assert rows[-1].startswith(f"1 recording: 1 {verdict}; ")
    assert (tmp_path / "today" / "call.tape").exists()


@pytest.mark.slow
def test_the_agent_passes(tmp_path: Path):
    assert run("", tmp_path / "junit.xml") == {"": ""}


OF_CALLS = {"audio-in-call", "trimmed-offer", "no-event-channel", "unverified-webhook"}
"""Found where clients come by WebRTC or answer the telephone; the agent of the example does neither."""


@pytest.mark.slow
def test_each_bug_fails_by_its_name(tmp_path: Path):
    reports = run("all", tmp_path / "junit.xml")
    assert {*reports} == {rule.id for rule in RULES} - OF_CALLS
    assert [bug for bug, text in reports.items() if f"{bug}: " not in text] == []
