"""A load client for the benchmarks: many realtime sessions on one event loop, as light as Python allows.

It is no client library: it walks frames, looks at the type that stands first in an event, and parses nothing. Every
caller sends the next round as soon as the last one ended, so a server is never idle for want of work.
"""

from __future__ import annotations

import asyncio
import base64
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import cast
from urllib.parse import urlsplit

import numpy as np
import orjson

KEY = b"load"  # RFC 6455 asks for an unpredictable mask against proxies; there are none on loopback
CONNECT_S = 20.0


def masked(event: dict[str, object]) -> bytes:
    """An event as a client's text frame."""
    payload = np.frombuffer(orjson.dumps(event), np.uint8)
    size = len(payload)
    length = struct.pack(">BBH", 0x81, 0x80 | 126, size) if size > 125 else bytes((0x81, 0x80 | size))
    return length + KEY + (payload ^ np.resize(np.frombuffer(KEY, np.uint8), size)).tobytes()


UPDATE = masked({"type": "session.update", "session": {"instructions": "Answer briefly."}})
WRITES = masked({"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}})
"""OpenAI's update for answers in text alone."""
CLEAR = masked({"type": "input_audio_buffer.clear"})


def text_turn(text: str) -> bytes:
    """The two events of a typed turn."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    return masked({"type": "conversation.item.create", "item": item}) + masked({"type": "response.create"})


def append(pcm: bytes) -> bytes:
    """A piece of the caller's sound."""
    return masked({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})


@dataclass(frozen=True, slots=True)
class Round:
    """What a caller sends at once, and how the event begins that ends the round."""

    frames: bytes
    ends: bytes
    units: int = 1
    """How many turns or appends it holds."""


class Caller(asyncio.Protocol):
    """One session. `hook` sees each event: the buffer and where the event begins and ends in it."""

    def __init__(self, url: str, hook: Callable[[bytes, int, int], None] | None = None) -> None:
        self.rounds = self.events = self.bytes = 0
        self.last_s: list[float] = []
        """How long each round took, when `timed`."""
        self.timed = False
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._url = urlsplit(url)
        self._hook = hook
        self._rest = b""
        self._greeted = False
        self._round = Round(b"", b"\0")
        self._left = 0
        self._until = 0.0
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's has the methods, not the type
        lines = (
            f"GET {self._url.path}?{self._url.query} HTTP/1.1",
            f"Host: {self._url.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            "Sec-WebSocket-Version: 13",
            "Authorization: Bearer bench",
        )
        self.transport.write("\r\n".join((*lines, "", "")).encode())

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        data = self._rest + data if self._rest else data
        at = 0 if self._greeted else self._upgraded(data)
        end = len(data)
        while end - at >= 2:
            size, head = data[at + 1], 2
            if size > 125:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if at + head + size > end:
                break
            if data[at] == 0x81:
                self._event(data, at + head, at + head + size)
            at += head + size
        self._rest = data[at:]

    def _upgraded(self, data: bytes) -> int:
        end = data.find(b"\r\n\r\n")
        if not data.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(data[:200].decode("latin-1"))
        self._greeted = True
        self.over.set_result(None)
        return end + 4

    def _event(self, data: bytes, start: int, stop: int) -> None:
        self.events += 1
        if self._hook is not None:
            self._hook(data, start, stop)
        if not data.startswith(self._round.ends, start):
            return
        self.rounds += 1
        self._left -= 1
        now = perf_counter()  # uvloop's own time counts whole milliseconds
        if self.timed:
            self.last_s.append(now - self._began)
        if self._left and now < self._until:
            self._began = now
            self.transport.write(self._round.frames)
        elif not self.over.done():
            self.over.set_result(None)

    def connection_lost(self, problem: Exception | None) -> None:
        if not self.over.done():
            self.over.set_exception(problem or ConnectionError("the server closed the connection"))

    def start(self, round: Round, *, rounds: int = -1, seconds: float = 60.0) -> asyncio.Future[None]:
        """Go round `rounds` times (-1: without end) or for that long; the future is done after the last round."""
        self._round, self._left = round, rounds
        self._began = perf_counter()
        self._until = self._began + seconds
        self.over = asyncio.get_running_loop().create_future()
        self.transport.write(round.frames)
        return self.over


async def connect(
    url: str, sessions: int, hook: Callable[[bytes, int, int], None] | None = None, *, update: bytes = UPDATE
) -> list[Caller]:
    """That many callers, configured by the frame `update`, and idle."""
    loop, parts = asyncio.get_running_loop(), urlsplit(url)
    callers: list[Caller] = []
    for _ in range(sessions):
        _, caller = await loop.create_connection(lambda: Caller(url, hook), parts.hostname, parts.port)
        callers.append(caller)
        await asyncio.wait_for(caller.over, CONNECT_S)
        caller.transport.write(update)
    await asyncio.sleep(0.1)
    return callers


async def hang_up(callers: list[Caller]) -> None:
    """Drop the connections."""
    for caller in callers:
        if not caller.over.done():
            caller.over.cancel()
        caller.transport.abort()
    await asyncio.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Rate:
    """What a fleet of callers got done."""

    per_s: float
    cpu_us: float | None
    """The server's processor time per unit; None where it cannot be read."""
    events: float
    bytes: float
    """Per unit."""


async def drive(callers: list[Caller], round: Round, seconds: float, cpu_s: Callable[[], float | None]) -> Rate:
    """Let all callers go round for that long."""
    before = [sum(each) for each in zip(*((c.rounds, c.events, c.bytes) for c in callers), strict=True)]
    began, cpu = perf_counter(), cpu_s()
    await asyncio.gather(*(caller.start(round, seconds=seconds) for caller in callers))
    took, spent = perf_counter() - began, cpu_s()
    after = [sum(each) for each in zip(*((c.rounds, c.events, c.bytes) for c in callers), strict=True)]
    rounds, events, octets = (b - a for a, b in zip(before, after, strict=True))
    units = rounds * round.units
    used = None if cpu is None or spent is None else (spent - cpu) * 1e6 / units
    return Rate(units / took, used, events / units, octets / units)
