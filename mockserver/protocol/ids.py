"""Identifiers from seeded random streams: equal seeds, equal ids. A dialect decides on their form."""

from __future__ import annotations

import random
from collections.abc import Iterator
from struct import Struct
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


class LateStream:
    """A random stream that is seeded when it is first drawn from: most sessions need few, and each has 2.5 KiB."""

    __slots__ = ("_purpose", "_rng", "_seed")

    def __init__(self, seed: str, purpose: str) -> None:
        self._seed = seed
        self._purpose = purpose
        self._rng: random.Random | None = None

    @property
    def rng(self) -> random.Random:
        """The stream itself."""
        if self._rng is None:
            self._rng = stream(self._seed, self._purpose)
        return self._rng


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


_BLOCK = 8
_FREE_BLOCK = sum(_FREE << 128 * place for place in range(_BLOCK))
_FIXED_BLOCK = sum(_FIXED << 128 * place for place in range(_BLOCK))
_GROUPS = Struct("8s4s4s4s12s" * _BLOCK)
_DASHED = b"%b-%b-%b-%b-%b " * _BLOCK


def uuid4s(late: LateStream) -> Iterator[str]:
    """What `uuid4` gives call by call, without end. It draws several at once, which is cheaper."""
    rng = late.rng
    while True:
        drawn = rng.getrandbits(128 * _BLOCK) & _FREE_BLOCK | _FIXED_BLOCK
        groups = _GROUPS.unpack(drawn.to_bytes(16 * _BLOCK, "big").hex().encode())
        yield from reversed((_DASHED % groups).decode().split())  # what is drawn first is lowest
