"""One spoken text as segments of audio, synthesized when they are reached. It sends nothing: see response.py."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import ceil, gcd
from typing import cast

import numpy as np

from mockserver.audio.codecs import encoder_for, resample
from mockserver.audio.formats import Samples
from mockserver.audio.tts.base import Ahead, SpeechClip, Synthesizer
from mockserver.audio.wav import read_wav
from mockserver.protocol.commands import Settings
from mockserver.protocol.conversation import SpokenSegment
from mockserver.protocol.pacing import RATE, ends_sentence
from mockserver.responders.base import Say

BREATH_S = 0.12
"""Seconds of silence before each further sentence. Recorded: its text starts at least 0.10 s after the audio so far."""
TEXT_GRID_S = 0.02
"""`start_time` is a multiple of this (recordings): frames of 50 Hz."""


class Unspeakable(Exception):
    """A text cannot be spoken: its WAV file cannot be read, or the text is too long for the voice. Says what to do."""


@dataclass(slots=True)
class Speech:
    """A text cut into segments, with their audio. Lengths are samples at 24 kHz.

    Each segment's length is a multiple of `unit`, except that of the last segment if the text is the `last` of its
    message. `offset_s` is the seconds of audio that the response has sent before the text. The audio of that last
    segment ends `short` samples before a multiple of `frame` samples of the response's audio; 0 sets no end.
    """

    texts: Sequence[str]
    say: Say
    settings: Settings
    voice: Synthesizer
    unit: int
    offset_s: float
    last: bool = True
    frame: int = 0
    short: int = 0
    _segments: list[Samples] = field(default_factory=list)
    _starts: list[int] = field(default_factory=lambda: [0])
    _ready: tuple[int, Samples, int] = (-1, np.zeros(0, np.int16), 0)

    def copy(self) -> Speech:
        """The same text, without the audio that was synthesized so far."""
        last = self.last, self.frame, self.short
        return Speech(self.texts, self.say, self.settings, self.voice, self.unit, self.offset_s, *last)

    def prepare(self, segment: int) -> None:
        """Let a voice that can make a segment's sound beside the session begin with it."""
        made_up = self.say.audio is None and not self.say.segments
        if made_up and segment < len(self.texts) and _works_ahead(type(self.voice)):
            text, voice, speed = self._asked(segment)
            cast(Ahead, self.voice).prepare(text, voice=voice, speed=speed)

    def length(self, segment: int) -> int:
        """Samples of a segment at 24 kHz; synthesizes its audio on first use."""
        while len(self._segments) <= segment:
            self.prepare(len(self._segments) + 1)
            samples = self._make(len(self._segments))
            self._segments.append(samples)
            self._starts.append(self._starts[-1] + len(samples))
        return self._starts[segment + 1] - self._starts[segment]

    def start_s(self, segment: int) -> float:
        """Second of the response's audio at which a segment's text starts, on the grid of the recordings."""
        breath = BREATH_S if segment and ends_sentence(self.texts[segment - 1]) else 0.0
        seconds = self.offset_s + self._starts[segment] / RATE + breath
        return round(ceil(seconds / TEXT_GRID_S - 1e-6) * TEXT_GRID_S, 2)

    def audio(self, segment: int, start: int, stop: int) -> Samples:
        """Samples `start` to `stop` (24 kHz) of a segment, at the rate of the session's output format.

        Borders are rounded on the clock of the whole text: however it is cut, no sample is lost or doubled.
        """
        samples, origin = self._converted(segment)
        first = self._starts[segment]
        piece = samples[self._place(first + start) - origin : self._place(first + stop) - origin]
        if stop == self.length(segment) and segment < len(self.texts) - 1:
            self._segments[segment] = np.zeros(0, np.int16)
        return piece

    def _place(self, sample: int) -> int:
        """Where a sample of the text (24 kHz) falls at the output's rate. Halves go down, as they may in soxr."""
        return (2 * sample * self.settings.output_format.rate + RATE - 1) // (2 * RATE)

    def _converted(self, segment: int) -> tuple[Samples, int]:
        """A segment at the output's rate, and the sample of the text at which it begins. The segment is resampled
        whole, so that its pieces join, from the last instant before it that both rates share, so that it does not
        shift."""
        if self._ready[0] != segment:
            self.length(segment)
            samples, rate, origin = self._segments[segment], self.settings.output_format.rate, self._starts[segment]
            early = origin % (RATE // gcd(RATE, rate))
            if early:
                samples = np.concatenate([np.zeros(early, np.int16), samples])
            self._ready = (segment, resample(samples, RATE, rate), self._place(origin - early))
        return self._ready[1:]

    def _make(self, segment: int) -> Samples:
        if self.say.segments:
            return self.say.segments[segment].samples
        try:
            clip = self._clip(segment)
        except (ValueError, OSError) as problem:
            raise Unspeakable(str(problem)) from problem
        samples = resample(clip.samples, clip.rate, RATE)
        if segment and ends_sentence(self.texts[segment - 1]):
            samples = np.concatenate([np.zeros(int(BREATH_S * RATE), np.int16), samples])
        if self.last and segment == len(self.texts) - 1:
            if not self.frame or not len(samples):
                return samples
            sent = round(self.offset_s * RATE) + self._starts[segment] + len(samples)
            return np.concatenate([samples, np.zeros(-(sent + self.short) % self.frame, np.int16)])
        return np.concatenate([samples, np.zeros(-len(samples) % self.unit, np.int16)])

    def _clip(self, segment: int) -> SpeechClip:
        if self.say.audio is not None:
            return SpeechClip(*read_wav(self.say.audio))
        text, voice, speed = self._asked(segment)
        return self.voice.speak(text, voice=voice, speed=speed)

    def _asked(self, segment: int) -> tuple[str, str, float]:
        """Text, voice and speed of a segment."""
        text = replaced(self.texts[segment].strip(), self.settings.replace)
        return text, self.say.voice or self.settings.voice, self.say.speed or self.settings.speed


@lru_cache(maxsize=64)
def _works_ahead(voice: type[Synthesizer]) -> bool:
    """Asked for each segment: a check of a protocol takes longer than a segment's other steps together."""
    return issubclass(voice, Ahead)


def audio_of(speech: Speech, sent: Sequence[SpokenSegment]) -> bytes:
    """The audio of what was sent of a text, in its output format; empty if it cannot be synthesized any more."""
    speech, encoder, audio = speech.copy(), encoder_for(speech.settings.output_format), b""
    try:
        for segment, spoken in enumerate(sent):
            if spoken.ms:
                stop = min(round(spoken.ms * RATE / 1000), speech.length(segment))
                audio += b"".join(data for data, _ in encoder.push(speech.audio(segment, 0, stop)))
    except Unspeakable:
        return b""
    return audio


def replaced(text: str, table: Mapping[str, str]) -> str:
    """The text as spoken: whole words of `table` are replaced, in any case, longest first (vendor's schema)."""
    words = sorted(filter(None, table), key=len, reverse=True)
    if not words:
        return text
    pattern = r"(?<!\w)(?:(" + ")|(".join(map(re.escape, words)) + r"))(?!\w)"
    # By group and not by spelling: İ matches i, and its lower case is two letters.
    return re.sub(pattern, lambda found: table[words[(found.lastindex or 1) - 1]], text, flags=re.IGNORECASE)
