"""The user's audio: bytes in, milliseconds counted, speech detected. Turns are decided in session.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

import numpy as np

from mockserver.audio.codecs import decoder_for
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.vad.detector import Border, EngineFactory, TurnBegan, TurnDetector, TurnSettings, are_zeros
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.protocol.conversation import Item
from mockserver.session.transcription import Heard

LONGEST_S = 60
"""At most this many seconds of a turn's audio are kept."""
SILENCE = 4
"""The loudest sample of silence: -78 dBFS, below the noise of any microphone."""
SOUND_FRAME_MS = 80
"""Sound is counted in frames of this length: xAI's audio tokens come in fours, 50 a second."""
PIECE_S = 4
"""Seconds of audio after which the others have their turn while a long message is taken: at most 5 ms of work."""
LEAD_MS = 1000
"""Milliseconds that are kept from before speech: it is detected after it began."""


@dataclass(frozen=True, slots=True)
class Buffered:
    """What the input buffer held when it was taken.

    ms: milliseconds of audio.
    sounding_ms: milliseconds from the padding before the first sound to the last sound; all of it without silence.
    speaking: whether the user was speaking at its end.
    audio: the turn, from `LEAD_MS` before its speech, at most `LONGEST_S`; empty if the buffer does not keep audio.
    rate: the sampling rate of `audio`, in Hz.
    """

    ms: float
    audio: Samples
    rate: int
    sounding_ms: float = 0.0
    speaking: bool = False


@dataclass(slots=True, eq=False)
class SpokenTurn:
    """One turn of the user's speech, from its start to its transcript. Positions are milliseconds of audio.

    item: the user's message that holds it.
    announced: whether an event has shown the item.
    start_ms, end_ms: where it starts and ends; the end is None while the user speaks.
    respond: whether it is answered once it is transcribed.
    audio: of what was spoken before a pause after which the same turn went on.
    heard: what the user said; known at the end of the turn, unless a transcriber is asked.
    untranscribed: whether its transcript has yet to start.
    asked_ms: milliseconds of its audio that a transcriber was last asked about; shown: what came of that.
    uncommitted: whether it is answered before its commit is reported.
    heard_s, stopped_s: instants at which its speech was in the buffer, and at which its end was reported.
    started_s: when its start was reported; None if it was not.
    overtaking: whether the final transcript overtakes the interim one, if that is decided; `overtaken` is then the item
        as the interim one shows it.
    """

    item: Item
    announced: bool = False
    start_ms: int = 0
    end_ms: int | None = None
    respond: bool = False
    audio: Samples = field(default_factory=lambda: np.zeros(0, np.int16))
    heard: Heard = field(default_factory=Heard)
    untranscribed: bool = False
    asked_ms: float = 0.0
    shown: str = ""
    uncommitted: bool = False
    heard_s: float = 0.0
    stopped_s: float | None = None
    started_s: float | None = None
    overtaking: bool | None = None
    overtaken: Item | None = None


