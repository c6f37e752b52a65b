"""Finds which of a few known clips a stretch of audio is. It recognizes no words: another take of the same sentence is
another clip.

Features: every 10 ms, the cube root of the energy in 18 bands of the telephone's range, as differences between
neighbouring bands, minus their mean over 0.4 s. The cube root is the ear's loudness law. Unlike a logarithm it gives
most weight to the loud parts of speech, which noise does not reach. Constant distortion by a line or a microphone
cancels out in the differences and means, and silence becomes zero.

Matching: a clip is placed at the maximum of the cross-correlation (one FFT for all offsets), scaled to the same
loudness, and compared in every window of 0.4 s by `2xy / (x² + y²)`. The score is that of the *worst* window. One
number for the whole length would be 0.9 for "… on July sixth" against "… on July seventh"; the worst window is where
they differ. Audio outside the clip is compared with silence, so a sentence that only contains the clip does not match.
Missing parts of the clip are ignored, up to 450 ms at either end and two fifths in all, since turn detection cuts them.
If two clips differ only there, their scores are equal, and a match whose lead is too small is not given.

Hashes of spectral peaks, the usual method for music, need seconds of steady partials and find a clip inside other
audio, which is not wanted here. Another speed, echo, or noise nearly as loud as the speech are not tolerated. For rates
see bench/fingerprint.py; its sentences are not those by which the thresholds were chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from math import log10, sqrt

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import resample
from mockserver.audio.formats import Samples

RATE = 8000  # Hz; the bandwidth of a telephone
SIZE, HOP = 256, 80  # samples: a frame of 32 ms every 10 ms
BANDS = 18
LOWEST_HZ, HIGHEST_HZ = 300.0, 3400.0
HOPS_PER_S = RATE // HOP
AVERAGED = 20  # hops before and after a frame; their mean is subtracted
WINDOW = 38  # hops that are compared together
EVENNESS = 0.5  # share of the mean energy added to each window's, to give quiet windows less weight
MOST_MISSING = 45  # hops of a clip that a stretch may lack at either end
LEAST_SHARE = 0.6  # of a clip that must be present
SILENCE = 1e6  # energy of a frame with a tone of -66 dBFS; resampled digital silence has less, but not 0
EDGE = 3e-4  # of the loudest frame's energy (-35 dB): quieter ends of a known clip are cut off

LEAST_SCORE = 0.8
LEAST_LEAD = 0.04
SHORTEST_S = 0.2
LONGEST_S = 60.0
LONGEST_TOGETHER_S = 3600.0
"""An hour of clips is 24 MB of features."""

Features = NDArray[np.float32]
"""Shape (BANDS - 1, hops)."""
KnownClip = tuple[Samples, int, str]
"""A clip's samples, their rate in Hz, and its transcript."""


@dataclass(frozen=True, slots=True)
class ClipMatch:
    """The transcript of the matching clip, and the similarity in its worst window: 1 is identical."""

    text: str
    score: float


class ClipMatcher:
    """Known clips, ready to be compared. Immutable, so that sessions and threads may share one.

    Raises ValueError for a clip with less than SHORTEST_S of sound or more than LONGEST_S, for more than
    LONGEST_TOGETHER_S in all, and for a rate that is none.
    """

    def __init__(self, clips: Iterable[KnownClip]) -> None:
        self._clips = [(_known(samples, rate, text), text) for samples, rate, text in clips]
        total_s = sum(clip.shape[1] for clip, _ in self._clips) / HOPS_PER_S
        if total_s > LONGEST_TOGETHER_S:
            raise ValueError(f"the known clips last {total_s:.0f} s, more than {LONGEST_TOGETHER_S:.0f}; name fewer")

    def joined(self, clips: Iterable[KnownClip]) -> ClipMatcher:
        """A matcher of these clips too. Those that cannot be used are left out, and those beyond the bound of all."""
        made = ClipMatcher(())
        made._clips = list(self._clips)
        left = LONGEST_TOGETHER_S - sum(clip.shape[1] for clip, _ in self._clips) / HOPS_PER_S
        for samples, rate, text in clips:
            with suppress(ValueError):
                clip = _known(samples, rate, text)
                left -= clip.shape[1] / HOPS_PER_S
                if left >= 0:
                    made._clips.append((clip, text))
        return made

    def match(self, samples: Samples, rate: int) -> ClipMatch | None:
        """The clip that the samples match, or None. Any rate in Hz. More than LONGEST_S of samples match no clip.

        Takes about 5 ms for 5 s and 20 clips, and in proportion for more of either. Raises ValueError for a rate
        below 1.
        """
        _checked(rate)
        if not SHORTEST_S <= len(samples) / rate <= LONGEST_S or not self._clips:
            return None
        stretch = _features(_energies(samples, rate))
        scores: dict[str, float] = {}
        for clip, text in self._clips:
            scores[text] = max(scores.get(text, 0.0), _score(stretch, clip))
        (text, best), *others = sorted(scores.items(), key=lambda entry: -entry[1])
        lead = best - others[0][1] if others else best
        return ClipMatch(text, best) if best >= LEAST_SCORE and lead >= LEAST_LEAD else None


