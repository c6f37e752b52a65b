"""The audio of a client's messages: how long it lasts, and how loud it is. Nothing here depends on a recording."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from replay.cassette.base64_text import decoded
from replay.cassette.json_values import text_at, value_at
from replay.cassette.opus import packet_ms
from replay.cassette.recording import Moment
from replay.cassette.strip_audio import peak

APPEND = "input_audio_buffer.append"
PIECE_MS = 50
"""Milliseconds of audio whose loudest sample is one number."""
LOUD = 256
"""A piece whose loudest sample reaches this, of 32767 (-42 dB), is no silence. A guess: microphones are quieter."""
SAME = 0.15
"""Two stretches that differ by less are the same speech: chunks of another size, a telephone's codec, faint noise."""
_COMPARED = 600
"""Pieces that are compared: half a minute."""
_SHIFTS = range(-2, 3)
_KEPT = 10 * _COMPARED
_BYTES_PER_S = {"audio/pcmu": 8000, "audio/pcma": 8000, "g711_ulaw": 8000, "g711_alaw": 8000}
_LAWS = {"audio/pcmu": "pcmu", "audio/pcma": "pcma", "g711_ulaw": "pcmu", "g711_alaw": "pcma"}


def is_sound(message: Moment) -> bool:
    """Whether a message is input audio, which is counted in milliseconds and not as a message."""
    return message.type in (APPEND, "(binary)")


class SoundClock:
    """Milliseconds of input audio that a client has sent, in the format that it requested."""

    def __init__(self) -> None:
        self.ms = 0.0
        self.encoding = "pcm"
        """`pcm`, `pcmu`, `pcma` or `opus`."""
        self.bytes_per_s = 48_000
        """Without meaning for Opus."""

    def take(self, message: Moment) -> None:
        """Count a client's message. A `session.update` may change the format."""
        if message.type == "session.update":
            session = value_at(message.event, "session")
            form = value_at(session, "audio", "input", "format") or value_at(session, "input_audio_format")
            if form is None:
                return
            kind = str(value_at(form, "type") or form).lower()
            rate = value_at(form, "rate")
            self.encoding = "opus" if kind == "audio/opus" else _LAWS.get(kind, "pcm")
            self.bytes_per_s = _BYTES_PER_S.get(kind, 2 * rate if isinstance(rate, int) and rate > 0 else 48_000)
        elif is_sound(message):
            self.ms += self.length_ms(message)

    def length_ms(self, message: Moment) -> float:
        """Milliseconds of audio in a message."""
        if self.encoding == "opus":
            return packet_ms(_head(message))
        return _sound_bytes(message) * 1000 / self.bytes_per_s


@dataclass(frozen=True, slots=True)
class Utterance:
    """A stretch of speech: its length in milliseconds from the first loud piece on, and the `peaks` of its pieces from
    the first loud one to the last. Without peaks it is silent, or cannot be decoded (Opus).
    """

    ms: float
    peaks: tuple[int, ...] = ()

    def distance(self, other: Utterance) -> float:
        """From 0, the same, to 1: how much length and loudness differ. Another voice with the same words is no
        nearer than other words.
        """
        if self.peaks and other.peaks:
            apart = min(_apart(self.peaks[:_COMPARED], other.peaks[:_COMPARED], shift) for shift in _SHIFTS)
        else:
            apart = abs(self.ms - other.ms) / max(self.ms, other.ms, 1.0)
        return 0.0 if apart < SAME else round(apart, 2)

    def __str__(self) -> str:
        return f"{(PIECE_MS * len(self.peaks) or self.ms) / 1000:.1f} s of speech"


def _apart(one: Sequence[int], other: Sequence[int], shift: int) -> float:
    """The area between two curves of loudness, as a share of the area below both. Equally loud at their loudest."""
    loudest, other_loudest = max(one), max(other)
    between = below = 0.0
    for at in range(min(0, shift), max(len(one), len(other) + shift)):
        here = one[at] / loudest if 0 <= at < len(one) else 0.0
        there = other[at - shift] / other_loudest if 0 <= at - shift < len(other) else 0.0
        between += abs(here - there)
        below += max(here, there)
    return between / below


