"""Whether bytes that were declared as one encoding are sound in another: by how their values are spread.

PCM16 has a low byte that takes every value alike and a high one near 0 or 255. G.711 has one kind of byte, and that not
evenly spread. Sound of one channel changes as much within any two neighbouring samples as between the next two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replay.cassette import g711

Samples = NDArray[np.float64]
Spread = NDArray[np.float64]
"""Shares of the sixteen high nibbles."""

_ALIKE = 0.08
"""Codes in even and odd places differ by less, the two bytes of PCM16 by 0.2 and more; noise at full scale by none."""
_UNEVEN = 0.15
_VARIETY = 6
"""High nibbles that codes of a voice take at least."""
_NARROW = 0.3
_FLOW = 0.12
"""How much a sample of a voice tells of the next one, at least: 0.25 and more were measured, random bytes tell 0.02."""
_EVEN = np.full(16, 1 / 16)


def told_apart(data: bytes, declared: str) -> str:
    """What about a second of loud sound seems to be; empty when it seems to be what was declared, or nothing known."""
    name = DECLARED.get(declared)
    if name is None:
        return ""
    low, high = _spread(data[::2]), _spread(data[1::2])
    if name != "PCM16":
        return "PCM16" if _is_pcm(low, high) else ""
    if _floats(data):
        return "32-bit floats"
    varied = (low > 0.01).sum() >= _VARIETY
    if varied and _apart(low, high) < _ALIKE and _apart(low, _EVEN) > _UNEVEN and _flows(data):
        return "G.711"  # which law it is does not show where the sound is soft
    if _is_pcm(high, low):
        return "big-endian PCM16"
    return "stereo" if _interleaved(np.frombuffer(data[: len(data) // 4 * 4], "<i2").astype(np.float64)) else ""


def _is_pcm(low: Spread, high: Spread) -> bool:
    return _apart(low, _EVEN) < _UNEVEN and _apart(high, _EVEN) > _NARROW


def _flows(data: bytes) -> bool:
    """Whether it is sound, and not just any bytes, in one of the two laws."""
    return any(_flow(np.array(g711.decode(data, law), np.float64)) > _FLOW for law in ("pcmu", "pcma"))


def _flow(samples: Samples) -> float:
    swing = samples - samples.mean()
    power = float((swing * swing).sum())
    return float((swing[1:] * swing[:-1]).sum()) / power if power else 0.0


def _spread(data: bytes) -> Spread:
    counts = np.bincount(np.frombuffer(data, np.uint8) >> 4, minlength=16)
    return counts / max(1, len(data))


def _apart(one: Spread, other: Spread) -> float:
    return float(np.abs(one - other).sum() / 2)


def _floats(data: bytes) -> bool:
    """Numbers between -1 and 1, none of them absurd."""
    with np.errstate(all="ignore"):
        found = np.abs(np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float64))
        return bool(np.isfinite(found).all() and found.max(initial=0.0) <= 4.0 and found.mean() > 1e-3)


def _interleaved(samples: Samples) -> bool:
    """Two channels in turn: alike, or one of them silent. Each sample sent twice looks the same."""
    left, right = samples[::2], samples[1::2]
    if len(left) < 2:
        return False
    powers = sorted((float(np.abs(left).mean()), float(np.abs(right).mean())))
    within, between = float(np.abs(left - right).mean()), float(np.abs(left[1:] - right[:-1]).mean())
    return powers[0] < 0.02 * powers[1] or within < 0.25 * between


DECLARED = {"audio/pcm": "PCM16", "audio/pcmu": "G.711 µ-law", "audio/pcma": "G.711 A-law"}
