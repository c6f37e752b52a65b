"""A natural voice, offline: the network of the package hibari-tts, which brings its weights along (extra `speech`).

The package has one voice, an American woman's, in three parts: phonemes of a text, a network that makes pitch and
spectrum of them, and a filter that makes sound of those. A voice id moves the pitch between the two last parts, and the
size of the vocal tract (all formants) by resampling, so that ids differ in both. English only: other languages and
accents are eSpeak's. The package could download further voices; this one asks for none.

A text is spoken sentence by sentence, and a long sentence in pieces of at most LONGEST_PIECE words: time and memory
grow with the square of a piece. The network leaves 0.3 to 0.5 s of silence on either side of a piece; of that, 20 ms
before the speech and 100 ms after it are kept.

The same text, voice and speed give the same samples on one machine with one set of packages. Another processor, another
onnxruntime or numpy, or scipy, which the package uses where it is installed, round otherwise: then samples differ
slightly, and a clip may be a millisecond longer or shorter.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import resample
from mockserver.audio.tts.base import LONGEST_CLIP_S, SpeechClip, checked, too_long
from replay.version import install_command

RATE = 24_000  # Hz
PEAK = 0.5  # of full scale: -6 dBFS, as the other voices
INSTALL = install_command("speech")

OWN_PITCH_HZ = 200
"""The packaged voice's median pitch over its own test sentences, measured by autocorrelation."""
BIN_HZ = 20  # of the network's spectrum
SLOWEST_NETWORK, FASTEST_NETWORK = 0.5, 2.0  # what the package promises to be fit to hear
LONGEST_PIECE = 30  # words
LONGEST_WORD = 60  # characters; of a longer one the rest is passed over
AUDIBLE = 0.01  # of a piece's peak
LEAD_S, TAIL_S = 0.02, 0.1
SENTENCE_PAUSE_S = 0.25  # between the sentences of one text, LEAD_S and TAIL_S included; as the tone's


@dataclass(frozen=True, slots=True)
class Speaker:
    """What sets one id apart: median pitch in Hz, vocal tract (formants times this), pace (1 = the network's own)."""

    pitch_hz: float
    tract: float
    pace: float = 1.0


SPEAKERS = {
    "ara": Speaker(200, 1.00),
    "eve": Speaker(235, 1.08, 1.04),
    "leo": Speaker(122, 0.85, 0.96),
    "rex": Speaker(98, 0.80, 1.02),
    "sal": Speaker(155, 0.94, 0.98),
    "alloy": Speaker(172, 0.97),
    "ash": Speaker(126, 0.90, 1.03),
    "ballad": Speaker(140, 0.85, 0.95),
    "cedar": Speaker(104, 0.88, 0.97),
    "coral": Speaker(216, 1.04, 1.03),
    "echo": Speaker(112, 0.93),
    "marin": Speaker(205, 1.07, 0.99),
    "sage": Speaker(188, 1.02, 0.97),
    "shimmer": Speaker(226, 0.99, 1.02),
    "verse": Speaker(162, 0.87, 1.05),
}
"""The voices that the services name: the first five xAI's, the others OpenAI's. How they sound there is not copied."""


def speaker_of(voice: str) -> Speaker:
    """The speaker of a voice id, in any case; an unknown id gets one drawn from its hash."""
    name = voice.lower()
    if name in SPEAKERS:
        return SPEAKERS[name]
    pitch, tract, pace, *_ = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    high = pitch / 255
    return Speaker(92 + 150 * high, round(0.81 + 0.2 * high + 0.09 * tract / 255, 3), 0.95 + 0.1 * pace / 255)


