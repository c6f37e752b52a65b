"""A caller who follows a script instead of speaking into a microphone: for demos and tests.

A cue starts relative to what the caller hears. Time is an argument, in seconds on the client's clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from typing_extensions import assert_never

from clinic_agent.call.pcm import CHUNK_MS, SAMPLE_BYTES, SAMPLE_RATE_HZ
from clinic_agent.call.playback import Playback

_CHUNK_BYTES = SAMPLE_RATE_HZ * SAMPLE_BYTES * CHUNK_MS // 1000


@dataclass(frozen=True, slots=True)
class During:
    """The time when the n-th utterance (counted from 1) has been playing for `seconds`: an interruption."""

    utterance: int
    seconds: float


@dataclass(frozen=True, slots=True)
class After:
    """The time `seconds` after the end of the n-th utterance; utterance 0 ends at the beginning of the call."""

    utterance: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cue:
    """Audio to say at a time: PCM16 mono 24 kHz. Without audio the cue only waits."""

    when: During | After
    pcm: bytes = field(default=b"", repr=False)


class ScriptedCaller:
    """Says the cues in order, with silence between them, and hangs up after the last one.

    The caller also hangs up if neither side speaks for `give_up_s` seconds; `gave_up` is then true.
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
        """The next 100 ms of the microphone: PCM16 mono 24 kHz; None: the caller has hung up."""
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
            case _:
                assert_never(when)
