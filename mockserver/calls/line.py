"""A telephone line: µ-law at 8 kHz in frames of 20 ms, between a caller and a call at 24 kHz."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mockserver.audio.codecs import decode, encode
from mockserver.audio.formats import PCM_24K, AudioFormat, Samples

FORMAT = AudioFormat("pcmu", 8000)
FRAME_S = 0.02
FRAME = 160
"""Samples, and bytes, of a frame on the line."""
SILENCE = b"\xff" * FRAME
"""A frame without sound. Written out: to encode it at the start would make a table that few servers need."""

_RATIO = PCM_24K.rate // FORMAT.rate
_EDGE_HZ = 3600.0
_TAPS = 97
"""At 24 kHz: the edge is 800 Hz wide, and the delay 2 ms."""
_FULL = 32767


def _low_pass() -> NDArray[np.float32]:
    """A windowed sinc, whose gain is 1."""
    at = np.arange(_TAPS) - _TAPS // 2
    taps = np.sinc(2 * _EDGE_HZ / PCM_24K.rate * at) * np.hamming(_TAPS)
    return np.asarray(taps / taps.sum(), np.float32)


class _Filter:
    """The low pass on a stream at 24 kHz: what it gives is as long as what it gets."""

    _taps = _low_pass()

    def __init__(self) -> None:
        self._before = np.zeros(_TAPS - 1, np.float32)

    def pass_on(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        joined = np.concatenate((self._before, samples))
        self._before = joined[-(_TAPS - 1) :]
        return np.convolve(joined, self._taps, "valid").astype(np.float32)

    @property
    def at_rest(self) -> bool:
        """Whether silence would come out if silence went in."""
        return not self._before.any()


class Line:
    """Both directions of a line. Each frame goes on where the one before it ended."""

    def __init__(self) -> None:
        self._to_agent, self._to_caller = _Filter(), _Filter()

    def to_agent(self, frame: bytes) -> Samples:
        """The caller's frame (160 bytes) as 480 samples at 24 kHz."""
        if frame == SILENCE and self._to_agent.at_rest:
            return np.zeros(FRAME * _RATIO, np.int16)
        spread = np.zeros(len(frame) * _RATIO, np.float32)
        spread[::_RATIO] = decode(frame, FORMAT)
        return _whole(self._to_agent.pass_on(spread) * _RATIO)

    def to_caller(self, samples: Samples | None) -> bytes:
        """20 ms of the agent (480 samples at 24 kHz, None for silence) as a frame of 160 bytes."""
        if samples is None:
            if self._to_caller.at_rest:
                return SILENCE
            samples = np.zeros(FRAME * _RATIO, np.int16)
        return encode(_whole(self._to_caller.pass_on(samples.astype(np.float32))[::_RATIO]), FORMAT)


def _whole(samples: NDArray[np.float32]) -> Samples:
    return np.rint(samples).clip(-_FULL - 1, _FULL).astype(np.int16)
