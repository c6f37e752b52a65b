"""The audio formats that the client of a call declares. They are without effect on its tracks.

Readers of sound in events go by them. So sound that is recorded, or compared with a recording, is in that format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mockserver.audio.codecs import encode, resample
from mockserver.audio.formats import PCM_24K, AudioFormat
from mockserver.calls.playout import RATE
from mockserver.faults.audio import format_in
from replay.cassette.json_text import event_in


class DeclaredFormats:
    """The formats of both directions, as the last event about the session has them."""

    def __init__(self) -> None:
        self.input = self.output = PCM_24K

    def read(self, session: Mapping[str, Any]) -> None:
        """Take a session object."""
        self.input, self.output = format_in(session, "input"), format_in(session, "output")

    def update(self, data: str | bytes) -> None:
        """Take a client's message, which may be a `session.update` that declares them."""
        if isinstance(data, str) and '"session.update"' in data:
            session = (event_in(data) or {}).get("session")
            if isinstance(session, Mapping) and "audio" in session:
                self.read(session)


def in_format(data: bytes, format: AudioFormat) -> bytes:
    """Samples of a track in a declared format; unchanged if that is Opus or unknown."""
    if format == PCM_24K or format.kind in ("opus", "static"):
        return data
    return encode(resample(np.frombuffer(data, "<i2"), RATE, format.rate), format)
