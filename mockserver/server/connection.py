"""One peer on one WebSocket: passes messages on, and writes what the peer gives back. When it is due: pump.py.

No content is made or changed here. All frames that are due leave in one write, which is worth more than any other
optimization here (three times the turns a second). Reading never waits for writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import Callable, Sequence

from aiohttp import WebSocketError

from mockserver.protocol.peer import LONG_MESSAGE, Act, FaultNote, Mute, Peer, SidebandsLost, Torn
from mockserver.server.clock import Clock, WakeUp
from mockserver.server.pump import Pump, TrafficLog
from mockserver.server.requests import RequestRunner
from mockserver.server.websocket import ClientFrames, Closing, Ping, WebSocket
from replay.cassette.frames import (
    BINARY,
    TEXT,
    Binary,
    Close,
    Outgoing,
    Passage,
    Reset,
    Sound,
    Text,
    header,
    may_be_sent,
)
from replay.outlets import logger

HIGH_WATER = 256 << 10
"""Unsent bytes above which nothing more is taken from the peer until the socket has caught up."""
UNSENT_CAP = 64 << 20
"""Unsent bytes above which the connection is reset. A ten-minute response sent at once has 38 million."""
HALF_OPEN_S = 600.0
"""How long a connection stays half open before it is reset."""
STALL_S = 300.0
"""How long a client may read nothing before the connection is reset."""
CLOSE_WAIT_S = 5.0
"""How long the client may take to answer a close frame."""
BATCH, BATCH_S = 32, 0.002
"""Messages or pings, and seconds, for which a connection is read in a row before others have their turn."""
READ_AHEAD = 256 << 10
"""Bytes that wait for their turn, above which no more are read from the socket."""
FLOOD = 10_000
"""Messages within a second from which a line is logged. They are served, but no microphone sends that many."""

_CLOSE, _PING, _PONG = 0x88, 0x89, 0x8A
_PAYLOAD = b"mock"
_MESSAGE = (str, bytes)
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_LOG = logger(__name__)


def closing(code: int, reason: str = "") -> bytes:
    """A close frame. Code 1005 stands for none and is not sent; a reason is cut to the 123 bytes that fit."""
    if code == 1005:
        return header(_CLOSE, 0)
    text = reason.encode()[:123].decode(errors="ignore").encode()
    return header(_CLOSE, 2 + len(text)) + struct.pack(">H", code) + text


def tear_down(transport: asyncio.Transport) -> None:
    """Reset the TCP connection."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with contextlib.suppress(OSError, AttributeError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    transport.abort()


