"""Speech synthesizers by name, and a cache around one."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import cast

from typing_extensions import assert_never

from mockserver.audio.names import SYNTHESIZERS, synthesizer_name
from mockserver.audio.tts.base import SpeechClip, Synthesizer
from mockserver.audio.tts.espeak import Espeak
from mockserver.audio.tts.hibari import Hibari
from mockserver.audio.tts.tone import Tone
from replay.plugins import plugin


def synthesizer_named(name: str = "auto") -> Synthesizer:
    """`hibari`, `espeak`, `tone`, or `auto`: the first of these whose package is installed and loads. Or a plugin.

    Raises ValueError for other names, RuntimeError, saying what to install, for an engine that is not there, and
    PluginError for a plugin that cannot be used.
    """
    if name not in SYNTHESIZERS and (added := plugin("realtape.voices", name)) is not None:
        return cast(Synthesizer, added)
    known = synthesizer_name(name)
    match known:
        case "tone":
            return Tone()
        case "espeak":
            return Espeak()
        case "hibari":
            return Hibari()
        case "auto":
            for engine in (Hibari, Espeak):
                with suppress(RuntimeError):
                    return engine()
            return Tone()
        case _:
            assert_never(known)


CLIP_BYTES = 64 << 20
"""Spoken clips that a server keeps for their next use."""


def shared(voice: Synthesizer) -> CachedSynthesizer:
    """A synthesizer for all sessions of a server: cached, and except for `tone` with a thread that prepares clips."""
    return CachedSynthesizer(voice, ahead=None if voice.name == "tone" else _beside())


@lru_cache(maxsize=1)
def _beside() -> Executor:
    """One thread for all servers of the process: clips are made earlier, not in parallel."""
    return ThreadPoolExecutor(1, thread_name_prefix="voice")


class CachedSynthesizer:
    """A synthesizer that caches its latest clips, up to `max_bytes`, and gives all sessions the same array.

    `ahead` makes the clips that are announced with `prepare`, at most MOST_COMING at a time; without it, none is.
    Safe in threads. If two threads need the same new clip, both may make it; both then get the first.
    """

    MOST_COMING = 32

    def __init__(self, voice: Synthesizer, max_bytes: int = CLIP_BYTES, ahead: Executor | None = None) -> None:
        self.name = voice.name
        self.held_bytes = 0
        self._voice = voice
        self._max_bytes = max_bytes
        self._clips: OrderedDict[tuple[str, str, float], SpeechClip] = OrderedDict()
        self._ahead = ahead
        self._coming: dict[tuple[str, str, float], Future[SpeechClip]] = {}
        self._lock = threading.Lock()

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        """See `Synthesizer`. Waits for a clip that is being prepared; makes one that is still in the queue."""
        key = (text, voice.lower(), speed)
        if clip := self._kept(key):
            return clip
        coming = self._coming.get(key)
        return self._make(key) if coming is None or coming.cancel() else coming.result()

    def prepare(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> None:
        """See `Ahead`."""
        key = (text, voice.lower(), speed)
        if self._ahead is None or len(self._coming) >= self.MOST_COMING or key in self._coming or self._kept(key):
            return
        self._coming[key] = coming = self._ahead.submit(self._make, key)
        coming.add_done_callback(lambda _: self._coming.pop(key, None))

    def _make(self, key: tuple[str, str, float]) -> SpeechClip:
        text, voice, speed = key
        clip = self._voice.speak(text, voice=voice, speed=speed)
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

    def _kept(self, key: tuple[str, str, float]) -> SpeechClip | None:
        with self._lock:
            if clip := self._clips.get(key):
                self._clips.move_to_end(key)
            return clip


def _bytes_of(key: tuple[str, str, float], clip: SpeechClip) -> int:
    return clip.samples.nbytes + sys.getsizeof(key[0])
