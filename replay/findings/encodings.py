"""Guesses the encoding of audio from the distribution of its bytes.

In PCM16 the low byte of a sample takes every value about equally often, and the high byte stays near 0 or 255. In G.711
the bytes in even and odd places have the same, uneven distribution. In mono audio two neighbouring samples differ about
as much as the next two do. The thresholds were measured on speech.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from operator import mul, sub

from replay.cassette import g711

DECLARED = {"audio/pcm": "PCM16", "audio/pcmu": "G.711 µ-law", "audio/pcma": "G.711 A-law"}
"""Names of the encodings that a session may declare, by media type."""

_Shares = Sequence[float]
"""Shares of the 16 high nibbles of a text of bytes; they add up to 1."""

_SAME = 0.08
"""Distance of even and odd bytes below which they are codes of one kind. The two bytes of PCM16 are 0.2 and more apart;
noise at full scale is not apart at all."""
_UNEVEN = 0.15
_VARIETY = 6
"""The least number of high nibbles that G.711 codes of speech take."""
_NARROW = 0.3
_CORRELATED = 0.12
"""The least correlation of neighbouring samples in speech. Measured: 0.25 and more in speech, 0.02 in random bytes."""
_EVEN = (1 / 16,) * 16


def likely_encoding(data: bytes, declared: str) -> str:
    """The encoding that `data` seems to have, empty if it seems to be the declared one or the bytes do not show it.

    `data`: about a second of loud audio. `declared`: a media type. The answer is `PCM16`, `32-bit floats`, `G.711`,
    `big-endian PCM16` or `stereo`.
    """
    if declared not in DECLARED:
        return ""
    low, high = _shares(data[::2]), _shares(data[1::2])
    if declared != "audio/pcm":
        return "PCM16" if _is_pcm(low, high) else ""
    if _are_floats(data):
        return "32-bit floats"
    varied = sum(share > 0.01 for share in low) >= _VARIETY
    if varied and _distance(low, high) < _SAME and _distance(low, _EVEN) > _UNEVEN:
        # Speech in one of the two laws, not just any bytes. Soft audio does not show which law it is.
        if any(_correlation(g711.decode(data, law)) > _CORRELATED for law in g711.LAWS):
            return "G.711"
    if _is_pcm(high, low):
        return "big-endian PCM16"
    return "stereo" if _is_stereo(g711.from_little_endian(data[: len(data) // 4 * 4])) else ""


def _shares(data: bytes) -> list[float]:
    counts = [0] * 16
    for value, count in Counter(data).items():
        counts[value >> 4] += count
    return [count / max(1, len(data)) for count in counts]


def _distance(one: _Shares, other: _Shares) -> float:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2


def _is_pcm(low: _Shares, high: _Shares) -> bool:
    return _distance(low, _EVEN) < _UNEVEN and _distance(high, _EVEN) > _NARROW


def _correlation(samples: array[int]) -> float:
    """The correlation of neighbouring samples, from -1 to 1."""
    count, total = len(samples), sum(samples)
    mean = total / max(1, count)
    power: float = sum(map(mul, samples, samples)) - total * mean
    if power <= 0:
        return 0.0
    products = sum(map(mul, samples[1:], samples))
    shared: float = products - mean * (2 * total - samples[0] - samples[-1]) + (count - 1) * mean * mean
    return shared / power


def _are_floats(data: bytes) -> bool:
    """Whether the bytes are 32-bit floats between about -1 and 1."""
    values = array("f", data[: len(data) // 4 * 4])
    if sys.byteorder == "big":
        values.byteswap()
    sizes = list(map(abs, values))
    return bool(sizes) and all(map(math.isfinite, sizes)) and max(sizes) <= 4.0 and sum(sizes) / len(sizes) > 1e-3


def _is_stereo(samples: array[int]) -> bool:
    """Whether two channels take turns: similar ones, or one of them silent. A sample sent twice looks the same."""
    left, right = samples[::2], samples[1::2]
    if len(left) < 2:
        return False
    powers = sorted(sum(map(abs, side)) / len(side) for side in (left, right))
    within = sum(map(abs, map(sub, left, right))) / len(left)
    between = sum(map(abs, map(sub, left[1:], right))) / (len(left) - 1)
    return powers[0] < 0.02 * powers[1] or within < 0.25 * between
