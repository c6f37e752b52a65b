"""The names of speech synthesizers and voice activity detectors. Names alone: the command line shows them before numpy
is loaded."""

from __future__ import annotations

from typing import Literal, get_args

SynthesizerName = Literal["auto", "hibari", "espeak", "tone"]
DetectorName = Literal["energy", "silero"]

SYNTHESIZERS: tuple[SynthesizerName, ...] = get_args(SynthesizerName)
DETECTORS: tuple[DetectorName, ...] = get_args(DetectorName)


def synthesizer_name(name: str) -> SynthesizerName:
    """Raises ValueError for an unknown name."""
    for known in SYNTHESIZERS:
        if name == known:
            return known
    raise ValueError(f"voice engine {name!r} is unknown; use auto, hibari, espeak or tone")


def detector_name(name: str) -> DetectorName:
    """Raises ValueError for an unknown name."""
    for known in DETECTORS:
        if name == known:
            return known
    raise ValueError(f"turn detection {name!r} is unknown; use {' or '.join(DETECTORS)}")
