"""What can be wrong with the sound inside a message: silence for speech, clipping, another sampling rate.

Pure functions on wire bytes; PCM and G.711 only, since Opus packets cannot be changed without coding them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mockserver.audio.codecs import audio_format, decode, encode, resample
from mockserver.audio.formats import PCM_24K, AudioFormat, Samples

GAIN = 16
"""How much too loud clipped sound was: 24 dB."""


def silent(audio: bytes, format: AudioFormat) -> bytes:
    """As long, and nothing to hear."""
    return _changed(audio, format, np.zeros_like)


def clipped(audio: bytes, format: AudioFormat) -> bytes:
    """Far too loud, and cut off at what 16 bits can hold."""
    return _changed(audio, format, lambda samples: np.clip(samples.astype(np.int32) * GAIN, -32768, 32767))


def misrated(audio: bytes, format: AudioFormat, rate: int) -> bytes:
    """Sound of another rate (Hz), sent as if it had the one that was agreed on: too fast and too high where the rate is
    lower, and so much shorter."""
    return _changed(audio, format, lambda samples: resample(samples, format.rate, rate))


def _changed(audio: bytes, format: AudioFormat, change: Callable[[Samples], Any]) -> bytes:
    if format.kind == "opus" or len(audio) % format.bytes_per_sample:
        return audio
    return encode(np.asarray(change(decode(audio, format)), np.int16), format)


def told_format(session: Mapping[str, Any], side: str) -> AudioFormat:
    """The format of `input` or `output` in a session object as the services show it."""
    at: Any = session
    for key in ("audio", side, "format"):
        at = at.get(key) if isinstance(at, Mapping) else None
    if not isinstance(at, Mapping) or not isinstance(kind := at.get("type"), str):
        return PCM_24K
    rate = at.get("rate")
    return audio_format(kind, rate if isinstance(rate, int) else None)
