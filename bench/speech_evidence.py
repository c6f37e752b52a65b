"""How well sound at a wrong speed is distinguished from speech (replay/findings/speed.py), and the fit of its weights.

    python bench/speech_evidence.py [--fit]

Needs the extra `speech`. Voices of hibari, eSpeak and tone and the shipped clips, clean and degraded, are sent at right
and wrong sampling rates. The shares are cross-validated: the weights that judge a voice were fitted without it; in the
last column without any voice of its engine. Scores are compared with those of right sounds of an unknown engine: that
makes them a certainty. `--fit` writes the weights that are fitted to all of them. Takes some five minutes of processor
time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import product
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import resample
from mockserver.audio.degrade import Degradation, degraded
from mockserver.audio.formats import Samples
from mockserver.audio.speech_evidence import CERTAIN
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.hibari import SPEAKERS
from mockserver.audio.wav import read_wav
from replay.findings.speed import LEAST_S, LOUD_S, WEIGHTS, basis, features

CLIPS = Path(__file__).resolve().parents[1] / "cassettes" / "voices"
TEXTS = (
    "I would like a dental cleaning on July sixth.",
    "Hello, is Doctor Chen free on Monday morning? I can come after nine.",
    "No.",
    "My name is Maria Lopez, and I have chest pain.",
    "Please cancel my appointment.",
    "What are your opening hours on weekends, and how much does a whitening cost?",
    "Actually, make that Thursday.",
    "Could you tell me whether you take my insurance?",
    "She sells sea shells, and he shows us the shop.",
    "Yes, that works for me.",
    "Good morning. I lost a filling last night, and it hurts when I drink cold water.",
)
VOICES = {"hibari": (14, 10), "espeak": (5, 9), "tone": (3, 0)}
"""Engines: how many of the named voices, and how many custom ones, speak two texts each."""
WRONG = (
    (8000, 24000),
    (16000, 24000),
    (48000, 24000),
    (44100, 24000),
    (24000, 16000),
    (24000, 48000),
    (24000, 8000),
    (8000, 16000),
    (16000, 8000),
    (24000, 44100),
)
"""Real and declared rate, in Hz."""
NOISY, TELEPHONE = Degradation(snr_db=8), Degradation(telephone=True)
LINES = (
    None,
    TELEPHONE,
    Degradation(snr_db=15),
    NOISY,
    Degradation(clip_db=10),
    Degradation(speed=1.2),
    Degradation(speed=0.85),
    Degradation(snr_db=5, noise="white"),
    Degradation(dropouts=0.05),
    Degradation(speed=1.1),
    Degradation(speed=0.92),
)
RIDGE = 300.0
SHARES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Of right sounds: the quantiles that are kept."""
HARD = 2.0
"""How much more a sound at 1.5 times the speed counts in the fit."""
Floats = NDArray[np.float64]


def clips() -> Iterator[tuple[str, str, Samples, int]]:
    """Engine, voice, samples, rate."""
    for engine, (named, custom) in VOICES.items():
        speaker = synthesizer_named(engine)
        voices = [*list(SPEAKERS)[:named], *(f"custom-{number}" for number in range(custom))]
        for (at, voice), text in product(enumerate(voices), range(2)):
            clip = speaker.speak(TEXTS[(2 * at + text) % len(TEXTS)], voice=voice)
            yield engine, voice, clip.samples, clip.rate
    for path in sorted(CLIPS.glob("*.wav")):
        if path.stem != "unclear":  # a murmur without words
            yield "shipped", path.stem, *read_wav(path)


def sounds(samples: Samples, rate: int, seed: int) -> Iterator[tuple[str, float, Floats]]:
    """Condition, ln(speed) and features of what becomes of a clip."""

    def seen(sound: Samples, at: int) -> Floats:
        return features(sound[: 10 * at], at)

    for number, line in enumerate(LINES):
        if number > 1 and (number + seed) % 2:  # half of them, in turns
            continue
        heard = samples if line is None else degraded(samples, rate, line, seed)
        yield "right", 0.0, seen(resample(heard, rate, 24_000), 24_000)
        if number in (0, 2):  # of a microphone of 16 kHz
            yield "right", 0.0, seen(resample(resample(heard, rate, 16_000), 16_000, 24_000), 24_000)
    for declared in (8000, 16_000, 48_000):
        yield "right", 0.0, seen(resample(samples, rate, declared), declared)
    for (real, declared), line in product(WRONG, (None, NOISY, TELEPHONE)):
        heard = samples if line is None else degraded(samples, rate, line, seed)
        yield f"{real} as {declared}", log(declared / real), seen(resample(heard, rate, real), declared)


