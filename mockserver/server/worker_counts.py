"""The counts of all workers of a port: each writes its own to a file every second, and any adds them up.

A worker that replaces another goes on with its counters, so that none goes back. What a killed worker counted since its
last file is lost. Gauges are of the workers that live.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
from prometheus_client.core import GaugeMetricFamily, Metric

from mockserver.server.metrics_page import families, page_of
from mockserver.server.service import MockService

EVERY_S = 1.0
"""Seconds between two files of a worker."""
_OLDEST = "process_start_time_seconds"
_SAME = ("realtape_info", "process_max_fds")
"""Gauges that workers do not add up to."""

Family = dict[str, Any]


class WorkerCounts:
    """Those of a worker, by its number, and of the others in the folder."""

    def __init__(self, service: MockService, folder: Path, number: int) -> None:
        self._service = service
        self._folder = folder
        self._file = folder / f"{number}.json"
        self._before = [each for each in _read(self._file)["families"] if each["type"] != "gauge"]
        """The counters of those that it replaces."""
        self._writing = asyncio.Lock()
        self._telling: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell the others this worker's counts from now on."""
        self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def stop(self) -> None:
        """Tell them the last ones."""
        if self._telling is not None:
            self._telling.cancel()
        with suppress(OSError):  # the supervisor, and the folder with it, may be gone
            await self._write()

    async def page(self) -> bytes:
        """The page for Prometheus. What it shows of this worker is written first, so that a successor has it."""
        await self._write()
        return await asyncio.to_thread(self._sum)

    async def _tell(self) -> None:
        while True:
            with suppress(OSError):
                await self._write()
            await asyncio.sleep(EVERY_S)

    async def _write(self) -> None:
        async with self._writing:
            own = [_as_json(each) for each in families(self._service)]
            await asyncio.to_thread(self._put, _added([self._before, own]))

    def _put(self, found: list[Family]) -> None:
        beside = self._file.with_suffix(".part")
        beside.write_bytes(orjson.dumps({"pid": os.getpid(), "families": found}))
        beside.replace(self._file)  # a reader sees the old file or the new one

    def _sum(self) -> bytes:
        files = [_read(path) for path in sorted(self._folder.glob("*.json"))]
        live = [each["pid"] for each in files if _lives(each["pid"])]
        counted = [[each for each in file["families"] if each["type"] != "gauge"] for file in files]
        gauges = [
            [each for each in file["families"] if each["type"] == "gauge"] for file in files if file["pid"] in live
        ]
        workers = GaugeMetricFamily("realtape_workers", "Processes that serve this port.", len(live))
        return page_of([*map(_as_metric, _added([*counted, *gauges])), workers])


def _read(path: Path) -> dict[str, Any]:
    """What a worker has written; nothing, if there is no such file."""
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {"pid": 0, "families": []}
    return found


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return pid > 0


def _as_json(metric: Metric) -> Family:
    samples = [[each.name, each.labels, each.value] for each in metric.samples]
    return {"name": metric.name, "documentation": metric.documentation, "type": metric.type, "samples": samples}


def _as_metric(family: Family) -> Metric:
    metric = Metric(family["name"], family["documentation"], family["type"])
    for name, labels, value in family["samples"]:
        metric.add_sample(name, labels, value)
    return metric


def _added(several: Iterable[list[Family]]) -> list[Family]:
    """The sums by sample."""
    found: dict[str, Family] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for counted in several:
        for family in counted:
            found.setdefault(family["name"], family)
            sums = values.setdefault(family["name"], {})
            for name, labels, value in family["samples"]:
                key = (name, tuple(labels.items()))
                sums[key] = _one(family["name"], sums[key], value) if key in sums else value
    return [
        {**family, "samples": [[key[0], dict(key[1]), value] for key, value in values[name].items()]}
        for name, family in found.items()
    ]


def _one(family: str, first: float, second: float) -> float:
    if family == _OLDEST:
        return min(first, second)
    return max(first, second) if family in _SAME else first + second
