"""Voice activity detection: the samples of a session in, the borders of its spoken turns out.

Time is a grid of 32 ms frames counted in samples from the first sample of the session. The grid never restarts and
never drifts, so a clip gives the same borders however it is cut into appends and however fast they come. What a frame
sounds like is an engine's word (`energy`, or `silero` with the extra); here is only what follows from it.

Not here: the clock, the wire, the audio buffer, and whether a stop is taken back when speech goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_never

from mockserver.audio.names import detector_name
from mockserver.audio.vad.energy import BLOCK_FRAMES, EnergyEngine
from mockserver.audio.vad.silero import SileroEngine

FRAME_MS = 32
"""One frame, in ms. Every OpenAI position that is known is a multiple of it, less the padding (recordings, 2026)."""

INT16 = np.dtype(np.int16)

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000)
"""Sample rates that a session can have, in Hz (xAI, WebSocket reference); OpenAI's 8000 and 24000 are among them."""

EXIT_BELOW_THRESHOLD = 0.15
"""A turn goes on while the probability is less than this below the threshold. Silero's rule, so that one frame on the
edge does not cut a word. With it Silero's own network gives both positions of the recorded OpenAI turn exactly."""

LEAST_EXIT_THRESHOLD = 0.01
"""Also Silero's: a turn must be able to end, however low its threshold."""


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """The client's settings of `server_vad`.

    `threshold` is the speech probability (0 to 1) that begins a turn. `silence_duration_ms` of quiet end it.
    `prefix_padding_ms` is only for `audio_start_ms`. Raises ValueError when a value is out of range.
    """

    threshold: float
    silence_duration_ms: int
    prefix_padding_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is {self.threshold}; give a probability from 0 to 1")
        for name in ("silence_duration_ms", "prefix_padding_ms"):
            value = getattr(self, name)
            if not isfinite(value) or value < 0:
                raise ValueError(f"{name} is {value}; give milliseconds, 0 or more")


OPENAI_TURNS = TurnSettings(threshold=0.5, silence_duration_ms=200, prefix_padding_ms=300)
"""gpt-realtime's defaults (recorded, 2026); gpt-realtime-2.1 differs in 500 ms of silence."""

XAI_TURNS = TurnSettings(threshold=0.85, silence_duration_ms=333, prefix_padding_ms=333)
"""xAI's documented defaults (WebSocket reference, 2026). The silence is a guess, for xAI states none: with it the
recorded turn lasts 2.925 s, and at 50 a second that is the 146 audio tokens it was counted as."""


