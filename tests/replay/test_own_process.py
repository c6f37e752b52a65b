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

KEPT = """
import gc, weakref
from replay.own_process import Collector

class Session:
    def __init__(self):
        self.itself = self

def over():
    session = Session()
    gc.collect()
    return weakref.ref(session)

before = gc.get_threshold()
collector = Collector()
collector.start()
session = over()
gc.collect()
kept, looked_at = session() is not None, len(gc.get_objects())
collector.look(busy=True)
kept_busy = session() is not None
collector.look(busy=False)
freed = session() is None
collector.stop()
print(kept, looked_at < 100, kept_busy, freed, gc.get_threshold() == before, gc.callbacks, gc.get_freeze_count())
"""


def printed(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_what_is_loaded_is_left_out_of_later_collections():
    assert printed(f"import asyncio, json, email, http.client\n{FROZEN}") == "True"


def test_what_has_survived_a_collection_waits_for_a_quiet_moment():
    assert printed(KEPT) == "True True True True True [] 0"


def test_a_server_settles_once_it_is_warm(monkeypatch: pytest.MonkeyPatch):
    steps: list[str] = []
    monkeypatch.setattr(serve, "settle", lambda: steps.append("settled"))
    serve._warm_up(cast(Any, SimpleNamespace(warm_up=lambda: steps.append("warm"))))
    assert steps == ["warm", "settled"]
