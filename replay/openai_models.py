"""OpenAI's realtime and transcription models: their abilities, their sizes, and the day on which each ends.

Source: the vendor's pages of models and of deprecations, 2026-11-30. Prices: replay/billing/prices.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

ENDS_SOON_DAYS = 90
"""Days before the end of a model from which its clients should know of it."""

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class RealtimeModel:
    """A model that holds conversations.

    reasons: whether it reasons before it answers, and takes `reasoning`.
    context_tokens, most_output_tokens: the sizes of its context and of its longest response.
    ends: the last day on which it is served; None if no day is announced.
    successor: the model that the vendor names instead.
    """

    reasons: bool
    context_tokens: int
    most_output_tokens: int
    ends: date | None = None
    successor: str = ""


@dataclass(frozen=True, slots=True)
class TranscriptionModel:
    """A model that transcribes the user.

    streams: whether it sends text while the user speaks.
    detects_turns: whether a transcription session with it may have turn detection.
    ends, successor: as of `RealtimeModel`.
    """

    streams: bool = False
    detects_turns: bool = True
    ends: date | None = None
    successor: str = ""


_FIRST, _SECOND = (False, 32_000, 4_096), (True, 128_000, 32_000)
_JANUARY, _FEBRUARY = date(2027, 1, 20), date(2027, 2, 26)
_SUCCESSOR = "gpt-transcribe"
"""A guess: the vendor's notice names the day alone."""

REALTIME: Mapping[str, RealtimeModel] = {
    "gpt-realtime": RealtimeModel(*_FIRST, _JANUARY, "gpt-realtime-2.1"),
    "gpt-realtime-mini": RealtimeModel(*_FIRST, _JANUARY, "gpt-realtime-2.1-mini"),
    "gpt-realtime-1.5": RealtimeModel(*_FIRST),
    "gpt-realtime-2": RealtimeModel(*_SECOND),
    "gpt-realtime-2.1": RealtimeModel(*_SECOND),
    "gpt-realtime-2.1-mini": RealtimeModel(*_SECOND),
}
"""By name. A snapshot such as `gpt-realtime-2025-08-28` has the row of its model: see `row`."""

TRANSCRIPTION: Mapping[str, TranscriptionModel] = {
    "whisper-1": TranscriptionModel(ends=_FEBRUARY, successor=_SUCCESSOR),
    "gpt-4o-transcribe": TranscriptionModel(ends=_FEBRUARY, successor=_SUCCESSOR),
    "gpt-4o-mini-transcribe": TranscriptionModel(ends=_FEBRUARY, successor=_SUCCESSOR),
    "gpt-4o-mini-transcribe-2025-03-20": TranscriptionModel(ends=_JANUARY, successor=_SUCCESSOR),
    "gpt-transcribe": TranscriptionModel(),
    "gpt-live-transcribe": TranscriptionModel(streams=True, detects_turns=False),
    "gpt-realtime-whisper": TranscriptionModel(streams=True, detects_turns=False),
}


def row(name: str, table: Mapping[str, _Row]) -> _Row | None:
    """The row of a model: of its own name, or of the longest name of which it is a dated or named variant."""
    found = max((each for each in table if name == each or name.startswith(f"{each}-")), key=len, default=None)
    return None if found is None else table[found]
