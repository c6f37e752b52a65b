"""A recording as WAV files: each turn by itself, and the call in stereo, left the user and right the service.

16-bit PCM. Turns keep their sample rate. The call is at 24 kHz, on the time axis of the wire (see soundtrack.py). Audio
that the recording left out is a tone of its length.
"""

from __future__ import annotations

import wave
from array import array
from collections.abc import Iterable
from pathlib import Path

from replay.cassette import g711
from replay.cassette.recording import Recording
from replay.report.soundtrack import RATE, Soundtrack, soundtrack

CALL = "call.wav"


def write(recording: Recording, folder: Path) -> list[Path]:
    """Write the files into a folder, creating it. Returns their paths. Raises OSError and TooLong."""
    found = soundtrack(recording)
    folder.mkdir(parents=True, exist_ok=True)
    written = [write_call(found, folder / CALL)]
    for number, turn in enumerate(found.turns, start=1):
        who = "caller" if turn.side == "sent" else "service"
        written.append(_write(folder / f"turn-{number:02}-{who}.wav", 1, turn.rate, turn.blocks()))
    return written


def write_call(found: Soundtrack, path: Path) -> Path:
    """Write the call in stereo. Returns the path. Raises OSError and TooLong."""
    seconds = max((piece.end_s for piece in found.pieces), default=0.0)
    sides = found.blocks("sent", seconds), found.blocks("received", seconds)
    return _write(path, 2, RATE, map(_both, *sides))


def _both(left: array[int], right: array[int]) -> array[int]:
    both = array("h", bytes(4 * len(left)))
    both[0::2], both[1::2] = left, right
    return both


def _write(path: Path, channels: int, rate: int, blocks: Iterable[array[int]]) -> Path:
    with path.open("wb") as out, wave.open(out, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        for samples in blocks:
            file.writeframes(g711.little_endian(samples))
    return path
