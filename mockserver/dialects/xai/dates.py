"""The dates of xAI's service: what the wire showed in each, where that differs from the date before.

A fact that was seen at one date counts from that date on, and for earlier dates where those had only a guess. What is
known of model 2.0 from September 2026 is not taken back to August: what was captured then lacks `replayed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mockserver.dialects.base import Traits
from mockserver.dialects.names import DialectName
from mockserver.dialects.xai.traits import TRAITS_2026_04, TRAITS_2026_07, TRAITS_2026_09
from mockserver.dialects.xai.usage import CONNECT_LEAD_2026_09_S, CONNECT_LEAD_S


@dataclass(frozen=True, slots=True)
class Date:
    """What differs between the dates of the service.

    voice: the voice that `session.created` shows.
    models: the known models, each with the name that comes back; `default_model` answers for any other name.
    noise_suppression: as `session.updated` shows it; false since model 2.0.
    greets: whether a connection begins with `session.created`.
    voice_prefix: what `session.updated` shows before the voice's name; None shows no voice.
    shows_null_detection: whether it shows a turn detection that the client set to null.
    marks_replayed: whether items end with `replayed`.
    connect_lead_s: seconds by which the service's connection is older than the client's, as its billing counts.
    """

    name: DialectName
    voice: str
    default_model: str
    models: Mapping[str, str] = field(default_factory=dict)
    noise_suppression: bool = True
    greets: bool = True
    voice_prefix: str | None = None
    shows_null_detection: bool = True
    marks_replayed: bool = False
    connect_lead_s: float = CONNECT_LEAD_S
    traits: Traits = TRAITS_2026_07

    def model(self, requested: str | None) -> str:
        """The model's name as the service tells it. A name that it does not know is not refused."""
        return self.models.get(requested or "", self.default_model)


FAST_1, THINK_1, THINK_2 = "grok-voice-fast-1.0", "grok-voice-think-fast-1.0", "grok-voice-think-fast-2.0"
LATEST = "grok-voice-latest"

XAI_2026_04 = Date(
    "xai@2026-04",
    "ara",
    FAST_1,
    {name: name for name in (FAST_1, THINK_1)},  # what the alias came back as is not known
    greets=False,
    voice_prefix="human_",
    traits=TRAITS_2026_04,
)
XAI_2026_07 = Date("xai@2026-07", "ara", LATEST, {name: name for name in (LATEST, THINK_1, THINK_2)})
XAI_2026_08 = replace(
    XAI_2026_07,
    name="xai@2026-08",
    voice="xai_ara",
    default_model=THINK_2,
    models={THINK_1: THINK_1, THINK_2: THINK_2, LATEST: THINK_2},
    noise_suppression=False,
)
XAI_2026_09 = replace(
    XAI_2026_08,
    name="xai@2026-09",
    shows_null_detection=False,
    marks_replayed=True,
    connect_lead_s=CONNECT_LEAD_2026_09_S,
    traits=TRAITS_2026_09,
)
XAI_2026_10 = replace(
    XAI_2026_09,
    name="xai@2026-10",
    default_model="grok-voice-3.0",
    # That 3.0 comes back by this name, and 2.0 by its name on the wire of September, are guesses.
    models={THINK_1: THINK_1, THINK_2: THINK_2, "grok-voice-2.0": THINK_2}
    | dict.fromkeys((LATEST, "grok-voice-3.0"), "grok-voice-3.0"),
)
"""From 2026-10-14, when `grok-voice-latest` moved to grok-voice-3.0 with "API unchanged"."""
