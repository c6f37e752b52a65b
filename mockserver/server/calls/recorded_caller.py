"""The caller of a recorded call: says on the track what was said, each piece at its recorded instant."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import numpy as np

from mockserver.server.calls.running_call import RunningCall
from mockserver.server.clock import Clock


class RecordedCaller:
    """Speaks until the call is over."""

    def __init__(self, call: RunningCall, clock: Clock, said: Iterable[tuple[float, bytes]]) -> None:
        """`said`: seconds since the call began, and 16-bit samples at 24 kHz, mono."""
        self._call = call
        self._clock = clock
        self._said = deque(said)
        self._began = clock.now() - call.now()
        self._wait()

    def _wait(self) -> None:
        if self._said and self._call.over is None:
            self._clock.call_at(self._began + self._said[0][0], self._say)

    def _say(self) -> None:
        _, data = self._said.popleft()
        self._call.hear(np.frombuffer(data, "<i2"))
        self._wait()
