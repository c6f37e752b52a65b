"""Whether a sound plays as fast as it was spoken: what shows of a wrong sampling rate in the sound itself.

Sound of 16 kHz that is sent as 24 kHz plays half as fast again: pitch, rhythm and spectrum move up. Two linear
discriminants tell right speech from speech that plays too fast, and from speech that plays too slowly. They weigh
pitch, rhythm, the spectrum of voiced frames up to 3.5 kHz, that of all loud frames and of the brightest up to 12 kHz,
and where it ends. A regression on the same features estimates the speed.

The weights are in speed.json, fitted by bench/speech_evidence.py to synthesized voices on good and bad lines. It also
has the shares of right sounds below a score, of kinds of voices that the weights do not know: that is how certain a
score is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

WEIGHTS = Path(__file__).with_name("speed.json")
LEAST_S = 0.1
"""Seconds of loud frames; less shows nothing."""
LOUD_S, VOICED, SPREAD = 5, 4, 3  # places of these features
LEAST_VOICED, LEAST_SPREAD = 0.3, -3.0
"""Share of voiced frames, and ln(spread of the pitch), of what may be a voice."""
SQUARED = 6  # the first features also count squared

RATE = 8000  # Hz; the bandwidth of a telephone
SIZE, HOP = 256, 80  # samples: a frame of 32 ms every 10 ms
PITCH_SIZE = 400  # samples
HIGHEST_HZ, LOWEST_HZ = 700, 55  # of a pitch
BANDS = 14  # from 150 to 3500 Hz, of equal width on the mel scale
FLOOR = 1e3  # energy added to each band: silence is no spectrum
LEAST_PERIODIC = 0.6  # correlation of a frame with itself one period later, from which it is voiced

WIDE_RATE, WIDE_SIZE, WIDE_HOP = 24_000, 1024, 240
WIDE_BANDS = np.geomspace(150, 12_000, 23)  # Hz: the borders of 22 bands
EDGES_DB = (-30, -40, -50, -60)  # below the highest of the spectrum: where it ends

Floats = NDArray[np.float64]
Ints = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a sound plays. `times`: of the speed at which it was spoken. `certainty`: from 0 to 1, that it is not as
    spoken; 0 for sound that shows nothing."""

    times: float = 1.0
    certainty: float = 0.0
    speech: bool = False
    """It has the pitch of a voice: what is neither a tone nor noise."""


def speed_of(samples: Ints | bytes, rate: int) -> Speed:
    """The speed of speech: int16 or PCM16, mono, at `rate` Hz. Takes about 10 ms a second of sound."""
    samples = np.frombuffer(samples, "<i2") if isinstance(samples, bytes) else samples
    seen = features(samples, rate)
    if seen[LOUD_S] < LEAST_S:
        return Speed()
    kept = weights()
    even = basis(seen[None], kept)[0]
    times = float(np.exp(even @ kept["log_speed"]))
    sure = {}
    for name in ("fast", "slow"):
        score = float(even @ kept[name])
        sure[name] = float(np.interp(score, kept[f"{name}_scores"], kept["shares"]))
    speech = bool(seen[VOICED] >= LEAST_VOICED and seen[SPREAD] >= LEAST_SPREAD)
    side = max(sure, key=lambda name: sure[name])
    return Speed(max(times, 1.0) if side == "fast" else min(times, 1.0), sure[side], speech)


def basis(seen: Floats, kept: dict[str, Floats]) -> Floats:
    """What the weights weigh, a row for each sound: the features, in deviations from their mean."""
    even = np.clip((seen - kept["mean"]) / kept["deviation"], -3, 3)
    return np.hstack([np.ones((len(even), 1)), even, even[:, :SQUARED] ** 2])


@lru_cache(maxsize=1)
def weights() -> dict[str, Floats]:
    """The fitted weights."""
    return {name: np.array(values) for name, values in json.loads(WEIGHTS.read_text(encoding="utf-8")).items()}


def features(samples: Ints, rate: int) -> Floats:
    """What a wrong rate moves: that of the narrow spectrum, then that of the wide one."""
    return np.concatenate([_narrow(_at(samples, rate, RATE, 1600)), _wide(_at(samples, rate, WIDE_RATE, 4800))])


def _at(samples: Ints, rate: int, wanted: int, least: int) -> Floats:
    # As floats: soxr dithers integers, with a seed from the clock.
    sound = samples.astype(np.float32)
    sound = sound if rate == wanted else soxr.resample(sound, rate, wanted)
    return np.pad(sound.astype(np.float64), (0, max(0, least - len(sound))))


