"""A score: what one text says in a voice, format and pace. It is written once, and read by each response that says it.

Load tests and CI let a server say the same texts again and again. The first time, a text is said the plain way: each
piece is made when it is due. After that, its pieces with their gaps, words and encoded audio are kept. What depends on
the response is not part of it: ids, times, and where it is cut. A text that is the whole answer, and leaves at one
instant, is even rendered only once for each dialect. With a score or without, the bytes are the same.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mockserver.audio.codecs import Encoder, encoder_for
from mockserver.audio.formats import EncodedAudio, Payload
from mockserver.audio.tts.base import Synthesizer
from mockserver.dialects.base import ResponseTraits
from mockserver.dialects.templates import Template, suits
from mockserver.protocol.commands import Part, Settings
from mockserver.protocol.conversation import SpokenSegment
from mockserver.protocol.pacing import PacedAudio, PacedText
from mockserver.responders.base import Say
from mockserver.session.output_audio import Speech, Unspeakable
from replay.values import value

SCORE_BYTES = 32 << 20
"""Bytes of the scores that a server keeps."""
LONGEST_TEXT = 1_000
"""Characters of a text that gets a score: about a minute of speech."""
MOST_SAID = 4_096
"""Texts that are remembered because they were said, and have no score yet."""


@value
class Words:
    """The text of a piece. Its audio starts `start_s` seconds into the response's audio."""

    text: str
    start_s: float


@value
class Sound:
    """The audio of a piece: that of each message, with the number of its samples."""

    messages: Sequence[tuple[EncodedAudio, int]]


Piece = PacedText | PacedAudio
Notes = Iterable[tuple[Piece, Words | Sound | None]]
"""The pieces of a text in order, each with what leaves with it. None: that is made when the piece is due."""


@value
class WholeMessage:
    """A text that is the whole answer as a template, and what it adds to its message, its response and the ledger.

    samples: those of its audio, by rate in Hz. segments, runs, audio_seconds: see `ResponseCounts`.
    """

    template: Template
    parts: Sequence[Part]
    spoken: tuple[SpokenSegment, ...]
    samples: Mapping[int, int]
    segments: int
    runs: int
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class Score:
    """The segments of a text, and its notes. `size`: bytes of them, of the audio and of its base64, about."""

    texts: Sequence[str]
    notes: Notes
    size: int
    _whole: dict[tuple[str, str], WholeMessage] = field(default_factory=dict)

    def whole(self, dialect: str, phase: str, make: Callable[[], WholeMessage]) -> WholeMessage | None:
        """The text as the whole answer, with a step's phase, in a dialect; None if there can be none."""
        if not all(map(suits, self.texts)):
            return None
        if (dialect, phase) not in self._whole:
            self._whole[dialect, phase] = make()
        return self._whole[dialect, phase]


