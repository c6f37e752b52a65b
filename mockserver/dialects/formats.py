"""MIME-like names of audio formats as both services write them."""

from __future__ import annotations

from mockserver.audio import RATES, AudioFormat, Kind

_KINDS: dict[str, Kind] = {"audio/pcm": "pcm", "audio/pcmu": "pcmu", "audio/pcma": "pcma", "audio/opus": "opus"}


def audio_format(name: str, rate: int | None) -> AudioFormat:
    """The format of that name. One that no service has makes static: noise out, and what comes in reads as noise."""
    kind = _KINDS.get(name.lower(), "static")
    wanted = rate if rate is not None else (24_000 if kind in ("pcm", "opus") else RATES[kind][0])
    return AudioFormat(kind, wanted) if wanted in RATES[kind] else AudioFormat("static")
