"""Audio between wire bytes and samples: PCM, G.711, Opus; resampling and loudness.

Samples are one-dimensional int16 arrays, mono.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray
from typing_extensions import assert_never

from mockserver.audio.formats import RATES, AudioFormat, Kind, Payload, Samples
from mockserver.audio.opus import OpusDecoder, OpusEncoder
from mockserver.audio.opus import unavailable as opus_unavailable
from replay.cassette import g711
from replay.outlets import logger

SILENCE_DBFS = -120.0
_INT16 = np.dtype("<i2")
_KINDS: dict[str, Kind] = {"audio/pcm": "pcm", "audio/pcmu": "pcmu", "audio/pcma": "pcma", "audio/opus": "opus"}
_LOG = logger(__name__)


def audio_format(media_type: str, rate: int | None = None) -> AudioFormat:
    """The format of a media type as both services write it, such as `audio/pcmu`. Without `rate`, the usual one in Hz.

    Never raises: an unsupported type or rate is `static`. So is opus if PyAV is not installed, which is logged.
    """
    kind = _KINDS.get(media_type.lower(), "static")
    if kind == "opus" and (missing := opus_unavailable()) is not None:
        _LOG.warning("%s; until then it is static", missing)
        return AudioFormat("static")
    wanted = rate if rate is not None else (24000 if kind == "pcm" else RATES[kind][0])
    return AudioFormat(kind, wanted) if wanted in RATES[kind] else AudioFormat("static")


def decode(data: bytes, format: AudioFormat) -> Samples:
    """Wire bytes to samples at `format.rate`. For pcm a read-only view of `data`: nothing is copied.

    Raises ValueError for half a sample at the end, and for opus.
    """
    match format.kind:
        case "pcm" | "static":
            if len(data) % 2:
                raise ValueError(f"{len(data)} bytes are not whole 16-bit samples; send an even number of bytes")
            return np.frombuffer(data, _INT16)
        case "pcmu" | "pcma":
            return _decoded(format.kind).take(np.frombuffer(data, np.uint8))
        case "opus":
            raise ValueError("opus cannot be decoded here; use pcm, pcmu or pcma, or a stream of decoder_for")
        case _:
            assert_never(format.kind)


def encode(samples: Samples, format: AudioFormat) -> bytes:
    """Samples that are already at `format.rate` to wire bytes. Raises ValueError for opus."""
    match format.kind:
        case "pcm":
            return samples.astype("<i2", copy=False).tobytes()
        case "pcmu" | "pcma":
            return _encoded(format.kind)[samples.view(np.uint16)].tobytes()
        case "static":
            return np.random.default_rng(len(samples)).integers(-8000, 8000, len(samples), np.int16).tobytes()
        case "opus":
            raise ValueError("opus cannot be encoded here; use pcm, pcmu or pcma, or a stream of encoder_for")
        case _:
            assert_never(format.kind)


# --- Streams: each message continues the one before ---


class Decoder(Protocol):
    """Decodes the messages of one connection's input."""

    def push(self, data: bytes) -> Samples:
        """The samples that a message completes, at the format's rate. Does not raise."""


class Encoder(Protocol):
    """Encodes one response's output."""

    def push(self, samples: Samples) -> list[Payload]:
        """The messages that these samples, at the format's rate, complete."""

    def finish(self) -> list[Payload]:
        """The remaining message at the end of a text, if there is one."""


def decoder_for(format: AudioFormat) -> Decoder:
    """A new stream. Raises ImportError, saying what to install, for opus without its extra."""
    if format.kind != "opus":
        return _SampleDecoder(format)
    return OpusDecoder()


def encoder_for(format: AudioFormat) -> Encoder:
    """A new stream. Raises ImportError, saying what to install, for opus without its extra."""
    if format.kind != "opus":
        return _SampleEncoder(format)
    return OpusEncoder()


class _SampleDecoder:
    """Samples of fixed size. A sample that is split over two messages is joined."""

    def __init__(self, format: AudioFormat) -> None:
        self._format = format
        self._width = format.bytes_per_sample
        self._odd = b""

    def push(self, data: bytes) -> Samples:
        if self._odd or len(data) % self._width:
            data = self._odd + data
            whole = len(data) - len(data) % self._width
            data, self._odd = data[:whole], data[whole:]
        return np.frombuffer(data, _INT16) if self._width == 2 else decode(data, self._format)


class _SampleEncoder:
    """Samples of fixed size: nothing is buffered."""

    def __init__(self, format: AudioFormat) -> None:
        self._format = format

    def push(self, samples: Samples) -> list[Payload]:
        return [(encode(samples, self._format), len(samples))] if len(samples) else []

    def finish(self) -> list[Payload]:
        return []


# --- G.711: the tables of replay, as arrays. A table look-up is faster than arithmetic. ---


@lru_cache(maxsize=2)
def _decoded(law: g711.Law) -> Samples:
    return np.array(g711.samples(law), np.int16)


@lru_cache(maxsize=2)
def _encoded(law: g711.Law) -> NDArray[np.uint8]:
    """Indexed by the bits of a sample read as unsigned: first the positive samples, then the negative ones."""
    return np.roll(np.frombuffer(g711.codes(law), np.uint8), 32768)


# --- Rates ---


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """A whole clip at another rate (Hz)."""
    if from_rate == to_rate:
        return samples
    # As floats: soxr dithers integers, with a seed from the clock.
    floats: NDArray[np.float32] = soxr.resample(samples.astype(np.float32), from_rate, to_rate)
    return np.rint(floats).clip(-32768, 32767).astype(np.int16)


# --- Loudness ---


def rms_dbfs(samples: Samples) -> float:
    """Loudness relative to full scale in dB: a full-scale sine is -3.0, silence (or no samples) SILENCE_DBFS."""
    if not len(samples):
        return SILENCE_DBFS
    x = samples.astype(np.float32)
    mean_square = float(np.dot(x, x)) / len(x) / 32768.0**2
    return max(SILENCE_DBFS, 10 * math.log10(mean_square)) if mean_square > 0 else SILENCE_DBFS
