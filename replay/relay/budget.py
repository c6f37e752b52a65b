"""A budget that relays share."""

from __future__ import annotations

import threading
from fractions import Fraction


class Budget:
    """An amount in USD that several relays spend together, each from its own thread. usd: the amount."""

    def __init__(self, usd: Fraction) -> None:
        self.usd = usd
        self._spent = Fraction(0)
        self._lock = threading.Lock()

    @property
    def is_spent(self) -> bool:
        """Whether all relays together have spent the amount, or more."""
        return self._spent >= self.usd

    def spend(self, usd: Fraction) -> None:
        """Add a cost in USD."""
        with self._lock:
            self._spent += usd