# --- Audio to features ---


def _checked(rate: int) -> None:
    if rate < 1:
        raise ValueError(f"{rate} Hz is no sample rate; give the clip's own, such as 24000")


def _known(samples: Samples, rate: int, text: str) -> Features:
    """The features of a clip without its quiet ends, padded with AVERAGED hops of silence for the means."""
    _checked(rate)
    if len(samples) > LONGEST_S * rate:
        raise ValueError(f"the clip of {text!r} lasts more than {LONGEST_S:.0f} s; give one turn of the caller")
    energies = _energies(samples, rate)
    loudness = energies.sum(axis=0)
    loud = np.flatnonzero(loudness > max(EDGE * float(np.max(loudness, initial=0.0)), SILENCE))
    if not len(loud) or loud[-1] - loud[0] < SHORTEST_S * HOPS_PER_S:
        raise ValueError(f"the clip of {text!r} holds less than {SHORTEST_S} s of sound; record a longer one")
    return _features(np.pad(energies[:, loud[0] : loud[-1] + 1], ((0, 0), (AVERAGED, AVERAGED))))


def _energies(samples: Samples, rate: int) -> NDArray[np.float32]:
    """Shape (BANDS, hops); frames are centred on the hops."""
    sound = np.pad(resample(samples, rate, RATE).astype(np.float32), SIZE // 2)
    shape, bands = _window_and_bands()
    frames = np.lib.stride_tricks.sliding_window_view(sound, SIZE)[::HOP] * shape
    lines = np.fft.rfft(frames)
    energies: NDArray[np.float32] = bands @ (lines.real**2 + lines.imag**2).T
    return energies


@lru_cache(maxsize=1)
def _window_and_bands() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A Hann window, and triangles of equal width on the mel scale (O'Shaughnessy's formula)."""
    lowest, highest = (2595 * log10(1 + hertz / 700) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    mels = np.linspace(lowest, highest, BANDS + 2)
    corners = 700 * (10 ** (mels / 2595) - 1)
    left, centre, right = (corners[n : n + BANDS, None] for n in range(3))
    hertz = np.fft.rfftfreq(SIZE, 1 / RATE)
    triangles = np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)).clip(0)
    return np.hanning(SIZE).astype(np.float32), triangles.astype(np.float32)


def _features(energies: NDArray[np.float32]) -> Features:
    steps = np.diff(np.cbrt(energies), axis=0)
    wide = np.pad(steps, ((0, 0), (AVERAGED + 1, AVERAGED)))  # silence outside the samples
    return steps - (_running(wide, 2 * AVERAGED + 1) / (2 * AVERAGED + 1)).astype(np.float32)


def _running(values: NDArray[np.floating], length: int) -> NDArray[np.float64]:
    """Sums of `length` neighbours along the last axis; the first such run is left out."""
    sums = np.cumsum(values, axis=-1, dtype=np.float64)
    return np.asarray(sums[..., length:] - sums[..., :-length])


# --- Features to a score ---


def _score(stretch: Features, clip: Features) -> float:
    """The similarity of the worst window; 0 if too much of the clip is missing."""
    offset = _offset(stretch, clip)
    begins, ends, length = offset + AVERAGED, offset + clip.shape[1] - AVERAGED, stretch.shape[1]
    there = min(ends, length) - max(begins, 0)
    least = max(SHORTEST_S * HOPS_PER_S, LEAST_SHARE * (ends - begins))
    if there < least or max(-begins, ends - length) > MOST_MISSING:
        return 0.0
    laid = np.zeros_like(stretch)
    start, stop = max(offset, 0), min(offset + clip.shape[1], length)
    laid[:, start:stop] = clip[:, start - offset : stop - offset]
    return _similarity(stretch, laid)


def _offset(stretch: Features, clip: Features) -> int:
    """Where in the stretch the clip begins, in hops: the peak of the cross-correlation. Negative: before it."""
    least = stretch.shape[1] + clip.shape[1]
    length = 1 << (least - 1).bit_length()  # a power of two, or three quarters of one: fast to transform
    if length * 3 // 4 >= least:
        length = length * 3 // 4
    spectra = np.fft.rfft(stretch, length) * np.fft.rfft(clip, length).conj()
    peak = int(np.argmax(np.fft.irfft(spectra.sum(axis=0), length)))
    return peak if peak < stretch.shape[1] else peak - length


def _similarity(stretch: Features, laid: Features) -> float:
    """The similarity of the worst window, from 0 to 1."""
    ours, theirs = (np.einsum("bt,bt->t", part, part, dtype=np.float64) for part in (stretch, laid))
    both = np.einsum("bt,bt->t", stretch, laid, dtype=np.float64)
    inside = ours[theirs > 0].sum()
    if not inside:
        return 0.0
    louder = sqrt(inside / theirs.sum())
    window = min(WINDOW, len(ours))
    common, energy = (
        _running(np.concatenate([[0.0], sums]), window) for sums in (2 * louder * both, ours + louder**2 * theirs)
    )
    evenness = EVENNESS * 2 * inside / np.count_nonzero(theirs) * window
    return max(0.0, float(((common + evenness) / (energy + evenness)).min()))