class Fit:
    """Weights for the sounds chosen by `use`."""

    def __init__(self, seen: Floats, speeds: Floats, use: NDArray[np.bool_]) -> None:
        self.kept = {"mean": seen[use].mean(axis=0), "deviation": seen[use].std(axis=0) + 1e-9}
        self.kept["log_speed"] = self._solved(seen[use], speeds[use], np.ones(int(use.sum())))
        for name, side in (("fast", speeds > 0), ("slow", speeds < 0)):
            chosen = use & ((speeds == 0) | side)
            right = speeds[chosen] == 0
            counts = np.where(right, 1 / right.sum(), 1 / (~right).sum()) * len(right) / 2
            counts[np.abs(np.abs(speeds[chosen]) - log(1.5)) < 0.01] *= HARD
            self.kept[name] = self._solved(seen[chosen], np.where(right, -1.0, 1.0), counts)

    def _solved(self, seen: Floats, wanted: Floats, counts: Floats) -> Floats:
        rows = basis(seen, self.kept)
        weighted = rows * counts[:, None]
        solved: Floats = np.linalg.solve(weighted.T @ rows + RIDGE * np.eye(rows.shape[1]), weighted.T @ wanted)
        return solved

    def scores(self, seen: Floats) -> tuple[Floats, Floats]:
        """Those of `fast` and of `slow`."""
        rows = basis(seen, self.kept)
        return rows @ self.kept["fast"], rows @ self.kept["slow"]


def crossed(seen: Floats, speeds: Floats, groups: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Scores by weights that were fitted without the group of the sound."""
    fast, slow = np.zeros(len(speeds)), np.zeros(len(speeds))
    for group in np.unique(groups):
        left_out = groups == group
        fast[left_out], slow[left_out] = Fit(seen, speeds, ~left_out).scores(seen[left_out])
    return fast, slow


def certainty(scale: dict[str, Floats], scores: tuple[Floats, Floats]) -> Floats:
    """The larger one of each sound, by the quantiles of right sounds."""
    sides = zip(("fast", "slow"), scores, strict=True)
    found: Floats = np.maximum(*(np.interp(each, scale[f"{name}_scores"], SHARES) for name, each in sides))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="write the weights fitted to all voices")
    asked = parser.parse_args()
    rows = [
        (engine, f"{engine}/{voice}", *sound)
        for number, (engine, voice, samples, rate) in enumerate(clips())
        for sound in sounds(samples, rate, number)
    ]
    rows = [row for row in rows if row[4][LOUD_S] >= LEAST_S]
    engines, voices = (np.unique([row[at] for row in rows], return_inverse=True)[1] for at in (0, 1))
    conditions = np.array([row[2] for row in rows])
    speeds, seen = np.array([row[3] for row in rows]), np.array([row[4] for row in rows])
    right = speeds == 0
    unknown = crossed(seen, speeds, engines)
    scale = {
        f"{name}_scores": np.maximum.accumulate(np.quantile(scores[right], SHARES) + np.arange(len(SHARES)) * 1e-6)
        for name, scores in zip(("fast", "slow"), unknown, strict=True)
    }
    by_voice, by_engine = (certainty(scale, pair) for pair in (crossed(seen, speeds, voices), unknown))
    print(f"{'sound':16} {'clips':>6} {'refused':>8} {'unknown engine':>15}")
    for condition in sorted(set(conditions)):
        chosen = conditions == condition
        shares = (float((certain[chosen] >= CERTAIN).mean()) for certain in (by_voice, by_engine))
        print(f"{condition:16} {int(chosen.sum()):6} {next(shares):8.1%} {next(shares):15.1%}")
    if asked.fit:
        kept = {**Fit(seen, speeds, np.ones(len(rows), bool)).kept, **scale, "shares": np.array(SHARES)}
        text = {name: [round(float(value), 5) for value in values] for name, values in kept.items()}
        WEIGHTS.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
