"""Whether bytes that were declared as one encoding are sound in another: by which reading of them is smooth.

A voice changes little from one sample to the next. The same bytes read in a wrong encoding jump about like noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from replay import g711

Samples = NDArray[np.float64]

_ROUGH = 0.9
"""Mean step over mean size: noise has 1.3 and more, voices at 8 kHz up to 0.8, at 24 kHz up to 0.5."""
_SMOOTHER = 0.6
"""How much smoother another reading must be to be believed."""
_TORN = 5_000
"""Mean size from which PCM16 may be bytes of something else: their low halves become high ones, and fill the range."""
_VOICE = (60, 9_000)
"""Mean size of a second of loud speech."""


def _pcm(data: bytes) -> Samples:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.float64)


def _big_endian(data: bytes) -> Samples:
    return np.frombuffer(data[: len(data) // 2 * 2], ">i2").astype(np.float64)


def _float32(data: bytes) -> Samples:
    with np.errstate(all="ignore"):
        found = np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float64)
        fits = np.isfinite(found).all() and 1e-4 < np.abs(found).max(initial=0.0) <= 4.0
    return found * 32767 if fits else np.zeros(0)


def _mu_law(data: bytes) -> Samples:
    return np.asarray(g711.decode(data, "pcmu"), np.float64)


def _a_law(data: bytes) -> Samples:
    return np.asarray(g711.decode(data, "pcma"), np.float64)


READINGS: Mapping[str, Callable[[bytes], Samples]] = {
    "PCM16": _pcm,
    "big-endian PCM16": _big_endian,
    "32-bit floats": _float32,
    "G.711 µ-law": _mu_law,
    "G.711 A-law": _a_law,
}
DECLARED = {"audio/pcm": "PCM16", "audio/pcmu": "G.711 µ-law", "audio/pcma": "G.711 A-law"}


def told_apart(data: bytes, declared: str) -> str:
    """What `data` seems to be; empty when it seems to be what was declared, or nothing that is known."""
    name = DECLARED.get(declared)
    if name is None:
        return ""
    native = READINGS[name](data)
    if _rough(native) > _ROUGH and (name != "PCM16" or _size(native) > _TORN):
        readings = {other: read(data) for other, read in READINGS.items() if other != name}
        others = {other: _rough(found) for other, found in readings.items() if _VOICE[0] < _size(found) < _VOICE[1]}
        best = min(others, key=others.__getitem__, default=name)
        if others.get(best, _ROUGH) < _SMOOTHER * _rough(native):
            return best
    return "stereo" if name == "PCM16" and _interleaved(native) else ""


def _size(samples: Samples) -> float:
    return float(np.abs(samples).mean()) if len(samples) > 1 else 0.0


def _rough(samples: Samples) -> float:
    size = _size(samples)
    return float(np.abs(np.diff(samples)).mean()) / size if size else float("inf")


def _interleaved(samples: Samples) -> bool:
    """Two channels in turn: alike, or one of them silent. Each sample sent twice looks the same."""
    left, right = samples[: len(samples) // 2 * 2 : 2], samples[1::2]
    if len(left) < 2:
        return False
    powers = sorted((float(np.abs(left).mean()), float(np.abs(right).mean())))
    within, between = float(np.abs(left - right).mean()), float(np.abs(left[1:] - right[:-1]).mean())
    return powers[0] < 0.02 * powers[1] or within < 0.25 * between