@dataclass(frozen=True, slots=True)
class TurnBegan:
    """A turn began at `at_ms` on the session's audio clock: the start of the frame that crossed the threshold."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """A turn ended at `at_ms` on the session's audio clock: the end of the frame that completed the silence.

    This is OpenAI's `audio_end_ms` as it stands. `last_speech_ms` is where the speech itself ended.
    """

    at_ms: int
    last_speech_ms: int


Border = TurnBegan | TurnEnded


def audio_start_ms(began_ms: int, prefix_padding_ms: int, last_end_ms: int = 0) -> int:
    """Where a turn's audio begins, in ms: the padding before `TurnBegan.at_ms`, but not before the last turn's end.

    OpenAI: 1460 = 1760 - 300, and 0 for a turn near the start (recorded). The last turn as a bound is a guess.
    """
    return max(began_ms - prefix_padding_ms, last_end_ms)


class Engine(Protocol):
    """Rates one frame after the other, each once and in order."""

    @property
    def onset_frames(self) -> int:
        """How many frames in a row must reach the threshold before a turn begins."""

    def rater(self, frames: NDArray[np.float32]) -> Callable[[], Sequence[float]]:
        """Gives, at each call, the probability (0 to 1) that a frame is speech, of each of the next frames.

        They are in the array then. Each row is a frame: 32 ms of int16 sample values held as float32, to be read before
        returning. The first row is the frame before them, which has been rated; at the start of a session it is
        silence.
        """

    def silence(self, count: int) -> Sequence[float]:
        """The same of `count` frames of digital silence, after a frame of it. Not for rates with uneven frames."""


EngineFactory = Callable[[int], Engine]
"""A new engine for a rate in Hz."""


def engine_named(name: str) -> EngineFactory:
    """`energy`, or `silero` with its extra. Raises ValueError for other names, ImportError if it is not installed."""
    known = detector_name(name)
    match known:
        case "energy":
            return EnergyEngine
        case "silero":
            SileroEngine(24000)  # raises now what is missing, not in the first turn
            return SileroEngine
        case _:
            assert_never(known)


def _are_zeros(samples: NDArray[np.int16]) -> bool:
    # The last sample is enough for nearly all sound, and bytes are compared faster than numpy counts.
    return not len(samples) or (samples.item(-1) == 0 and samples.tobytes() == bytes(samples.nbytes))


class TurnDetector:
    """Finds the turns of one session.

    `settings` may be replaced at any time and count from the next frame. `speaking` says whether a turn is open.
    Holds a few frames and numbers, however long the session. Raises ValueError for a rate not in `RATES`.
    """

    def __init__(self, rate: int, settings: TurnSettings, engine: Engine | None = None) -> None:
        if rate not in RATES:
            raise ValueError(f"{rate} Hz is no session rate; use one of {', '.join(map(str, RATES))}")
        self.settings = settings
        self.speaking = False
        self._rate = rate
        self._engine = engine or EnergyEngine(rate)
        self._frame = -1
        self._run = 0
        self._filled = 0
        self._length = shortest = FRAME_MS * rate // 1000
        # At 11025 Hz a frame is 352 or 353 samples long. Frames that differ in length are rated one by one.
        self._uneven = FRAME_MS * rate % 1000 != 0
        most = 1 if self._uneven else BLOCK_FRAMES
        # New samples that there is room for: as many frames as are rated at once, and the part of another.
        self._room = shortest if self._uneven else (1 + most) * shortest - 1
        self._zeros = 0
        """Samples of digital silence up to now."""
        self._still = False
        """The window has nothing but digital silence, and so no sample of it has to be written or added up."""
        self._first = shortest + self._uneven  # Where the next frame begins; the frame before it is at 0.
        self._window = np.zeros((2 + most) * self._first, np.float32)
        rows = self._window[: (1 + most) * self._first].reshape(1 + most, self._first)
        self._raters = {  # by the number of new samples
            count * length: self._engine.rater(rows[: 1 + count, :length])
            for length in {shortest, self._first}
            for count in range(1, 1 + most)
        }

    def feed(self, samples: NDArray[np.int16]) -> list[Border]:
        """Takes the next mono samples, any number of them, and returns the borders of turns in them, in order.

        Raises TypeError for samples that are not one row of int16.
        """
        if samples.dtype != INT16 or samples.ndim != 1:
            raise TypeError(f"got {samples.ndim}-D {samples.dtype} samples; decode to one row of int16, mono")
        borders: list[Border] = []
        while len(samples) > (room := self._room - self._filled):
            borders += self._take(samples[:room])
            samples = samples[room:]
        return borders + self._take(samples) if borders else self._take(samples)

    def _take(self, samples: NDArray[np.int16]) -> list[Border]:
        """The borders of turns in samples for which there is room."""
        length, first, window, start = self._length, self._first, self._window, self._filled
        silent = not self._uneven and _are_zeros(samples)
        if self._still and silent:
            count, self._filled = divmod(start + len(samples), length)
            return self._judge(self._engine.silence(count)) if count else []
        self._zeros, self._still = self._zeros + len(samples) if silent else 0, False
        self._filled = filled = start + len(samples)
        window[first + start : first + filled] = samples
        if filled < length:
            return []
        whole = filled // length * length
        borders = self._judge(self._raters[whole]())
        last = first + whole - length
        window[: first + filled - last] = window[last : first + filled]
        self._filled = filled - whole
        if self._uneven:
            self._length = self._room = self._starts(self._frame + 2) - self._starts(self._frame + 1)
        elif self._zeros >= first + self._filled:
            window.fill(0.0)
            self._still = True
        return borders

    def clear(self) -> None:
        """Forgets the open turn, as a cleared or committed buffer does. The clock and the noise floor go on."""
        self.speaking = False
        self._run = 0

    def _starts(self, frame: int) -> int:
        """The sample with which a frame starts: counted from the first sample, so that the borders never drift."""
        return frame * FRAME_MS * self._rate // 1000

    def _judge(self, probabilities: Sequence[float]) -> list[Border]:
        """What follows from the next frames."""
        begins = self.settings.threshold
        goes_on = max(begins - EXIT_BELOW_THRESHOLD, LEAST_EXIT_THRESHOLD)
        if min(probabilities) >= goes_on if self.speaking else max(probabilities) < begins:
            self._frame += len(probabilities)
            self._run = 0
            return []
        borders: list[Border] = []
        for probability in probabilities:
            self._frame += 1
            if (probability >= (goes_on if self.speaking else begins)) == self.speaking:
                self._run = 0
            elif border := self._end() if self.speaking else self._begin():
                borders.append(border)
        return borders

    def _begin(self) -> TurnBegan | None:
        """A frame of speech while no turn is open."""
        self._run += 1
        if self._run < self._engine.onset_frames:
            return None
        self.speaking = True
        self._run = 0
        return TurnBegan(self._frame * FRAME_MS)

    def _end(self) -> TurnEnded | None:
        """A quiet frame in a turn."""
        self._run += 1
        # The silence counts from the end of the first quiet frame: 4256 and not 4224 in the recorded turn.
        if (self._run - 1) * FRAME_MS < self.settings.silence_duration_ms:
            return None
        end_ms = (self._frame + 1) * FRAME_MS
        last_speech_ms = end_ms - self._run * FRAME_MS
        self.clear()
        return TurnEnded(end_ms, last_speech_ms)
