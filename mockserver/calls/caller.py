"""A person on the telephone: what the caller says, hears and does, in frames of 20 ms. Time is the number of frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import assert_never

from mockserver.audio.codecs import rms_dbfs
from mockserver.audio.formats import Samples

FRAME_S = 0.02
DIGITS = "0123456789*#ABCD"
DIGIT_S = 0.2
"""From one key to the next: 100 ms of tone and 100 ms of silence."""
HEARD_DBFS = -50.0
"""Loudness from which a frame is speech, and not silence."""
GAP_S = 0.2
"""Silence within speech, at most."""
GREETING_S = 2.0
"""Seconds for which the caller waits for a greeting before speaking first."""


@dataclass(frozen=True, slots=True, eq=False)
class Speak:
    """The caller says something. samples: int16 mono at the caller's rate. text: its words."""

    samples: Samples
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """The caller says nothing for `seconds`."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Press:
    """The caller presses keys, one each 0.2 s: 0 to 9, *, #, A to D."""

    digits: str


@dataclass(frozen=True, slots=True)
class Listen:
    """The caller waits for the other side to speak, and then until it was silent for `quiet_s` seconds. If it does not
    begin within `at_most_s` seconds, the caller goes on."""

    quiet_s: float = 1.0
    at_most_s: float = 15.0


@dataclass(frozen=True, slots=True)
class Interrupt:
    """The caller waits until the other side has spoken for `after_s` seconds: the next step comes into its answer. If
    it does not begin within `at_most_s` seconds, or is silent for a second before, the caller goes on."""

    after_s: float = 0.8
    at_most_s: float = 15.0
    quiet_s: float = 1.0


@dataclass(frozen=True, slots=True)
class HangUp:
    """The caller hangs up."""


Step = Speak | Pause | Press | Listen | Interrupt | HangUp


@dataclass(frozen=True, slots=True)
class Act:
    """What the caller does in 20 ms. samples: what is said, None for silence. digits: a key that goes down, or none.
    hangs_up: the call is over. said: the words of an utterance that begins here."""

    samples: Samples | None = None
    digits: str = ""
    hangs_up: bool = False
    said: str = ""


@dataclass(slots=True)
class Turn:
    """One utterance of the caller. Times are seconds since the call began.

    barge_in: whether it began while the other side spoke. answered_s: the first sound of the other side after its end,
    or, of a barge-in, after the silence that it caused. silent_s: the start of that silence.
    """

    text: str
    began_s: float
    ended_s: float | None = None
    barge_in: bool = False
    answered_s: float | None = None
    silent_s: float | None = None


class Caller:
    """Does the steps of a script one after the other. After the last, the caller hangs up.

    rate: of all samples, in Hz. greeting_s: how long the caller waits for the other side to speak first, in which case
    it is let finish; 0 begins at once.
    """

    def __init__(self, script: Sequence[Step], rate: int = 8000, greeting_s: float = GREETING_S) -> None:
        self.turns: list[Turn] = []
        self.size = round(rate * FRAME_S)
        """Samples of a frame."""
        self._steps: list[Step] = [Listen(at_most_s=greeting_s)] if greeting_s else []
        self._steps += [*script, HangUp()]
        self._frames = 0
        self._begun_s = 0.0
        """When the present step began."""
        self._place = 0
        """Samples said, or keys pressed, of the present step."""
        self._next_key_s = 0.0
        self._sounded_s = 0.0
        """How long the other side has spoken during the present step."""
        self._sounded_at: float | None = None
        """When it was heard last during the present step."""
        self._heard_at = -1.0
        """When it was heard last at all."""

    @property
    def now_s(self) -> float:
        """Seconds since the call began."""
        return round(self._frames * FRAME_S, 6)

    @property
    def to_do(self) -> list[Step]:
        """The steps with words and keys that have not begun."""
        return [each for each in self._steps[1:] if isinstance(each, Speak | Press)]

    def frame(self, heard: Samples | None) -> Act:
        """What the caller does in the next 20 ms. heard: the last 20 ms of the other side, None for silence. After
        `hangs_up`, the caller does nothing more."""
        now = self.now_s
        self._hear(heard is not None and rms_dbfs(heard) > HEARD_DBFS, now)
        self._frames += 1
        while (act := self._act(self._steps[0], now)) is None:
            del self._steps[0]
            self._begun_s, self._place, self._sounded_s, self._sounded_at = now, 0, 0.0, None
        return act

    def _act(self, step: Step, now: float) -> Act | None:
        """What a step does now; None if it is over."""
        match step:
            case Speak(samples, text):
                return self._speak(samples, text, now)
            case Press(digits):
                return self._press(digits, now)
            case Pause(seconds):
                return Act() if now < self._begun_s + seconds else None
            case Listen(quiet_s, at_most_s):
                return Act() if self._silence(now) < (at_most_s if self._sounded_at is None else quiet_s) else None
            case Interrupt(after_s, at_most_s, quiet_s):
                waits = self._silence(now) < (at_most_s if self._sounded_at is None else quiet_s)
                return Act() if waits and self._sounded_s < after_s else None
            case HangUp():
                return Act(hangs_up=True)
            case _:
                assert_never(step)

    def _silence(self, now: float) -> float:
        return now - (self._begun_s if self._sounded_at is None else self._sounded_at)

    def _hear(self, sounds: bool, now: float) -> None:
        if sounds:
            self._sounded_s += FRAME_S
            self._sounded_at = self._heard_at = now
        if not self.turns:
            return
        turn = self.turns[-1]
        if turn.barge_in and turn.silent_s is None:
            if now - self._heard_at > GAP_S:
                turn.silent_s = self._heard_at + FRAME_S
        elif sounds and turn.ended_s is not None and turn.answered_s is None:
            turn.answered_s = now

    def _speak(self, samples: Samples, text: str, now: float) -> Act | None:
        if self._place >= len(samples):
            if self._place:
                self.turns[-1].ended_s = now
            return None
        begins = not self._place
        if begins:
            self.turns.append(Turn(text, now, barge_in=now - self._heard_at <= GAP_S))
        piece = samples[self._place : self._place + self.size]
        self._place += self.size
        return Act(piece, said=text if begins else "")

    def _press(self, digits: str, now: float) -> Act | None:
        if self._place >= len(digits):
            return None
        if now < self._next_key_s:
            return Act()
        digit, self._next_key_s = digits[self._place], now + DIGIT_S
        self._place += 1
        return Act(digits=digit)