def _narrow(sound: Floats) -> Floats:
    """ln(pitch), ln(rhythm in Hz), change of the spectrum from frame to frame, ln(spread of the pitch), share of voiced
    frames, seconds of loud frames; then the mean spectrum of voiced frames, and its deviation."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, SIZE)[::HOP]
    energy = (frames**2).mean(axis=1)
    loud = energy > 0.03 * np.percentile(energy, 98)
    pitch, voiced = _pitch(sound, len(frames))
    voiced &= loud
    share = float(voiced.sum()) / max(1.0, float(loud.sum()))
    if voiced.sum() < 5:
        voiced = loud if loud.any() else np.ones(len(frames), bool)
    power = np.abs(np.fft.rfft(frames * np.hanning(SIZE))) ** 2
    spectra = np.log(power @ _bands().T + FLOOR)
    own = spectra[voiced]
    mean = own.mean(axis=0)
    change = np.abs(np.diff(own, axis=0)).mean() if len(own) > 1 else 0.0
    pitches = np.log(pitch[voiced])
    first = [
        np.median(pitches),
        _log_rhythm(spectra.mean(axis=1), loud),
        change,
        np.log(np.std(pitches) + 0.02),
        share,
        float(loud.sum()) * HOP / RATE,
    ]
    seen: Floats = np.nan_to_num(np.concatenate([first, mean - mean.mean(), own.std(axis=0)]))
    return seen


def _wide(sound: Floats) -> Floats:
    """log10 of the share of each band, in loud frames and in the brightest fifth of them; ln of the frequencies at
    which the spectrum ends; the steepest fall over 400 Hz in dB, and ln of its place; deviation, 90th and 10th
    percentile of the brightness."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, WIDE_SIZE)[::WIDE_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WIDE_SIZE))) ** 2
    energy = power.sum(axis=1)
    loud = energy > 0.01 * np.percentile(energy, 98)
    if loud.any():
        power = power[loud]
    hertz = np.fft.rfftfreq(WIDE_SIZE, 1 / WIDE_RATE)
    # Sums over slices: a product of matrices would be spread over threads, which takes longer on a busy machine.
    bands = np.add.reduceat(power, np.searchsorted(hertz, WIDE_BANDS), axis=1)[:, :-1]
    shares = bands / (bands.sum(axis=1, keepdims=True) + 1e-9)
    bright = shares @ np.log(np.sqrt(WIDE_BANDS[:-1] * WIDE_BANDS[1:]))
    brightest = bright >= np.percentile(bright, 80)
    mean = np.convolve(power.mean(axis=0), np.ones(9) / 9, "same")
    decibels = 10 * np.log10(mean / max(float(np.max(mean)), 1e-9) + 1e-12)
    ends = [np.log(max(float(hertz[np.flatnonzero(decibels > limit)[-1]]), 100.0)) for limit in EDGES_DB]
    span, start = 17, 20
    fall = decibels[:-span] - decibels[span:]
    steepest = int(np.argmax(fall[start:])) + start
    rest = [fall[steepest], np.log(hertz[steepest]), bright.std(), *np.percentile(bright, (90, 10))]
    seen: Floats = np.concatenate(
        [np.log10(shares.mean(axis=0) + 1e-5), np.log10(shares[brightest].mean(axis=0) + 1e-5), ends, rest]
    )
    return seen


def _pitch(sound: Floats, count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Pitch in Hz of each frame, by autocorrelation, and whether the frame has one."""
    half = PITCH_SIZE // 2
    taper = np.hanning(PITCH_SIZE)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, half), PITCH_SIZE)[::HOP][:count] * taper
    longest = 200
    own = np.fft.irfft(np.abs(np.fft.rfft(frames, 1024)) ** 2)[:, :longest]
    own /= _of_taper()[:longest]
    own /= np.maximum(own[:, :1], 1e-9)
    shortest, end = RATE // HIGHEST_HZ, RATE // LOWEST_HZ
    near = own[:, shortest:end]
    most = near.max(axis=1)
    # The first peak that is nearly the highest: a multiple of the period correlates as well.
    lags = np.argmax(near >= 0.9 * most[:, None], axis=1)
    falls = np.ones(near.shape, bool)
    falls[:, :-1] = near[:, 1:] <= near[:, :-1]
    falls &= np.arange(near.shape[1]) >= lags[:, None]
    lags = np.argmax(falls, axis=1) + shortest
    return RATE / lags.astype(np.float64), (most > LEAST_PERIODIC) & (lags < end - 1)


def _log_rhythm(loudness: Floats, loud: NDArray[np.bool_]) -> float:
    """ln of the mean frequency (1 to 25 Hz) at which the loudness goes up and down."""
    places = np.flatnonzero(loud)
    curve = loudness - loudness.mean()
    if len(places):
        curve = curve[places[0] : places[-1] + 1]
    power = np.abs(np.fft.rfft(curve * np.hanning(len(curve)), 2048)) ** 2
    hertz = np.fft.rfftfreq(2048, HOP / RATE)
    inside = (hertz > 1.0) & (hertz < 25)
    total = float(power[inside].sum())
    return float((power[inside] * np.log(hertz[inside])).sum()) / total if total > 0 else 0.0


@lru_cache(maxsize=1)
def _of_taper() -> Floats:
    """The autocorrelation of a taper of `PITCH_SIZE`."""
    own: Floats = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(PITCH_SIZE), 1024)) ** 2)
    return own


@lru_cache(maxsize=1)
def _bands() -> Floats:
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (150, 3500))
    corners = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    left, centre, right = (corners[n : n + BANDS, None] for n in range(3))
    hertz = np.fft.rfftfreq(SIZE, 1 / RATE)
    triangles: Floats = np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)).clip(0)
    return triangles
