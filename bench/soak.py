"""Many sessions for a long time, with faults: is any frame lost, and does memory stay where it is?

    python bench/soak.py [--sessions 1000] [--virtual-minutes 10] [--real-minutes 2] [--no-faults] [--seed N]

Server and clients share a process, so that one can be held against the other: what each client counted, message by
message, must be what the journal counted for its session. Clients type, speak and interrupt; one whose connection a
fault ends connects again. First in virtual time, then in real time. Exit code 1: a message is not accounted for.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import logging
import os
import random
import struct
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
import orjson

from mockserver.audio.tts import synthesizer_named
from mockserver.faults import kinds as faults
from mockserver.protocol.limits import Limits
from mockserver.server import virtual_time as autojump
from mockserver.server.app import Server
from mockserver.server.options import Options

TURN_S = 60.0
"""A client begins a turn so often, give or take a half of it."""
MIB = 1 << 20
FAULTS: tuple[faults.Fault, ...] = (
    faults.Drop(at="response.output_audio.delta", probability=0.01),
    faults.Duplicate(at="response.output_audio_transcript.delta", probability=0.02),
    faults.Reorder(at="response.content_part.done", probability=0.05),
    faults.Corrupt(at="conversation.item.added", probability=0.02),
    faults.Truncate(at="response.output_item.added", probability=0.02),
    faults.Delay(at="response.created", probability=0.05, seconds=0.4),
    faults.Jitter(at="response.output_audio.delta", probability=0.1, seconds=0.05),
    faults.Drop(at="<input_audio_buffer.append", probability=0.02),
    faults.Error(at="response.done", probability=0.01),
    faults.Close(at="response.output_audio.done", probability=0.01, code=1011),
    faults.Reset(at="response.output_item.done", probability=0.005),
)
"""`session.created` is left alone: by it a client knows which of the journal's sessions is its own."""


def _masked(event: object) -> bytes:
    payload = orjson.dumps(event)
    size = len(payload)
    head = struct.pack(">BBH", 0x81, 0x80 | 126, size) if size < 1 << 16 else struct.pack(">BBQ", 0x81, 0xFF, size)
    return head + bytes(4) + payload  # a mask of zeros


def _frames() -> dict[str, list[bytes]]:
    """What a client says at a time: a typed turn, a spoken one, and a word over the answer."""
    words = [{"type": "input_text", "text": "I would like a dental cleaning, please."}]
    item = {"type": "message", "role": "user", "content": words}
    sound = np.concatenate([synthesizer_named("tone").speak("Good morning.").samples, np.zeros(24 * 800, np.int16)])
    pieces = [base64.b64encode(sound[at : at + 4800].tobytes()).decode() for at in range(0, len(sound), 4800)]
    return {
        "open": [_masked({"type": "session.update", "session": {"turn_detection": {"type": "server_vad"}}})],
        "type": [_masked({"type": "conversation.item.create", "item": item}), _masked({"type": "response.create"})],
        "speak": [_masked({"type": "input_audio_buffer.append", "audio": piece}) for piece in pieces],
        "cancel": [_masked({"type": "response.cancel"})],
    }


@dataclass
class Tally:
    """What the clients saw."""

    finished: list[Client] = field(default_factory=list)
    """Connections that are over."""
    turns: Counter[str] = field(default_factory=Counter)
    refused: int = 0


class Client(asyncio.Protocol):
    """One connection: counts the messages both ways, and reads no more of them than it must."""

    def __init__(self, key: str, over: Callable[[Client], None]) -> None:
        self.session = ""
        self.sent = self.received = self.bytes = 0
        self.kinds: Counter[int] = Counter()
        self.ended = ""
        self._key = key
        self._over = over
        self._rest = b""
        self._greeted = False
        self._waiting: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(
            b"GET /v1/realtime?model=grok-voice-think-fast-1.0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            b"Authorization: Bearer " + self._key.encode() + b"\r\n\r\n"
        )

    def say(self, frames: list[bytes]) -> None:
        """Send these, once the server has let this client in."""
        if not self._greeted:
            self._waiting += frames
        elif not self.ended and not self.transport.is_closing():
            self.sent += len(frames)
            self.transport.write(b"".join(frames))

    def hang_up(self) -> None:
        """Say goodbye; the server answers it."""
        if not self.ended:
            self.ended = "by the client"
            self.transport.write(b"\x88\x82" + bytes(4) + b"\x03\xe8")

    def data_received(self, data: bytes) -> None:
        self.bytes += len(data)
        data = self._rest + data
        at = 0
        if not self._greeted:
            at = data.index(b"\r\n\r\n") + 4
            if not data.startswith(b"HTTP/1.1 101"):
                raise ConnectionError(data[:200].decode("latin-1"))
            self._greeted = True
            self.say(self._waiting)
        while len(data) - at >= 2:
            size, head = data[at + 1], 2
            if size > 125:
                head = 4 if size == 126 else 10
                size = int.from_bytes(data[at + 2 : at + head], "big")
            if at + head + size > len(data):
                break
            self._take(data[at], data, at + head, size)
            at += head + size
        self._rest = data[at:]

    def _take(self, opcode: int, data: bytes, start: int, size: int) -> None:
        if opcode == 0x88:
            if not self.ended:
                self.ended = "by the server"
                self.transport.write(b"\x88\x80" + bytes(4))
            self.transport.close()
            return
        self.received += 1
        if self.received == 1:
            self.session = orjson.loads(data[start : start + size])["session"]["id"]

    def connection_lost(self, problem: Exception | None) -> None:
        self.ended = self.ended or "by a reset"
        self._over(self)


