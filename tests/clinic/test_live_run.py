"""The suite against an address: what `--realtime-live` does with the service, done with a mock in its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clinic.phone import CASSETTES

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_behaviour_runs_once_against_the_service_and_what_needs_the_mock_is_left_out():
    with MockServer(CASSETTES / "scenarios" / "booking.yaml", voice="tone", pacing="burst") as service:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/clinic/test_booking.py"]
        command += ["-k", "two_spoken_turns or somebody_else", "--realtime-upstream", service.ws_url]
        environ = {**os.environ, "XAI_API_KEY": "anything", "PYTHONPATH": str(ROOT)}
        shown = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert shown.returncode == 0, shown.stdout
    assert "1 passed, 3 skipped" in shown.stdout
    assert "1 tests ran live and cost 0.0" in shown.stdout
