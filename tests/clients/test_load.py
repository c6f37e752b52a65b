"""examples/load: Locust's callers against the mock, and what its exit code says."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer

ROOT = Path(__file__).resolve().parent.parent.parent
LOAD = ROOT / "examples" / "load"


@pytest.mark.parametrize("dialect, model", [("xai", "grok-voice-3.0"), ("openai", "gpt-realtime-2.1")])
def test_callers_measure_a_service_and_a_threshold_fails_the_run(dialect: str, model: str):
    if find_spec("locust") is None or find_spec("websocket") is None:  # to import it would patch this process
        pytest.skip("locust and websocket-client are not installed")
    with MockServer(dialect=dialect, voice="tone", scenario=LOAD / "desk.yaml", pacing="live", max_sessions=50) as mock:
        host = f"{mock.ws_url}?model={model}"
        crowd = ("--users", "40", "--spawn-rate", "40", "--run-time", "9s")
        limits = ("--max-barge-in-ms", "1", "--max-starved-ms", "60000")
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "locust",
                "-f",
                LOAD / "locustfile.py",
                "--headless",
                "--host",
                host,
                *crowd,
                *limits,
            ],
            env={**os.environ, "REALTAPE_LOAD_KEY": mock.api_key},
            capture_output=True,
            text=True,
            timeout=60,
        )
        sessions, usd = len(mock.sessions), mock.ledger.as_json()["usd"]
    assert done.returncode == 1, done.stdout + done.stderr
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
    assert len(failed) == 1, done.stdout + done.stderr  # 40 callers: each task is tried but once in a million runs
    assert failed[0].startswith("FAILED  barge-in stop: ")
    assert sessions >= 12
    assert float(str(usd)) > 0
    for name in ("ready", "first audio", "gap at turn end", "barge-in stop", "starved"):
        assert f"voice    {name} " in done.stderr + done.stdout
