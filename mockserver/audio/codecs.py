"""Sound as numbers: wire formats, G.711, resampling, WAV files.

Samples are one-dimensional int16 arrays, mono. No time, no pacing, no speech: see playout.py, pacing.py, voices/.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.formats import AudioFormat, Payload, Samples

SILENCE_DBFS = -120.0


def decode(data: bytes, format: AudioFormat) -> Samples:
    """Wire bytes to samples at `format.rate`. For pcm a read-only view of `data`: nothing is copied.

    Raises ValueError for half a sample at the end, and for opus.
    """
    match format.kind:
        case "pcm" | "static":
            if len(data) % 2:
                raise ValueError(f"{len(data)} bytes are not whole 16-bit samples; send an even number of bytes")
            return np.frombuffer(data, "<i2")
        case "pcmu":
            return _ulaw_to_linear().take(np.frombuffer(data, np.uint8))
        case "pcma":
            return _alaw_to_linear().take(np.frombuffer(data, np.uint8))
        case "opus":
            raise ValueError("opus cannot be decoded here; use pcm, pcmu or pcma, or a stream of decoder_for")


def encode(samples: Samples, format: AudioFormat) -> bytes:
    """Samples that are already at `format.rate` to wire bytes. Raises ValueError for opus."""
    match format.kind:
        case "pcm":
            return samples.astype("<i2", copy=False).tobytes()
        case "pcmu":
            return _linear_to_ulaw()[samples.view(np.uint16)].tobytes()
        case "pcma":
            return _linear_to_alaw()[samples.view(np.uint16)].tobytes()
        case "static":
            return np.random.default_rng(len(samples)).integers(-8000, 8000, len(samples), np.int16).tobytes()
        case "opus":
            raise ValueError("opus cannot be encoded here; use pcm, pcmu or pcma, or a stream of encoder_for")


# --- Streams: what is pushed goes on from what was pushed before ---


class Decoder(Protocol):
    """The messages of one connection's input."""

    def push(self, data: bytes) -> Samples:
        """The samples that a message completes, at the format's rate. Never raises: see each format."""


class Encoder(Protocol):
    """The messages of one response's output."""

    def push(self, samples: Samples) -> list[Payload]:
        """The messages that these samples, at the format's rate, complete."""

    def finish(self) -> list[Payload]:
        """The message that is left at the end of a text, if any."""


def decoder_for(format: AudioFormat) -> Decoder:
    """A new stream. Raises ImportError, saying what to install, for opus without its extra."""
    if format.kind != "opus":
        return _SampleDecoder(format)
    from mockserver.audio.opus import OpusDecoder

    return OpusDecoder()


def encoder_for(format: AudioFormat) -> Encoder:
    """A new stream. Raises ImportError, saying what to install, for opus without its extra."""
    if format.kind != "opus":
        return _SampleEncoder(format)
    from mockserver.audio.opus import OpusEncoder

    return OpusEncoder()


class _SampleDecoder:
    """Samples of fixed size; one that is split over two messages is put together again."""

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._odd = b""

    def push(self, data: bytes) -> Samples:
        if self._odd or len(data) % self._format.bytes_per_sample:
            data = self._odd + data
            whole = len(data) - len(data) % self._format.bytes_per_sample
            data, self._odd = data[:whole], data[whole:]
        return decode(data, self._format)


class _SampleEncoder:
    """Samples of fixed size: nothing waits."""

    def __init__(self, format: AudioFormat) -> None:
        self._format = format

    def push(self, samples: Samples) -> list[Payload]:
        return [(encode(samples, self._format), len(samples))] if len(samples) else []

    def finish(self) -> list[Payload]:
        return []


# --- G.711 (ITU-T, 1988): sign, three bits of segment, four bits of step. One look-up in a table beats arithmetic. ---


@lru_cache(maxsize=1)
def _ulaw_to_linear() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


@lru_cache(maxsize=1)
def _alaw_to_linear() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment, step = (code >> 4) & 7, ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _every_sample() -> NDArray[np.int32]:
    """All 65,536 values in the order in which their bits read as unsigned, so that a table is indexed by them."""
    return np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32)


@lru_cache(maxsize=1)
def _linear_to_ulaw() -> NDArray[np.uint8]:
    value = _every_sample() >> 2
    magnitude = np.minimum(np.abs(value), 8159) + 33
    segment = np.searchsorted([0x40 << n for n in range(8)], magnitude, side="right")
    code = np.where(segment == 8, 0x7F, (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F))
    return (code ^ np.where(value < 0, 0x7F, 0xFF)).astype(np.uint8)


@lru_cache(maxsize=1)
def _linear_to_alaw() -> NDArray[np.uint8]:
    value = _every_sample() >> 3
    magnitude = np.where(value < 0, ~value, value)
    segment = np.searchsorted([0x20 << n for n in range(7)], magnitude, side="right")
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    return (code ^ np.where(value < 0, 0x55, 0xD5)).astype(np.uint8)


# --- Rates ---


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """A whole clip at another rate (Hz)."""
    if from_rate == to_rate:
        return samples
    import soxr  # not at the top: most sessions never change a rate

    # As floats: soxr dithers whole numbers, from a seed of the clock's.
    floats: NDArray[np.float32] = soxr.resample(samples.astype(np.float32), from_rate, to_rate)
    return np.rint(floats).clip(-32768, 32767).astype(np.int16)


# --- WAV files ---


def rms_dbfs(samples: Samples) -> float:
    """Loudness relative to full scale in dB: a full-scale sine is -3.0, silence (or no samples) SILENCE_DBFS."""
    if not len(samples):
        return SILENCE_DBFS
    x = samples.astype(np.float32)
    mean_square = float(np.dot(x, x)) / len(x) / 32768.0**2
    return max(SILENCE_DBFS, 10 * math.log10(mean_square)) if mean_square > 0 else SILENCE_DBFS
