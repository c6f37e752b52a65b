"""How OpenAI's answers are cut and paced: pieces of text, the order of pieces and sounds, tokens of a text. Pure.

Fitted to recordings of gpt-realtime: the transcript runs ahead of the sound, three or four pieces at a time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import cycle, islice, repeat

from mockserver.protocol.pacing import RATE, PacedAudio, PacedText, Rhythm

_PIECE = re.compile(r"[^\S\n]*\n+|[’'][A-Za-z]{1,2}(?![A-Za-z])| ?[^\W\d_]{1,12}|\d{1,3}| ?(?:[^\w\s]|_)+|\s")
"""The end of a line, a word with the space before it, up to three digits, a run of marks, any other space: as in the
recordings but for long words, which the service cuts by its own vocabulary."""
_SENTENCE = re.compile(r".+?[.!?…]+[\"')”’]*(?=\s|$)|.+", re.DOTALL)
_LONGEST = re.compile(r"(?:\s*\S+){1,60}\s*?(?=\s|$)")
"""No voice is asked for more words at once."""

RHYTHM = Rhythm(
    unit=1200,  # 50 ms, one audio token: the server's lengths are multiples of it
    opening=(5,),  # 250 ms: the recorded mean; what single deltas hold is cut from the recordings
    speedup=4.0,  # 6.8 s of sound left within two seconds, by the time in the recorded ids
    flush_s=0.005,
    segment_s=0.0,
    tail=0,
    first_audio_s=(0.195,),  # one capture, of a text answer
    transcript_s=0.35,  # after the answer's first words and before its end, as recorded
    pads_end=True,
)
PIECE_S = 0.007
"""From piece to piece of a text (one capture: 5 to 10 ms)."""
_PIECES_AT_A_TIME = (3, 4, 3)
_SOUNDS_AT_A_TIME = (2, 1, 3)


@lru_cache(maxsize=4096)
def pieces(text: str) -> tuple[str, ...]:
    """A text as its deltas. Joined, they give the text."""
    return tuple(_PIECE.findall(text))


def tokens(text: str) -> int:
    """About how many tokens a text has: its pieces (at most one off for the recorded answers)."""
    return len(pieces(text))


def sentences(text: str) -> list[str]:
    """A text in the portions that are spoken one by one. Joined, they give the text."""
    return [short for found in _SENTENCE.findall(text) for short in _portions(found)]


def _portions(sentence: str) -> list[str]:
    return _LONGEST.findall(sentence) or [sentence]


def plan(
    rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
) -> Iterator[PacedText | PacedAudio]:
    """Pieces of the transcript and sounds by turns; when the text is told, the rest of the sound alone (recordings)."""
    words, sounds = written(rhythm, texts, length), _sounds(rhythm, len(texts), length)
    for few, some in zip(cycle(_PIECES_AT_A_TIME), cycle(_SOUNDS_AT_A_TIME), strict=False):
        told = list(islice(words, few))
        if not told:
            break
        yield from told
        yield from islice(sounds, some)
    yield from sounds


def written(
    rhythm: Rhythm, texts: Sequence[str], length: Callable[[int], int], *, last: bool = True
) -> Iterator[PacedText]:
    """A text that is not spoken."""
    for segment, text in enumerate(texts):
        yield from map(PacedText, repeat(PIECE_S), repeat(segment), pieces(text))


def _sounds(rhythm: Rhythm, segments: int, length: Callable[[int], int]) -> Iterator[PacedAudio]:
    gap_s = 0.0
    for segment in range(segments):
        end = length(segment)
        for start in range(0, end, rhythm.unit * rhythm.opening[0]):
            stop = min(start + rhythm.unit * rhythm.opening[0], end)
            yield PacedAudio(gap_s, segment, start, stop)
            gap_s = (stop - start) / RATE / rhythm.speedup
