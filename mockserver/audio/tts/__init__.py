"""Speech synthesizers by name, and a cache around one."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict

from typing_extensions import assert_never

from mockserver.audio.names import synthesizer_name
from mockserver.audio.tts.base import SpeechClip, Synthesizer
from mockserver.audio.tts.espeak import Espeak
from mockserver.audio.tts.tone import Tone


def synthesizer_named(name: str = "auto") -> Synthesizer:
    """`tone`, `espeak`, or `auto`: espeak if its package is installed and loads, else tone.

    Raises ValueError for other names, and RuntimeError, saying what to install, if espeak is asked for by name.
    """
    known = synthesizer_name(name)
    match known:
        case "tone":
            return Tone()
        case "espeak":
            return Espeak()
        case "auto":
            try:
                return Espeak()
            except RuntimeError:
                return Tone()
        case _:
            assert_never(known)


class CachedSynthesizer:
    """A voice that keeps its latest clips, up to `max_bytes` of them, and gives all sessions the same array.

    Safe in threads. Two threads that ask for one new clip at once may both make it; both then get the first.
    """

    def __init__(self, voice: Synthesizer, max_bytes: int = 64 * 2**20) -> None:
        self.name = voice.name
        self.held_bytes = 0
        self._voice = voice
        self._max_bytes = max_bytes
        self._clips: OrderedDict[tuple[str, str, float], SpeechClip] = OrderedDict()
        self._lock = threading.Lock()

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        key = (text, voice.lower(), speed)
        if clip := self._kept(key):
            return clip
        return self._keep(key, self._voice.speak(text, voice=voice, speed=speed))

    def _kept(self, key: tuple[str, str, float]) -> SpeechClip | None:
        with self._lock:
            if clip := self._clips.get(key):
                self._clips.move_to_end(key)
            return clip

    def _keep(self, key: tuple[str, str, float], clip: SpeechClip) -> SpeechClip:
        with self._lock:
            if earlier := self._clips.get(key):
                return earlier
            if (size := _bytes_of(key, clip)) > self._max_bytes:
                return clip
            self._clips[key] = clip
            self.held_bytes += size
            while self.held_bytes > self._max_bytes:
                self.held_bytes -= _bytes_of(*self._clips.popitem(last=False))
            return clip


def _bytes_of(key: tuple[str, str, float], clip: SpeechClip) -> int:
    return clip.samples.nbytes + sys.getsizeof(key[0])
