"""Faults of requests, webhooks and offers: which of them one triggers, counted over all servers that share a state."""

from __future__ import annotations

from mockserver.faults.fault_set import FaultSet
from mockserver.faults.kinds import Fault
from mockserver.server.state.port import State


async def triggered(faults: FaultSet, state: State, point: str, now: float) -> list[Fault]:
    """The faults that are triggered, in order. `point` is one of REQUESTS, or a method and a path; `now` is the time of
    the server in s. Raises StateLost."""
    if not faults:
        return []
    if state.shared == "no":
        return faults.triggered(point, now)
    points = faults.points(point)
    numbers = dict(zip(points, await state.count(points), strict=True)) if points else {}
    found: list[Fault] = []
    for armed in faults.due(point, numbers):
        fault = armed.fault
        if fault.times is not None and (await state.count([f"fault {armed.id}"]))[0] > fault.times:
            continue
        if armed.trigger("", now, point):
            found.append(fault)
    return found
