from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

from aiohttp import WSMessage, WSMsgType

from replay.billing.meter import Meter
from replay.cassette.records import Content, Way
from replay.relay.connection import BATCH, RelayedCall


class Noted:
    """A recorder that counts."""

    def __init__(self) -> None:
        self.count = 0

    def now_us(self) -> int:
        return 0

    def note(self, at_us: int, connection: int, way: Way, content: Content, encoding: str = "pcm") -> None:
        self.count += 1

    def check_spending(self) -> None:
        """There is no limit."""


class Flood:
    """A client whose messages have all arrived already."""

    def __init__(self, count: int) -> None:
        self._messages = [WSMessage(WSMsgType.CLOSE, 1000, "")]
        self._messages += [WSMessage(WSMsgType.TEXT, '{"type":"response.create"}', "")] * count

    async def receive(self) -> WSMessage:
        return self._messages.pop()


class Service:
    """A service that takes everything at once, and says nothing."""

    def __init__(self) -> None:
        self._silent = asyncio.get_running_loop().create_future()

    async def send(self, data: str) -> None:
        """It is taken."""

    async def recv(self) -> str:
        await self._silent
        raise AssertionError("it says nothing")

    async def close(self, code: int, reason: str) -> None:
        self._silent.cancel()


class Transport(asyncio.WriteTransport):
    def close(self) -> None:
        """It is closed."""


def test_a_flood_of_messages_lets_others_have_their_turn():
    noted, seen = Noted(), list[int]()

    async def main() -> None:
        def look() -> None:
            seen.append(noted.count)
            asyncio.get_running_loop().call_soon(look)

        client, transport = cast(Any, Flood(10 * BATCH)), Transport()
        call = RelayedCall(noted, 0, client, transport, cast(Any, Service()), Meter(None))
        look()
        try:
            await call.run()
        except asyncio.CancelledError:
            pass  # the service's side was cancelled

    asyncio.run(main())
    assert noted.count == 10 * BATCH + 1
    assert max(after - before for before, after in pairwise(seen)) <= BATCH + 1
