"""Voice activity detection: the samples of a session in, the borders of its spoken turns out.

Time is a grid of 32 ms frames counted in samples from the first sample of the session. The grid never restarts and
never drifts, so a clip gives the same borders however it is cut into appends and however fast they come. What a frame
sounds like is an engine's word (`energy`, or `silero` with the extra); here is only what follows from it.

Frames wait until one of them can be a border: a turn that needs 500 ms of silence to end cannot end in the next 15.
Rated together they cost less.

Not here: the clock, the wire, the audio buffer, and whether a stop is taken back when speech goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import assert_never

from mockserver.audio.names import detector_name
from mockserver.audio.vad.energy import BLOCK_FRAMES, FLOOR_FRAMES, EnergyEngine
from mockserver.audio.vad.silero import SileroEngine

FRAME_MS = 32
"""One frame, in ms. Every OpenAI position that is known is a multiple of it, less the padding (recordings, 2026)."""

Samples = NDArray[np.int16]
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

    @property
    def silence_is_quiet(self) -> bool:
        """Whether `silence` gives nothing but 0. Then it can wait, since no turn begins in it."""

    def rate(self, before: Samples, pieces: Sequence[Samples], count: int, length: int) -> Sequence[float]:
        """The probability (0 to 1) that a frame is speech, of each of the next `count` frames of `length` samples.

        The pieces are their samples, and maybe some after them. `before` is the frame before them, which has been
        rated; at the start of a session it is silence. At most `BLOCK_FRAMES` at once.
        """

    def silence(self, count: int) -> Sequence[float]:
        """The same of at most `FLOOR_FRAMES` frames of digital silence, after a frame of it. Not for rates with uneven
        frames."""


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


def are_zeros(samples: Samples) -> bool:
    """Whether samples are digital silence, or none."""
    # The last sample is enough for nearly all sound, and bytes are compared faster than numpy counts.
    return not len(samples) or (samples.item(-1) == 0 and samples.tobytes() == bytes(samples.nbytes))


_ZEROS: Samples = np.zeros(1 + FRAME_MS * max(RATES) // 1000, np.int16)
"""At least a frame."""
_LONG_FRAMES = 16
"""Of an append of more frames, what is kept is a copy, so that its memory is free."""


class TurnDetector:
    """Finds the turns of one session.

    `settings` may be replaced at any time and count from the next frame. `speaking` says whether a turn is open.
    Holds a few frames and numbers, however long the session. Raises ValueError for a rate not in `RATES`.
    """

    def __init__(self, rate: int, settings: TurnSettings, engine: Engine | None = None) -> None:
        if rate not in RATES:
            raise ValueError(f"{rate} Hz is no session rate; use one of {', '.join(map(str, RATES))}")
        self.speaking = False
        self._rate = rate
        self._engine = engine or EnergyEngine(rate)
        self._frame = -1
        """The last frame that was rated, counted from 0."""
        self._run = 0
        self._length = FRAME_MS * rate // 1000
        # At 11025 Hz a frame is 352 or 353 samples long. Frames that differ in length are rated one by one.
        self._uneven = FRAME_MS * rate % 1000 != 0
        self._before: Samples = _ZEROS
        """The samples of the last frame."""
        self._pieces: list[Samples] = []
        """What came after it, unless it is still."""
        self._held = 0
        """Samples since then."""
        self._due = 0
        """With so many, a border can come."""
        self._still = not self._uneven
        """The last frame and all samples since are digital silence."""
        self._take_settings(settings)

    @property
    def settings(self) -> TurnSettings:
        """What begins and ends turns."""
        return self._settings

    @settings.setter
    def settings(self, settings: TurnSettings) -> None:
        self._catch_up()
        self._take_settings(settings)

    def _take_settings(self, settings: TurnSettings) -> None:
        self._settings = settings
        self._begins = settings.threshold
        self._goes_on = max(settings.threshold - EXIT_BELOW_THRESHOLD, LEAST_EXIT_THRESHOLD)
        self._find_due()

    def feed(self, samples: Samples) -> list[Border]:
        """Takes the next mono samples, any number of them, and returns the borders of turns in them, in order.

        The array must not change later. Raises TypeError for samples that are not one row of int16.
        """
        if samples.dtype != INT16 or samples.ndim != 1:
            raise TypeError(f"got {samples.ndim}-D {samples.dtype} samples; decode to one row of int16, mono")
        if not self._still:
            self._pieces.append(samples)
        elif not are_zeros(samples):
            self._stir()
            self._pieces.append(samples)
        self._held += len(samples)
        if self._held < self._due:
            return []
        borders = self._rate_next()
        while self._held >= self._due:
            borders += self._rate_next()
        return borders

    def clear(self) -> None:
        """Forgets the open turn, as a cleared or committed buffer does. The clock and the noise floor go on."""
        self._catch_up()
        self._forget()
        self._find_due()

    def _forget(self) -> None:
        self.speaking = False
        self._run = 0

    def _catch_up(self) -> None:
        """Rate all frames that are in. None of them is a border."""
        while self._held >= self._length:
            self._rate_next()

    def _stir(self) -> None:
        """The silence is over. None of its frames is a border."""
        self._catch_up()
        self._still = False
        self._pieces = [_ZEROS[: self._held]] if self._held else []
        self._find_due()

    def _find_due(self) -> None:
        """After how many samples a border can come."""
        if self._uneven:
            frames = 1
        elif self.speaking:
            frames = ceil(self._settings.silence_duration_ms / FRAME_MS) + 1 - self._run
        elif self._still and self._engine.silence_is_quiet and self._settings.threshold > 0:
            frames = FLOOR_FRAMES
        else:
            frames = self._engine.onset_frames - self._run
        self._due = min(frames, FLOOR_FRAMES if self._still else BLOCK_FRAMES) * self._length

    def _rate_next(self) -> list[Border]:
        """The borders in the next frames that are in."""
        length = self._length
        if self._still:
            count = min(self._held // length, FLOOR_FRAMES)
            self._held -= count * length
            borders = self._judge(self._engine.silence(count))
        else:
            count = 1 if self._uneven else min(self._held // length, BLOCK_FRAMES)
            borders = self._judge(self._engine.rate(self._before, self._pieces, count, length))
            self._drop(count * length)
            if self._uneven:
                self._length = self._due = self._starts(self._frame + 2) - self._starts(self._frame + 1)
        return borders

    def _drop(self, whole: int) -> None:
        """Keep the last frame of the first `whole` samples, and what is after them."""
        length, last = self._length, self._pieces[-1]
        self._held = held = self._held - whole
        if (end := len(last) - held) < length:
            last = np.concatenate((self._before, *self._pieces))
            end = len(last) - held
        elif len(last) > _LONG_FRAMES * length > held:
            last, end = last[end - length :].copy(), length
        self._before = before = last[end - length : end]
        rest = last[end:]
        if not before.item(-1) and are_zeros(before) and are_zeros(rest) and not self._uneven:
            self._still, self._pieces = True, []
            self._find_due()
        else:
            self._pieces = [rest]

    def _starts(self, frame: int) -> int:
        """The sample with which a frame starts: counted from the first sample, so that the borders never drift."""
        return frame * FRAME_MS * self._rate // 1000

    def _judge(self, probabilities: Sequence[float]) -> list[Border]:
        """What follows from the next frames."""
        begins, goes_on = self._begins, self._goes_on
        if min(probabilities) >= goes_on if self.speaking else max(probabilities) < begins:
            self._frame += len(probabilities)
            if self._run:
                self._run = 0
                self._find_due()
            return []
        borders: list[Border] = []
        for probability in probabilities:
            self._frame += 1
            if (probability >= (goes_on if self.speaking else begins)) == self.speaking:
                self._run = 0
            elif border := self._end() if self.speaking else self._begin():
                borders.append(border)
        self._find_due()
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
        if (self._run - 1) * FRAME_MS < self._settings.silence_duration_ms:
            return None
        end_ms = (self._frame + 1) * FRAME_MS
        last_speech_ms = end_ms - self._run * FRAME_MS
        self._forget()
        return TurnEnded(end_ms, last_speech_ms)
