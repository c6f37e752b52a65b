"""A WebRTC client without a browser: aiortc's own, on the loopback interface."""

from __future__ import annotations

import asyncio
import fractions
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

aiortc = pytest.importorskip("aiortc", reason="aiortc needs Python 3.11")
av = pytest.importorskip("av")
Track: Any = aiortc.MediaStreamTrack
TIMEOUT_S = 20.0


class Microphone(Track):  # type: ignore[misc] # an optional package
    """Plays samples at 24 kHz in real time, then silence."""

    kind = "audio"

    def __init__(self, samples=()) -> None:
        super().__init__()
        self.samples = np.asarray(samples, np.int16)
        self.sent = 0
        self.begun: float | None = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.begun = loop.time() if self.begun is None else self.begun
        await asyncio.sleep(max(0.0, self.begun + self.sent * 0.02 - loop.time()))
        frame = self.samples[:480]
        self.samples = self.samples[480:]
        sound = av.AudioFrame.from_ndarray(
            np.pad(frame, (0, 480 - len(frame)))[np.newaxis], format="s16", layout="mono"
        )
        sound.sample_rate, sound.pts, sound.time_base = 24_000, self.sent * 480, fractions.Fraction(1, 24_000)
        self.sent += 1
        return sound


class RtcClient:
    """A peer connection with a microphone and, unless told otherwise, the service's data channel."""

    def __init__(self, samples=(), *, channel: bool = True) -> None:
        self.connection = aiortc.RTCPeerConnection()
        self.microphone = Microphone(samples)
        self.connection.addTrack(self.microphone)
        self.channel: Any = self.connection.createDataChannel("oai-events") if channel else None
        self.events: list[dict[str, Any]] = []
        self.heard: list[np.ndarray] = []
        self._changed = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        for emitter, event, take in (
            (self.connection, "track", self._listen),
            (self.connection, "connectionstatechange", self._changed.set),
            *(
                ((self.channel, "message", self._take), (self.channel, "open", self._changed.set))
                if self.channel
                else ()
            ),
        ):
            emitter.on(event, take)

    @property
    def state(self) -> str:
        return str(self.connection.connectionState)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def take(self, answer: str) -> None:
        await self.connection.setRemoteDescription(aiortc.RTCSessionDescription(sdp=answer, type="answer"))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something that came makes it true."""
        while not condition():
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), TIMEOUT_S)

    async def got(self, event_type: str) -> dict[str, Any]:
        """The last event of that type, which is waited for."""
        await self.until(lambda: event_type in self.types)
        return next(event for event in reversed(self.events) if event["type"] == event_type)

    def send(self, event: dict[str, Any]) -> None:
        self.channel.send(json.dumps(event))

    async def close(self) -> None:
        await self.connection.close()
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait([self._listening])

    def _take(self, message: str) -> None:
        self.events.append(json.loads(message))
        self._changed.set()

    def _listen(self, track) -> None:
        async def read() -> None:
            try:
                while True:
                    frame = await track.recv()
                    self.heard.append(frame.to_ndarray()[0])
                    self._changed.set()
            except aiortc.mediastreams.MediaStreamError:
                return

        self._listening = asyncio.get_running_loop().create_task(read())
