"""Sound as numbers: wire formats, G.711, resampling, WAV files.

Samples are one-dimensional int16 arrays, mono. No time, no pacing, no speech: see playout.py, pacing.py, voices/.
"""

from __future__ import annotations

import io
import logging
import math
import os
import wave
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Kind = Literal["pcm", "pcmu", "pcma", "opus", "static"]

# Rates of `audio/pcm` as the vendor's WebSocket reference lists them, July 2026; G.711 is 8 kHz, Opus 24 kHz there.
RATES: dict[Kind, tuple[int, ...]] = {
    "pcm": (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000),
    "pcmu": (8000,),
    "pcma": (8000,),
    "opus": (24000,),
    "static": (24000,),
}
BYTES_PER_SAMPLE: dict[Kind, int] = {"pcm": 2, "pcmu": 1, "pcma": 1, "static": 2}
"""`static` is what a service makes of a format that it does not know: noise of the same length (clients' reports)."""

Payload = tuple[bytes, int]
"""The audio of one message, and how many samples are in it."""

SILENCE_DBFS = -120.0
LARGEST_WAV_BYTES = 512 * 2**20
EXTENSIBLE = 0xFFFE
SIZES_OF_STREAMED_WAV = (0, 0xFFFFFFFF)  # written by encoders that cannot seek back, e.g. into a pipe

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How samples travel on the wire: `kind`, and `rate` in Hz. Raises ValueError for what no dialect has."""

    kind: Kind = "pcm"
    rate: int = 24000

    def __post_init__(self) -> None:
        if self.kind not in RATES:
            raise ValueError(f"audio kind {self.kind!r} is unknown; use one of {', '.join(RATES)}")
        if self.rate not in RATES[self.kind]:
            rates = ", ".join(map(str, RATES[self.kind]))
            raise ValueError(f"{self.kind} at {self.rate} Hz is not offered; use one of these rates: {rates}")

    @property
    def bytes_per_sample(self) -> int:
        """2 for pcm, 1 for G.711. Raises ValueError for opus, whose packets have no fixed size."""
        if self.kind not in BYTES_PER_SAMPLE:
            raise ValueError(f"{self.kind} has no fixed bytes per sample; use pcm, pcmu or pcma")
        return BYTES_PER_SAMPLE[self.kind]


PCM_24K = AudioFormat("pcm", 24000)
"""What every service speaks unless told otherwise."""


def audio_format(media_type: str, rate: int | None = None) -> AudioFormat:
    """The format of a media type as both services write it, such as `audio/pcmu`; a missing rate is the usual one.

    Never raises: what no service has is `static`, and so is opus without its extra, which is logged.
    """
    kind = _KINDS.get(media_type.lower(), "static")
    if kind == "opus" and not _opus_installed():
        return AudioFormat("static")
    wanted = rate if rate is not None else (24000 if kind == "pcm" else RATES[kind][0])
    return AudioFormat(kind, wanted) if wanted in RATES[kind] else AudioFormat("static")


_KINDS: dict[str, Kind] = {"audio/pcm": "pcm", "audio/pcmu": "pcmu", "audio/pcma": "pcma", "audio/opus": "opus"}


def _opus_installed() -> bool:
    try:
        import mockserver.opus  # noqa: F401 - loads the codec now, not in the middle of a turn
    except ImportError as missing:
        _LOG.warning("%s; until then it is static", missing)
        return False
    return True


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
    from mockserver.opus import OpusDecoder

    return OpusDecoder()


def encoder_for(format: AudioFormat) -> Encoder:
    """A new stream. Raises ImportError, saying what to install, for opus without its extra."""
    if format.kind != "opus":
        return _SampleEncoder(format)
    from mockserver.opus import OpusEncoder

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


def read_wav(source: str | os.PathLike[str] | bytes) -> tuple[Samples, int]:
    """A PCM WAV file of 8, 16, 24 or 32 bits as (mono samples, rate in Hz); channels are averaged.

    Raises ValueError, saying what to do, for anything else; OSError when the file cannot be read.
    """
    name = "WAV data" if isinstance(source, bytes) else os.fspath(source)
    data = source if isinstance(source, bytes) else _bounded_read(Path(source))
    try:
        if _format_tag(data) == EXTENSIBLE:  # the standard library reads it from Python 3.12 on only
            raise wave.Error("WAVE_FORMAT_EXTENSIBLE is not read")
        with wave.open(io.BytesIO(data), "rb") as wav:
            params, frames = wav.getparams(), wav.readframes(wav.getnframes())
    except (wave.Error, EOFError, RuntimeError) as problem:  # RuntimeError: a chunk that reaches past the end
        what = str(problem) or "the header is cut off"
        advice = "save it as 16-bit PCM WAV, for example: ffmpeg -i in -c:a pcm_s16le -bitexact out.wav"
        raise ValueError(f"{name}: {what}; {advice}") from None
    _check_whole(name, data, params.nframes * params.nchannels * params.sampwidth, len(frames))
    if params.framerate < 1:
        raise ValueError(f"{name}: the header says {params.framerate} Hz; save it again with its true rate")
    return _mono(_to_int16(frames, params.sampwidth, name), params.nchannels), params.framerate


def _bounded_read(path: Path) -> bytes:
    if (size := path.stat().st_size) > LARGEST_WAV_BYTES:
        raise ValueError(f"{path}: {size} bytes is more than {LARGEST_WAV_BYTES}; split it into shorter files")
    return path.read_bytes()


def _format_tag(data: bytes) -> int | None:
    at = data.find(b"fmt ", 12)
    return int.from_bytes(data[at + 8 : at + 10], "little") if at >= 0 else None


def _check_whole(name: str, data: bytes, promised: int, found: int) -> None:
    at = data.find(b"data", 12)
    if promised == found or int.from_bytes(data[at + 4 : at + 8], "little") in SIZES_OF_STREAMED_WAV:
        return
    raise ValueError(f"{name}: cut off after {found} of the {promised} bytes of sound in its header; copy it again")


def _to_int16(frames: bytes, width: int, name: str) -> Samples:
    """The upper 16 bits of each sample; 8-bit WAV is unsigned."""
    frames = frames[: len(frames) // width * width]
    match width:
        case 1:
            widened: Samples = (np.frombuffer(frames, np.uint8) ^ np.uint8(128)).astype(np.int16) << np.int16(8)
            return widened
        case 2:
            return np.frombuffer(frames, "<i2")
        case 3 | 4:
            upper: Samples = np.frombuffer(frames, np.uint8).reshape(-1, width)[:, width - 2 :].copy().view("<i2")
            return upper[:, 0]
        case _:
            raise ValueError(f"{name}: {8 * width} bits a sample are not read; save it as 16-bit PCM WAV")


def _mono(samples: Samples, channels: int) -> Samples:
    if channels == 1:
        return samples
    whole = samples[: len(samples) // channels * channels]
    mixed: Samples = whole.reshape(-1, channels).mean(axis=1).round().astype(np.int16)
    return mixed


def wav_bytes(samples: Samples, rate: int) -> bytes:
    """A 16-bit mono WAV file in memory; `rate` in Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(encode(samples, AudioFormat("pcm")))
    return out.getvalue()


def write_wav(path: str | os.PathLike[str], samples: Samples, rate: int) -> None:
    """A 16-bit mono WAV file on disk; `rate` in Hz."""
    Path(path).write_bytes(wav_bytes(samples, rate))


def rms_dbfs(samples: Samples) -> float:
    """Loudness relative to full scale in dB: a full-scale sine is -3.0, silence (or no samples) SILENCE_DBFS."""
    if not len(samples):
        return SILENCE_DBFS
    x = samples.astype(np.float32)
    mean_square = float(np.dot(x, x)) / len(x) / 32768.0**2
    return max(SILENCE_DBFS, 10 * math.log10(mean_square)) if mean_square > 0 else SILENCE_DBFS
