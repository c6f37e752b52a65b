"""The audio formats of a session: their names on the wire, rates in Hz and bytes per sample."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]


Kind = Literal["pcm", "pcmu", "pcma", "opus", "static"]


# Rates of `audio/pcm` as the vendor's WebSocket reference lists them, July 2026; G.711 is 8 kHz, Opus 24 kHz there.
RATES: dict[Kind, tuple[int, ...]] = {
    "pcm": (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000),
    "pcmu": (8000,),
    "pcma": (8000,),
    "opus": (24000,),
    "static": (24000,),
}


BYTES_PER_SAMPLE: dict[Kind, int] = {"pcm": 2, "pcmu": 1, "pcma": 1, "static": 2}
"""`static` is what a service makes of a format that it does not know: noise of the same length (clients' reports)."""


Payload = tuple[bytes, int]
"""The audio of one message, and how many samples are in it."""


_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How samples travel on the wire: `kind`, and `rate` in Hz. Raises ValueError for what no dialect has."""

    kind: Kind = "pcm"
    rate: int = 24000

    def __post_init__(self) -> None:
        if self.kind not in RATES:
            raise ValueError(f"audio kind {self.kind!r} is unknown; use one of {', '.join(RATES)}")
        if self.rate not in RATES[self.kind]:
            rates = ", ".join(map(str, RATES[self.kind]))
            raise ValueError(f"{self.kind} at {self.rate} Hz is not offered; use one of these rates: {rates}")

    @property
    def bytes_per_sample(self) -> int:
        """2 for pcm, 1 for G.711. Raises ValueError for opus, whose packets have no fixed size."""
        if self.kind not in BYTES_PER_SAMPLE:
            raise ValueError(f"{self.kind} has no fixed bytes per sample; use pcm, pcmu or pcma")
        return BYTES_PER_SAMPLE[self.kind]


PCM_24K = AudioFormat("pcm", 24000)
"""What every service speaks unless told otherwise."""


def audio_format(media_type: str, rate: int | None = None) -> AudioFormat:
    """The format of a media type as both services write it, such as `audio/pcmu`; a missing rate is the usual one.

    Never raises: what no service has is `static`, and so is opus without its extra, which is logged.
    """
    kind = _KINDS.get(media_type.lower(), "static")
    if kind == "opus" and not _opus_installed():
        return AudioFormat("static")
    wanted = rate if rate is not None else (24000 if kind == "pcm" else RATES[kind][0])
    return AudioFormat(kind, wanted) if wanted in RATES[kind] else AudioFormat("static")


_KINDS: dict[str, Kind] = {"audio/pcm": "pcm", "audio/pcmu": "pcmu", "audio/pcma": "pcma", "audio/opus": "opus"}


def _opus_installed() -> bool:
    try:
        from mockserver.audio import opus  # noqa: F401 - loads the codec now, not in the middle of a turn
    except ImportError as missing:
        _LOG.warning("%s; until then it is static", missing)
        return False
    return True
