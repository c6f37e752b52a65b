"""xAI's voice models: when each was the service's default, the day of its deprecation, and its successor.

Source: the vendor's pages of models and release notes, 2026-11-30. Prices: replay/billing/prices.py. The names that the
service knows at a date: mockserver/dialects/xai/dates.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class VoiceModel:
    """A model that holds conversations.

    replaced: the day on which the vendor made another model the default, which `grok-voice-latest` names.
    deprecated: the day on which the vendor announced that the model goes; None if none is announced.
    successor: the model that became the default.
    """

    replaced: date | None = None
    deprecated: date | None = None
    successor: str = ""


_OCTOBER = date(2026, 10, 14)

VOICE: Mapping[str, VoiceModel] = {
    # The day is a guess: clients called it the older model in spring 2026, and deprecated by July.
    "grok-voice-fast-1.0": VoiceModel(date(2026, 7, 1), date(2026, 7, 1), "grok-voice-think-fast-1.0"),
    "grok-voice-think-fast-1.0": VoiceModel(date(2026, 8, 5), None, "grok-voice-think-fast-2.0"),
    # The pages call the second model grok-voice-2.0; that its name on the wire is deprecated as well is a guess.
    "grok-voice-think-fast-2.0": VoiceModel(_OCTOBER, _OCTOBER, "grok-voice-3.0"),
    "grok-voice-2.0": VoiceModel(_OCTOBER, _OCTOBER, "grok-voice-3.0"),
    "grok-voice-3.0": VoiceModel(),
}
"""By name. `grok-voice-latest` is an alias: see the price tables."""
