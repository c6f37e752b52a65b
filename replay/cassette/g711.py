"""G.711 by table: one byte of mu-law or A-law is one 16-bit sample at 8 kHz (ITU-T G.711). Also PCM16 byte order."""

from __future__ import annotations

import sys
from array import array
from bisect import bisect
from functools import lru_cache
from typing import Literal, get_args

Law = Literal["pcmu", "pcma"]
LAWS: tuple[Law, ...] = get_args(Law)


def law_of(encoding: str) -> Law | None:
    """The law that an encoding or media type names (`pcmu`, `audio/pcma`), None for another encoding."""
    return next((law for law in LAWS if encoding.removeprefix("audio/") == law), None)


def decode(data: bytes, law: Law) -> array[int]:
    """Samples of 16 bits."""
    return array("h", map(samples(law).__getitem__, data))


def encode(pcm: array[int], law: Law) -> bytes:
    """The code of each sample of 16 bits."""
    table = codes(law)
    return bytes([table[sample + 32768] for sample in pcm])


def little_endian(samples: array[int]) -> bytes:
    """PCM16 bytes as they are on the wire and in WAV files."""
    if sys.byteorder == "big":
        samples = array("h", samples)
        samples.byteswap()
    return samples.tobytes()


def from_little_endian(data: bytes) -> array[int]:
    """The samples of PCM16 bytes. An odd byte at the end is ignored."""
    samples = array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


@lru_cache(maxsize=2)
def samples(law: Law) -> tuple[int, ...]:
    """The sample of each code, from code 0 on."""
    return tuple(_mu_law(code) if law == "pcmu" else _a_law(code) for code in range(256))


@lru_cache(maxsize=2)
def codes(law: Law) -> bytes:
    """The code of each sample, from -32768 on. Its last two bits (mu-law) or three (A-law) do not count."""
    if law == "pcmu":
        return bytes(code for value in range(-8192, 8192) for code in [_mu_law_code(value)] * 4)
    return bytes(code for value in range(-4096, 4096) for code in [_a_law_code(value)] * 8)


def _mu_law(code: int) -> int:
    code = ~code & 0xFF
    sample = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -sample if code & 0x80 else sample


def _a_law(code: int) -> int:
    code ^= 0x55
    low, segment = (code & 0x0F) << 4, code >> 4 & 7
    sample = low + 8 if segment == 0 else low + 0x108 << segment - 1
    return sample if code & 0x80 else -sample


def _mu_law_code(value: int) -> int:
    """`value` has 14 bits."""
    magnitude = min(abs(value), 8159) + 33
    segment = bisect([0x40 << n for n in range(8)], magnitude)
    code = 0x7F if segment == 8 else segment << 4 | magnitude >> segment + 1 & 0x0F
    return code ^ (0x7F if value < 0 else 0xFF)


def _a_law_code(value: int) -> int:
    """`value` has 13 bits."""
    magnitude = ~value if value < 0 else value
    segment = bisect([0x20 << n for n in range(7)], magnitude)
    return (segment << 4 | magnitude >> max(segment, 1) & 0x0F) ^ (0x55 if value < 0 else 0xD5)
