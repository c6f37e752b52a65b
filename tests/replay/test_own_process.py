from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mockserver.cli import serve

FROZEN = """
import gc
from replay.own_process import settle
before = len(gc.get_objects())
settle()
print(before > 1000 and gc.get_freeze_count() > 0.9 * before and len(gc.get_objects()) < 0.1 * before)
"""


def test_what_is_loaded_is_left_out_of_later_collections():
    code = f"import asyncio, json, email, http.client\n{FROZEN}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_a_server_settles_once_it_is_warm(monkeypatch: pytest.MonkeyPatch):
    steps: list[str] = []
    monkeypatch.setattr(serve, "settle", lambda: steps.append("settled"))
    serve._warm_up(cast(Any, SimpleNamespace(warm_up=lambda: steps.append("warm"))))
    assert steps == ["warm", "settled"]
