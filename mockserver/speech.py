"""One spoken text as segments of sound, made when they are reached. It sends nothing: see session.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np
from numpy.typing import NDArray

from mockserver.audio import encode, read_wav, resample
from mockserver.brains import Say
from mockserver.commands import Settings
from mockserver.pacing import RATE, ends_sentence
from mockserver.voices import Voice

Samples = NDArray[np.int16]

BREATH_S = 0.12
"""Silence before each further sentence. Recorded: its text starts at least 0.10 s after the sound sent so far."""
TEXT_GRID_S = 0.02
"""`start_time` is a multiple of this (recordings): frames of 50 Hz."""


@dataclass(slots=True)
class Speech:
    """A text cut into segments; lengths are samples at 24 kHz, all but the last a multiple of `unit`."""

    texts: Sequence[str]
    say: Say
    settings: Settings
    voice: Voice
    unit: int
    offset_s: float
    """Seconds of audio that the response has sent before this text."""
    _sounds: list[Samples] = field(default_factory=list)
    _starts: list[int] = field(default_factory=lambda: [0])
    _ready: tuple[int, Samples] = (-1, np.zeros(0, np.int16))

    def length(self, segment: int) -> int:
        """Samples of a segment at 24 kHz; makes its sound on first use."""
        while len(self._sounds) <= segment:
            sound = self._make(len(self._sounds))
            self._sounds.append(sound)
            self._starts.append(self._starts[-1] + len(sound))
        return self._starts[segment + 1] - self._starts[segment]

    def start_s(self, segment: int) -> float:
        """Where a segment's text starts in the response's audio, on the grid of the recordings."""
        breath = BREATH_S if segment and ends_sentence(self.texts[segment - 1]) else 0.0
        seconds = self.offset_s + self._starts[segment] / RATE + breath
        return round(ceil(seconds / TEXT_GRID_S - 1e-6) * TEXT_GRID_S, 2)

    def sound(self, segment: int, start: int, stop: int) -> tuple[bytes, int]:
        """Samples `start` to `stop` (24 kHz) in the session's output format, and how many samples those are there."""
        form = self.settings.output_format
        scale = form.rate / RATE
        piece = self._converted(segment)[round(start * scale) : round(stop * scale)]
        if stop == self.length(segment) and segment < len(self.texts) - 1:
            self._sounds[segment] = np.zeros(0, np.int16)
        return encode(piece, form), len(piece)

    def _converted(self, segment: int) -> Samples:
        if self._ready[0] != segment:
            self.length(segment)
            rate = self.settings.output_format.rate
            sound = self._sounds[segment]
            self._ready = (segment, sound if rate == RATE else resample(sound, RATE, rate))
        return self._ready[1]

    def _make(self, segment: int) -> Samples:
        sound = self._spoken(segment)
        if segment and ends_sentence(self.texts[segment - 1]):
            sound = np.concatenate([np.zeros(int(BREATH_S * RATE), np.int16), sound])
        if segment == len(self.texts) - 1:
            return sound
        return np.concatenate([sound, np.zeros(-len(sound) % self.unit, np.int16)])

    def _spoken(self, segment: int) -> Samples:
        if self.say.audio is not None:
            samples, rate = read_wav(self.say.audio)
            return samples if rate == RATE else resample(samples, rate, RATE)
        text = replaced(self.texts[segment], self.settings.replace)
        voice = self.say.voice or self.settings.voice
        clip = self.voice.speak(text, voice=voice, speed=self.say.speed or self.settings.speed)
        return clip.samples if clip.rate == RATE else resample(clip.samples, clip.rate, RATE)


def replaced(text: str, table: Mapping[str, str]) -> str:
    """The text as spoken: whole words of `table`, whatever their case, longest first (vendor schema)."""
    if not table:
        return text
    words = sorted(table, key=len, reverse=True)
    spoken = {word.lower(): table[word] for word in words}
    pattern = r"(?<!\w)(?:" + "|".join(map(re.escape, words)) + r")(?!\w)"
    return re.sub(pattern, lambda found: spoken[found[0].lower()], text, flags=re.IGNORECASE)
