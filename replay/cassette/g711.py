"""G.711: one byte of mu-law or A-law is one sample at 8 kHz (ITU-T G.711). Both ways, by table."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect
from functools import lru_cache
from itertools import pairwise
from typing import Literal, get_args

Law = Literal["pcmu", "pcma"]
LAWS: tuple[Law, ...] = get_args(Law)


def law_of(encoding: str) -> Law | None:
    """The law that an encoding or media type names (`pcmu`, `audio/pcma`), None for another encoding."""
    return next((law for law in LAWS if encoding.removeprefix("audio/") == law), None)


def decode(data: bytes, law: Law) -> array[int]:
    """Samples of 16 bits."""
    return array("h", map(_samples(law).__getitem__, data))


def encode(samples: array[int], law: Law) -> bytes:
    """The nearest code of each sample."""
    codes = _codes(law)
    return bytes([codes[sample + 32768] for sample in samples])


def little_endian(samples: array[int]) -> bytes:
    """PCM16 as it is on the wire and in WAV files."""
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    return samples.tobytes()


def from_little_endian(data: bytes) -> array[int]:
    """Samples of PCM16; half a sample at the end is left out."""
    samples = array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


@lru_cache(maxsize=2)
def _samples(law: Law) -> tuple[int, ...]:
    return tuple(_mu_law(code) if law == "pcmu" else _a_law(code) for code in range(256))


@lru_cache(maxsize=2)
def _codes(law: Law) -> bytes:
    """By sample, from the lowest on."""
    table = _samples(law)
    order = sorted(range(256), key=table.__getitem__)
    borders = [(table[code] + table[after]) / 2 for code, after in pairwise(order)]
    return bytes(order[bisect(borders, sample)] for sample in range(-32768, 32768))


def _mu_law(code: int) -> int:
    code = ~code & 0xFF
    sample = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -sample if code & 0x80 else sample


def _a_law(code: int) -> int:
    code ^= 0x55
    low, segment = (code & 0x0F) << 4, code >> 4 & 7
    sample = low + 8 if segment == 0 else low + 0x108 << segment - 1
    return sample if code & 0x80 else -sample