class InputBuffer:
    """The input buffer of one connection. Its clock counts milliseconds of audio, not time."""

    def __init__(
        self,
        form: AudioFormat,
        turns: TurnSettings,
        *,
        keep: bool = False,
        engine: EngineFactory = EnergyEngine,
        heard: Callable[[int, int], None] = lambda samples, rate: None,
    ) -> None:
        """`keep`: keep the audio of the turn. `engine` makes the speech detector of a sampling rate. `heard` is told
        the number of samples that came, and their rate in Hz."""
        self._engine, self._heard = engine, heard
        self.measures_sound = False
        """Whether it looks for silence at the ends of its audio."""
        self.clock_ms = 0.0
        self._offset_ms = 0.0
        self._buffered_ms = 0.0
        self._in_speech = False
        self._has_speech = False
        self._sound: tuple[float, float] | None = None
        self._keep = keep
        self._kept: deque[Samples] = deque()
        self._kept_ms = 0.0
        self._form = form
        self._decoder = decoder_for(form)
        self._turns = turns
        self._vad: TurnDetector | None = None
        """Made with the first audio: many sessions have none."""

    def configure(self, form: AudioFormat, turns: TurnSettings) -> None:
        """Apply a new format and new thresholds from here on; the clock goes on."""
        self._turns = turns
        if self._vad is not None:
            self._vad.settings = turns
        if form != self._form:
            self._form, self._decoder = form, decoder_for(form)
            speaking = self.speaking
            self._vad = self._new_vad()
            self._vad.speaking = speaking
            self._offset_ms = self.clock_ms
            self._kept.clear()

    def _new_vad(self) -> TurnDetector:
        return TurnDetector(self._form.rate, self._turns, self._engine(self._form.rate))

    def pieces(self, data: bytes | Samples) -> Sequence[bytes | Samples]:
        """The audio of a message, or of a track at the format's rate, in pieces for `append`: one, if it has at most
        `PIECE_S`. Opus is one packet."""
        samples = PIECE_S * self._form.rate
        if len(data) <= samples or self._form.kind == "opus":
            return (data,)
        size = samples * (self._form.bytes_per_sample if isinstance(data, bytes) else 1)
        return [data[at : at + size] for at in range(0, len(data), size)]

    def append(self, data: bytes | Samples) -> list[Border]:
        """Take one message of encoded audio, or samples; returns the borders of speech in them."""
        samples = self._decoder.push(data) if isinstance(data, bytes) else data
        rate, vad = self._form.rate, self._vad
        self._heard(len(samples), rate)
        ms = len(samples) * 1000 / rate
        if self.measures_sound:
            self._measure(samples)
        self.clock_ms += ms
        self._buffered_ms += ms
        if vad is None:
            vad = self._vad = self._new_vad()
        borders = vad.feed(samples)
        for border in borders:
            began = isinstance(border, TurnBegan)
            self._has_speech |= self._in_speech and not began
            self._in_speech = began
        if self._keep and self._kept_ms < LONGEST_S * 1000:
            self._kept.append(samples)
            self._kept_ms += ms
            while not self.speaking and not self._has_speech and self._kept_ms > LEAD_MS:
                first = self._kept.popleft()
                self._kept_ms -= len(first) * 1000 / self._form.rate
                if not self._kept:  # longer than that by itself
                    self._kept.append(first[-(LEAD_MS * self._form.rate // 1000) :])
                    self._kept_ms = float(LEAD_MS)
        return borders

    def _measure(self, samples: Samples) -> None:
        """Note where the buffer's sound begins and ends, before the samples are counted."""
        sound, rate = self._sound, self._form.rate
        if sound is not None and len(samples) and abs(samples.item(-1)) > SILENCE:
            # So it is in most appends of speech, and a search takes longer than turn detection.
            self._sound = sound[0], self._buffered_ms + len(samples) * 1000 / rate
        elif not are_zeros(samples) and len(loud := np.flatnonzero((samples > SILENCE) | (samples < -SILENCE))):
            first, last = (self._buffered_ms + int(each) * 1000 / rate for each in (loud[0], loud[-1] + 1))
            self._sound = sound[0] if sound else first, last

    def at_ms(self, border_ms: int) -> int:
        """A border's position on the connection's clock, in whole milliseconds."""
        return round(self._offset_ms) + border_ms

    @property
    def kept_ms(self) -> float:
        """Milliseconds of the turn's audio that are kept."""
        return self._kept_ms

    @property
    def buffered_ms(self) -> float:
        """Milliseconds of audio in the buffer."""
        return self._buffered_ms

    @property
    def speaking(self) -> bool:
        """Whether the user is speaking."""
        return self._vad is not None and self._vad.speaking

    def so_far(self) -> Samples:
        """The audio of the turn so far, as `take` would return it."""
        return np.concatenate(self._kept) if self._kept else np.zeros(0, np.int16)

    def take(self) -> Buffered:
        """Empty the buffer; returns what was in it."""
        taken = Buffered(self._buffered_ms, self.so_far(), self._form.rate, self._sounding_ms(), self.speaking)
        self.clear()
        return taken

    def clear(self) -> None:
        """Empty the buffer."""
        self._kept.clear()
        self._buffered_ms = self._kept_ms = 0.0
        self._in_speech = self._has_speech = False
        self._sound = None
        if self._vad is not None:
            self._vad.clear()

    def release(self) -> None:
        """Empty the buffer for good: a session that is over may stay in memory for a while."""
        self.clear()
        self._vad = None

    def _sounding_ms(self) -> float:
        """`Buffered.sounding_ms` of what is in the buffer."""
        if self._sound is None:
            return 0.0
        first, last = self._sound
        padded = (first // SOUND_FRAME_MS - self._turns.prefix_padding_ms // SOUND_FRAME_MS) * SOUND_FRAME_MS
        end_ms = min(ceil(last / SOUND_FRAME_MS) * SOUND_FRAME_MS, self._buffered_ms)
        return end_ms - max(0.0, padded)
