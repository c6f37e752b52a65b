"""Identifiers from seeded random streams: equal seeds, equal ids. A dialect decides on their form."""

from __future__ import annotations

import random
from typing import Protocol


class Ids(Protocol):
    """The ids that a session needs. `at` is seconds since the connection opened, which some ids contain."""

    @property
    def session(self) -> str: ...
    @property
    def conversation(self) -> str: ...

    def item(self, at: float) -> str: ...
    def response(self, at: float) -> str: ...
    def call(self, index: int) -> str:
        """`index` counts the calls of one response from 0."""


def stream(seed: str, purpose: str) -> random.Random:
    """The random stream of a purpose: draws for one purpose do not change those of another."""
    return random.Random(f"{seed}/{purpose}")


_FIXED = 0x4 << 76 | 0x2 << 62
"""The bits of version 4 and of the variant."""
_FREE = (1 << 128) - 1 & ~(0xF << 76 | 0x3 << 62)


def hex128(rng: random.Random) -> str:
    """A version 4 UUID as 32 hexadecimal digits."""
    return (rng.getrandbits(128) & _FREE | _FIXED).to_bytes(16, "big").hex()


def uuid4(rng: random.Random) -> str:
    """A version 4 UUID with dashes."""
    digits = hex128(rng)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
