"""How well sound at a wrong speed is distinguished from speech (audio/speech_evidence.py), and the fit of its weights.

    python bench/speech_evidence.py [--fit]

Needs the extra `speech`. Voices of hibari, eSpeak and tone and the shipped clips, clean and degraded, are sent at right
and wrong sampling rates. The shares are cross-validated: the weights that judge a voice were fitted without it. `--fit`
writes the weights that are fitted to all of them. Takes some two minutes of processor time.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import resample
from mockserver.audio.degrade import Degradation, degraded
from mockserver.audio.formats import Samples
from mockserver.audio.speech_evidence import (
    LEAST_S,
    LOUD_S,
    MOST_OFF,
    MOST_OFF_SHORT,
    SHORT_S,
    SQUARED,
    WEIGHTS,
    features,
)
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.tts.hibari import SPEAKERS
from mockserver.audio.wav import read_wav

CLIPS = Path(__file__).resolve().parents[1] / "cassettes" / "voices"
TEXTS = (
    "I would like a dental cleaning on July sixth.",
    "Hello, is Doctor Chen free on Monday morning? I can come after nine.",
    "No.",
    "My name is Maria Lopez, and I have chest pain.",
    "Please cancel my appointment.",
    "What are your opening hours on weekends, and how much does a whitening cost?",
)
WRONG = (
    (8000, 24000),
    (16000, 24000),
    (24000, 16000),
    (24000, 48000),
    (48000, 24000),
    (24000, 44100),
    (44100, 24000),
    (24000, 8000),
    (8000, 16000),
    (16000, 8000),
)
"""Real and declared rate, in Hz."""
LINES = (
    None,
    Degradation(telephone=True),
    Degradation(snr_db=15),
    Degradation(snr_db=8),
    Degradation(clip_db=10),
    Degradation(speed=1.2),
    Degradation(speed=0.85),
    Degradation(snr_db=5, noise="white"),
    Degradation(dropouts=0.05),
)
RIDGE = 50.0
Row = tuple[str, str, float, NDArray[np.float64]]
"""Voice, condition, ln(speed) and features of a sound."""


def clips() -> Iterator[tuple[str, Samples, int]]:
    for engine, voices in (("hibari", tuple(SPEAKERS)), ("espeak", ()), ("tone", ())):
        speaker = synthesizer_named(engine)
        for voice in voices or ("ara", "eve", "leo", "rex", "sal"):
            for text in TEXTS[: 4 if engine == "hibari" else None]:
                clip = speaker.speak(text, voice=voice)
                yield f"{engine}/{voice}", clip.samples, clip.rate
    for path in sorted(CLIPS.glob("*.wav")):
        if path.stem != "unclear":  # a murmur without words
            yield f"shipped/{path.stem}", *read_wav(path)


def rows() -> Iterator[Row]:
    for name, samples, rate in clips():
        for line in LINES:
            heard = samples if line is None else degraded(samples, rate, line, 3)
            yield name, "right", 0.0, features(resample(heard, rate, 24000), 24000)
        for real, declared in WRONG:
            for heard in (samples, degraded(samples, rate, LINES[3] or Degradation(), 3)):
                sound = resample(heard, rate, real)
                yield name, f"{real} as {declared}", log(declared / real), features(sound, declared)


def design(
    values: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    even = np.clip((values - mean) / deviation, -3, 3)
    return np.hstack([np.ones((len(even), 1)), even, even[:, :SQUARED] ** 2])


def fitted(seen: list[Row]) -> tuple[NDArray[np.float64], ...]:
    values, speeds = np.array([row[3] for row in seen]), np.array([row[2] for row in seen])
    mean, deviation = values.mean(axis=0), values.std(axis=0) + 1e-9
    matrix = design(values, mean, deviation)
    weights = np.linalg.solve(matrix.T @ matrix + RIDGE * np.eye(matrix.shape[1]), matrix.T @ speeds)
    return mean, deviation, weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="write the weights fitted to all voices")
    asked = parser.parse_args()
    found = [row for row in rows() if row[3][LOUD_S] >= LEAST_S]
    refused: dict[str, list[bool]] = defaultdict(list)
    for voice in sorted({row[0] for row in found}):
        mean, deviation, weights = fitted([row for row in found if row[0] != voice])
        for _, condition, _, values in (row for row in found if row[0] == voice):
            speed = float((design(values[None], mean, deviation) @ weights)[0])
            most = MOST_OFF if values[LOUD_S] >= SHORT_S else MOST_OFF_SHORT
            refused[condition].append(abs(speed) > most)
    print(f"{'sound':16} {'clips':>6} {'refused':>8}")
    for condition, each in sorted(refused.items()):
        print(f"{condition:16} {len(each):6} {sum(each) / len(each):8.1%}")
    if asked.fit:
        parts = [[round(float(value), 4) for value in part] for part in fitted(found)]
        kept = dict(zip(("mean", "deviation", "weights"), parts, strict=True))
        WEIGHTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