class Speech:
    """Audio on its way to an Utterance. `clock` knows the format."""

    def __init__(self, clock: SoundClock) -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Forget all audio."""
        self.ms = 0.0
        """Milliseconds of all audio since the last end, silence included."""
        self._lead_ms = 0.0
        """Silence before the first loud piece."""
        self._peaks: list[int] = []
        """From the first loud piece on."""
        self._rest = b""

    @property
    def loud(self) -> bool:
        """Whether somebody may have spoken. Opus is not decoded, so all of it may be speech."""
        return self.ms > 0 if self._clock.encoding == "opus" else bool(self._peaks)

    @property
    def loud_ms(self) -> float:
        """Milliseconds since the first loud piece."""
        return self.ms - self._lead_ms if self.loud else 0.0

    @property
    def silent_ms(self) -> float:
        """Milliseconds of silence at the end."""
        quiet = next((n for n, each in enumerate(reversed(self._peaks)) if each >= LOUD), len(self._peaks))
        return float(PIECE_MS * quiet)

    def take(self, message: Moment) -> None:
        """A message with audio."""
        self.ms += self._clock.length_ms(message)
        if self._clock.encoding == "opus":
            return
        size = max(2, self._clock.bytes_per_s * PIECE_MS // 1000 // 2 * 2)
        data = self._rest + sound_of(message)
        whole = len(data) // size * size
        self._pieces(peaks(data[:whole], size, self._clock.encoding))
        self._rest = data[whole:]

    def so_far(self) -> Utterance:
        """What was said so far, but for less than a piece."""
        loud = [at for at, each in enumerate(self._peaks) if each >= LOUD]
        peaks = tuple(self._peaks[: loud[-1] + 1]) if loud else ()
        return Utterance(self.ms - self._lead_ms if loud else self.ms, peaks)

    def end(self) -> Utterance:
        """What was said; the next audio is another stretch."""
        if self._rest:
            self._pieces(np.array([peak(self._rest, self._clock.encoding)]))
        spoken = self.so_far()
        self.clear()
        return spoken

    def _pieces(self, loudest: NDArray[np.integer]) -> None:
        lead = 0
        if not self._peaks:
            loud = loudest >= LOUD
            lead = int(np.argmax(loud)) if loud.any() else len(loudest)
            self._lead_ms += PIECE_MS * lead
        self._peaks += loudest[lead : lead + _KEPT - len(self._peaks)].tolist()


def peaks(data: bytes, size: int, encoding: str) -> NDArray[np.integer]:
    """The `peak` of each piece of `size` bytes, an even number, of so many whole pieces of PCM or G.711. One pass: a
    message may have minutes of audio."""
    loudest: NDArray[np.integer]
    if encoding == "pcm":
        samples = np.frombuffer(data, "<i2").reshape(-1, size // 2)
        # The size of -32768 needs more than 16 bits, and counts as 32767.
        loudest = np.minimum(np.maximum(samples.max(axis=1), -samples.min(axis=1).astype(np.int32)), 32767)
    else:
        loudest = _sizes(encoding)[np.frombuffer(data, np.uint8)].reshape(-1, size).max(axis=1)
    return loudest


@lru_cache(maxsize=2)
def _sizes(encoding: str) -> NDArray[np.int16]:
    """The size of the sample of each code."""
    return np.array([peak(bytes([code]), encoding) for code in range(256)], np.int16)


def sound_of(message: Moment) -> bytes:
    """The audio in a message; empty if it is no base64."""
    if message.event is None:
        return bytes(getattr(message.frame, "data", b""))
    try:
        return decoded(text_at(message.event, "audio"))
    except ValueError:
        return b""


def _sound_bytes(message: Moment) -> int:
    if message.event is None:
        return len(getattr(message.frame, "data", b""))
    text = text_at(message.event, "audio")
    return len(text) * 3 // 4 - text[-2:].count("=")


def _head(message: Moment) -> bytes:
    if message.event is None:
        return bytes(getattr(message.frame, "data", b"")[:2])
    try:
        return b64decode(text_at(message.event, "audio")[:4])[:2]
    except ValueError:
        return b""
