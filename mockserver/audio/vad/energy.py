"""Speech probability from loudness over the noise floor. A turn begins only if the spectrum may be a voice's.

Music, a second voice in the room or an alarm with many partials can begin a turn too. Numpy only.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log10

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.vad.spectrum import VoiceSpectrum

Samples = NDArray[np.int16]

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

ONSET_FRAMES = 2
"""Frames in a row that begin a turn: a click, a plosive or a lost packet lasts one, and shows no voice in the next."""

BLOCK_FRAMES = 16
"""At most so many frames are rated at once."""

EXACT = 2.0**24
"""Sums of whole numbers below it are exact in float32, in any order of adding; from it on they are made in float64."""

SURELY = 1.0 - 1e-9
"""Less than this part of a bound is below it, however the decibels are rounded."""


_ZEROS = tuple((0.0,) * count for count in range(1 + FLOOR_FRAMES))
"""Probabilities of silence, by the number of frames."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """The arrays of `count` frames, each a view of what is calculated there. Views take longer to make than sums.

    room: where samples are written; `samples`: those of the frames; `groups` of them have one `sound` each.
    sounds: those of the frame before, which is filled if it is asked for, and of the frames.
    late, early: the frames' sounds, and those 250 us before them; `slope`: their differences.
    slopes: the differences by frame, without those across frames.
    """

    room: NDArray[np.float32]
    samples: NDArray[np.float32]
    groups: NDArray[np.float32]
    sounds: NDArray[np.float32]
    sound: NDArray[np.float32]
    late: NDArray[np.float32]
    early: NDArray[np.float32]
    slope: NDArray[np.float32]
    slopes: NDArray[np.float32]


_OWN = threading.local()
"""The blocks of each thread, by the rate. Its sessions share them, and so they stay in the processor's cache."""


