"""Whether audio may be a voice, by its spectrum: not noise, not a tone, not mains hum.

About 25 us a call, so it is called only for loud frames while no voice is assumed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_FLAT = 0.5
"""Flatness (0 a line, 1 flat) from which a sound is noise. Of 60 s of white and of pink noise 98 % lie in 0.61..0.82;
spoken frames in the middle at 0.05, with noise 10 dB weaker at 0.27, with noise 5 dB weaker at 0.43."""

MOST_IN_ONE_LINE = 0.97
"""Share of the power in one spectral line from which a sound is a tone. Vowels reach 0.92."""

LEAST_ABOVE_HUM = 0.12
"""Share of the power above 400 Hz up to which a sound is hum: 0.09 for 100 Hz with seven harmonics, each 1/n as strong.
Most vowels keep above 0.3; a hummed `m` may not and waits for the vowel after it."""

LINE_HALF_WIDTH = 2
"""Bins to either side that a line fills under the taper."""


class VoiceSpectrum:
    """Looks at two adjoining frames of `size` samples at `rate` Hz. One frame alone is too short to tell noise."""

    def __init__(self, size: int, rate: float) -> None:
        hertz = np.fft.rfftfreq(size, 1.0 / rate)
        lowest, voice, above_hum, end = (int(bin_) for bin_ in np.searchsorted(hertz, (60, 200, 400, 3400)))
        self._audible = slice(lowest, end)
        self._voice = voice - lowest
        self._above_hum = above_hum - lowest
        self._taper = np.hanning(size + 2)[1:-1]
        self._tilt = np.sqrt(hertz[self._audible])  # Half way between what flattens white noise and what flattens pink.

    def is_a_voice(self, frames: NDArray[np.float32]) -> bool:
        """True for the vowels and most voiced consonants, in noise up to about 5 dB weaker than they are.

        `frames` are two adjoining ones, shape (2, size).
        """
        lines = np.fft.rfft(frames * self._taper)[:, self._audible]
        power = (lines.real**2 + lines.imag**2).sum(axis=0) + 1e-6
        loudest = int(np.argmax(power))
        line = slice(max(loudest - LINE_HALF_WIDTH, 0), loudest + LINE_HALF_WIDTH + 1)
        total = power.sum()
        if power[line].sum() > MOST_IN_ONE_LINE * total or power[self._above_hum :].sum() < LEAST_ABOVE_HUM * total:
            return False
        power *= self._tilt
        power[line] = 0.0  # A tone in noise leaves noise.
        rest = power[self._voice :]
        rest = rest[rest > 0.0]
        return bool(np.exp(np.log(rest).sum() / len(rest)) < MOST_FLAT * rest.sum() / len(rest))
