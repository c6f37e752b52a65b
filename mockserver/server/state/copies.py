"""The copies of servers in the store: what is left of a server that was killed. They are bounded, and end after a day.

The frames of a server are a list of updates; the oldest are dropped first. What its sessions used is a hash.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from mockserver.server.clock import wall_clock
from mockserver.server.state.port import Copy, CopyUpdate

PREFIX = "{realtape}:"
ROWS_BYTES = 8 << 20
"""Bytes of the frames of one server."""
MOST_GONE_SESSIONS = 20_000
"""Sessions of all servers that are gone; the server that lived last is kept in any case."""
MOST_GONE_ROWS = 8
"""Servers that are gone of which frames are kept, too."""
DAY_S = 86_400
_COPIES, _RECORDS, _ROWS, _OF = f"{PREFIX}copies", f"{PREFIX}records:", f"{PREFIX}rows:", f"{PREFIX}copy-version:"


class CopyStore:
    """Writes the copy of this server, and reads those of others. Each method raises what the client does."""

    def __init__(self, redis: Any, server: str) -> None:
        self._redis = redis
        self._server = server
        self.lost = True
        """Whether the store may have no copy of this server, or half of one."""
        self._sizes: deque[int] = deque()
        """Bytes of each update that has frames."""

    async def write(self, update: CopyUpdate, version: int) -> None:
        """Add to the copy of this server. `version`: of what it plays."""
        if not (update.begins or update.records or update.dropped or update.rows):
            return
        self.lost = True  # until it is written
        records, rows = _RECORDS + self._server, _ROWS + self._server
        told = self._redis.pipeline(transaction=False)
        if update.begins:
            self._sizes.clear()
            told.delete(records, rows)
        if update.dropped:
            told.hdel(records, *update.dropped)
        if update.records:
            told.hset(records, mapping=update.records)
        if update.rows:
            self._sizes.append(len(update.rows))
            told.rpush(rows, update.rows)
            over, gone = sum(self._sizes) - ROWS_BYTES, 0
            while over > 0 and len(self._sizes) > 1:
                over, gone = over - self._sizes.popleft(), gone + 1
            if gone:
                told.ltrim(rows, gone, -1)
        told.zadd(_COPIES, {self._server: wall_clock()})
        told.set(_OF + self._server, version, ex=DAY_S)
        for key in (records, rows, _COPIES):
            told.expire(key, DAY_S)
        await told.execute()
        self.lost = False

    async def names(self) -> list[str]:
        """The servers that have a copy, the one that wrote last first."""
        return [name.decode() for name in await self._redis.zrevrange(_COPIES, 0, -1)]

    async def read(self, server: str, *, rows: bool) -> tuple[Copy, int]:
        """The copy of a server, with the version of what it played."""
        asked = self._redis.pipeline(transaction=False).hgetall(_RECORDS + server).get(_OF + server)
        records, version, *found = await (asked.lrange(_ROWS + server, 0, -1) if rows else asked).execute()
        return await asyncio.to_thread(_copy, server, records, found), int(version or 0)

    async def forget(self, servers: Sequence[str]) -> None:
        """Delete the copies of these servers."""
        for each in servers:
            await self._redis.delete(_RECORDS + each, _ROWS + each, _OF + each)
            await self._redis.zrem(_COPIES, each)

    async def bound(self, gone: Sequence[str]) -> None:
        """Delete what is too much of servers that are gone, the one that wrote last first."""
        sessions = 0
        for place, each in enumerate(gone):
            if place >= MOST_GONE_ROWS:
                await self._redis.delete(_ROWS + each)
            count = await self._redis.hlen(_RECORDS + each)
            sessions += count
            if place and (sessions > MOST_GONE_SESSIONS or not count):
                await self.forget([each])


def _copy(server: str, records: Mapping[bytes, bytes], found: Iterable[Iterable[bytes]]) -> Copy:
    read = {id.decode(): orjson.loads(each) for id, each in records.items()}
    return Copy(server, read, [row for each in found for chunk in each for row in orjson.loads(chunk)])
