"""The bench of paraphrased booking calls, as a test: most calls end in the right booking."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "21", "104"])
def test_nearly_all_paraphrased_calls_end_in_the_right_booking(seed: str):
    command = [sys.executable, "bench/understanding.py", "--seed", seed]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout
    found = re.search(r"(\d+) of 40 calls", told)
    assert found is not None and int(found[1]) >= 38, told
