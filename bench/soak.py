"""Many sessions for a long time, with faults: is any frame lost, and does memory stay where it is?

    python bench/soak.py [--sessions 1000] [--virtual-minutes 10] [--real-minutes 2] [--call-minutes 0] [--no-faults]

Server and clients share a process: what each client counted, message by message, is compared with what the journal
counted for its session. Clients type, speak and interrupt. They hang up after `--call-minutes`, more or less, and call
again; so does a client whose connection a fault ended. First in virtual time, then in real time.

Exit code 1: a message is not accounted for, a file or a task is left over, or memory gets further than 2 % away from
that of minute 10 of real time.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import gc
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
from mockserver.server.journal import SessionLog
from mockserver.server.options import Options

TURN_S = 60.0
"""A client begins a turn so often, give or take a half of it."""
MIB = 1 << 20
SETTLED_MINUTES = 10
"""From here on memory must stay where it is."""
FLAT = 0.02
_GOODBYE = b"\x03\xe8"
"""Close code 1000."""
SETTLING_S = 5.0
"""A connection is compared with the journal so long after its end, when both sides have noticed it."""
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
    """Sums over the connections that are over: what the clients counted, compared with the journal."""

    connections: int = 0
    sent: int = 0
    received: int = 0
    bytes: int = 0
    on_the_way: int = 0
    """Messages that a reset destroyed."""
    unheard: int = 0
    """Messages sent after the server had ended the connection."""
    wrong: list[str] = field(default_factory=list)
    """Connections with any other difference."""
    ended: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)

    def count(self, client: Client, log: SessionLog | None) -> None:
        self.connections += 1
        self.ended[client.ended] += 1
        self.sent, self.received = self.sent + client.sent, self.received + client.received
        self.bytes += client.bytes
        if log is None:
            self.wrong.append(f"{client.session}: not in the journal")
            return
        missing, unread = log.messages_out - client.received, client.sent - log.messages_in
        # A reset destroys what is on its way, and what comes after a server's goodbye is heard by nobody.
        lost = missing < 0 or (missing and client.ended != "by a reset")
        unsaid = unread < 0 or (unread and client.ended == "by the client")
        if lost or unsaid:
            self.wrong.append(
                f"{client.session}, ended {client.ended} with {log.close_code}: {log.messages_out} out, "
                f"{client.received} received; {client.sent} sent, {log.messages_in} in"
            )
        self.on_the_way, self.unheard = self.on_the_way + missing, self.unheard + unread


class Client(asyncio.Protocol):
    """One connection: counts the messages both ways, and reads no more of them than it must."""

    def __init__(self, key: str, over: Callable[[Client], None]) -> None:
        self.session = ""
        self.sent = self.received = self.bytes = 0
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
            self.transport.write(b"\x88\x82" + bytes(4) + _GOODBYE)

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
                self.transport.write(b"\x88\x80" + bytes(4))
            if data[start : start + 2] != _GOODBYE or not self.ended:  # both may have said goodbye at a time
                self.ended = "by the server"
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

    def __init__(
        self, number: int, server: Server, tally: Tally, frames: dict[str, list[bytes]], seed: str, call_s: float
    ) -> None:
        self._name = f"caller-{number}"
        self._rng = random.Random(f"{seed}/{number}")
        self._server = server
        self._tally = tally
        self._frames = frames
        self._call_s = call_s
        self._loop = asyncio.get_running_loop()
        self._timers: list[asyncio.TimerHandle] = []
        self._done = False
        self._client: Client

    async def connect(self) -> None:
        _, self._client = await self._loop.create_connection(
            lambda: Client(self._name, self._lost), "127.0.0.1", self._server.port
        )
        self._client.say(self._frames["open"])
        self._timers = [self._loop.call_later(self._rng.uniform(0, TURN_S), self._turn)]
        if self._call_s:
            self._timers.append(self._loop.call_later(self._call_s * self._rng.uniform(0.5, 1.5), self._client.hang_up))

    def hang_up(self) -> None:
        self._done = True
        self._client.hang_up()

    def _turn(self) -> None:
        deed = self._rng.choice(("type", "type", "speak", "interrupt"))
        self._tally.turns[deed] += 1
        self._client.say(self._frames["type" if deed == "interrupt" else deed])
        if deed == "interrupt":
            self._loop.call_later(self._rng.uniform(0.5, 2.0), self._client.say, self._frames["cancel"])
        self._timers[0] = self._loop.call_later(TURN_S * self._rng.uniform(0.5, 1.5), self._turn)

    def _lost(self, client: Client) -> None:
        for timer in self._timers:
            timer.cancel()
        self._loop.call_later(SETTLING_S, self._account, client)
        if not self._done:
            self._again = self._loop.create_task(self.connect())

    def _account(self, client: Client) -> None:
        self._tally.count(client, self._server.service.journal.find(client.session))


def _rss() -> int:
    """Bytes that this process keeps resident; 0 where that cannot be read."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _files() -> int:
    """Open files and sockets of this process; 0 where that cannot be read."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return 0


async def soak(sessions: int, minutes: float, seed: str, with_faults: bool, call_minutes: float, real: bool) -> bool:
    """Whether every message is accounted for, nothing is left over, and memory stays where it is."""
    files, tasks = _files(), len(asyncio.all_tasks())
    limits = Limits(max_sessions=sessions)
    server = Server(Options(voice="tone", seed=seed, journal_bytes=32 * MIB, limits=limits))
    server.service.journal.max_sessions = 10 * sessions  # a connection is looked up when it is over
    await server.start()
    if with_faults:
        server.service.set_faults(FAULTS, seed)
    tally, frames = Tally(), _frames()
    callers = [Caller(number, server, tally, frames, seed, call_minutes * 60) for number in range(sessions)]
    began = perf_counter()
    for caller in callers:
        await caller.connect()
    memory = [_rss()]
    parts = max(4, int(minutes)) if real else 4
    for _ in range(parts):
        await asyncio.sleep(minutes * 60 / parts)
        gc.collect()
        memory.append(_rss())
    for caller in callers:
        caller.hang_up()
    await asyncio.sleep(2 * SETTLING_S)
    took = perf_counter() - began
    left_sessions, errors, fired = len(server.service.open_sessions), len(server.service.errors), server.service.faults
    await server.stop()
    await asyncio.sleep(SETTLING_S)
    print(f"  {sessions} callers, {tally.connections} connections, ended {dict(tally.ended)}")
    print(f"  the clients received {tally.received} messages and sent {tally.sent}, {tally.bytes} bytes came")
    print(
        f"  the journal has {tally.received + tally.on_the_way} out and {tally.sent - tally.unheard} in; on their way"
    )
    print(f"  when a connection was reset: {tally.on_the_way}; sent after the server had ended it: {tally.unheard};")
    print(f"  with any other: {len(tally.wrong)}", *tally.wrong[:5], sep="\n    ")
    print(f"  {sum(armed.fired for armed in fired.armed)} faults struck; errors inside: {errors}")
    print(f"  {took:.0f} s of real time; {sum(tally.turns.values())} turns: {dict(tally.turns)}")
    print(f"  memory at the start and after each {minutes / parts:g} minutes: {_mib(memory)} MiB")
    left_files, left_tasks = _files() - files, len(asyncio.all_tasks()) - tasks
    print(f"  left at the end: {left_sessions} sessions, {left_files} files, {left_tasks} tasks")
    fine = not (tally.wrong or errors or left_sessions or left_files > 0 or left_tasks > 0)
    settled = memory[SETTLED_MINUTES:]
    if real and minutes > SETTLED_MINUTES:
        moved = max(abs(each - settled[0]) for each in settled) / settled[0]
        print(f"  memory was never further than {moved:.1%} from that of minute {SETTLED_MINUTES}")
        fine &= moved <= FLAT
    return fine


def _mib(sizes: list[int]) -> str:
    return ", ".join(f"{each / MIB:.1f}" for each in sizes)


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--sessions", type=int, default=1000)
    options.add_argument("--virtual-minutes", type=float, default=10.0)
    options.add_argument("--real-minutes", type=float, default=2.0)
    options.add_argument("--call-minutes", type=float, default=0.0, help="a call's length; 0: as long as the soak")
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
            real, struck = kind == "real", not asked.no_faults
            fine &= run(soak(asked.sessions, minutes, asked.seed, struck, asked.call_minutes, real))
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
