"""One peer on one WebSocket: hands it what arrives, writes what it gives back, wakes it when it asked to be woken.

No content is made or changed here. Frames leave through the transport, all that are due at once in one write: that is
worth more than any other thing done here (three times the turns a second). Reading never waits for writing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import sys
from collections.abc import Callable, Sequence

from aiohttp import WebSocketError, WSMsgType, web
from aiohttp.abc import AbstractStreamWriter

from mockserver.protocol.peer import Act, FaultNote, Mute, Peer, Torn
from mockserver.server.clock import Clock, WakeUp
from mockserver.server.journal import SessionLog
from replay.cassette.frames import Binary, Close, Outgoing, Reset, Text

HIGH_WATER = 256 << 10
"""Unsent bytes above which nothing more is taken from the peer, until the socket has caught up."""
UNSENT_CAP = 64 << 20
"""Unsent bytes above which the connection is reset; a ten-minute answer sent at once has 38 million."""
HALF_OPEN_S = 600.0
"""How long a connection stays half open before it is reset."""
STALL_S = 300.0
"""How long a client may take nothing of what is on its way to it."""
CLOSE_WAIT_S = 5.0
"""How long the client may take to answer a close frame."""
BATCH = 32
"""So many messages in a row are read before others have their turn."""
FLOOD = 10_000
"""Messages within a second that are worth a line in the log: they are served, but no microphone sends them."""
LARGE = 8 << 20
"""Bytes of a message that are worth one."""

_TEXT, _BINARY, _CLOSE, _PING = 0x81, 0x82, 0x88, 0x89
_PAYLOAD = b"mock"
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_LOG = logging.getLogger(__name__)


def header(opcode: int, length: int) -> bytes:
    """The head of an unmasked, unfragmented frame (RFC 6455 section 5.2). `opcode` includes the FIN bit."""
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return struct.pack(">BBH", opcode, 126, length)
    return struct.pack(">BBQ", opcode, 127, length)


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


class Connection:
    """The pump. Its seconds count from its making; they never run backwards, whatever the clock's rounding."""

    def __init__(
        self,
        peer: Peer,
        ws: web.WebSocketResponse,
        writer: AbstractStreamWriter,
        transport: asyncio.Transport,
        clock: Clock,
        log: SessionLog,
    ) -> None:
        self.error: Exception | None = None
        """What went wrong inside the peer; the client only saw 1011."""
        self._peer = peer
        self._ws = ws
        self._writer = writer
        self._transport = transport
        self._clock = clock
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._opened = clock.now()
        self._reached = 0.0
        self._alarm: WakeUp | None = None
        self._heart: WakeUp | None = None
        self._suspicion: WakeUp | None = None
        self._suspected: float | None = None
        self._due: float | None = None
        self._flushing = False
        self._heard = False
        self._drain: asyncio.Task[None] | None = None
        self._mute = False
        self._stall: asyncio.TimerHandle | None = None
        self._heard_since = (self._loop.time(), 0)
        self._flooded = False
        self._over: Close | None = None
        """How it ends, once that is decided; nothing is taken from either side after."""
        self._patience: asyncio.TimerHandle | None = None
        transport.set_write_buffer_limits(high=HIGH_WATER)

    async def pump(self) -> None:
        """Serve the connection until it is over. What the peer raises is kept in `error`."""
        try:
            self._flush_soon()
            await self._read()
        finally:
            self._end()

    def close(self, code: int, reason: str = "") -> None:
        """Send a close frame, and tear the connection down unless the client answers it in time."""
        if self._over is None:
            self._over = Close(code, reason)
            self._transport.write(closing(code, reason))
            self._patience = self._loop.call_later(CLOSE_WAIT_S, self._transport.abort)

    def find_overdue(self) -> None:
        """Have what is overdue by now be found."""
        if self._log.watch is not None and self._over is None:
            self._log.watch.tick(self._now())
            self._schedule_overdue()

    def _schedule_overdue(self) -> None:
        """Keep one alarm for when something of the client's will be overdue."""
        due = self._log.watch.due if self._log.watch is not None else None
        if due == self._suspected:
            return
        if self._suspicion is not None:
            self._suspicion.cancel()
        self._suspected = due
        self._suspicion = None if due is None else self._clock.call_at(self._opened + due, self.find_overdue)

    def keep_alive(self, every_s: float) -> None:
        """Ping the client that often, for as long as the connection is open."""
        if self._over is None:
            self._heart = self._clock.call_at(self._clock.now() + every_s, lambda: self._beat(every_s))

    def _beat(self, every_s: float) -> None:
        if self._over is None and not self._transport.is_closing():
            self._transport.write(header(_PING, len(_PAYLOAD)) + _PAYLOAD)
        self.keep_alive(every_s)

    def reset(self, reason: str) -> None:
        """Tear the TCP connection down. The client sees a reset, not an orderly end; unsent bytes are lost."""
        if self._over is None:
            self._over = Close(1006, reason)
        tear_down(self._transport)

    def refit(self, fit: Callable[[Peer, float], Peer]) -> None:
        """Put another peer, or something around it, in the place of the one that is served; `fit` is told the time."""
        self._peer = fit(self._peer, self._now())
        self._flush_soon()

    def _fall_silent(self) -> None:
        """Neither read nor write any more, and leave TCP as it is."""
        self._mute = True
        self._transport.pause_reading()
        if self._heart is not None:
            self._heart.cancel()
        self._heart = self._clock.call_at(self._clock.now() + HALF_OPEN_S, lambda: self.reset("half open for long"))

    async def _read(self) -> None:
        number = 0
        while True:
            message = await self._ws.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY:
                    self._receive(message.data)
                    if (number := number + 1) % BATCH == 0:
                        self._watch_for_floods(number)
                        await asyncio.sleep(0)
                case WSMsgType.CLOSE:
                    self._client_closed(message.data or 1005, message.extra or "")
                    return
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    self._misspoken(message.data)
                    return
                case _:  # the connection broke
                    return

    def _misspoken(self, problem: WebSocketError) -> None:
        """What arrived was no WebSocket frame, too long, or text that is none; the library has said so."""
        _LOG.warning("session %s: closed with %d: %s", self._log.id, problem.code, problem)
        self._over = self._over or Close(int(problem.code), str(problem))

    def _watch_for_floods(self, number: int) -> None:
        since, before = self._heard_since
        if self._loop.time() - since >= 1:
            self._heard_since = self._loop.time(), number
        elif number - before >= FLOOD and not self._flooded:
            self._flooded = True
            _LOG.warning("session %s: flood, %d messages within a second", self._log.id, number - before)

    def _receive(self, data: str | bytes) -> None:
        if self._over is not None or self._mute:
            return
        if len(data) > LARGE:
            _LOG.warning("session %s: a message of %d bytes", self._log.id, len(data))
        now = self._now()
        self._log.inbound(now, data)
        try:
            self._peer.receive(data, now)
        except Exception as error:
            self._fail(error)
        self._heard = True
        self._flush_soon()

    def _client_closed(self, code: int, reason: str) -> None:
        self._log.inbound(self._now(), Close(code, reason))
        if self._over is None:
            self._over = Close(code, reason)
            self._log.hung_up()
            self._transport.write(closing(code))
        self._transport.close()

    def _flush_soon(self) -> None:
        """Several messages that arrived together are answered together."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._over is not None or self._mute or self._ws.closed or self._transport.is_closing():
            return
        try:
            self._write_due()
        except Exception as error:
            self._fail(error)
        self._schedule_overdue()

    def _write_due(self) -> None:
        """Take what is due instant by instant, so that an answer due all at once goes out as fast as it is read.

        While the socket lags, only what a new message caused is taken: the peer must not pile that up unseen.
        """
        now = self._now()
        heard, self._heard = self._heard, False
        while heard or not self._lagging():
            heard = False
            due = self._peer.next_due()
            outgoing = self._peer.take_output(now if due is None else min(due, now))
            self._write(outgoing)
            later = self._peer.next_due()
            if self._over is not None or self._mute:
                return
            if later is None or later > now:
                self._wake_at(later)
                return
            if later == due and not outgoing:
                raise RuntimeError(f"{type(self._peer).__name__} is due at {due} s, but has nothing to send then")
        self._wait_for_socket()

    def _write(self, outgoing: Sequence[Outgoing | Act]) -> None:
        at: list[float] = []
        parts: list[bytes] = []
        watch = self._log.watch
        for each in outgoing:
            frame = each.frame
            if isinstance(frame, Text):
                parts += (header(_TEXT, len(frame.data)), frame.data)
            elif isinstance(frame, Binary):
                parts += (header(_BINARY, len(frame.data)), frame.data)
            else:
                self._send(at, parts)
                at, parts = [], []
                if isinstance(frame, FaultNote):
                    self._log.struck(each.at, frame)
                    continue
                self._finish(each.at, frame)
                return
            at.append(each.at)
            if watch is not None:
                watch.received(each.at, frame)
        self._send(at, parts)

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
        """Send half of a frame, and no more."""
        half = message.data[: len(message.data) // 2]
        self._log.outbound(at, Binary(half) if isinstance(message, Binary) else Text(half))
        opcode = _BINARY if isinstance(message, Binary) else _TEXT
        self._over = Close(1006, "torn")
        self._transport.write(header(opcode, len(message.data)) + half)
        self._transport.close()

    def _send(self, at: list[float], parts: list[bytes]) -> None:
        """`at` holds the instants of the messages that `parts` frame."""
        if not parts:
            return
        wire = b"".join(parts)
        self._log.written(at, wire)
        self._transport.write(wire)
        if (unsent := self._transport.get_write_buffer_size()) > UNSENT_CAP:
            _LOG.warning("session %s: slow consumer, %d bytes unsent; connection reset", self._log.id, unsent)
            self.reset(f"slow consumer: {unsent} bytes unsent")
        elif unsent > HIGH_WATER:
            self._wait_for_socket()

    def _lagging(self) -> bool:
        return self._transport.get_write_buffer_size() > HIGH_WATER

    def _wait_for_socket(self) -> None:
        if self._drain is None:
            self._drain = self._loop.create_task(self._drained())
            self._watch_for_progress(self._transport.get_write_buffer_size())

    def _watch_for_progress(self, unsent: int) -> None:
        """A client that never reads is not waited for without end."""

        def look() -> None:
            left = self._transport.get_write_buffer_size()
            if left < unsent:
                self._watch_for_progress(left)
                return
            _LOG.warning("session %s: nothing read for %g s; connection reset", self._log.id, STALL_S)
            self.reset(f"slow consumer: nothing read for {STALL_S:g} s")

        self._stall = self._loop.call_later(STALL_S, look)

    async def _drained(self) -> None:
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()
        self._drain = None
        if self._stall is not None:
            self._stall.cancel()
        self._flush_soon()

    def _wake_at(self, due: float | None) -> None:
        """Keep one alarm, at an absolute instant: relative ones drift by milliseconds a second."""
        if due == self._due:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._due = due
        self._alarm = None if due is None else self._clock.call_at(self._opened + due, self._wake)

    def _wake(self) -> None:
        if self._due is not None:
            self._reached = max(self._reached, self._due)
        self._due = self._alarm = None
        self._flush()

    def _now(self) -> float:
        self._reached = max(self._reached, self._clock.now() - self._opened)
        return self._reached

    def _fail(self, error: Exception) -> None:
        """A bug in here must not look like an outage of the service: the client learns nothing, the owner all."""
        self.error = self.error or error
        _LOG.error("session %s: error inside the mock", self._log.id, exc_info=error)
        self.close(1011)

    def _end(self) -> None:
        self._wake_at(None)
        for pending in (self._drain, self._stall, self._patience, self._heart, self._suspicion):
            if pending is not None:
                pending.cancel()
        over = self._over = self._over or Close(1006, "connection lost")
        self._log.ended(self._now(), over.code, over.reason)
        self._transport.close()
        try:
            self._peer.lost(self._reached)
        except Exception as error:
            self._fail(error)
