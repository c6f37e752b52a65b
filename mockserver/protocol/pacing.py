"""In which pieces, and at what pace, a response leaves. Pure: lengths and texts in, text and audio with gaps out.

All lengths are samples at 24 kHz, the rate of the recordings.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Protocol

from replay.values import value

RATE = 24_000
PRESETS = ("live", "realtime", "burst")
"""`live` is the service's recorded pace; `realtime` sends audio when the audio before it has been played; `burst` sends
everything at once in the order of `live`, which makes it unfit for barge-in tests."""

_PORTION = re.compile(r"(?:\s*\S+){1,60}\s*?(?=\s|$)")


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A service's pace as recorded.

    unit: each audio piece but the last of a response has a multiple of this many samples.
    opening: sizes of a response's first audio pieces, in units; the last size repeats.
    speedup: how many times faster than it plays audio leaves.
    flush_s: seconds before the rest of a segment.
    segment_s: further seconds before the first audio of a new sentence.
    tail: the last audio piece of a response has at least this many samples.
    first_audio_s: seconds from a response's start to its first audio; one value is drawn per response.
    transcript_s: seconds from the end of a spoken turn to its final transcript.
    pads_end: whether a message's last audio piece too is a multiple of the unit.
    message_s: seconds from a response's start to its first message; one value is drawn per response.
    closing: the last piece of whole units of a message has this many units, where there are more; 0 sets no size.
    frame, short: the audio of a response ends `short` samples before a multiple of `frame` samples; 0 sets no end.
    """

    unit: int
    opening: tuple[int, ...]
    speedup: float
    flush_s: float
    segment_s: float
    tail: int
    first_audio_s: tuple[float, ...]
    transcript_s: float
    pads_end: bool = False
    message_s: tuple[float, ...] = ()
    closing: int = 0
    frame: int = 0
    short: int = 0


@value
class PacedText:
    """The text of a segment leaves, or with `text` the next part of it."""

    gap_s: float
    segment: int
    text: str | None = None


@value
class PacedAudio:
    """Samples `start` to `stop` of a segment leave."""

    gap_s: float
    segment: int
    start: int
    stop: int


class PacingPlan(Protocol):
    """The order and the gaps in which the texts and the audio of one message leave."""

    def __call__(
        self, rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
    ) -> Iterator[PacedText | PacedAudio]: ...


def portions(text: str) -> list[str]:
    """A text in portions of at most 60 words, which bounds what is synthesized at once. Joined, they give the text."""
    return _PORTION.findall(text)


def ends_sentence(text: str) -> bool:
    """Whether a pause follows the text when it is spoken."""
    return text.rstrip(" \"')”’").endswith((".", "!", "?", "…", ":", ";", "。", "！", "？"))


def plan(
    rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
) -> Iterator[PacedText | PacedAudio]:
    """The order and live gaps of one text, the `last` of its message or not. `length(i)` is called for a segment when
    it is reached.

    The first audio precedes the first text. A later segment's text comes just before its own audio, but at once where
    the cut is inside a sentence: the text runs ahead of the voice (recordings, July 2026).
    """
    sent = 0
    sizes = chain(rhythm.opening, repeat(rhythm.opening[-1]))
    for index, text in enumerate(texts):
        gap_s = rhythm.segment_s if index else 0.0
        if index and sent <= index:
            yield PacedText(gap_s, index)
            sent, gap_s = index + 1, 0.0
        ends = last and index == len(texts) - 1
        for piece in _audio(rhythm, index, length(index), sizes, gap_s, last=ends):
            yield piece
            while sent < len(texts) and (sent == 0 or (sent == index + 1 and not ends_sentence(text))):
                yield PacedText(0.0, sent)
                sent += 1
        if sent <= index:  # a segment without audio
            yield PacedText(gap_s, index)
            sent = index + 1


def _audio(
    rhythm: Rhythm, segment: int, length: int, sizes: Iterator[int], gap_s: float, *, last: bool
) -> Iterator[PacedAudio]:
    body = max(0, length - rhythm.tail) // rhythm.unit * rhythm.unit if last else length
    at, closing = 0, rhythm.closing * rhythm.unit if last else 0
    while at < body:
        size = next(sizes) * rhythm.unit
        stop = min(at + size, body)
        if closing and at < body - closing < stop:
            stop = body - closing
        yield PacedAudio(gap_s if at == 0 or stop < body else rhythm.flush_s, segment, at, stop)
        gap_s = (stop - at) / RATE / rhythm.speedup
        at = stop
    if at < length:
        yield PacedAudio(rhythm.flush_s / 5 if at else gap_s, segment, at, length)
