"""The faults of a server: which are on, and the peers and handshakes that they apply to.

What a fault is: kinds.py. When it is triggered: armed.py. What it does to a connection: injector.py. Events are counted
before faults change them, so that a dropped or doubled event does not move another fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from mockserver.faults.armed import Armed, FaultTarget
from mockserver.faults.files import as_line
from mockserver.faults.injection_points import REQUESTS, triggers_at
from mockserver.faults.injector import FaultInjector
from mockserver.faults.kinds import Fault
from mockserver.protocol.ids import stream
from mockserver.protocol.peer import Peer


class FaultSet:
    """The faults of a server, in order. A change applies to open connections too, once `fit` is called for each.

    `seed` decides what faults with a `probability` below 1 do.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: str = "0") -> None:
        self.armed: list[Armed] = []
        self.seed = seed
        self._over: Counter[str] = Counter()
        """Triggers of faults that are off, and those that were forgotten, by kind."""
        self._requests: Counter[str] = Counter()
        self._added = 0
        for fault in faults:
            self.add(fault)

    def __bool__(self) -> bool:
        return bool(self.armed)

    def add(self, fault: Fault) -> Armed:
        """Switch a fault on."""
        equal = sum(armed.fault == fault for armed in self.armed)
        self._added += 1
        self.armed.append(Armed(self._added, fault, f"{self.seed}/{fault!r}/{equal}"))
        return self.armed[-1]

    def remove(self, which: str | None = None) -> list[Armed]:
        """Switch off the faults of that id or name, or all; returns them."""
        removed = [armed for armed in self.armed if which in (None, str(armed.id), armed.fault.name or None)]
        self._switch_off(removed)
        return removed

    def _switch_off(self, removed: Collection[Armed]) -> None:
        self.armed = [armed for armed in self.armed if armed not in removed]
        for armed in removed:
            armed.on = False
            self._over[armed.fault.kind] += armed.fired

    def replace(self, faults: Iterable[Fault], seed: str | None = None) -> None:
        """Switch off all faults, and switch on these. Without a `seed` the present one stays."""
        self.remove()
        self.seed = self.seed if seed is None else seed
        for fault in faults:
            self.add(fault)

    @property
    def numbered(self) -> list[tuple[int, Fault]]:
        """The faults that are on, with their ids, in order."""
        return [(armed.id, armed.fault) for armed in self.armed]

    def become(self, numbered: Iterable[tuple[int, Fault]], seed: str) -> None:
        """Switch faults on and off until these are on, with these ids. Those that stay keep their triggers."""
        wanted = list(numbered)
        kept = {armed.id: armed for armed in self.armed if (armed.id, armed.fault) in wanted and self.seed == seed}
        self._switch_off([armed for armed in self.armed if armed not in kept.values()])
        self.seed, self.armed = seed, []
        for id, fault in wanted:
            if id in kept:
                self.armed.append(kept[id])
            else:
                self._added = id - 1
                self.add(fault)
        self._added = max([self._added, *(id for id, _ in wanted)])

    def renumber(self) -> None:
        """Give ids from 1 to the faults that are on."""
        for id, armed in enumerate(self.armed, 1):
            armed.id = id
        self._added = len(self.armed)

    def forget(self) -> None:
        """Forget all triggers, so that equal traffic meets equal faults, as after a start."""
        self._requests.clear()
        for armed in self.armed:
            self._over[armed.fault.kind] += armed.fired
            armed.forget()

    @property
    def counts(self) -> Counter[str]:
        """How often faults were triggered, by kind; `forget` and `remove` leave the counts."""
        counts = self._over.copy()
        for armed in self.armed:
            counts[armed.fault.kind] += armed.fired
        return counts

    def unused(self) -> list[str]:
        """A line for each fault with probability 1 that was never triggered."""
        return [
            f"never triggered: {as_line(armed.fault)}"
            for armed in self.armed
            if not armed.fired and armed.fault.probability == 1
        ]

    def triggered(self, request: str, at: float) -> list[Fault]:
        """The faults that a request triggers, in order. `request` is one of REQUESTS, or a method and a path; `at` is
        the server's time in s."""
        points = self.points(request)
        self._requests.update(points)
        due = self.due(request, self._requests)
        return [armed.fault for armed in due if armed.trigger("", at, request)]

    def points(self, request: str) -> list[str]:
        """What a request is counted as: its own kind, and each point of a fault that is triggered there."""
        here = {armed.fault.at for armed in self.armed if triggers_at(armed.fault.at, request)}
        return sorted({request} & set(REQUESTS) | here)

    def due(self, request: str, numbers: Mapping[str, int]) -> list[Armed]:
        """The faults that a request may trigger, in order. `numbers`: its number at each of its points, from 1."""
        found = []
        for armed in [armed for armed in self.armed if triggers_at(armed.fault.at, request)]:
            fault, number = armed.fault, numbers[armed.fault.at]
            if fault.nth not in (None, number) or fault.session not in (None, number):
                continue
            chance = fault.probability
            if chance == 1 or stream(armed.seed, f"{fault.at}/{number}").random() < chance:
                found.append(armed)
        return found

    def fit(self, peer: Peer, now: float, target: FaultTarget) -> Peer:
        """The peer, with the faults that are on now around it. Without faults it is the peer itself."""
        if not (self.armed or isinstance(peer, FaultInjector)):
            return peer
        injector = peer if isinstance(peer, FaultInjector) else FaultInjector(peer, target)
        injector.follow([armed for armed in self.armed if armed.fault.session in (None, target.number)], now)
        return injector
