"""Faults of the audio inside a message: silence, clipping, another sampling rate.

Pure functions on wire bytes of PCM and G.711. Opus packets are returned unchanged: to change one means to encode it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mockserver.audio.codecs import audio_format, decode, encode, resample
from mockserver.audio.formats import PCM_24K, AudioFormat, Samples

GAIN = 16
"""The gain before clipping: 24 dB."""


def silent(audio: bytes, format: AudioFormat) -> bytes:
    """Silence of the same length."""
    return _changed(audio, format, np.zeros_like)


def clipped(audio: bytes, format: AudioFormat) -> bytes:
    """The audio amplified by `GAIN`, and clipped to 16 bits."""
    return _changed(audio, format, lambda samples: np.clip(samples.astype(np.int32) * GAIN, -32768, 32767))


def misrated(audio: bytes, format: AudioFormat, rate: int) -> bytes:
    """The audio at another rate (Hz), sent as if it had the rate that was agreed on: at a lower rate it is shorter, too
    fast and too high."""
    return _changed(audio, format, lambda samples: resample(samples, format.rate, rate))


def _changed(audio: bytes, format: AudioFormat, change: Callable[[Samples], Any]) -> bytes:
    if format.kind == "opus" or len(audio) % format.bytes_per_sample:
        return audio
    return encode(np.asarray(change(decode(audio, format)), np.int16), format)


def format_in(session: Mapping[str, Any], side: str) -> AudioFormat:
    """The audio format of `input` or `output` in a session object of either service."""
    at: Any = session
    for key in ("audio", side, "format"):
        at = at.get(key) if isinstance(at, Mapping) else None
    if not isinstance(at, Mapping) or not isinstance(kind := at.get("type"), str):
        return PCM_24K
    rate = at.get("rate")
    return audio_format(kind, rate if isinstance(rate, int) else None)
