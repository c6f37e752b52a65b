"""In which pieces, and at what pace, an answer leaves. Pure: lengths and texts in, words and sounds with gaps out.

All lengths are samples at 24 kHz, the rate of the recordings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

RATE = 24_000
PRESETS = ("live", "realtime", "burst")
"""`live` is the dialect's recorded rhythm, `realtime` sends each sound when the one before has been played, `burst`
sends all at once in the same order (unfit for barge-in tests)."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A service's pace as recorded."""

    unit: int
    """Every sound but the last of a response is a multiple of this many samples."""
    opening: tuple[int, ...]
    """Sizes in units of a response's first sounds; the last one repeats."""
    speedup: float
    """Sounds leave this many times faster than they play."""
    flush_s: float
    """Gap before what is left of a segment."""
    segment_s: float
    """Further gap before a new sentence's first sound."""
    tail: int
    """The last sound of a response is at least this long."""
    first_audio_s: tuple[float, ...]
    """From the start of a response to its first sound; one is drawn per response."""
    heard_s: float
    """From the end of a spoken turn to its final transcript."""
    pads_end: bool = False
    """A message's last sound too is a multiple of the unit."""


@dataclass(frozen=True, slots=True)
class Words:
    """The text of a segment leaves, or the next piece of it."""

    gap_s: float
    segment: int
    piece: str | None = None


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples `start` to `stop` of a segment leave."""

    gap_s: float
    segment: int
    start: int
    stop: int


class Plan(Protocol):
    """In which order the texts and sounds of one message leave, and with which gaps."""

    def __call__(
        self, rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
    ) -> Iterator[Words | Sound]: ...


def ends_sentence(text: str) -> bool:
    """Whether a pause follows the text when it is spoken."""
    return text.rstrip(" \"')”’").endswith((".", "!", "?", "…", ":", ";", "。", "！", "？"))


def plan(
    rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
) -> Iterator[Words | Sound]:
    """The order and live gaps of one text, the `last` of its message or not. `length(i)` is asked for a segment only
    when it is reached.

    The first sound precedes the first words; a later segment's words come just before its own sound, but at once
    where the cut is inside a sentence: the text runs ahead of the voice (recordings, July 2026).
    """
    told = 0
    sizes = _sizes(rhythm)
    for index, text in enumerate(texts):
        gap_s = rhythm.segment_s if index else 0.0
        if index and told <= index:
            yield Words(gap_s, index)
            told, gap_s = index + 1, 0.0
        ends = last and index == len(texts) - 1
        for sound in _sounds(rhythm, index, length(index), sizes, gap_s, last=ends):
            yield sound
            while told < len(texts) and (told == 0 or (told == index + 1 and not ends_sentence(text))):
                yield Words(0.0, told)
                told += 1
        if told <= index:  # a segment without sound
            yield Words(gap_s, index)
            told = index + 1


def _sizes(rhythm: Rhythm) -> Iterator[int]:
    yield from rhythm.opening
    while True:
        yield rhythm.opening[-1]


def _sounds(
    rhythm: Rhythm, segment: int, length: int, sizes: Iterator[int], gap_s: float, *, last: bool
) -> Iterator[Sound]:
    body = max(0, length - rhythm.tail) // rhythm.unit * rhythm.unit if last else length
    at = 0
    while at < body:
        size = next(sizes) * rhythm.unit
        stop = min(at + size, body)
        yield Sound(gap_s if at == 0 or stop < body else rhythm.flush_s, segment, at, stop)
        gap_s = (stop - at) / RATE / rhythm.speedup
        at = stop
    if at < length:
        yield Sound(rhythm.flush_s / 5 if at else gap_s, segment, at, length)