class Hibari:
    """The voice `hibari`. Safe in threads. Raises RuntimeError, saying what to install, when it cannot be loaded."""

    name = "hibari"

    def __init__(self) -> None:
        _package()

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        """See `Synthesizer`. Below a speed of about 0.5 speech becomes no slower.

        A text with nothing to say gives 120 ms of silence. Letters that English does not have are mostly passed over.
        """
        checked(text, speed)
        package, speaker = _package(), speaker_of(voice)
        rate = round(RATE * speaker.tract)
        pace = min(max(speed * speaker.pace / speaker.tract, SLOWEST_NETWORK), FASTEST_NETWORK)
        pause = np.zeros(round((SENTENCE_PAUSE_S - LEAD_S - TAIL_S) * rate / speed), np.float32)
        sounds: list[NDArray[np.float32]] = []
        longest = LONGEST_CLIP_S * rate
        for piece in pieces(text):
            for phonemes in package.phonemes(piece):
                sound = _trimmed(package.sound(phonemes, speaker.pitch_hz / (OWN_PITCH_HZ * speaker.tract), pace), rate)
                if not len(sound):
                    continue
                sounds += [pause, sound] if sounds else [sound]
                longest -= len(sounds[-1]) + len(pause)
                if longest < 0:
                    raise too_long()
        if not sounds:
            return SpeechClip(np.zeros(RATE * 120 // 1000, np.int16), RATE)
        joined = np.concatenate(sounds)
        samples = resample((joined * (32767 * 0.9 / np.abs(joined).max())).astype(np.int16), rate, RATE)
        return SpeechClip((samples * (32767 * PEAK / np.abs(samples.astype(np.int32)).max())).astype(np.int16), RATE)


# --- Text to pieces ---

_NOT_SPOKEN = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
_REST_OF_WORD = re.compile(rf"(\S{{{LONGEST_WORD}}})\S+")
_LONG_NUMBER = re.compile(r"\d{10,}")
_GIVEN_PHONEMES = re.compile(r"\](?=\()")
_SENTENCE = re.compile(r"\s*(\S.*?(?:[.!?…。！？]+[\"')”’]*(?=\s|$)|\n|$))", re.DOTALL)
_ABBREVIATED = re.compile(r"(?:^|[\s(])(?:[A-Z]|Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|vs|No|Mt)\.$")
_RESPELLED = {re.compile(r"\bMaria\b"): "Mareea"}
"""Names that the package's dictionary stresses in the wrong place: recognizers hear its Maria as Mario."""
_LETTERS = re.compile(r"[^A-Za-z',.?! ]+")


def pieces(text: str) -> Iterator[str]:
    """A text in the sentences, or parts of very long ones, that are spoken one by one: plain text, no markup."""
    plain = _NOT_SPOKEN.sub(" ", text).encode("utf-8", "replace").decode("utf-8")
    plain = _REST_OF_WORD.sub(r"\1", _LONG_NUMBER.sub(lambda found: " ".join(found[0]), plain))
    plain = _GIVEN_PHONEMES.sub("] ", plain)
    for pattern, spelling in _RESPELLED.items():
        plain = pattern.sub(spelling, plain)
    begun = ""
    for found in _SENTENCE.finditer(plain):
        begun = f"{begun} {found[1]}".strip()
        if _ABBREVIATED.search(begun) and found.end() < len(plain.rstrip()):
            continue
        words, begun = begun.split(), ""
        while len(words) > LONGEST_PIECE:
            clauses = (at for at in range(LONGEST_PIECE, 0, -1) if words[at - 1][-1] in ",;:—–")
            cut = next(clauses, LONGEST_PIECE)
            yield " ".join(words[:cut])
            words = words[cut:]
        yield " ".join(words)


# --- Phonemes to sound ---


def _trimmed(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """A piece with LEAD_S before its first audible sample and TAIL_S after its last; nothing of an inaudible one."""
    loudness = np.abs(sound)
    if not len(sound) or (peak := loudness.max()) < AUDIBLE:
        return np.zeros(0, np.float32)
    audible = np.flatnonzero(loudness > AUDIBLE * peak)
    first, last = audible[0] - round(LEAD_S * rate), audible[-1] + round(TAIL_S * rate)
    trimmed: NDArray[np.float32] = sound[max(0, first) : last].copy()
    fade = min(round(0.01 * rate), len(trimmed) // 2)
    slope = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    trimmed[:fade] *= slope
    trimmed[len(trimmed) - fade :] *= slope[::-1]
    return trimmed


class _Package:
    """The loaded network and its phonemes. Nothing in it changes once it is loaded."""

    def __init__(self, hibari: Any, filters: Any) -> None:
        self._hibari = hibari.Hibari(voice="heart", threads=1)
        self._filters = filters
        list(self.phonemes("Warm up: zyzzq."))  # loads the dictionaries, and with a word they lack the speller
        self.sound("hˈI.", 1.0, 1.0)

    def phonemes(self, piece: str) -> list[str]:
        """Usually one string; several where the package cuts, none where there is nothing to say."""
        found: list[str]
        try:
            found = self._hibari.phonemize(piece)
        except (LookupError, TypeError, ValueError):  # it stumbles over odd numbers and signs; over letters it does not
            found = self._hibari.phonemize(_LETTERS.sub(" ", piece))
        return found

    def sound(self, phonemes: str, pitch: float, pace: float) -> NDArray[np.float32]:
        """Samples at RATE, `pitch` and `pace` times the network's own. The noise in it has a fixed seed."""
        ids = self._hibari.ids(phonemes)
        if len(ids) < 3:  # the two at the ends are silence
            return np.zeros(0, np.float32)
        given = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([pace], np.float32)}
        harmonics, phases, *others, pitch_hz = (output[0] for output in self._hibari.sess.run(None, given))
        if pitch < 1:
            # Between the harmonics that it learned to place, the network's phases cancel what a lower voice puts there,
            # and below its own pitch it has no level for the first of them.
            own = np.rint(pitch_hz / BIN_HZ).astype(np.intp)
            lowest = harmonics[own, np.arange(len(own))]
            harmonics = np.where(np.arange(len(harmonics))[:, None] < own, lowest, harmonics)
            phases = np.zeros_like(phases)
        noise = np.random.default_rng(0)
        pitch_hz = pitch_hz * np.float32(pitch)
        made: NDArray[np.float32] = self._filters.synth(harmonics, phases, *others, pitch_hz, noise)
        return made


_LOADING = threading.Lock()


def _package() -> _Package:
    """The one of the process; whoever asks while it is being loaded waits. Raises RuntimeError."""
    with _LOADING:
        return _loaded()


@lru_cache(maxsize=1)
def _loaded() -> _Package:
    try:
        return _Package(importlib.import_module("hibari"), importlib.import_module("hibari.dsp"))
    except ImportError:
        raise RuntimeError(
            f"the voice hibari is not installed; run {INSTALL}, or use the voice espeak or tone"
        ) from None
    except (OSError, AttributeError, TypeError, ValueError, RuntimeError) as problem:
        raise RuntimeError(
            f"the voice hibari does not load: {problem}; run {INSTALL}, or use the voice tone"
        ) from problem
