"""Opus as the services carry it: raw packets, one a message, 24 kHz mono. Streams need the extra `opus` (PyAV).

There is no container, loss concealment or reordering: a WebSocket loses nothing. Both ends keep state from packet to
packet, so each stream has its own. The same build of the library makes the same packets; another build may not.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Literal

import numpy as np

from mockserver.audio.formats import Payload, Samples
from replay.version import install_command

RATE = 24_000  # Hz
FRAME = 480
"""Samples of a packet that is made here, 20 ms. Packets that are read may have 2.5 to 120 ms (RFC 6716)."""


def _pyav() -> Any:
    """The package `av`. Raises ImportError, saying what to install."""
    try:
        return import_module("av")
    except ImportError as missing:
        raise ImportError(f"audio/opus needs PyAV; install it with: {install_command('opus')}") from missing


def unavailable() -> ImportError | None:
    """Why Opus cannot be used here, if it cannot. Loads the codec now, not in the middle of a turn."""
    try:
        _pyav()
    except ImportError as missing:
        return missing
    return None


class OpusDecoder:
    """Packets to samples at 24 kHz. An invalid packet gives 20 ms of silence, as a live decoder fills a gap. An empty
    one gives nothing."""

    def __init__(self) -> None:
        # The library always decodes at 48 kHz, and mixes stereo down.
        self._context = _context("r", 2 * RATE)

    def push(self, data: bytes) -> Samples:
        if not data:  # to the library an empty packet is the end of the stream
            return np.zeros(0, np.int16)
        try:
            frames = self._context.decode(_pyav().Packet(data))
        except _pyav().error.FFmpegError:
            return np.zeros(FRAME, np.int16)
        # Without the copies of `to_ndarray`. A plane may be longer than its samples.
        wide = [np.frombuffer(frame.planes[0], np.int16, frame.samples).astype(np.int32) for frame in frames]
        # The mean of two neighbours has no delay; it attenuates by 0.3 dB at 4 kHz and 3 dB at 12 kHz.
        halves = [(samples[::2] + samples[1::2]) >> 1 for samples in wide]
        return np.concatenate(halves).astype(np.int16)


class OpusEncoder:
    """Samples at 24 kHz to packets of 20 ms; an incomplete packet waits for more samples. The codec delays audio by
    2.5 ms, so that the last 2.5 ms of a text may stay in it."""

    def __init__(self) -> None:
        self._context = _context("w", RATE)
        # The lowest delay, and the waveform closest to the voice's. The service's settings are unknown.
        self._context.options = {"application": "lowdelay", "frame_duration": "20"}
        self._waiting: Samples = np.zeros(0, np.int16)

    def push(self, samples: Samples) -> list[Payload]:
        samples = np.concatenate([self._waiting, samples])
        whole = len(samples) - len(samples) % FRAME
        self._waiting = samples[whole:]
        return [self._packet(samples[at : at + FRAME]) for at in range(0, whole, FRAME)]

    def finish(self) -> list[Payload]:
        """The last packet, padded with silence. The stream may go on after it."""
        return self.push(np.zeros(-len(self._waiting) % FRAME, np.int16))

    def _packet(self, samples: Samples) -> Payload:
        frame = _pyav().AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = RATE
        (packet,) = self._context.encode(frame)
        return bytes(packet), FRAME


def _context(mode: Literal["r", "w"], rate: int) -> Any:
    context = _pyav().CodecContext.create("libopus", mode)
    context.sample_rate = rate
    context.layout = "mono"
    context.format = "s16"
    return context