class Caller:
    """One caller for the whole time, over as many connections as it takes."""

    def __init__(self, number: int, port: int, tally: Tally, frames: dict[str, list[bytes]], seed: str) -> None:
        self._name = f"caller-{number}"
        self._rng = random.Random(f"{seed}/{number}")
        self._port = port
        self._tally = tally
        self._frames = frames
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._done = False
        self._client: Client

    async def connect(self) -> None:
        _, self._client = await self._loop.create_connection(
            lambda: Client(self._name, self._lost), "127.0.0.1", self._port
        )
        self._client.say(self._frames["open"])
        self._timer = self._loop.call_later(self._rng.uniform(0, TURN_S), self._turn)

    def hang_up(self) -> None:
        self._done = True
        if self._timer is not None:
            self._timer.cancel()
        self._client.hang_up()

    def _turn(self) -> None:
        deed = self._rng.choice(("type", "type", "speak", "interrupt"))
        self._tally.turns[deed] += 1
        self._client.say(self._frames["type" if deed == "interrupt" else deed])
        if deed == "interrupt":
            self._loop.call_later(self._rng.uniform(0.5, 2.0), self._client.say, self._frames["cancel"])
        self._timer = self._loop.call_later(TURN_S * self._rng.uniform(0.5, 1.5), self._turn)

    def _lost(self, client: Client) -> None:
        self._tally.finished.append(client)
        if not self._done:
            if self._timer is not None:
                self._timer.cancel()
            self._again = self._loop.create_task(self.connect())


def _rss() -> int:
    """Bytes that this process keeps resident; 0 where that cannot be read."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


async def soak(sessions: int, minutes: float, seed: str, with_faults: bool) -> bool:
    """Whether every message is accounted for."""
    limits = Limits(max_sessions=sessions)
    server = Server(Options(voice="tone", seed=seed, journal_bytes=32 * MIB, limits=limits))
    server.service.journal.max_sessions = 100_000  # a row each, so that every connection can be looked up at the end
    await server.start()
    if with_faults:
        server.service.set_faults(FAULTS, seed)
    tally, frames = Tally(), _frames()
    callers = [Caller(number, server.port, tally, frames, seed) for number in range(sessions)]
    began = perf_counter()
    for caller in callers:
        await caller.connect()
    memory = [_rss()]
    for _ in range(4):
        await asyncio.sleep(minutes * 60 / 4)
        memory.append(_rss())
    for caller in callers:
        caller.hang_up()
    await asyncio.sleep(10)
    took = perf_counter() - began
    await server.stop()
    fine = _account(server, tally, sessions)
    told = ", ".join(f"{each / MIB:.0f}" for each in memory)
    print(f"  {took:.0f} s of real time; {sum(tally.turns.values())} turns: {dict(tally.turns)}")
    print(f"  memory at the start and after each quarter: {told} MiB")
    return fine and not server.service.errors


def _account(server: Server, tally: Tally, sessions: int) -> bool:
    """Hold what the clients counted against the journal, session by session, and tell."""
    logs = {log.id: log for log in server.service.journal.sessions}
    lost = [client for client in tally.finished if client.session not in logs]
    ended: Counter[str] = Counter(client.ended for client in tally.finished)
    received = sum(client.received for client in tally.finished)
    sent = sum(client.sent for client in tally.finished)
    wrong, on_the_way, unheard = list(lost), 0, 0
    for client in tally.finished:
        if (log := logs.get(client.session)) is None:
            continue
        missing, unread = log.messages_out - client.received, client.sent - log.messages_in
        # A reset destroys what is on its way, and what comes after a server's goodbye is heard by nobody.
        if missing < 0 or (missing and client.ended != "by a reset"):
            wrong.append(client)
        if unread < 0 or (unread and client.ended == "by the client"):
            wrong.append(client)
        on_the_way, unheard = on_the_way + missing, unheard + unread
    print(f"  {sessions} callers, {len(tally.finished)} connections, ended {dict(ended)}")
    print(
        f"  the clients received {received} messages and sent {sent}, {sum(c.bytes for c in tally.finished)} bytes came"
    )
    print(f"  the journal has {received + on_the_way} out and {sent - unheard} in; on their way when a connection was")
    print(f"  reset: {on_the_way}; sent after the server had ended it: {unheard}; with any other: {len(wrong)}")
    fired = sum(armed.fired for armed in server.service.faults.armed)
    print(f"  {fired} faults struck; errors inside: {len(server.service.errors)}")
    return not wrong


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--sessions", type=int, default=1000)
    options.add_argument("--virtual-minutes", type=float, default=10.0)
    options.add_argument("--real-minutes", type=float, default=2.0)
    options.add_argument("--seed", default="7")
    options.add_argument("--no-faults", action="store_true")
    asked = options.parse_args()
    logging.disable(logging.WARNING)
    fine = True
    for kind, minutes, run in (
        ("virtual", asked.virtual_minutes, autojump.run),
        ("real", asked.real_minutes, asyncio.run),
    ):
        if minutes:
            print(f"{asked.sessions} sessions for {minutes:g} minutes of {kind} time, {os.cpu_count()} processors")
            fine &= run(soak(asked.sessions, minutes, asked.seed, not asked.no_faults))
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
