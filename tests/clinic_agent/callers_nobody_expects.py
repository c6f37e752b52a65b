"""Sound that the clinic's scenario does not know: other sentences and voices, and what is no speech in its format."""

from __future__ import annotations

import io
import wave
from importlib.util import find_spec
from pathlib import Path

import pytest

from mockserver.audio.asr import installed
from mockserver.audio.codecs import audio_format, encode, resample
from mockserver.audio.tts import synthesizer_named
from mockserver.audio.wav import read_wav

VOICES = Path(__file__).parents[2] / "cassettes" / "voices"
RATE = 24_000
ALL_AT_ONCE = "I would like a vaccination on July tenth at ten o'clock. My name is Emily Brown."
AGREES = "Yes, please."
BOOKED = ("vaccination", "2026-07-10", "10:00", "Emily Brown")
NOT_UNDERSTOOD = "I am sorry, I did not understand that."
needs_ears = pytest.mark.skipif(
    not installed() or find_spec("hibari") is None, reason="the extras hearing and speech are not installed"
)


def spoken(text: str, voice: str = "rex") -> bytes:
    """A text as PCM16, 24 kHz, mono."""
    clip = synthesizer_named("hibari").speak(text, voice=voice)
    return resample(clip.samples, clip.rate, RATE).astype("<i2").tobytes()


def known(name: str) -> bytes:
    """A shipped clip as PCM16, 24 kHz, mono."""
    samples, rate = read_wav(VOICES / f"{name}.wav")
    return resample(samples, rate, RATE).astype("<i2").tobytes()


def g711_as_pcm(name: str) -> bytes:
    """A shipped clip as µ-law at 8 kHz, taken for PCM16: noise."""
    samples, rate = read_wav(VOICES / f"{name}.wav")
    data = encode(resample(samples, rate, 8_000), audio_format("audio/pcmu"))
    return data[: len(data) // 2 * 2]


def wav(pcm: bytes) -> bytes:
    """PCM16, 24 kHz, mono as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        sound.writeframes(pcm)
    return file.getvalue()
