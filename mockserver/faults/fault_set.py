"""Which faults are on: where each strikes, how often it did, and the random stream that decides.

A fault is data (faults.py); what it does to a connection is in faulty.py, what to a handshake in server.py.
Positions are those of the service's own events: what one fault takes away or doubles moves no other fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mockserver.faults.armed import Armed, FaultTarget
from mockserver.faults.injection_points import HANDSHAKE
from mockserver.protocol.ids import stream

if TYPE_CHECKING:  # a server without faults loads none
    from mockserver.faults.kinds import Fault
    from mockserver.protocol.peer import Peer


class FaultSet:
    """The faults of a server, in order; changed while it runs, open connections included."""

    def __init__(self, faults: Iterable[Fault] = (), seed: str = "0") -> None:
        self.armed: list[Armed] = []
        self.seed = seed
        self._handshakes = 0
        self._made = 0
        for fault in faults:
            self.add(fault)

    def __bool__(self) -> bool:
        return bool(self.armed)

    def add(self, fault: Fault) -> Armed:
        """Switch a fault on."""
        alike = sum(armed.fault == fault for armed in self.armed)
        self._made += 1
        self.armed.append(Armed(self._made, fault, f"{self.seed}/{fault!r}/{alike}"))
        return self.armed[-1]

    def remove(self, which: str | None = None) -> list[Armed]:
        """Switch off the faults of that id or name, or all; gives back which they were."""
        gone = [armed for armed in self.armed if which in (None, str(armed.id), armed.fault.name or None)]
        self.armed = [armed for armed in self.armed if armed not in gone]
        for armed in gone:
            armed.on = False
        return gone

    def replace(self, faults: Iterable[Fault], seed: str | None = None) -> None:
        """Switch off all faults and these on; `seed` is kept where none is given."""
        self.remove()
        self.seed = self.seed if seed is None else seed
        for fault in faults:
            self.add(fault)

    def forget(self) -> None:
        """Forget all strikes, so that the same traffic gets the same faults as after a start."""
        self._handshakes = 0
        for armed in self.armed:
            armed.forget()

    def unused(self) -> list[str]:
        """Faults that never triggered though they were certain to, a line each."""
        if not self.armed:
            return []
        from mockserver.faults.files import as_line

        return [
            f"never triggered: {as_line(armed.fault)}"
            for armed in self.armed
            if not armed.fired and armed.fault.probability == 1
        ]

    def at_handshake(self, at: float) -> list[Fault]:
        """What strikes a handshake, in order; `at` is the server's time in seconds."""
        self._handshakes += 1
        number, struck = self._handshakes, []
        for armed in self.armed:
            fault = armed.fault
            if fault.at != HANDSHAKE or fault.nth not in (None, number) or fault.session not in (None, number):
                continue
            unlucky = fault.probability < 1 and stream(armed.seed, f"handshake/{number}").random() >= fault.probability
            if not unlucky and armed.trigger("", at, HANDSHAKE):
                struck.append(fault)
        return struck

    def fit(self, peer: Peer, now: float, target: FaultTarget) -> Peer:
        """The peer, with the faults that are on now around it."""
        if not self._made:  # there never was one, so there is nothing to load
            return peer
        from mockserver.faults.injector import FaultInjector

        if not (self.armed or isinstance(peer, FaultInjector)):
            return peer
        faulty = peer if isinstance(peer, FaultInjector) else FaultInjector(peer, target)
        faulty.follow([armed for armed in self.armed if armed.fault.session in (None, target.number)], now)
        return faulty
