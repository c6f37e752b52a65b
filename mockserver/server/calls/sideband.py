"""A WebSocket beside a call, `…/v1/realtime?call_id=ID`: the call's events without its sound, and commands for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal

from aiohttp import web

from mockserver.audio.formats import Samples
from mockserver.protocol.peer import Act, Mute, Rest
from mockserver.protocol.requests import Request, Result
from mockserver.server import websocket
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.calls.sideband_log import SidebandLog
from mockserver.server.connection import UNSENT_CAP, Connection
from mockserver.server.service import MockService
from replay.cassette.frames import Close, Outgoing, Reset, Text

Drives = Literal["never", "until closed", "until lost"]
"""Whether the call ends with its last socket: when the client closes that, or however it ends."""


class Sideband:
    """One socket's end of a call: a channel of the call, and the peer of the socket's connection."""

    def __init__(self, call: RunningCall) -> None:
        self._call = call
        self._queue: list[Outgoing | Act] = []
        self._queued = 0
        """Bytes in the queue."""
        self.connection: Connection | None = None
        """The socket; None until it is open."""

    # The channel.

    def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Queue events for the socket. A client that reads too slowly is cut off."""
        self._queue += outgoing
        self._queued += sum(len(each.frame.data) for each in outgoing if isinstance(each.frame, Text))
        if self.connection is None:
            return
        if self._queued > UNSENT_CAP:
            self.connection.reset(f"slow consumer: {self._queued} bytes wait")
        self.connection.wake()

    def end(self, how: Close | Reset) -> None:
        """Close the socket after what is queued."""
        self._queue.append(Outgoing(0.0, how))
        if self.connection is not None:
            self.connection.wake()

    def lose(self, silent: bool) -> bool:
        """Reset the socket, or read and write nothing more on it. The call goes on."""
        self._queue.append(Act(0.0, Mute()) if silent else Outgoing(0.0, Reset()))
        if self.connection is not None:
            self.connection.wake()
        return True

    # The peer.

    def receive(self, data: str | bytes, now: float) -> Rest | None:
        """Hand a message to the call. While it is read, this socket is not."""
        self._call.receive(data)
        return self._waited() if self._call.busy else None

    def _waited(self) -> Rest:
        while self._call.busy:
            yield

    def lost(self, now: float) -> None:
        """The socket is gone; the call goes on."""
        self._call.leave(self)

    def next_due(self) -> float | None:
        """Whatever is queued is due."""
        return 0.0 if self._queue else None

    def take_output(self, now: float) -> Sequence[Outgoing | Act]:
        """All that is queued."""
        taken, self._queue, self._queued = self._queue, [], 0
        return taken

    def take_requests(self) -> Sequence[Request]:
        """The call does what is requested."""
        return ()

    def deliver(self, result: Result, now: float) -> None:
        """Nothing was requested."""

    def hear(self, samples: Samples, now: float) -> None:
        """A socket beside a call has no sound."""

    def press(self, digit: str, now: float) -> None:
        """It has no keys either."""

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """It plays nothing."""


async def serve(
    request: web.Request,
    subprotocol: str | None,
    most_message: int,
    service: MockService,
    call: RunningCall,
    *,
    ping_s: float | None,
    early: bool,
    drives: Drives,
) -> web.StreamResponse:
    """Serve a socket beside a call until it is closed. `early`: it gets what waited for a socket. A message of
    `most_message` bytes is refused. Raises TooManyChannels."""
    sideband, log = Sideband(call), SidebandLog(call.log.id, service.clock.unix())
    call.join(sideband, early=early)
    try:
        socket = await websocket.accept(request, subprotocol, most_message)
        transport = socket.transport
        if transport is None:
            return socket.response
        call.log.sidebands.append(log)
        connection = sideband.connection = Connection(sideband, socket, transport, service.clock, log)
        service.sidebands[connection] = asyncio.current_task()
        if ping_s is not None:
            connection.keep_alive(ping_s)
        try:
            await connection.pump()
        finally:
            del service.sidebands[connection]
        if connection.error is not None:
            service.failed(connection.error)
        return socket.response
    finally:
        call.leave(sideband)
        over = drives == "until lost" or (drives == "until closed" and log.by_client)
        if over and not call.has_channels:
            call.hang_up("client", "the client closed the socket that drove the call")