class Connection(Pump[Peer]):
    """Serves one peer on one socket."""

    def __init__(
        self,
        peer: Peer,
        socket: WebSocket,
        transport: asyncio.Transport,
        clock: Clock,
        log: TrafficLog,
        requests: RequestRunner | None = None,
    ) -> None:
        super().__init__(peer, clock, log, requests)
        self._socket = socket
        self._transport = transport
        self._frames = ClientFrames(socket.most)
        self._read_over = self._loop.create_future()
        """Done when nothing more is read."""
        self._ended = False
        """Whether the client sends no more."""
        self._turn_asked = False
        """Whether reading goes on once others have had their turn."""
        self._held_up = False
        """Whether the socket is not read, since much waits for its turn."""
        self._joined: str | bytes | None = None
        """A long message that was joined just now."""
        self._number = 0
        """Messages so far."""
        self._unanswered: Ping | None = None
        """The latest ping that the client left no room to answer."""
        self._ping_timer: WakeUp | None = None
        self._drain: asyncio.Task[None] | None = None
        self._stall_timer: asyncio.TimerHandle | None = None
        self._counted_since = (self._loop.time(), 0)
        self._flooded = False
        self._close_timer: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=0)  # uvloop writes at once only what is above the limit

    async def pump(self) -> None:
        """Serve the connection until it is over. An exception of the peer is kept in `error`."""
        try:
            self._flush_soon()
            self._socket.listen(self)
            await self._read_over
        finally:
            self._end()

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, and abort the connection unless the client answers in time."""
        if self._over is None:
            self._over = Close(code, reason)
            if not self._transport.is_closing():  # uvloop raises for a connection that is gone
                self._transport.write(closing(code, reason))
                self._close_timer = self._loop.call_later(CLOSE_WAIT_S, self._transport.abort)

    def keep_alive(self, every_s: float) -> None:
        """Ping the client that often, for as long as the connection is open."""
        if self._over is None:
            self._ping_timer = self._clock.call_at(self._clock.now() + every_s, lambda: self._ping(every_s))

    def _ping(self, every_s: float) -> None:
        if self._over is None and not self._transport.is_closing():
            self._transport.write(header(_PING, len(_PAYLOAD)) + _PAYLOAD)
        self.keep_alive(every_s)

    def reset(self, reason: str) -> None:
        """Reset the TCP connection. Unsent bytes are lost."""
        if self._over is None:
            self._over = Close(1006, reason)
        tear_down(self._transport)

    def refit(self, fit: Callable[[Peer, float], Peer]) -> None:
        """Replace the peer by what `fit` makes of it and of the connection's time."""
        self._peer = fit(self._peer, self._now())
        self._flush_soon()

    def _fall_silent(self) -> None:
        """Stop reading and writing; TCP stays open."""
        self._mute = True
        self._transport.pause_reading()
        if self._ping_timer is not None:
            self._ping_timer.cancel()
        self._ping_timer = self._clock.call_at(
            self._clock.now() + HALF_OPEN_S, lambda: self.reset("half open for long")
        )

    # What the client sends. aiohttp calls the first two.

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Read what came, unless earlier bytes wait for their turn."""
        if self._read_over.done():
            return False, b""
        self._frames.feed(data)
        if not self._turn_asked:
            self._read()
        elif self._frames.held > READ_AHEAD and not self._held_up and not self._transport.is_closing():
            self._held_up = True
            self._transport.pause_reading()
        return False, b""

    def feed_eof(self) -> None:
        """Read what is left."""
        self._ended = True
        if not self._turn_asked:
            self._read()

    def _read_on(self) -> None:
        """Go on reading once others have had their turn."""
        self._turn_asked = True
        self._loop.call_soon(self._read)

    def _read(self) -> None:
        self._turn_asked = False
        if self._read_over.done():
            return
        self._clock.catch_up()
        if self._mute:
            if self._ended:
                self._read_over.set_result(None)
            return
        try:
            if self._read_batch():
                self._read_on()
        except WebSocketError as problem:
            self._protocol_error(problem)
            self._read_over.set_result(None)
        except Exception as error:
            self._read_over.set_exception(error)

    def _read_batch(self) -> bool:
        """Take messages for a while. Whether any may be left. Raises WebSocketError."""
        if self._rest is not None:
            self._go_on(self._rest)
        elif self._joined is not None:
            joined, self._joined = self._joined, None
            self._take(joined)
        turn_s, frames = self._loop.time(), 0
        while self._rest is None:
            message = self._frames.next()
            if isinstance(message, _MESSAGE):
                if len(message) > LONG_MESSAGE:
                    self._joined = message
                    return True
                self._take(message)
            elif message is None:
                self._read_all()
                return False
            elif isinstance(message, Closing):
                self._client_closed(message.code, message.reason)
                self._read_over.set_result(None)
                return False
            elif isinstance(message, Ping):
                self._answer(message)
            frames += 1
            if frames == BATCH or self._loop.time() - turn_s > BATCH_S:
                return True
        return True

    def _read_all(self) -> None:
        """All that came is read."""
        if self._ended:
            self._read_over.set_result(None)
        elif self._held_up:
            self._held_up = False
            if not self._transport.is_closing():  # uvloop raises for one that is gone
                self._transport.resume_reading()

    def _take(self, message: str | bytes) -> None:
        self._number += 1
        if self._number % BATCH == 0:
            self._log_flood(self._number)
        self._receive(message)

    def _answer(self, ping: Ping) -> None:
        """Answer a ping. While the client does not read, the latest is kept for later (RFC 6455 section 5.5.3)."""
        if self._over is not None or self._mute or self._transport.is_closing():
            return
        if self._lagging():
            self._unanswered = ping
            self._wait_for_reader()
        else:
            self._transport.write(header(_PONG, len(ping.payload)) + ping.payload)

    def _protocol_error(self, problem: WebSocketError) -> None:
        """The frame was invalid, too long, or not UTF-8."""
        _LOG.warning("session %s: closed with %d: %s", self._log.id, problem.code, problem)
        self._over = self._over or Close(int(problem.code), str(problem))
        if not self._transport.is_closing():
            self._transport.write(closing(int(problem.code)))
        self._transport.close()

    def _log_flood(self, number: int) -> None:
        since, before = self._counted_since
        if self._loop.time() - since >= 1:
            self._counted_since = self._loop.time(), number
        elif number - before >= FLOOD and not self._flooded:
            self._flooded = True
            _LOG.warning("session %s: flood, %d messages within a second", self._log.id, number - before)

    def _client_closed(self, code: int, reason: str) -> None:
        self._log.inbound(self._now(), Close(code, reason))
        if self._over is None:
            lawful = code == 1005 or may_be_sent(code)  # 1005: the frame has no code
            self._over = Close(code, reason) if lawful else Close(1002, f"{code} is no close code")
            self._log.hung_up()
            if not self._transport.is_closing():
                self._transport.write(closing(self._over.code))
        self._transport.close()

    def _write(self, outgoing: Sequence[Outgoing | Act]) -> None:
        messages: list[Outgoing] = []
        parts: list[bytes] = []
        for each in outgoing:
            frame = each.frame
            if isinstance(frame, Text):
                parts += (header(TEXT, len(frame.data)), frame.data)
            elif isinstance(frame, Binary):
                parts += (header(BINARY, len(frame.data)), frame.data)
            elif isinstance(frame, Passage):
                parts.append(frame.wire)
            else:
                self._send(messages, parts)
                messages, parts = [], []
                if isinstance(frame, Sound):
                    raise AssertionError("a WebSocket has no tracks")
                if isinstance(frame, FaultNote):
                    self._log.struck(each.at, frame)
                    continue
                if isinstance(frame, SidebandsLost):
                    continue  # there are none
                self._finish(each.at, frame)
                return
            assert isinstance(each, Outgoing)
            messages.append(each)
        self._send(messages, parts)

    def _finish(self, at: float, how: Close | Reset | Torn | Mute) -> None:
        match how:
            case Close(code, reason):
                self._log.outbound(at, how)
                self.close(code, reason)
            case Reset():
                self._log.outbound(at, how)
                self.reset("")
            case Torn(message):
                self._tear(at, message)
            case Mute():
                self._fall_silent()

    def _tear(self, at: float, message: Text | Binary) -> None:
        """Send half of a frame, then close TCP."""
        half = message.data[: len(message.data) // 2]
        self._log.outbound(at, Binary(half) if isinstance(message, Binary) else Text(half))
        opcode = BINARY if isinstance(message, Binary) else TEXT
        self._over = Close(1006, "torn")
        self._transport.write(header(opcode, len(message.data)) + half)
        self._transport.close()

    def _send(self, messages: list[Outgoing], parts: list[bytes]) -> None:
        """`parts`: the frames of these messages."""
        if not parts:
            return
        wire = b"".join(parts)
        self._log.written(messages, wire)
        self._transport.write(wire)
        if (unsent := self._transport.get_write_buffer_size()) > UNSENT_CAP:
            _LOG.warning("session %s: slow consumer, %d bytes unsent; connection reset", self._log.id, unsent)
            self.reset(f"slow consumer: {unsent} bytes unsent")
        elif unsent > HIGH_WATER:
            self._wait_for_reader()

    def _writable(self) -> bool:
        return super()._writable() and not self._transport.is_closing()

    def _lagging(self) -> bool:
        return self._transport.get_write_buffer_size() > HIGH_WATER

    def _wait_for_reader(self) -> None:
        if self._drain is None:
            self._drain = self._loop.create_task(self._drained())
            self._watch_for_progress(self._transport.get_write_buffer_size())

    def _watch_for_progress(self, unsent: int) -> None:
        """Reset a client that reads nothing for STALL_S."""

        def look() -> None:
            left = self._transport.get_write_buffer_size()
            if left < unsent:
                self._watch_for_progress(left)
                return
            _LOG.warning("session %s: nothing read for %g s; connection reset", self._log.id, STALL_S)
            self.reset(f"slow consumer: nothing read for {STALL_S:g} s")

        self._stall_timer = self._loop.call_later(STALL_S, look)

    async def _drained(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._socket.writer.drain()
        self._drain = None
        if self._stall_timer is not None:
            self._stall_timer.cancel()
        if self._unanswered is not None:  # this may wait for the reader again, with another timer
            ping, self._unanswered = self._unanswered, None
            self._answer(ping)
        self._flush_soon()

    def _end(self) -> None:
        for pending in (self._drain, self._stall_timer, self._close_timer, self._ping_timer):
            if pending is not None:
                pending.cancel()
        self._transport.close()
        if self._transport.get_write_buffer_size():  # it closes once that is written, and the client may not read
            self._loop.call_later(CLOSE_WAIT_S, self._transport.abort)
        super()._end()
