"""The audio format of a call, and WAV files in this format: 16-bit little-endian PCM, mono, 24 kHz.

Nothing is converted: a file in another format is refused with the command that converts it.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

SAMPLE_RATE_HZ = 24_000
SAMPLE_BYTES = 2
CHUNK_MS = 100  # the vendor's guide recommends appends of about this size
MAX_SPEECH_S = 600

_CHUNK_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * CHUNK_MS // 1000
_MAX_FILE_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * MAX_SPEECH_S + 65_536  # and room for headers and tags


def samples(pcm: bytes | bytearray) -> int:
    """Number of whole samples in PCM16 mono audio."""
    return len(pcm) // SAMPLE_BYTES


def chunks(pcm: bytes) -> Iterator[bytes]:
    """PCM audio in pieces of 100 ms; the last one may be shorter."""
    for start in range(0, len(pcm), _CHUNK_BYTES):
        yield pcm[start : start + _CHUNK_BYTES]


def read_wav(path: Path) -> bytes:
    """The samples of a WAV file.

    Raises ValueError, saying what to do, for a file that is not 24 kHz mono 16-bit PCM, is empty, or is longer than
    10 minutes.
    """
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(_too_long(path))
    return wav_samples(path.read_bytes(), path)


def wav_samples(data: bytes, path: Path) -> bytes:
    """The samples in the content of a WAV file. `path` is for messages only. Raises as `read_wav` does."""
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(_too_long(path))
    try:
        with wave.open(BytesIO(data)) as file:
            form = (file.getframerate(), file.getnchannels(), file.getsampwidth())
            pcm: bytes = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        why = str(error) or "the file is cut off"
        raise ValueError(f"{path}: not a PCM WAV file ({why}); {_conversion(path)}") from error
    if form != (SAMPLE_RATE_HZ, 1, SAMPLE_BYTES):
        rate, channels, width = form
        raise ValueError(f"{path}: {rate} Hz, {channels} channel(s), {8 * width} bit; {_conversion(path)}")
    if not samples(pcm):
        raise ValueError(f"{path}: contains no audio; record it again")
    return pcm


def wav_file(pcm: bytes) -> bytes:
    """PCM audio as the content of a WAV file."""
    file = BytesIO()
    _write(file, 1, pcm)
    return file.getvalue()


def write_wav(path: Path, pcm: bytes) -> None:
    """Write PCM audio as a WAV file."""
    path.write_bytes(wav_file(pcm))


def write_stereo_wav(path: Path, left: bytes, right: bytes) -> None:
    """Write two channels of PCM audio as one WAV file; the shorter one ends in silence."""
    frames = max(samples(left), samples(right))
    both = bytearray(2 * frames * SAMPLE_BYTES)
    for channel, pcm in enumerate((left, right)):
        for byte in range(SAMPLE_BYTES):
            at, end = channel * SAMPLE_BYTES + byte, samples(pcm) * SAMPLE_BYTES
            both[at : 2 * end : 2 * SAMPLE_BYTES] = pcm[byte:end:SAMPLE_BYTES]
    with path.open("wb") as file:
        _write(file, 2, bytes(both))


def _write(into: BinaryIO, channels: int, pcm: bytes) -> None:
    with wave.open(into, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(pcm)


def _too_long(path: Path) -> str:
    return f"{path}: longer than {MAX_SPEECH_S} s; cut it into shorter turns"


def _conversion(path: Path) -> str:
    return f"convert it with: ffmpeg -i {path} -ar 24000 -ac 1 -c:a pcm_s16le {path.with_suffix('')}-24k.wav"
