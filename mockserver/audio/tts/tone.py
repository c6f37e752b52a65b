"""The synthesizer `tone`: the rhythm and melody of speech in plain tones, without intelligible words.

A text becomes syllables and pauses, a syllable a harmonic tone with the formants of its vowel. What it is good for: it
lasts about as long as the live service's speech, an energy VAD takes it for speech and its pauses for silence, and it
costs next to nothing. It leaves 20 ms of silence before the speech and 100 ms after.

Sample values depend on the text, voice and speed alone: the tables are rounded to 16 bits, so that the last bits of a
platform's sine do not show.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.tts.base import LONGEST_CLIP_S, SpeechClip, checked, too_long

RATE = 24000  # Hz
PEAK = 0.5  # of full scale: -6 dBFS

# The speaking rate of the live service's voice `ara`: the length of a syllable is fitted to six recorded answers of 0.8
# to 5.0 s (July 2026) by least squares of the relative error, which is 11 % rms and 18 % at most. The service itself
# varies that much: one answer takes 0.19 s a syllable, another 0.30 s. Pauses are chosen, not fitted.
SYLLABLE_S = 0.2
SENTENCE_PAUSE_S = 0.25
CLAUSE_PAUSE_S = 0.2
LEAD_S, TAIL_S = 0.02, 0.1


@dataclass(frozen=True, slots=True)
class Timbre:
    """A voice: mean pitch in Hz, vocal tract (a factor of the formants), rate (1 is that of ara)."""

    pitch_hz: float
    formants: float
    rate: float


TIMBRES = {
    "ara": Timbre(205, 1.12, 1.0),
    "eve": Timbre(245, 1.20, 1.06),
    "leo": Timbre(118, 0.97, 0.95),
    "rex": Timbre(92, 0.88, 1.03),
    "sal": Timbre(155, 1.04, 0.98),
}


def timbre_of(voice: str) -> Timbre:
    """The timbre of a voice id, in any case; an unknown id gets one drawn from its hash."""
    name = voice.lower()
    if name in TIMBRES:
        return TIMBRES[name]
    pitch, tract, rate, *_ = hashlib.sha256(name.encode("utf-8", "replace")).digest()
    high = pitch / 255
    return Timbre(90 + 160 * high, 0.87 + 0.26 * high + 0.1 * tract / 255, 0.95 + 0.1 * rate / 255)


# --- Text to syllables and pauses ---


@dataclass(frozen=True, slots=True)
class Syllable:
    vowel: int  # index into FORMANTS
    letters: int
    stressed: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    sounds: list[Syllable | None]  # None is the pause at a comma
    question: bool


VOWELS = "aeiouyаеиоуыэюяієαεηιουω"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TOKEN = re.compile(
    r"(?P<word>[^\W\d_]{1,60}(?:['’][^\W\d_]{1,9})?)|(?P<digit>\d)"
    r"|(?P<end>[.!?](?![a-z0-9])|[。؟।\n])|(?P<clause>[,;:](?![a-z0-9])|[—–、]|(?<=\s)-(?=\s))"
)
_SYLLABLE = re.compile(rf"[^{VOWELS}]*[{VOWELS}]+(?:[^{VOWELS}]+$)?")
_SILENT_E = re.compile(r"(?<![^aeiouy]l)(?<=[^aeiouy])e$|(?<=[^aeiouytd])e(?=d$)")  # code, asked; not cobble, added
_ONE_SYLLABLE_EACH = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # kana, Han, Hangul


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text. Digits are spoken one by one; emoji and signs are skipped."""
    sounds: list[Syllable | None] = []
    for token in _TOKEN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        match token.lastgroup:
            case "word":
                sounds += _syllables(token[0])
            case "digit":
                sounds += _syllables(DIGITS[unicodedata.decimal(token[0])])
            case "clause" if sounds and sounds[-1]:
                sounds.append(None)
            case "end" if sounds:
                yield Sentence(sounds, token[0] in "?؟")
                sounds = []
    if sounds:
        yield Sentence(sounds, question=False)


def _syllables(word: str) -> list[Syllable]:
    if not word.isascii():  # without accents
        word = "".join(c if "가" <= c <= "힣" else unicodedata.normalize("NFD", c)[0] for c in word)
    parts = _parts(word.replace("'", "").replace("’", ""))
    return [Syllable(_vowel(part), len(part), stressed=i == 0) for i, part in enumerate(parts)]


def _parts(word: str) -> list[str]:
    """A word cut before its consonants; a word without vowels (an abbreviation, another script) every three letters."""
    if _ONE_SYLLABLE_EACH.search(word):
        return list(word)
    spoken = _SILENT_E.sub("", word)
    return _SYLLABLE.findall(spoken) or _SYLLABLE.findall(word) or [word[i : i + 3] for i in range(0, len(word), 3)]


def _vowel(part: str) -> int:
    for letter in part:
        if (index := "aeiou".find(letter)) >= 0:
            return index
    return ord(part[-1]) % len(FORMANTS) if part else 0


# --- Syllables to sound ---

