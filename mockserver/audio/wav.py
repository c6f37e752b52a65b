"""WAV files: read with bounds, written as 16-bit mono PCM."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path

import numpy as np

from mockserver.audio.codecs import encode
from mockserver.audio.formats import AudioFormat, Samples

LARGEST_WAV_BYTES = 512 * 2**20


EXTENSIBLE = 0xFFFE


SIZES_OF_STREAMED_WAV = (0, 0xFFFFFFFF)  # written by encoders that cannot seek back, e.g. into a pipe


def read_wav(source: str | os.PathLike[str] | bytes) -> tuple[Samples, int]:
    """A PCM WAV file of 8, 16, 24 or 32 bits as (mono samples, rate in Hz); channels are averaged.

    Raises ValueError, saying what to do, for anything else; OSError when the file cannot be read.
    """
    if isinstance(source, bytes):
        name, data = "WAV data", source
    else:
        name, path = os.fspath(source), Path(source)
        if (size := path.stat().st_size) > LARGEST_WAV_BYTES:
            raise ValueError(f"{path}: {size} bytes is more than {LARGEST_WAV_BYTES}; split it into shorter files")
        data = path.read_bytes()
    try:
        tag_at = data.find(b"fmt ", 12) + 8
        # The standard library reads it from Python 3.12 on only.
        if tag_at >= 8 and int.from_bytes(data[tag_at : tag_at + 2], "little") == EXTENSIBLE:
            raise wave.Error("WAVE_FORMAT_EXTENSIBLE is not read")
        with wave.open(io.BytesIO(data), "rb") as wav:
            params, frames = wav.getparams(), wav.readframes(wav.getnframes())
    except (wave.Error, EOFError, RuntimeError) as problem:  # RuntimeError: a chunk that reaches past the end
        what = str(problem) or "the header is cut off"
        advice = "save it as 16-bit PCM WAV, for example: ffmpeg -i in -c:a pcm_s16le -bitexact out.wav"
        raise ValueError(f"{name}: {what}; {advice}") from None
    size_at, promised = data.find(b"data", 12) + 4, params.nframes * params.nchannels * params.sampwidth
    streamed = int.from_bytes(data[size_at : size_at + 4], "little") in SIZES_OF_STREAMED_WAV
    if promised != len(frames) and not streamed:
        cut = f"{name}: cut off after {len(frames)} of the {promised} bytes of sound in its header; copy it again"
        raise ValueError(cut)
    if params.framerate < 1:
        raise ValueError(f"{name}: the header says {params.framerate} Hz; save it again with its true rate")
    samples, channels = _to_int16(frames, params.sampwidth, name), params.nchannels
    if channels > 1:
        whole = samples[: len(samples) // channels * channels]
        samples = whole.reshape(-1, channels).mean(axis=1).round().astype(np.int16)
    return samples, params.framerate


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


def wav_bytes(samples: Samples, rate: int) -> bytes:
    """A 16-bit mono WAV file in memory; `rate` in Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(encode(samples, AudioFormat("pcm")))
    return out.getvalue()


def stereo_wav_bytes(left: Samples, right: Samples, rate: int) -> bytes:
    """A 16-bit stereo WAV file in memory, of two sides of equal length; `rate` in Hz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as wav:
        wav.setnchannels(2)
        wav.setsampwidth(2)
        wav.setframerate(rate)
        wav.writeframes(np.column_stack((left, right)).astype("<i2").tobytes())
    return out.getvalue()


def write_wav(path: str | os.PathLike[str], samples: Samples, rate: int) -> None:
    """A 16-bit mono WAV file on disk; `rate` in Hz."""
    Path(path).write_bytes(wav_bytes(samples, rate))
