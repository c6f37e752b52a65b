"""Identifiers from a seeded stream: same seed, same ids. Which shapes they have is a dialect's business."""

from __future__ import annotations

import random
from typing import Protocol


class Ids(Protocol):
    """What a session needs named. `at` is seconds since the connection opened: some ids tell when they were made."""

    @property
    def session(self) -> str: ...
    @property
    def conversation(self) -> str: ...

    def item(self, at: float) -> str: ...
    def response(self, at: float) -> str: ...
    def call(self, index: int) -> str:
        """`index` counts the calls of one response from 0."""


def stream(seed: str, purpose: str) -> random.Random:
    """A random stream of its own for each purpose, so that one more draw here moves nothing there."""
    return random.Random(f"{seed}/{purpose}")


_FIXED = 0x4 << 76 | 0x2 << 62
"""Version 4, and the variant."""
_FREE = (1 << 128) - 1 & ~(0xF << 76 | 0x3 << 62)


def hex128(rng: random.Random) -> str:
    """A version 4 UUID as 32 hexadecimal digits."""
    return (rng.getrandbits(128) & _FREE | _FIXED).to_bytes(16, "big").hex()


def uuid4(rng: random.Random) -> str:
    """A version 4 UUID with dashes."""
    digits = hex128(rng)
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
