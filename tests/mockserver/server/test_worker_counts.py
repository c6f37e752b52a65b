"""The counts of several workers, and of those that replace them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from mockserver.server import worker_counts
from mockserver.server.worker_counts import WorkerCounts
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_control import story

Numbers = dict[str, float]


def test_counters_stay_when_a_worker_is_replaced_and_gauges_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pids = {"now": 1, "dead": 0}
    monkeypatch.setattr(os, "getpid", lambda: pids["now"])
    monkeypatch.setattr(worker_counts, "_lives", lambda pid: pid not in (0, pids["dead"]))

    async def tell(mock: MockServer, http: ClientSession) -> list[Numbers]:
        service = mock._service

        async def worker(pid: int, number: int, change: Callable[[], None]) -> Numbers:
            pids["now"] = pid
            counts = WorkerCounts(service, tmp_path, number)
            change()
            families = text_string_to_metric_families((await counts.page()).decode())
            return {each.name + str(each.labels or ""): each.value for family in families for each in family.samples}

        def one_turn() -> None:
            service.metrics.turns["completed"] += 1
            service.metrics.first_audio_s.observe(0.15)

        def born() -> None:
            service.metrics.turns.clear()
            one_turn()

        seen = [await worker(11, 1, one_turn)]
        seen.append(await worker(12, 2, born))
        pids["dead"] = 11
        seen.append(await worker(12, 3, service.metrics.turns.clear))
        seen.append(await worker(13, 1, born))
        return seen

    first, second, dead, replaced = story(tell)
    turns = "realtape_turns_total{'status': 'completed'}"
    assert [each[turns] for each in (first, second, dead, replaced)] == [1, 2, 2, 3]
    assert [each["realtape_workers"] for each in (first, second, dead, replaced)] == [1, 2, 2, 3]
    assert {value for name, value in replaced.items() if name.startswith("realtape_info")} == {1}
    below = "realtape_first_audio_seconds_bucket{'le': '0.2'}"
    assert replaced[below] == replaced["realtape_first_audio_seconds_count"] >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "2.json", "3.json"]


def test_a_file_that_is_broken_counts_nothing(tmp_path: Path):
    (tmp_path / "1.json").write_text("{")

    async def tell(mock: MockServer, http: ClientSession) -> bytes:
        return await WorkerCounts(mock._service, tmp_path, 2).page()

    assert b"realtape_workers 1.0" in story(tell)
