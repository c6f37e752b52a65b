"""One proxied WebSocket call: a socket on each side. Every frame is noted after it was sent on.

Handshakes, files and limits are the business of relay.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from fractions import Fraction
from typing import Protocol

from aiohttp import WSMsgType, web
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from replay.billing.meter import Meter
from replay.billing.prices import PriceTable
from replay.cassette.frames import Binary, Close, Reset, Text, may_be_sent
from replay.cassette.records import Content, Way

BATCH, BATCH_S = 32, 0.002
"""Messages, and seconds, for which one direction of a call is forwarded in a row before others have their turn."""
CLOSE_WAIT_S = 5.0
"""Seconds that either side may take to answer a close frame."""


class Recorder(Protocol):
    """What a call reports to."""

    def now_us(self) -> int: ...

    def note(self, at_us: int, connection: int, way: Way, content: Content, encoding: str = "pcm") -> None: ...

    def check_spending(self) -> None: ...


class _Turn:
    """One direction's turn. Neither library waits for a message that has arrived already."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._begin()

    def _begin(self) -> None:
        self._messages, self._since_s = 0, self._loop.time()

    async def share(self) -> None:
        """Let others have their turn if this one has lasted long enough. Call it before each message."""
        self._messages += 1
        if self._messages > BATCH or self._loop.time() - self._since_s > BATCH_S:
            await asyncio.sleep(0)
            self._begin()


class RelayedCall:
    """A WebSocket on each side. Each direction waits only for the socket that it writes to."""

    def __init__(
        self,
        recorder: Recorder,
        connection: int,
        ws: web.WebSocketResponse,
        transport: asyncio.BaseTransport,
        upstream: ClientConnection,
        meter: Meter,
        *,
        billed: bool = True,
    ) -> None:
        self._recorder = recorder
        self._connection = connection
        self._ws = ws
        assert isinstance(transport, asyncio.WriteTransport)
        self._client = transport
        self._upstream = upstream
        self._meter = meter
        self._billed = billed
        self._loop = asyncio.get_running_loop()
        self._opened_s = self._loop.time()
        self._closing = False
        """A close frame was sent either way. A lost connection is then expected."""
        self._hanging_up: asyncio.Task[None] | None = None
        self._close_timer: asyncio.TimerHandle | None = None
        self._done: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Forward frames until both sides are closed."""
        down = self._loop.create_task(self._down())
        try:
            await self._up()
            await down
            if self._hanging_up is not None:
                await self._hanging_up
        finally:
            down.cancel()
            if self._close_timer is not None:
                self._close_timer.cancel()
            self._client.close()
            self._done.set_result(None)

    def usd(self, table: PriceTable) -> Fraction:
        """The cost of the call so far, in USD; 0 for a call that nobody bills."""
        return self._meter.usd(table, self._loop.time() - self._opened_s) if self._billed else Fraction(0)

    def hang_up(self, code: int, reason: str) -> asyncio.Future[None]:
        """Close both sides. The future is done once they are closed."""
        if not self._closing and self._hanging_up is None:
            self._closing = True
            now_us = self._recorder.now_us()
            for way in ("sent", "received"):
                self._note(now_us, way, Close(code, reason))
            self._close_client(code, reason)
            self._hanging_up = self._loop.create_task(self._close_upstream(code, reason))
        return self._done

    async def _up(self) -> None:
        turn = _Turn()
        while True:
            await turn.share()
            message = await self._ws.receive()
            at_us = self._recorder.now_us()
            match message.type:
                case WSMsgType.TEXT:
                    await self._send_up(at_us, message.data, Text)
                case WSMsgType.BINARY:
                    await self._send_up(at_us, message.data, Binary)
                case WSMsgType.CLOSE:
                    code, reason = message.data or 1005, message.extra or ""
                    if self._hanging_up is None:
                        self._note(at_us, "sent", Close(code, reason))
                    self._closing = True
                    if code != 1005 and not may_be_sent(code):
                        code, reason = 1002, f"{code} is no close code"
                    await self._close_upstream(code, reason)
                    return
                case _:  # lost
                    if not self._closing:
                        self._closing = True
                        self._note(at_us, "sent", Reset())
                        self._upstream.transport.abort()
                    return

    async def _send_up(self, at_us: int, data: str | bytes, kind: type[Text] | type[Binary]) -> None:
        with contextlib.suppress(ConnectionClosed):  # the other direction then sees why
            await self._upstream.send(data)
        self._count(at_us, "sent", kind(data.encode() if isinstance(data, str) else data))

    async def _down(self) -> None:
        turn = _Turn()
        while True:
            await turn.share()
            try:
                data = await self._upstream.recv()
            except ConnectionClosed as over:
                self._upstream_closed(over)
                return
            at_us = self._recorder.now_us()
            with contextlib.suppress(ConnectionError):  # the other direction then sees why
                if isinstance(data, str):
                    await self._ws.send_str(data)
                else:
                    await self._ws.send_bytes(data)
            self._count(at_us, "received", Text(data.encode()) if isinstance(data, str) else Binary(data))

    def _count(self, at_us: int, way: Way, frame: Text | Binary) -> None:
        self._meter.count(way, frame)
        self._note(at_us, way, frame)
        self._recorder.check_spending()

    def _upstream_closed(self, over: ConnectionClosed) -> None:
        if self._hanging_up is not None:
            return
        if over.rcvd is not None:
            self._note(self._recorder.now_us(), "received", Close(over.rcvd.code, over.rcvd.reason))
            self._closing = True
            self._close_client(over.rcvd.code, over.rcvd.reason)
            return
        if not self._closing:
            self._closing = True
            self._note(self._recorder.now_us(), "received", Reset())
        self._client.abort()

    def _close_client(self, code: int, reason: str) -> None:
        """Write a close frame (RFC 6455, section 5.5.1). The library cannot leave out the code (1005)."""
        if not self._client.is_closing():
            payload = b"" if code == 1005 else struct.pack(">H", code) + reason.encode()[:123]
            self._client.write(bytes((0x88, len(payload))) + payload)
            self._close_timer = self._loop.call_later(CLOSE_WAIT_S, self._client.abort)

    async def _close_upstream(self, code: int, reason: str) -> None:
        if code == 1005:
            await self._upstream.close(None)  # type: ignore[arg-type]  # no code, as RFC 6455 section 7.1.5 allows
        else:
            await self._upstream.close(code, reason)

    def _note(self, at_us: int, way: Way, content: Content) -> None:
        self._recorder.note(at_us, self._connection, way, content, self._meter.encoding(way))
