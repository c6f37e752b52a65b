"""The default speech detector written down plainly, frame by frame, in whole numbers: for the tests to compare with."""

from __future__ import annotations

from itertools import pairwise
from math import exp, log10

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.vad import energy
from mockserver.audio.vad.detector import TurnSettings
from mockserver.audio.vad.spectrum import VoiceSpectrum


def frames_of(samples: NDArray[np.int16], rate: int) -> list[NDArray[np.int16]]:
    """All whole frames of 32 ms."""
    ends = [number * 32 * rate // 1000 for number in range(len(samples) * 1000 // (32 * rate) + 2)]
    return [samples[start:end] for start, end in pairwise(ends) if end <= len(samples)]


class PlainEnergy:
    """`EnergyEngine` without blocks, shortcuts and floats for sums."""

    def __init__(self, rate: int) -> None:
        self.step = rate // 8000
        self.size = rate * 32 // 1000 // self.step
        self.lag = round(rate / self.step / 4000)
        self.spectrum = VoiceSpectrum(self.size, rate / self.step)
        self.before = np.zeros(self.size, np.int64)
        self.floor_db = energy.LOWEST_FLOOR_DB
        self.window: list[float] = []
        self.least_before_db = float("inf")
        self.voices = self.quiet = 0
        self.odds = 0.0

    def probability(self, frame: NDArray[np.int16]) -> float:
        used = frame[: self.size * self.step].astype(np.int64)
        before, sound = self.before, used.reshape(self.size, self.step).sum(axis=1)
        self.before = sound
        power = int(((sound[self.lag :] - sound[: -self.lag]) ** 2).sum())
        scale = 1.0 / ((self.size - self.lag) * (2 * self.step) ** 2)
        loudness_db = 10.0 * log10(power * scale + 1e-9)
        self.move_floor(loudness_db)
        over_floor_db = loudness_db - self.floor_db
        odds_before, self.odds = self.odds, 0.0
        if over_floor_db < energy.LEAST_OVER_FLOOR_DB:
            self.quiet += 1
        elif self.is_a_voice(np.array([before, sound])):
            self.odds = 1.0 / (1.0 + exp((energy.EVEN_ODDS_DB - over_floor_db) / energy.ODDS_WIDTH_DB))
        return max(self.odds, odds_before) if self.voices == 2 else self.odds

    def move_floor(self, loudness_db: float) -> None:
        self.window.append(loudness_db)
        least_db = min(self.window)
        self.floor_db = min(self.floor_db, least_db)
        if len(self.window) == energy.FLOOR_FRAMES:
            self.floor_db = min(least_db, self.least_before_db)
            self.least_before_db, self.window = least_db, []
        self.floor_db = max(self.floor_db, energy.LOWEST_FLOOR_DB)

    def is_a_voice(self, frames: NDArray[np.int64]) -> bool:
        if self.quiet > energy.QUIET_FRAMES:
            self.voices = 0
        self.quiet = 0
        if self.voices < 2:
            self.voices = self.voices + 1 if self.spectrum.is_a_voice(frames.astype(np.float32)) else 0
        return self.voices > 0


class PlainTurns:
    """`TurnDetector` without its engine: each frame is judged when it comes."""

    def __init__(self, settings: TurnSettings) -> None:
        self.settings = settings
        self.frame = -1
        self.clear()

    def clear(self) -> None:
        self.speaking, self.run = False, 0

    def borders(self, probabilities: list[float]) -> list[tuple[str, int]]:
        """Where turns begin and end in the next frames, in ms, by their probabilities."""
        borders: list[tuple[str, int]] = []
        threshold, silence_duration_ms = self.settings.threshold, self.settings.silence_duration_ms
        for probability in probabilities:
            self.frame += 1
            speech = probability >= (max(threshold - 0.15, 0.01) if self.speaking else threshold)
            self.run = 0 if speech == self.speaking else self.run + 1
            if not self.speaking and self.run == 2:
                self.speaking, self.run = True, 0
                borders.append(("began", self.frame * 32))
            elif self.speaking and self.run and (self.run - 1) * 32 >= silence_duration_ms:
                self.speaking, self.run = False, 0
                borders.append(("ended", (self.frame + 1) * 32))
        return borders
