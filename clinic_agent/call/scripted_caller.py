"""A caller who follows a script: what to say, and when, by what is heard. For rehearsals; no person, no microphone.

Pure: time is an argument, in seconds on the client's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clinic_agent.call.pcm import CHUNK_MS, SAMPLE_BYTES, SAMPLE_RATE_HZ
from clinic_agent.call.playback import Playback

_CHUNK_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * CHUNK_MS // 1000


@dataclass(frozen=True, slots=True)
class During:
    """When the n-th utterance heard, counted from 1, has been playing for so many seconds: an interruption."""

    utterance: int
    seconds: float


@dataclass(frozen=True, slots=True)
class After:
    """So many seconds after the n-th utterance heard was over; after utterance 0 is after the call's beginning."""

    utterance: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cue:
    """Say this then: PCM16 mono 24 kHz. With no sound in it, it only waits."""

    when: During | After
    pcm: bytes = field(default=b"", repr=False)


class ScriptedCaller:
    """Speaks one cue after the other, is silent in between, and hangs up after the last one.

    Hangs up too when `patience_s` passed without a word from either side: `gave_up` is true then.
    """

    def __init__(self, cues: Sequence[Cue], hearing: Playback, *, give_up_s: float = 15.0) -> None:
        self.gave_up = False
        self._cues = list(cues)
        self._hearing = hearing
        self._give_up_s = give_up_s
        self._begun_s: float | None = None
        self._quiet_s = 0.0
        self._words = b""

    def speak(self, now_s: float) -> bytes | None:
        """The next 100 ms of the microphone; None when the caller has hung up."""
        if self._begun_s is None:
            self._begun_s = self._quiet_s = now_s
        while not self._words and self._cues and self._due(self._cues[0].when, now_s):
            self._words = self._cues.pop(0).pcm
        if self._words:
            chunk, self._words = self._words[:_CHUNK_BYTES], self._words[_CHUNK_BYTES:]
            self._quiet_s = now_s
            return chunk.ljust(_CHUNK_BYTES, b"\0")
        self.gave_up = bool(self._cues) and now_s > max(self._quiet_s, self._hearing.ends_s) + self._give_up_s
        return bytes(_CHUNK_BYTES) if self._cues and not self.gave_up else None

    def _due(self, when: During | After, now_s: float) -> bool:
        begun = self._hearing.begun(now_s)
        if len(begun) < when.utterance:
            return False
        match when:
            case During():
                return self._hearing.heard_ms(begun[when.utterance - 1], now_s) >= when.seconds * 1000
            case After(utterance=0):
                return now_s >= (self._begun_s or 0.0) + when.seconds
            case After():
                return self._hearing.over(begun[when.utterance - 1], now_s - when.seconds)