class EnergyEngine:
    """Loudness around 0.3 to 3.4 kHz against a floor that follows the quietest frames.

    Until a voice is heard, a loud frame counts only if it and the one before sound like a voice: neither noise, nor a
    tone, nor hum. Once one is heard loudness alone decides, for `s` and `f` are noise too. `rate` is in Hz.

    A frame's power is the sum of its squared slopes: a whole number and exact, so that no order of adding can move a
    border. Blocks in which nothing can change are gone through at once, and silence is not even filtered.
    """

    onset_frames = ONSET_FRAMES
    silence_is_quiet = True

    def __init__(self, rate: int) -> None:
        self._step = step = rate // 8000
        self._size = size = rate * 32 // 1000 // step
        self._lag = lag = round(rate / step / 4000)
        self._rate = str(rate)
        self._ones = np.ones(step, np.float32)
        self._spectrum = _spectrum(size, rate / step)
        self._scale = 1.0 / ((size - lag) * (2 * step) ** 2)
        self._silent = SURELY * 10 ** (LOWEST_FLOOR_DB / 10) / self._scale
        self._loudest = 0.0  # Power in the last block: the first guess of what the next is like.
        self._least = self._least_before = inf
        self._counted = 0
        self._set_floor(0.0)
        self._voices = 0
        self._quiet = 0
        self._odds = 0.0

    def rate(self, before: Samples, pieces: Sequence[Samples], count: int, length: int) -> Sequence[float]:
        """Rates the next frames."""
        block = self._block(count)
        room, at = block.room, 0
        for piece in pieces:
            if (end := at + len(piece)) > len(room):
                end = len(room)
                piece = piece[: end - at]
            room[at:end] = piece
            at = end
        silent = self._silent
        steady = self._counted + count < FLOOR_FRAMES
        if steady and 16 * self._loudest < silent:
            # A slope is the difference of two sums of `step` samples.
            power = 4 * self._step * float(block.samples.dot(block.samples))
            if power < silent:
                return self._quiet_frames(count, power)
        powers = self._powers(block)
        least = min(powers)
        if steady and least >= self._least and self._loudest < self._surely_quiet:
            return self._quiet_frames(count, least)
        return self._rated(powers, before, block)

    def silence(self, count: int) -> Sequence[float]:
        """Rates frames of digital silence after a frame of it: their power is 0."""
        self._loudest = 0.0
        if (beyond := self._counted + count - FLOOR_FRAMES) > 0:
            self._quiet_frames(count - beyond, 0.0)
        self._quiet_frames(min(beyond, count) if beyond > 0 else count, 0.0)
        return _ZEROS[count]

    def _block(self, count: int) -> _Block:
        blocks: list[_Block] | None = _OWN.__dict__.get(self._rate)
        if blocks is None:
            blocks = _OWN.__dict__[self._rate] = self._new_blocks()
        return blocks[count]

    def _new_blocks(self) -> list[_Block]:
        """Those of no frame to `BLOCK_FRAMES`, in the same memory."""
        size, step, lag = self._size, self._step, self._lag
        room = np.zeros((2 + BLOCK_FRAMES) * size * step, np.float32)
        sounds = np.zeros((1 + BLOCK_FRAMES, size), np.float32)
        slopes = np.zeros((BLOCK_FRAMES, size), np.float32)
        blocks: list[_Block] = []
        for count in range(1 + BLOCK_FRAMES):
            samples, sound = room[: count * size * step], sounds[1 : 1 + count].reshape(-1)
            late, early, slope = sound[lag:], sound[:-lag], slopes[:count].reshape(-1)[:-lag]
            groups = samples.reshape(-1, step)
            blocks.append(_Block(room, samples, groups, sounds, sound, late, early, slope, slopes[:count, :-lag]))
        return blocks

    def _powers(self, block: _Block) -> list[float]:
        block.groups.dot(self._ones, block.sound)
        # The difference over 250 us peaks at 2 kHz and takes 28 dB from 50 Hz, 13 dB from 300 Hz.
        np.subtract(block.late, block.early, block.slope)
        powers: list[float]
        if self._loudest < EXACT:
            powers = np.vecdot(block.slopes, block.slopes).tolist()
            self._loudest = max(powers)
        if self._loudest >= EXACT:
            wide = block.slopes.astype(np.float64)
            powers = np.vecdot(wide, wide).tolist()
            self._loudest = max(powers)
        return powers

    def _quiet_frames(self, count: int, power: float) -> Sequence[float]:
        """The probabilities of quiet frames that move no floor, or of silence of at most that power.

        How far silence is below the lowest floor makes no difference.
        """
        self._counted += count
        if power < self._least or self._counted == FLOOR_FRAMES:
            self._move_floor(power)
        self._quiet += count
        held, self._odds = self._odds, 0.0
        if held and self._voices == ONSET_FRAMES:
            return [held, *_ZEROS[count - 1]]
        return _ZEROS[count]

    def _rated(self, powers: list[float], before: Samples, block: _Block) -> list[float]:
        """The probabilities of the block's frames, by their powers. One loop without calls: it runs in every append."""
        rated: list[float] = []
        for number, power in enumerate(powers, 1):
            self._counted += 1
            if power < self._least or self._counted == FLOOR_FRAMES:
                self._move_floor(power)
            held, odds = self._odds, 0.0
            if (
                power < self._surely_quiet
                or (over_floor_db := 10.0 * log10(power * self._scale + 1e-9) - self._floor_db) < LEAST_OVER_FLOOR_DB
            ):
                self._quiet += 1
            elif (self._voices == ONSET_FRAMES and self._quiet <= QUIET_FRAMES) or self._is_a_voice(
                number, before, block
            ):
                self._quiet = 0
                odds = 1.0 / (1.0 + exp((EVEN_ODDS_DB - over_floor_db) / ODDS_WIDTH_DB))
            self._odds = odds
            # The end of a word sinks under the floor before it is over: Silero, and the recorded turn, hold a frame
            # longer.
            rated.append(held if held > odds and self._voices == ONSET_FRAMES else odds)
        return rated

    def _loudness_db(self, power: float) -> float:
        return 10.0 * log10(power * self._scale + 1e-9)

    def _move_floor(self, power: float) -> None:
        """After a frame of that power, which is the least of its window or the last."""
        self._least = min(self._least, power)
        if self._counted < FLOOR_FRAMES:
            self._set_floor(min(self._floor, power))
        else:
            self._set_floor(min(self._least, self._least_before))
            self._least_before, self._least, self._counted = self._least, inf, 0

    def _set_floor(self, power: float) -> None:
        self._floor = power
        self._floor_db = max(self._loudness_db(power), LOWEST_FLOOR_DB)
        self._surely_quiet = SURELY * 10 ** ((self._floor_db + LEAST_OVER_FLOOR_DB) / 10) / self._scale

    def _is_a_voice(self, number: int, before: Samples, block: _Block) -> bool:
        if self._quiet > QUIET_FRAMES:
            self._voices = 0
        self._quiet = 0
        if self._voices < ONSET_FRAMES:
            if number == 1:
                used = before[: self._size * self._step].astype(np.float32)
                used.reshape(-1, self._step).dot(self._ones, block.sounds[0])
            heard = self._spectrum.is_a_voice(block.sounds[number - 1 : number + 1])
            self._voices = self._voices + 1 if heard else 0
        return self._voices > 0


@lru_cache(maxsize=8)
def _spectrum(size: int, rate: float) -> VoiceSpectrum:
    """Cached: its tables are the same for all sessions of a rate."""
    return VoiceSpectrum(size, rate)
