"""The server as a process: signals, and the name that an ASGI server is given."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENVIRON = {"XAI_API_KEY": "not-a-key", "XAI_REALTIME_URL": "ws://127.0.0.1:1/v1/realtime", "PYTHONPATH": str(ROOT)}


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.slow
def test_a_signal_ends_the_server_in_order(number: signal.Signals, tmp_path: Path):
    command = [sys.executable, "-m", "realtape", "clinic", "serve", "--port", "0", "--data", str(tmp_path / "data")]
    with subprocess.Popen(
        command, cwd=tmp_path, env={**os.environ, **ENVIRON}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[1]
        with urllib.request.urlopen(f"{url}healthz", timeout=10) as answer:
            assert answer.status == 200
        serving.send_signal(number)
        _, errors = serving.communicate(timeout=20)
    assert (serving.returncode, errors) == (0, "")


@pytest.mark.slow
def test_uvicorn_serves_the_application_by_its_name_with_its_documentation(tmp_path: Path):
    command = [sys.executable, "-m", "uvicorn", "clinic_agent.app:app", "--port", "0"]
    environ = {**os.environ, **ENVIRON, "CLINIC_DATA": str(tmp_path / "data")}
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stderr=subprocess.PIPE, text=True) as serving:
        assert serving.stderr is not None
        url = next(line.split("on ")[1].split()[0] for line in serving.stderr if "running on" in line)
        try:
            with urllib.request.urlopen(f"{url}/docs", timeout=10) as answer:
                assert b"POST /appointments/voice" in answer.read()
        finally:
            serving.kill()
