from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.slow
def test_a_small_soak_loses_no_message_and_says_so():
    command = [sys.executable, "bench/soak.py", "--sessions", "20", "--virtual-minutes", "3", "--real-minutes", "0"]
    run = subprocess.run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "with any other: 0" in run.stdout
    assert " 0 faults struck" not in run.stdout