@dataclass(slots=True)
class Line:
    """One text of a response, said from its `score` or the plain way. `last`: it is the last text of its message."""

    speech: Speech
    traits: ResponseTraits
    last: bool
    key: Hashable
    """What the score depends on; None if the text can have none."""
    score: Score | None = None

    @property
    def notes(self) -> Notes:
        """What the text consists of. The plain way, a segment is synthesized when its first piece is reached."""
        return ((piece, None) for piece in self._pieces()) if self.score is None else self.score.notes

    def made(self, piece: Piece, encoder: Encoder) -> Words | Sound:
        """What leaves with a piece. Raises Unspeakable."""
        if isinstance(piece, PacedAudio):
            return sound_of(encoder.push(self.speech.audio(piece.segment, piece.start, piece.stop)))
        if piece.text is not None:
            return Words(piece.text, 0.0)
        return Words(self.speech.texts[piece.segment], self.speech.start_s(piece.segment))

    def write(self) -> Score:
        """A score of the text. Raises Unspeakable."""
        encoder = encoder_for(self.speech.settings.output_format)
        notes = tuple((piece, self.made(piece, encoder)) for piece in self._pieces())
        audio = sum(len(each.data) for _, made in notes if isinstance(made, Sound) for each, _ in made.messages)
        return Score(self.speech.texts, notes, audio + audio * 4 // 3 + 1_000 * len(notes))

    def _pieces(self) -> Iterable[Piece]:
        speech = self.speech
        plan = self.traits.spoken if speech.settings.speaks else self.traits.written
        return plan(self.traits.rhythm, speech.texts, speech.length, last=self.last)


def sound_of(payloads: Iterable[Payload]) -> Sound:
    """The audio of these messages."""
    return Sound([(EncodedAudio(audio), samples) for audio, samples in payloads])


@dataclass(slots=True)
class Scores:
    """The scores of one voice, for all sessions of a server: the latest, up to `max_bytes`."""

    max_bytes: int = SCORE_BYTES
    held_bytes: int = 0
    _scores: OrderedDict[Hashable, Score] = field(default_factory=OrderedDict)
    _said: OrderedDict[int, None] = field(default_factory=OrderedDict)
    """Hashes of keys, for texts can be long. Two equal ones only write a score earlier."""

    def line(
        self,
        say: Say,
        settings: Settings,
        traits: ResponseTraits,
        voice: Synthesizer,
        offset_s: float,
        *,
        follows: bool,
        last: bool,
    ) -> Line:
        """A text as a response says it `offset_s` seconds into its audio. `follows`: its message has a text already."""
        key = _key(say, settings, traits, offset_s, follows, last)
        score = None if key is None else self._scores.get(key)
        texts = _segments(say, traits, follows=follows) if score is None else score.texts
        rhythm = traits.rhythm
        ends = last and not rhythm.pads_end, rhythm.frame, rhythm.short
        speech = Speech(texts, say, settings, voice, rhythm.unit, offset_s, *ends)
        if score is not None:
            self._scores.move_to_end(key)
        elif hash(key) in self._said:
            score = self._write(Line(speech.copy(), traits, last, key))
        return Line(speech, traits, last, key, score)

    def said(self, line: Line) -> None:
        """A text was said to its end: the next time, it gets a score."""
        if line.key is not None and line.score is None:
            self._said[hash(line.key)] = None
            if len(self._said) > MOST_SAID:
                self._said.popitem(last=False)

    def _write(self, line: Line) -> Score | None:
        """A new score, kept if there is room; None if the text cannot be spoken any more: the plain way tells why."""
        del self._said[hash(line.key)]
        try:
            score = line.write()
        except Unspeakable:
            return None
        if score.size <= self.max_bytes:
            self._scores[line.key] = score
            self.held_bytes += score.size
            while self.held_bytes > self.max_bytes:
                self.held_bytes -= self._scores.popitem(last=False)[1].size
        return score


def _segments(say: Say, traits: ResponseTraits, *, follows: bool) -> list[str]:
    texts = [segment.text for segment in say.segments]
    texts = texts or (traits.segments(say.text) if say.audio is None else [say.text])
    if texts and follows and not texts[0][0].isspace():
        texts[0] = f" {texts[0]}"
    return texts


def _key(say: Say, settings: Settings, traits: ResponseTraits, offset_s: float, follows: bool, last: bool) -> Hashable:
    """All that the notes of a text depend on. None for a text that is long, has audio of its own, or may be cut by a
    limit of tokens, and for a format whose messages depend on those before."""
    form = settings.output_format
    if say.audio or say.segments or settings.max_output_tokens is not None or form.kind == "opus":
        return None
    if len(say.text) > LONGEST_TEXT:
        return None
    voice, speed = say.voice or settings.voice, say.speed or settings.speed
    spoken = tuple(settings.replace.items()) if settings.replace else ()
    return say.text, voice, speed, spoken, form, settings.speaks, traits, offset_s, follows, last
