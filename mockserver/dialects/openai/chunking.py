"""How OpenAI's responses are cut and paced: pieces of text, their order with the audio, tokens of a text. Pure.

Fitted to recordings of gpt-realtime: the transcript runs ahead of the audio, three or four pieces at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, cycle, islice, repeat

from mockserver.protocol.pacing import RATE, PacedAudio, PacedText, Rhythm, portions

_PIECE = re.compile(r"[^\S\n]*\n+|[’'][A-Za-z]{1,2}(?![A-Za-z])| ?[^\W\d_]{1,12}|\d{1,3}| ?(?:[^\w\s]|_)+|\s")
"""A line's end, a word with the space before it, up to three digits, a run of marks, any other space. As in recordings,
except for long words, which the service cuts by its own vocabulary."""
_SENTENCE = re.compile(r".+?[.!?…]+[\"')”’]*(?=\s|$)|.+", re.DOTALL)

RHYTHM = Rhythm(
    unit=1200,  # 50 ms, one audio token: the server's lengths are multiples of it
    opening=(2, 3, 8, 8, 8, 5),  # gives the number of deltas of 10 of 10 recorded answers; single sizes are cut
    speedup=4.0,  # 6.8 s of audio left within two seconds, by the time in the recorded ids
    flush_s=0.005,
    segment_s=0.0,
    tail=0,
    first_audio_s=(0.195,),  # one capture, of a text answer
    transcript_s=0.35,  # after the answer's first words and before its end, as recorded
    pads_end=True,
)
REASONING = replace(RHYTHM, opening=(8,), first_audio_s=(0.303,), transcript_s=0.564)
"""The second generation: as recorded of gpt-realtime-2.1-mini."""
PIECE_S = 0.007
"""Seconds between the pieces of a text (one capture: 5 to 10 ms)."""
_LONGEST_KEPT = 1000
"""Characters of a text whose pieces are kept for its next use."""
_PIECES_AT_A_TIME = (3, 4, 3)
_AUDIO_AT_A_TIME = (2, 1, 3)


def pieces(text: str) -> tuple[str, ...]:
    """The deltas of a text. Joined, they give the text."""
    return _pieces(text) if len(text) <= _LONGEST_KEPT else tuple(_PIECE.findall(text))


@lru_cache(maxsize=4096)
def _pieces(text: str) -> tuple[str, ...]:
    return tuple(_PIECE.findall(text))


def tokens(text: str) -> int:
    """The number of tokens of a text, about: its pieces (at most one off in the recorded responses)."""
    return len(pieces(text))


def sentences(text: str) -> list[str]:
    """The segments of a text that are spoken one by one. Joined, they give the text."""
    return [portion for found in _SENTENCE.findall(text) for portion in portions(found) or [found]]


def plan(
    rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
) -> Iterator[PacedText | PacedAudio]:
    """Pieces of the transcript and of the audio in turn, then the rest of the audio alone (recordings)."""
    text, audio = written(rhythm, texts, length), _audio(rhythm, len(texts), length)
    for few, some in zip(cycle(_PIECES_AT_A_TIME), cycle(_AUDIO_AT_A_TIME), strict=False):
        group = list(islice(text, few))
        if not group:
            break
        yield from group
        yield from islice(audio, some)
    yield from audio


def written(
    rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
) -> Iterator[PacedText]:
    """The pieces of a text that is not spoken."""
    for segment, text in enumerate(texts):
        yield from map(PacedText, repeat(PIECE_S), repeat(segment), pieces(text))


def _audio(rhythm: Rhythm, segments: int, length: Callable[[int], int]) -> Iterator[PacedAudio]:
    gap_s = 0.0
    sizes = chain(rhythm.opening, repeat(rhythm.opening[-1]))
    left = next(sizes) * rhythm.unit
    for segment in range(segments):
        end, start = length(segment), 0
        while start < end:
            stop = min(start + left, end)
            yield PacedAudio(gap_s, segment, start, stop)
            gap_s = (stop - start) / RATE / rhythm.speedup
            left = next(sizes) * rhythm.unit
            start = stop
