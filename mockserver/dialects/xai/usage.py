"""How xAI counts: the formulas of the `usage` object, fitted to recordings. Prices: replay/billing/prices.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import ceil, floor

from mockserver.protocol.facts import Response, ResponseCounts

_TOKEN = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?|[^\W\d_]+|\d|[^\w\s]|_")

SPOKEN_TURN_TOKENS = 3
"""Text tokens that a spoken turn counts beside its words (10 of 10 recorded; unexplained)."""


CONNECT_LEAD_S = 0.25
"""Seconds by which the service's connection is older than the client's (0.23 to 0.30 fit 16 of 17 recorded values of
July 2026)."""
CONNECT_LEAD_2026_09_S = 0.28
"""The same in September (0.27 to 0.30 fit all recorded values)."""


def text_tokens(text: str) -> int:
    """Words (a contraction is one), single digits and single marks: exact for recorded input, and for 32 of 36 recorded
    outputs; since model 2.0, "Cobalt." and "It is foggy and 12 degrees in Paris." count one more.

    Letters beyond ASCII and the typographic apostrophe are a guess.
    """
    return _tokens(text) if len(text) <= _LONGEST_KEPT else len(_TOKEN.findall(text))


_LONGEST_KEPT = 1_000
"""Characters of a text whose count is kept for its next use."""


@lru_cache(maxsize=4096)
def _tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


def audio_tokens(seconds: float, segments: int) -> int:
    """Tokens of spoken output: 50 a second, plus one, plus a quarter for each further segment (35 of 36 recorded)."""
    return floor(50 * seconds + 1 + 0.25 * (segments - 1) + 1e-9) if segments else 0


def pushed_audio_tokens(seconds: float) -> int:
    """Tokens of a spoken turn that the client ended itself: four for each 80 ms begun (6 of 6 recorded)."""
    return 4 * ceil(12.5 * seconds - 1e-9)


def usage(response: Response, *, connect_lead_s: float = CONNECT_LEAD_S, by_audio: bool = False) -> dict[str, object]:
    """The `usage` of a `response.done`, in wire order. Input counts what is new since the last response.

    connect_lead_s: seconds by which the service's connection is older than the client's.
    by_audio: billable are the seconds of audio, not those of the connection.
    """
    counts = response.counts
    text_in = _total(counts.typed) + _total(counts.heard) + SPOKEN_TURN_TOKENS * len(counts.heard)
    if counts.pushed:
        audio_in = pushed_audio_tokens(counts.heard_ms / 1000)
    else:
        audio_in = floor(counts.heard_ms * 50 / 1000)  # 50 a second of the turn: one recorded turn, a guess
    text_out = sum(text_tokens(item.text) for item in response.output if item.kind == "message")
    audio_out = audio_tokens(counts.audio_seconds, counts.segments)
    return {
        "input_tokens": text_in + audio_in,
        "input_token_details": {"text_tokens": text_in, "audio_tokens": audio_in, "grok_tokens": 0},
        "output_tokens": text_out + audio_out,
        "output_token_details": {"text_tokens": text_out, "audio_tokens": audio_out, "grok_tokens": 0},
        "total_tokens": text_in + audio_in + text_out + audio_out,
        "output_audio_seconds": float(counts.audio_seconds),
        "billable_audio_seconds": billable_seconds(counts, connect_lead_s, by_audio=by_audio),
    }


def billable_seconds(counts: ResponseCounts, connect_lead_s: float = CONNECT_LEAD_S, *, by_audio: bool = False) -> int:
    """Whole seconds, cumulative over the connection (recordings). `by_audio`: of its audio in both directions, rounded;
    else of the connection so far, or of its input audio if that is longer."""
    if by_audio:
        return floor(counts.input_audio_s + counts.output_audio_s + 0.5)
    return floor(max(counts.elapsed_s + connect_lead_s, counts.input_audio_s))


def _total(texts: Iterable[str]) -> int:
    return sum(text_tokens(text) for text in texts)
