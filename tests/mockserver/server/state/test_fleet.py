"""One suite for one server, for two servers behind a proxy that takes turns, and for two workers on one port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from itertools import cycle
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSServerHandshakeError

from mockserver.protocol.limits import Limits
from mockserver.server.app import Server
from mockserver.server.options import Options
from tests.mockserver.own_store import own_store

KEY = {"Authorization": "Bearer k"}
MOST = 3


class Fleet:
    """Where clients connect. Each connection is a new one, so that a proxy can choose."""

    def __init__(self, port: int, http: ClientSession) -> None:
        self.port, self._http = port, http
        self.process: asyncio.subprocess.Process | None = None

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        async with self._http.request(method, f"http://127.0.0.1:{self.port}{path}", headers=KEY, **more) as answer:
            return answer.status, orjson.loads(await answer.read())

    async def secret(self) -> str:
        status, made = await self.ask("POST", "/v1/realtime/client_secrets", json={})
        assert status == 200
        value: str = made["value"]
        return value

    async def connect(self, credential: str = "k", query: str = "") -> ClientWebSocketResponse[bool]:
        return await self._http.ws_connect(
            f"ws://127.0.0.1:{self.port}/v1/realtime{query}", headers={"Authorization": f"Bearer {credential}"}
        )


async def session_of(ws: ClientWebSocketResponse[bool]) -> str:
    """The id of its conversation, which follows from the number of its session."""
    while (event := orjson.loads(await ws.receive_str()))["type"] != "conversation.created":
        pass
    id: str = event["conversation"]["id"]
    return id


async def refused(fleet: Fleet, credential: str = "k", query: str = "") -> int:
    with pytest.raises(WSServerHandshakeError) as refusal:
        await fleet.connect(credential, query)
    return refusal.value.status


async def seated(fleet: Fleet) -> ClientWebSocketResponse[bool]:
    """A session, once a seat is free."""
    while True:
        try:
            return await fleet.connect()
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.05)


@asynccontextmanager
async def balanced(ports: list[int]) -> AsyncIterator[int]:
    """A proxy that takes turns, as HAProxy's `roundrobin`."""
    turns = cycle(ports)

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", next(turns))
        await asyncio.gather(pipe(reader, forth), pipe(back, writer))

    proxy = await asyncio.start_server(serve, "127.0.0.1")
    yield proxy.sockets[0].getsockname()[1]
    proxy.close()


@asynccontextmanager
async def fleet_of(kind: str, url: str | None) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(ClientSession(connector=TCPConnector(force_close=True)))
        if kind == "workers":
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "realtape", "serve", "--workers", "2", "--port", "0"),
                *("--voice", "tone", "--transcriber", "off", "--max-sessions", str(MOST)),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert process.stdout is not None
            ready = (await process.stdout.readline()).decode()
            fleet = Fleet(int(ready.rpartition(":")[2].partition("/")[0]), http)
            fleet.process = process
            yield fleet
            if process.returncode is None:
                process.terminate()
                await process.communicate()
            return
        servers = [Server(Options(voice="tone", limits=Limits(max_sessions=MOST))) for _ in range(2 if url else 1)]
        for server in servers:
            if url is not None:
                from mockserver.server.state.store import StoreState  # an extra

                server.service.state = StoreState(url, server.service.accounts)
            await server.start()
            stack.push_async_callback(server.stop)
        yield Fleet(await stack.enter_async_context(balanced([each.port for each in servers])), http)


@pytest.mark.parametrize("kind", ["one", "balanced", pytest.param("workers", marks=pytest.mark.slow)])
async def test_secrets_limits_and_numbers_are_those_of_one_server(kind: str):
    with nullcontext() if kind == "one" else own_store() as store:
        async with fleet_of(kind, store.url if store is not None and kind == "balanced" else None) as fleet:
            secret = await fleet.secret()
            assert await fleet.secret() != secret
            sockets = [await fleet.connect(secret) for _ in range(MOST)]
            assert len({await session_of(each) for each in sockets}) == MOST
            assert [await refused(fleet), await refused(fleet, secret)] == [429, 429]
            await sockets.pop().close()
            sockets.append(await seated(fleet))
            assert await refused(fleet) == 429
            if kind != "one":
                assert await refused(fleet, query="?conversation_id=conv_1") == 501
                assert (await fleet.ask("PUT", "/_mock/scenario", data="turns: []"))[0] == 501
            if fleet.process is not None:
                await check_a_killed_worker(fleet, fleet.process, sockets)
            for each in sockets:
                await each.close()


async def check_a_killed_worker(
    fleet: Fleet, process: asyncio.subprocess.Process, sockets: list[ClientWebSocketResponse[bool]]
) -> None:
    """Its sessions are lost, their seats come back, another worker serves; and SIGTERM ends all."""
    workers = children(process.pid)[1:]  # the first one is the store
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    for each in sockets:
        while not each.closed:
            await each.receive()
    sockets[:] = [await seated(fleet) for _ in range(MOST)]
    assert await refused(fleet) == 429
    everyone = children(process.pid)
    process.terminate()
    out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert err.decode().count("ended by SIGKILL; starting another") == len(workers) == 2
    assert not any(map(alive, everyone))


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def children(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(each) for each in file.read().split()]
