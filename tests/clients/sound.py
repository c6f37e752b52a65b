"""Sound in the pieces that a microphone gives."""

from __future__ import annotations

from collections.abc import Iterator


def chunks(pcm: bytes, ms: int = 100) -> Iterator[bytes]:
    """PCM16 at 24 kHz in pieces of `ms`."""
    size = 48 * ms
    for at in range(0, len(pcm), size):
        yield pcm[at : at + size]