# First three formants in Hz of a, e, i, o, u and a neutral vowel, of a man's voice (Peterson and Barney, 1952).
FORMANTS = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
    (500, 1500, 2500),
)
LEVELS = (1.0, 0.5, 0.25)
BANDWIDTH = 0.12  # of the formant's frequency
CYCLE = 4096  # points in one period of a waveform table
HIGHEST_HZ = 6000


@lru_cache(maxsize=32)
def _waveforms(timbre: Timbre) -> NDArray[np.float32]:
    """One period of each vowel, peak 1, of shape (vowels, CYCLE)."""
    return np.stack([_waveform(timbre, formants) for formants in FORMANTS])


def _waveform(timbre: Timbre, formants: tuple[int, ...]) -> NDArray[np.float32]:
    """Harmonics that fall off with frequency and rise at the formants; phases that keep the crest low (Schroeder)."""
    harmonic = np.arange(1, int(HIGHEST_HZ / timbre.pitch_hz) + 1)
    amplitude = 0.3 / harmonic
    for level, hz in zip(LEVELS, formants, strict=True):
        off = (harmonic * timbre.pitch_hz - hz * timbre.formants) / (BANDWIDTH * hz)
        amplitude += level / (1 + off**2)
    spectrum = np.zeros(CYCLE // 2 + 1, np.complex128)
    spectrum[harmonic] = amplitude * np.exp(-1j * np.pi * harmonic**2 / len(harmonic))
    return _rounded(np.fft.irfft(spectrum))


@lru_cache(maxsize=1)
def _envelope() -> NDArray[np.float32]:
    """Loudness over a syllable: up in a seventh of it, slowly less, down to nothing in the last third."""
    x = np.linspace(0, 1, 1024)
    rise, fall = np.clip(x / 0.14, 0, 1), np.clip((1 - x) / 0.34, 0, 1)
    return _rounded(np.sin(np.pi / 2 * rise) * np.sin(np.pi / 2 * fall) ** 2 * (1 - 0.25 * x))


def _rounded(curve: NDArray[np.float64]) -> NDArray[np.float32]:
    """The curve scaled to a peak of 1, in steps of 1/32767."""
    steps: NDArray[np.float64] = np.round(curve * (32767 / np.abs(curve).max()))
    return (steps / 32767).astype(np.float32)


class Tone:
    """The synthesizer `tone`. Stateless; thousands of times faster than real time."""

    name = "tone"

    def speak(self, text: str, *, voice: str = "ara", speed: float = 1.0) -> SpeechClip:
        """See `Synthesizer`. A text with nothing to say gives 120 ms of silence."""
        checked(text, speed)
        pieces = [_silence(LEAD_S)]
        samples = 0
        for piece in _sounds(text, timbre_of(voice), speed):
            pieces.append(piece)
            samples += len(piece)
            if samples > LONGEST_CLIP_S * RATE:
                raise too_long()
        return SpeechClip(np.concatenate([*pieces, _silence(TAIL_S)]), RATE)


def _sounds(text: str, timbre: Timbre, speed: float) -> Iterator[NDArray[np.int16]]:
    pace = 1 / (speed * timbre.rate)
    for i, sentence in enumerate(sentences(text)):
        if i:
            yield _silence(SENTENCE_PAUSE_S * pace)
        yield from _sentence(sentence, timbre, pace)


def _sentence(sentence: Sentence, timbre: Timbre, pace: float) -> Iterator[NDArray[np.int16]]:
    """Pitch falls from 12 % above the mean to 12 % below it; in a question the last two syllables rise instead."""
    total = sum(sound is not None for sound in sentence.sounds)
    done = 0
    for sound in sentence.sounds:
        if sound is None:
            yield _silence(CLAUSE_PAUSE_S * pace)
            continue
        start, end = (timbre.pitch_hz * (1.12 - 0.24 * n / total) for n in (done, done + 1))
        done += 1
        rises = sentence.question and total - done < 2
        yield _syllable(sound, _waveforms(timbre)[sound.vowel], (start, start * 1.25 if rises else end), pace)


def _syllable(
    syllable: Syllable, waveform: NDArray[np.float32], glide_hz: tuple[float, float], pace: float
) -> NDArray[np.int16]:
    # More letters make it longer; the mean syllable of the recorded answers has three.
    n = round(RATE * SYLLABLE_S * pace * (0.85 + 0.05 * min(syllable.letters, 6)))
    start_hz, end_hz = glide_hz
    t = np.arange(n, dtype=np.float64)
    points = (CYCLE / RATE) * (start_hz * t + (end_hz - start_hz) / (2 * n) * t * t)
    envelope = _envelope()
    loudness = envelope[(t * (len(envelope) / n)).astype(np.intp)]
    gain = np.float32(32767 * PEAK * (1.0 if syllable.stressed else 0.8))
    out: NDArray[np.int16] = (waveform[points.astype(np.intp) % CYCLE] * loudness * gain).astype(np.int16)
    return out


def _silence(seconds: float) -> NDArray[np.int16]:
    return np.zeros(round(RATE * seconds), np.int16)
