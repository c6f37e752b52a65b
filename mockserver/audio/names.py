"""The names of speech synthesizers and voice activity detectors. Names alone: the command line shows them before numpy
is loaded."""

from __future__ import annotations

from difflib import get_close_matches
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


VOICES = (
    *("ara", "eve", "leo", "rex", "sal"),
    *("alloy", "ash", "ballad", "cedar", "coral", "echo", "marin", "sage", "shimmer", "verse"),
)
"""The services' own voices. Both have voices of their users too, under any id."""


def near_voice(voice: str) -> str | None:
    """The own voice of which an id is probably a misspelling."""
    name = voice.lower()
    near = get_close_matches(name, [each for each in VOICES if len(each) > 3], 1, cutoff=0.85)
    return near[0] if near and name not in VOICES else None
