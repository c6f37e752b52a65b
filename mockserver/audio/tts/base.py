"""Speech synthesis without a service.

tone.py needs numpy only; hibari.py and espeak.py speak real words and need the extra `speech`. A synthesizer does not
trim a clip; each documents the silence that it leaves around the speech.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

# 50,000 characters are most of an hour of English; an hour is 173 MB.
LONGEST_TEXT = 50_000  # characters
LONGEST_CLIP_S = 3600
SLOWEST, FASTEST = 0.25, 1.5  # the union of what the services offer; a dialect may be stricter


@dataclass(frozen=True, slots=True, eq=False)
class SpeechClip:
    """Mono speech. `samples` is a read-only int16 array, so that one clip serves every session; `rate` in Hz."""

    samples: NDArray[np.int16]
    rate: int = 24000

    def __post_init__(self) -> None:
        view = self.samples.view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    @property
    def ms(self) -> float:
        return 1000 * len(self.samples) / self.rate


class Synthesizer(Protocol):
    """Synthesizes speech. The same arguments give the same samples, whatever was spoken before."""

    @property
    def name(self) -> str: ...

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        """`voice` is any id, in any case. An unknown id gets a voice that depends on the id alone.

        A text with nothing to say gives a short silent clip. Raises ValueError for a text of more than LONGEST_TEXT
        characters or LONGEST_CLIP_S seconds, and for a speed outside SLOWEST..FASTEST.
        """


@runtime_checkable
class Ahead(Protocol):
    """A voice that can make a clip before it is needed."""

    def prepare(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> None:
        """Announce a call of `speak` with these arguments. It changes when the clip is made, and not the clip."""


def checked(text: str, speed: float) -> None:
    """Checks the bounds of all synthesizers. Raises ValueError."""
    if len(text) > LONGEST_TEXT:
        raise ValueError(f"the text has {len(text)} characters, more than {LONGEST_TEXT}; split it into several")
    if not (math.isfinite(speed) and SLOWEST <= speed <= FASTEST):
        raise ValueError(f"speed {speed} is outside {SLOWEST} to {FASTEST}; 1.0 is the normal rate")


def too_long() -> ValueError:
    """The error of a clip that is longer than LONGEST_CLIP_S."""
    return ValueError(f"the text takes more than {LONGEST_CLIP_S} s to say; split it into several")
