"""Speech probability from loudness over the noise floor. A turn begins only if the spectrum may be a voice's.

Music, a second voice in the room or an alarm with many partials can begin a turn too. Numpy only.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, inf, log10

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.vad.spectrum import VoiceSpectrum

LOWEST_FLOOR_DB = 24.0
"""The quietest floor assumed, in dB over one int16 step (-66 dBFS): breath after digital silence is no voice."""

EVEN_ODDS_DB = 9.0
"""This far over the floor the probability is 0.5. A minute of white or pink noise stays within 3.1 dB of it."""

ODDS_WIDTH_DB = 3.0
"""Steepness: a threshold of 0.2 asks for 4.8 dB over the floor, 0.5 for 9, 0.85 for 14.2, 0.9 for 15.6."""

LEAST_OVER_FLOOR_DB = 4.0
"""Less than this over the floor is quiet: noise alone gets there. So a threshold under 0.16 acts like 0.16."""

FLOOR_FRAMES = 48
"""The floor is the minimum of the last 48 to 96 frames (1.5 to 3 s); speech has gaps more often than that."""

QUIET_FRAMES = 8
"""A voice is assumed to go on through 8 quiet frames (256 ms), longer than a stop consonant."""


class EnergyEngine:
    """Loudness around 0.3 to 3.4 kHz against a floor that follows the quietest frames.

    Until a voice is heard, a loud frame counts only if it and the one before sound like a voice: neither noise, nor a
    tone, nor hum. Once one is heard loudness alone decides, for `s` and `f` are noise too. `rate` is in Hz.
    """

    onset_frames = 2  # A click, a plosive or a lost packet lasts one frame and shows no voice in the next.

    def __init__(self, rate: int) -> None:
        step = rate // 8000
        size = rate * 32 // 1000 // step
        lag = round(rate / step / 4000)
        self._used = size * step
        self._shape = (size, step)
        self._ones = np.ones(step)
        self._spectrum = _spectrum(size, rate / step)
        self._sounds = np.zeros((2, size))  # This frame and the one before, in turns.
        self._now, self._before = [(sound, sound[lag:], sound[:-lag]) for sound in self._sounds]
        self._slope = np.zeros(size - lag)
        self._scale = 1.0 / ((size - lag) * (2 * step) ** 2)
        self._floor_db = LOWEST_FLOOR_DB
        self._least_db = self._least_before_db = inf
        self._counted = 0
        self._voices = 0
        self._quiet = 0
        self._odds = 0.0

    def probability(self, frame: NDArray[np.float64]) -> float:
        """The probability (0 to 1) that the next 32 ms frame of int16 values is speech."""
        loudness_db = self._loudness_db(frame)
        self._counted += 1
        if loudness_db < self._least_db or self._counted == FLOOR_FRAMES:
            self._least_db = min(self._least_db, loudness_db)
            floor_db = min(self._floor_db, loudness_db)
            if self._counted == FLOOR_FRAMES:
                floor_db = min(self._least_db, self._least_before_db)
                self._least_before_db, self._least_db, self._counted = self._least_db, inf, 0
            self._floor_db = max(floor_db, LOWEST_FLOOR_DB)
        over_floor_db = loudness_db - self._floor_db
        before, self._odds = self._odds, 0.0
        if over_floor_db < LEAST_OVER_FLOOR_DB:
            self._quiet += 1
        elif self._is_a_voice():
            self._odds = 1.0 / (1.0 + exp((EVEN_ODDS_DB - over_floor_db) / ODDS_WIDTH_DB))
        # The end of a word sinks under the floor before it is over: Silero, and the recorded turn, hold a frame longer.
        return max(self._odds, before) if self._voices == self.onset_frames else self._odds

    def _loudness_db(self, frame: NDArray[np.float64]) -> float:
        # Whole numbers below 2**53 all the way, so the sums are exact and no order of adding can move a border.
        self._now, self._before = self._before, self._now
        sound, late, early = self._now
        frame[: self._used].reshape(self._shape).dot(self._ones, sound)
        # The difference over 250 us peaks at 2 kHz and takes 28 dB from 50 Hz, 13 dB from 300 Hz.
        np.subtract(late, early, self._slope)
        return 10.0 * log10(float(self._slope.dot(self._slope)) * self._scale + 1e-9)

    def _is_a_voice(self) -> bool:
        if self._quiet > QUIET_FRAMES:
            self._voices = 0
        self._quiet = 0
        if self._voices < self.onset_frames:
            heard = self._spectrum.is_a_voice(self._sounds)
            self._voices = self._voices + 1 if heard else 0
        return self._voices > 0


@lru_cache(maxsize=8)
def _spectrum(size: int, rate: float) -> VoiceSpectrum:
    """Cached: its tables are the same for all sessions of a rate."""
    return VoiceSpectrum(size, rate)
