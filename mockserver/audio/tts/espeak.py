"""Real words, offline: eSpeak NG through ctypes, from the library that the package espeakng-loader ships.

The text is plain text, never SSML or phonemes. Sound comes at 22,050 Hz and is resampled to 24,000 Hz. Left around the
speech are about 13 ms of near-silence before it and under 10 ms after; pauses at full stops last about 0.3 s.

The library is one per process and has one voice at a time, so a lock serialises all callers. It also keeps state from
one text to the next (pitch flutter, roughness, noise). Only variants that set flutter and roughness to nothing and use
no breath are taken here; with them the same text gives the same bytes whatever was spoken before.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import os
import re
import threading
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import resample
from mockserver.audio.tts.base import LONGEST_CLIP_S, SpeechClip, checked, too_long
from replay.version import install_command

RATE = 24000  # Hz
PEAK = 0.5  # of full scale: -6 dBFS, as the tone voice
INSTALL = install_command("espeak")

# From speak_lib.h, the library's public header.
SYNCHRONOUS = 2
DONT_EXIT = 0x8000
UTF8 = 1
PITCH, RANGE, WORDS_PER_MINUTE = 3, 4, 1
LIBRARY_SLOWEST, LIBRARY_FASTEST = 80, 450  # words per minute

# Nearest to the live service's pace over six recorded answers (July 2026): 9 % rms, see tone.py for the answers.
NORMAL_WPM = 168


@dataclass(frozen=True, slots=True)
class Speaker:
    """A variant file of the library, and its pitch and pitch range, 0 to 99; `rate` 1 is the normal pace."""

    variant: str
    pitch: int
    range: int
    rate: float


SPEAKERS = {
    "ara": Speaker("shelby", 50, 50, 1.0),
    "eve": Speaker("shelby", 90, 65, 1.04),
    "leo": Speaker("michel", 45, 45, 0.96),
    "rex": Speaker("Denis", 15, 50, 1.02),
    "sal": Speaker("Diogo", 85, 50, 0.98),
}
VARIANTS = ("shelby", "michel", "Denis", "Diogo", "Henrique", "miguel")


def speaker_of(voice: str) -> Speaker:
    """The speaker of a voice id, in any case; an unknown id gets one drawn from its hash."""
    name = voice.lower()
    if name in SPEAKERS:
        return SPEAKERS[name]
    variant, pitch, spread, rate, *_ = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    return Speaker(VARIANTS[variant % len(VARIANTS)], 10 + pitch % 80, 40 + spread % 30, 0.95 + 0.1 * rate / 255)


ACCENTS = {
    "american": "en-us",
    "british": "en",
    "caribbean": "en-029",
    "lancaster": "en-gb-x-gbclan",
    "new-york": "en-us-nyc",
    "received": "en-gb-x-rp",
    "scottish": "en-gb-scotland",
    "west-midlands": "en-gb-x-gbcwmd",
    "french": "fr",
    "german": "de",
    "italian": "it",
    "polish": "pl",
    "portuguese": "pt-br",
    "spanish": "es",
    "turkish": "tr",
}
"""Names of accents, by the library's language code; those of other languages read a text by that language's rules."""


def accent_named(name: str) -> str:
    """The language code of an accent: a name of ACCENTS or a code of the library itself. Raises ValueError."""
    code = ACCENTS.get(name.lower(), name)
    if not _CODE.fullmatch(code):
        raise ValueError(
            f"accent {name!r} is unknown; use one of {', '.join(ACCENTS)}, or a code such as en-gb-scotland"
        )
    return code


_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{1,12}){0,3}")


class Espeak:
    """The synthesizer `espeak`, in an accent or language: see ACCENTS.

    Raises RuntimeError, saying what to install, if the library cannot be loaded; ValueError for an unknown accent.
    """

    name = "espeak"

    def __init__(self, accent: str = "american") -> None:
        self._language = accent_named(accent)
        with _LOCK:
            if not _library().speaks(self._language):
                raise ValueError(f"accent {accent!r} is unknown to eSpeak NG; use one of {', '.join(ACCENTS)}")

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        """See `Synthesizer`. The library speaks at least 80 words a minute, so a speed below 0.5 has no further effect.

        A text with nothing to say gives 120 ms of silence.
        """
        checked(text, speed)
        with _LOCK:
            library = _library()
            # Some control characters are commands of the library. Lone surrogates become `?`.
            plain = _CONTROL.sub(" ", text).encode("utf-8", "replace").decode("utf-8")
            raw = library.speak(plain, self._language, speaker_of(voice), speed)
        if not raw.any():
            return SpeechClip(np.zeros(RATE * 120 // 1000, np.int16), RATE)
        samples = resample(raw, library.rate, RATE)
        loudest = np.abs(samples.astype(np.int32)).max()
        return SpeechClip((samples * (32767 * PEAK / loudest)).astype(np.int16), RATE)


_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


# --- The library: hold _LOCK around everything below ---

_LOCK = threading.Lock()
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class _Library:
    """The loaded library, initialised once, and the samples that its callback has handed over."""

    def __init__(self, path: str, data_path: str) -> None:
        self._heard: list[bytes] = []
        self._count = 0
        self._callback = _Callback(self._hear)  # the library keeps the pointer, so this must live as long
        self._dll = ctypes.CDLL(path)
        self._dll.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        self.rate: int = self._dll.espeak_Initialize(SYNCHRONOUS, 0, os.fsencode(data_path), DONT_EXIT)
        if self.rate <= 0:
            raise OSError(f"eSpeak NG did not start with its data in {data_path} (paths over 160 bytes are too long)")
        self._dll.espeak_SetSynthCallback(self._callback)

    def _hear(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: int) -> int:
        if count > 0:
            self._heard.append(ctypes.string_at(samples, 2 * count))
            self._count += count
        return int(self._count > LONGEST_CLIP_S * self.rate)  # 1 stops the synthesis

    def speaks(self, language: str) -> bool:
        """Whether there is a voice of that language code."""
        status: int = self._dll.espeak_SetVoiceByName(language.encode())
        return status == 0

    def speak(self, text: str, language: str, speaker: Speaker, speed: float) -> NDArray[np.int16]:
        """Samples at `self.rate`. Raises ValueError for too long a text, RuntimeError when the library refuses."""
        wpm = round(NORMAL_WPM * speaker.rate * speed)
        name = f"{language}+{speaker.variant}"
        self._must(self._dll.espeak_SetVoiceByName(name.encode()), f"select {name}")
        self._dll.espeak_SetParameter(WORDS_PER_MINUTE, min(max(wpm, LIBRARY_SLOWEST), LIBRARY_FASTEST), 0)
        self._dll.espeak_SetParameter(PITCH, speaker.pitch, 0)
        self._dll.espeak_SetParameter(RANGE, speaker.range, 0)
        data = text.encode()
        self._heard.clear()
        self._count = 0
        self._must(self._dll.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None), "speak")
        if self._count > LONGEST_CLIP_S * self.rate:
            raise too_long()
        return np.frombuffer(b"".join(self._heard), np.int16)

    def _must(self, status: int, act: str) -> None:
        if status != 0:
            raise RuntimeError(f"eSpeak NG could not {act} (status {status}); reinstall it: {INSTALL}")


@lru_cache(maxsize=1)
def _library() -> _Library:
    try:
        loader = importlib.import_module("espeakng_loader")
        return _Library(loader.get_library_path(), loader.get_data_path())
    except ImportError:
        raise RuntimeError(f"the voice espeak is not installed; run {INSTALL}, or use the voice tone") from None
    except (OSError, AttributeError, RuntimeError) as problem:
        raise RuntimeError(f"the voice espeak does not load: {problem}; run {INSTALL}, or use the voice tone") from None
