"""The audio formats of a session: their names on the wire, rates in Hz and bytes per sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pybase64
from numpy.typing import NDArray

Samples = NDArray[np.int16]
"""One-dimensional, mono."""
Kind = Literal["pcm", "pcmu", "pcma", "opus", "static"]
"""`static`: what a service makes of a format that it does not support, noise of the same length (clients' reports)."""

# Rates of `audio/pcm` as the vendor's WebSocket reference lists them, July 2026; G.711 is 8 kHz, Opus 24 kHz there.
RATES: dict[Kind, tuple[int, ...]] = {
    "pcm": (8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000),
    "pcmu": (8000,),
    "pcma": (8000,),
    "opus": (24000,),
    "static": (24000,),
}
BYTES_PER_SAMPLE: dict[Kind, int] = {"pcm": 2, "pcmu": 1, "pcma": 1, "static": 2}
"""Opus has none: its packets have no fixed size."""
Payload = tuple[bytes, int]
"""The audio of one message, and how many samples are in it."""


class EncodedAudio:
    """The audio of one message: bytes in the format of the wire, and their base64, made once."""

    __slots__ = ("_base64", "data")

    def __init__(self, data: bytes, base64: bytes | None = None) -> None:
        self.data = data
        self._base64 = base64

    @property
    def base64(self) -> bytes:
        if self._base64 is None:
            self._base64 = pybase64.b64encode(self.data)
        return self._base64


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
"""The default of every service."""
