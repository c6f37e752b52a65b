"""A bad line, seeded: messages come late but in order, frames of sound are lost."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

MOST_JITTER_MS = 5_000.0


@dataclass(frozen=True, slots=True)
class Network:
    """How bad the line is. Raises ValueError for a value out of range."""

    jitter_ms: float = 0.0
    """The longest delay of a message, in both directions."""
    loss: float = 0.0
    """The share of 20 ms frames that are lost: the bridge does not get them, and the caller hears silence."""
    drop_after_s: float | None = None
    """When the connection breaks, without a `stop`."""

    def __post_init__(self) -> None:
        if not 0 <= self.jitter_ms <= MOST_JITTER_MS:
            raise ValueError(f"jitter is 0 to {MOST_JITTER_MS:.0f} ms, not {self.jitter_ms:g}")
        if not 0 <= self.loss < 1:
            raise ValueError(f"loss is a share from 0 to below 1, not {self.loss:g}")
        if self.drop_after_s is not None and self.drop_after_s <= 0:
            raise ValueError(f"the line drops after more than 0 s, not {self.drop_after_s:g}")


class Direction:
    """One direction of a line: when what is sent arrives, and what is lost."""

    def __init__(self, network: Network, rng: Random) -> None:
        self._network = network
        self._rng = rng
        self._last_s = 0.0

    def arrival(self, sent_s: float) -> float:
        """When a message arrives. TCP keeps their order."""
        delay_s = self._rng.uniform(0, self._network.jitter_ms) / 1000 if self._network.jitter_ms else 0.0
        self._last_s = max(self._last_s, sent_s + delay_s)
        return self._last_s

    def loses(self) -> bool:
        """Whether the next frame of sound is lost."""
        return self._network.loss > 0 and self._rng.random() < self._network.loss
