"""The caller's audio: bytes in, milliseconds counted, speech found. It decides no turn: see session.py."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from mockserver.audio.codecs import decoder_for
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.vad.detector import Began, Ended, EngineFor, TurnSettings, Vad
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.protocol.conversation import Item
from mockserver.responders.base import NotTranscribed

LONGEST_S = 60
"""Seconds of one turn that are kept at the most."""
LEAD_MS = 1000
"""Kept of what came before the speech: it reaches the decision late."""


@dataclass(frozen=True, slots=True)
class Buffered:
    """What stood in the input buffer when it was taken, in milliseconds of audio."""

    ms: float
    speech_ms: float
    sound: Samples
    """The turn itself, from a moment before its speech, at most LONGEST_S; empty unless it was to be kept."""
    rate: int


@dataclass(slots=True, eq=False)
class SpokenTurn:
    """One turn of the caller's speech, from its start to its transcript. Positions are milliseconds of audio."""

    item: Item
    announced: bool = False
    start_ms: int = 0
    end_ms: int | None = None
    """None while the caller speaks."""
    respond: bool = False
    said: str = ""
    """Known once it is over."""
    untranscribed: bool = False
    """Its transcript has yet to be begun."""
    failure: NotTranscribed | None = None
    """Why it is not transcribed, once it is over."""


class InputBuffer:
    """The input buffer of one connection. Its clock counts audio, not time, and never goes back."""

    def __init__(
        self, form: AudioFormat, turns: TurnSettings, *, keep: bool = False, engine: EngineFor = EnergyEngine
    ) -> None:
        """`keep` the sound of the turn, for somebody to listen to. `engine` makes what hears speech at a rate."""
        self._engine = engine
        self.clock_ms = 0.0
        self._offset_ms = 0.0
        self._buffered_ms = 0.0
        self._speech_ms = 0.0
        self._speech_since_ms: float | None = None
        self._keep = keep
        self._sound: deque[Samples] = deque()
        self._sound_ms = 0.0
        self._form = form
        self._decoder = decoder_for(form)
        self._turns = turns
        self._vad: Vad | None = None
        """Made with the first sound: its 16 KiB are half of what an idle session holds."""

    def configure(self, form: AudioFormat, turns: TurnSettings) -> None:
        """Take a new format or new thresholds from here on; the clock goes on."""
        self._turns = turns
        if self._vad is not None:
            self._vad.settings = turns
        if form != self._form:
            self._form, self._decoder = form, decoder_for(form)
            speaking = self.speaking
            self._vad = self._new_vad()
            self._vad.speaking = speaking
            self._offset_ms = self.clock_ms
            self._sound.clear()

    def _new_vad(self) -> Vad:
        return Vad(self._form.rate, self._turns, self._engine(self._form.rate))

    def append(self, data: bytes) -> tuple[int, list[Began | Ended]]:
        """Take one message of encoded audio; gives the samples it held and where speech began or ended, in ms on the
        clock."""
        samples = self._decoder.push(data)
        ms = len(samples) * 1000 / self._form.rate
        self.clock_ms += ms
        self._buffered_ms += ms
        vad = self._vad = self._vad or self._new_vad()
        borders = vad.feed(samples)
        for border in borders:
            self._mark(border)
        if self._keep:
            self._hold(samples, ms)
        return len(samples), borders

    def _hold(self, samples: Samples, ms: float) -> None:
        if self._sound_ms >= LONGEST_S * 1000:
            return
        self._sound.append(samples)
        self._sound_ms += ms
        while not self.speaking and not self._speech_ms and self._sound_ms > LEAD_MS:
            self._sound_ms -= len(self._sound.popleft()) * 1000 / self._form.rate

    def _mark(self, border: Began | Ended) -> None:
        if isinstance(border, Began):
            self._speech_since_ms = self._offset_ms + border.at_ms
        elif self._speech_since_ms is not None:
            self._speech_ms += self._offset_ms + border.last_speech_ms - self._speech_since_ms
            self._speech_since_ms = None

    def at_ms(self, border_ms: int) -> int:
        """A border's place on the connection's clock, in whole milliseconds."""
        return round(self._offset_ms) + border_ms

    @property
    def buffered_ms(self) -> float:
        """How much audio stands in the buffer."""
        return self._buffered_ms

    @property
    def speaking(self) -> bool:
        """Whether the caller is in the middle of speech."""
        return self._vad is not None and self._vad.speaking

    def take(self) -> Buffered:
        """Empty the buffer and tell what was in it. Speech that goes on belongs to what was taken."""
        if self._speech_since_ms is not None:
            self._speech_ms += self.clock_ms - self._speech_since_ms
        sound = np.concatenate(self._sound) if self._sound else np.zeros(0, np.int16)
        taken = Buffered(self._buffered_ms, self._speech_ms, sound, self._form.rate)
        self._sound.clear()
        self._buffered_ms = self._speech_ms = self._sound_ms = 0.0
        self._speech_since_ms = None
        if self._vad is not None:
            self._vad.clear()
        return taken
