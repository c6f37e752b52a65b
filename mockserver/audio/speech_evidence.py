"""Whether a sound could be speech in the format that it is declared to have. It recognizes no words.

Three questions, the cheapest first: does turn detection hear a voice in it at all; do its bytes look like another
encoding (replay/findings/encodings.py); does it play at another speed than people speak. For error rates see
docs/audio.md, made by bench/speech_evidence.py.

The speed is a linear regression of ln(speed) on what a wrong sampling rate moves: pitch, rhythm, and where in the
spectrum the energy lies. Its weights are in speech_evidence.json, fitted to synthesized voices on good and bad lines. A
deep voice half as fast again is a high voice, and nothing can tell them apart; the threshold leaves those alone.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import encode, resample
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.vad.detector import OPENAI_TURNS, TurnBegan, TurnDetector
from mockserver.audio.vad.energy import EnergyEngine
from replay.findings.encodings import likely_encoding

WEIGHTS = Path(__file__).with_name("speech_evidence.json")
LONGEST_S = 10
"""Seconds of a sound that are looked at, around its loudest place."""
MOST_OFF, MOST_OFF_SHORT = 0.5, 0.6
"""|ln(speed)| above which a sound does not play as it was spoken: 1.65 times as fast or as slow. For one of less than
`SHORT_S` of speech, which shows it less clearly, 1.82 times."""
SHORT_S, LEAST_S = 0.8, 0.1
"""Seconds of speech; less than the second shows nothing."""

MOST_APART = 0.2
"""Distance of the distributions of even and odd bytes above which they are no G.711."""

RATE = 8000  # Hz; the bandwidth of a telephone
SIZE, HOP = 256, 80  # samples: a frame of 32 ms every 10 ms
PITCH_SIZE = 400  # samples
HIGHEST_HZ, LOWEST_HZ = 700, 55  # of a pitch
BANDS = 14  # from 150 to 3500 Hz, of equal width on the mel scale
LOUD_S = 5  # the place of that feature
SQUARED = 6  # the first features also count squared
FLOOR = 1e3  # energy added to each band: silence is no spectrum
LEAST_PERIODIC = 0.6  # correlation of a frame with itself one period later, from which it is voiced
Floats = NDArray[np.float64]


def could_be_speech(samples: Samples, form: AudioFormat) -> bool:
    """Whether the samples, decoded from `form`, could be speech. Takes about 20 ms for 5 s."""
    samples = _loudest(samples, LONGEST_S * form.rate)
    if not _has_voice(samples, form.rate):
        return False
    if form.kind in ("pcm", "pcmu", "pcma") and _is_other_encoding(encode(_loudest(samples, form.rate), form), form):
        return False
    seen = features(samples, form.rate)
    most = MOST_OFF if seen[LOUD_S] >= SHORT_S else MOST_OFF_SHORT
    return bool(seen[LOUD_S] < LEAST_S or abs(log_speed(seen)) <= most)


def log_speed(seen: Floats) -> float:
    """An estimate of ln(speed) at which a sound of these features plays; 0.0 is as spoken."""
    mean, deviation, weights = _regression()
    even = np.clip((seen - mean) / deviation, -3, 3)
    return float(weights @ np.concatenate([[1.0], even, even[:SQUARED] ** 2]))


def _is_other_encoding(data: bytes, form: AudioFormat) -> bool:
    if likely_encoding(data, f"audio/{form.kind}"):
        return True
    if form.kind == "pcm":
        return False
    # Bytes of PCM16 take turns: a high one, a low one. Codes of G.711 are of one kind.
    nibbles = np.frombuffer(data[: len(data) // 2 * 2], np.uint8) >> 4
    even, odd = (np.bincount(nibbles[side::2], minlength=16) * 2 / max(1, len(nibbles)) for side in (0, 1))
    return bool(np.abs(even - odd).sum() / 2 > MOST_APART)


def _loudest(samples: Samples, length: int) -> Samples:
    """At most `length` samples, those with the most energy, to a tenth of a length."""
    if len(samples) <= length:
        return samples
    steps = range(0, len(samples) - length + 1, max(1, length // 10))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    start = max(steps, key=lambda at: float(energy[at + length] - energy[at]))
    return samples[start : start + length]


def _has_voice(samples: Samples, rate: int) -> bool:
    detector = TurnDetector(rate, OPENAI_TURNS, EnergyEngine(rate))
    quiet = np.zeros(rate // 4, np.int16)
    return any(isinstance(border, TurnBegan) for border in detector.feed(np.concatenate([quiet, samples, quiet])))


def features(samples: Samples, rate: int) -> Floats:
    """What a wrong rate moves: ln(pitch), ln(rhythm in Hz), change of the spectrum from frame to frame, ln(spread of
    the pitch), share of voiced frames, seconds of loud frames; then the mean spectrum, and its deviation."""
    sound = resample(samples, rate, RATE).astype(np.float64)
    sound = np.pad(sound, (0, max(0, 1600 - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, SIZE)[::HOP]
    energy = (frames**2).mean(axis=1)
    loud = energy > 0.03 * np.percentile(energy, 98)
    pitch, voiced = _pitch(sound, len(frames))
    voiced &= loud
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
        float(voiced.sum()) / max(1.0, float(loud.sum())),
        float(loud.sum()) * HOP / RATE,
    ]
    seen: Floats = np.nan_to_num(np.concatenate([first, mean - mean.mean(), own.std(axis=0)]))
    return seen


def _pitch(sound: Floats, count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Pitch in Hz of each frame, by autocorrelation, and whether the frame has one."""
    half = PITCH_SIZE // 2
    taper = np.hanning(PITCH_SIZE)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, half), PITCH_SIZE)[::HOP][:count] * taper
    longest = 200
    own = np.fft.irfft(np.abs(np.fft.rfft(frames, 1024)) ** 2)[:, :longest]
    own /= np.fft.irfft(np.abs(np.fft.rfft(taper, 1024)) ** 2)[:longest]
    own /= np.maximum(own[:, :1], 1e-9)
    shortest, end = RATE // HIGHEST_HZ, RATE // LOWEST_HZ
    near = own[:, shortest:end]
    most = near.max(axis=1)
    # The first peak that is nearly the highest: a multiple of the period correlates as well.
    lags = np.argmax(near >= 0.9 * most[:, None], axis=1)
    for at, lag in enumerate(lags):
        while lag + 1 < near.shape[1] and near[at, lag + 1] > near[at, lag]:
            lag += 1
        lags[at] = lag
    lags += shortest
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
def _bands() -> Floats:
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (150, 3500))
    corners = 700 * (10 ** (np.linspace(lowest, highest, BANDS + 2) / 2595) - 1)
    left, centre, right = (corners[n : n + BANDS, None] for n in range(3))
    hertz = np.fft.rfftfreq(SIZE, 1 / RATE)
    triangles: Floats = np.minimum((hertz - left) / (centre - left), (right - hertz) / (right - centre)).clip(0)
    return triangles


@lru_cache(maxsize=1)
def _regression() -> tuple[Floats, Floats, Floats]:
    kept = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return np.array(kept["mean"]), np.array(kept["deviation"]), np.array(kept["weights"])
