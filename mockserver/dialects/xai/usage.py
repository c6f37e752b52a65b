"""How xAI counts: the formulas of the `usage` object, fitted to recordings. Prices: replay/billing/prices.py."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import floor

from mockserver.protocol.facts import Response, ResponseCounts

_TOKEN = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?|[^\W\d_]+|\d|[^\w\s]|_")

SPOKEN_TURN_TOKENS = 3
"""Text tokens that a spoken turn counts beside its words (one recorded turn, twice; unexplained)."""

CONNECT_LEAD_S = 0.25
"""Seconds by which the connection is older than its first `ping` (0.23 to 0.30 s fit 16 of 17 recorded values)."""


def text_tokens(text: str) -> int:
    """Words (a contraction is one), single digits and single marks: exact for the recorded transcripts.

    Letters beyond ASCII and the typographic apostrophe are a guess.
    """
    return len(_TOKEN.findall(text))


def audio_tokens(seconds: float, segments: int) -> int:
    """Tokens of spoken output: 50 a second, plus one, plus a quarter for each further segment (19 of 20 recorded)."""
    return floor(50 * seconds + 1 + 0.25 * (segments - 1) + 1e-9) if segments else 0


def usage(response: Response) -> dict[str, object]:
    """The `usage` of a `response.done`, in wire order. Input counts what is new since the last response."""
    counts = response.counts
    text_in = _total(counts.typed) + _total(counts.heard) + SPOKEN_TURN_TOKENS * len(counts.heard)
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
        "billable_audio_seconds": billable_seconds(counts),
    }


def billable_seconds(counts: ResponseCounts) -> int:
    """Whole seconds of the connection so far, or of its input audio if that is longer; cumulative (recordings)."""
    return floor(max(counts.elapsed_s + CONNECT_LEAD_S, counts.input_audio_s))


def _total(texts: Iterable[str]) -> int:
    return sum(text_tokens(text) for text in texts)
