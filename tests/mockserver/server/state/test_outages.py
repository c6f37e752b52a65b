"""What clients of a fleet see when a worker or the store is killed, or the network between a server and the store is
cut: what the live service shows at an outage. Afterwards, counts are right again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, WSServerHandshakeError

from tests.mockserver.own_store import OwnStore, own_store
from tests.mockserver.server.state.fleets import (
    Fleet,
    children,
    refused,
    seated,
    served,
    session_of,
    until_closed,
    words,
)

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="a store listens on a Unix socket")]
ACCOUNTS = """
teams:
  - {name: few, keys: [few], limits: {max_sessions: 3}}
  - {name: rare, keys: [rare], limits: {requests_per_minute: 4}}
  - {name: any, keys: [k]}
"""
SECRETS = "/v1/realtime/client_secrets"
Cut = Literal["black hole", "reset"]


class Network:
    """Between a server and the store. `black hole`: nothing comes through until it heals, and then all of it does, as
    TCP sends again what was not acknowledged. `reset`: connections are reset, new ones too."""

    def __init__(self, store: OwnStore) -> None:
        self._store = store.url.removeprefix("unix://")
        self._whole = asyncio.Event()
        self._whole.set()
        self._how: Cut | None = None
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def there(self) -> AsyncIterator[str]:
        """The address of the store."""
        proxy = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0"
        finally:
            proxy.close()
            self.heal()
            for each in self._links:
                each.close()
            await asyncio.gather(*self._tasks)

    def cut(self, how: Cut) -> None:
        self._how = how
        self._whole.clear()
        if how == "reset":
            for each in self._links:
                reset(each)

    def heal(self) -> None:
        self._how = None
        self._whole.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._how == "reset":
            reset(writer)
            return
        await self._whole.wait()
        back, forth = await asyncio.open_unix_connection(self._store)
        self._links |= {writer, forth}
        for pipe in (self._pipe(reader, forth), self._pipe(back, writer)):
            self._tasks.add(asyncio.get_running_loop().create_task(pipe))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._whole.wait()
                if not writer.is_closing():
                    writer.write(data)
        except OSError:
            pass
        writer.close()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, where it is one of TCP."""
    if writer.is_closing():
        return
    sock: socket.socket = writer.get_extra_info("socket")
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def status_of(fleet: Fleet, credential: str) -> int:
    """That of a handshake; a session ends at once."""
    try:
        ws = await fleet.connect(credential)
    except WSServerHandshakeError as refusal:
        return refusal.status
    await ws.close()
    return 101


async def until_status(fleet: Fleet, credential: str, wanted: int) -> None:
    while await status_of(fleet, credential) != wanted:  # noqa: ASYNC110 - no event tells it
        await asyncio.sleep(0.05)


async def test_a_server_that_is_cut_off_from_the_store_refuses_as_in_an_outage(tmp_path: Path):
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(ACCOUNTS)
    with own_store() as store, ExitStack() as stack:
        network = Network(store)
        async with ClientSession(connector=TCPConnector(force_close=True)) as http, network.there() as address:
            options = ("--voice", "tone", "--transcriber", "off", "--pacing", "burst", "--accounts", str(accounts))
            started = (served("--state", each, *options) for each in (address, store.url))
            ports = [await asyncio.to_thread(stack.enter_context, each) for each in started]
            cut, other = (Fleet(port, http, "few") for port in ports)
            await check_a_cut(network, "black hole", cut, other)
            await check_a_cut(network, "reset", cut, other)
            rare = [await each.ask("POST", SECRETS, "rare", json={}) for each in (cut, other) * 2]
            assert [status for status, _ in rare].count(200) <= 2
            assert await refused(other, "rare") == 429


async def check_a_cut(network: Network, how: Cut, cut: Fleet, other: Fleet) -> None:
    short, secret = await other.secret(expires_after={"seconds": 2}), await cut.secret()
    calls = [await cut.connect(short), await other.connect(secret)]
    assert (await other.ask("POST", SECRETS, "rare", json={}))[0] == 200
    network.cut(how)
    with pytest.raises(WSServerHandshakeError) as refusal:
        await cut.connect(secret)
    assert refusal.value.headers is not None
    assert (refusal.value.status, refusal.value.headers["Retry-After"]) == (503, "1")
    # What the store may hear later: seats, secrets and requests that nobody waits for any more.
    answers = [cut.ask("POST", SECRETS, key, json={}) for key in ("few", "rare") * 3]
    assert {status for status, _ in await asyncio.gather(*answers)} == {503}
    assert await asyncio.gather(*(status_of(cut, secret) for _ in range(9))) == [503] * 9
    assert [await words(each) for each in calls] == ["You said: hello"] * 2
    await until_status(other, short, 400)  # the other server goes on; the secret expires
    # The seat of the server that is cut off is free when its lease has ended.
    more = [await seated(other, "few") for _ in range(2)]
    assert await refused(other, secret) == 429
    network.heal()
    await until_status(cut, "k", 101)
    assert [await words(each) for each in (*calls, *more)] == ["You said: hello"] * 4
    for each in (cut, other):
        assert [await refused(each, secret), await refused(each, short)] == [429, 400]
    for ws in (*calls, *more):
        await ws.close()
    await until_closed(other)
    calls = [await seated(each) for each in (cut, other, cut)]
    assert [await refused(each, secret) for each in (cut, other)] == [429] * 2
    for ws in calls:
        await ws.close()
    await until_closed(other)


def worker_of(ws: ClientWebSocketResponse[bool], workers: list[int]) -> int:
    """The process that serves a connection."""
    (_, port), (_, served_at) = ws.get_extra_info("sockname"), ws.get_extra_info("peername")
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    (inode,) = (row[9] for row in rows if [int(row[at][-4:], 16) for at in (1, 2)] == [served_at, port])
    for pid in workers:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{name}") == f"socket:[{inode}]":
                return pid
    raise AssertionError("no worker has it")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_calls_of_other_workers_outlive_a_worker_and_the_store():
    most = 12
    with own_store():  # or the test is skipped
        pass
    options = ("--voice", "tone", "--transcriber", "off", "--pacing", "realtime", "--max-sessions", str(most))
    with served("--workers", "3", *options) as port:
        async with ClientSession(connector=TCPConnector(force_close=True)) as http:
            fleet = Fleet(port, http)
            (supervisor,) = (pid for pid in children(os.getpid()) if is_serving(pid, "--workers"))
            store, *workers = children(supervisor)
            secret = await fleet.secret()
            calls = [await fleet.connect(secret) for _ in range(most)]
            ids = [await session_of(each) for each in calls]
            of = [worker_of(each, workers) for each in calls]
            for each in calls:
                await each.send_json({"type": "conversation.item.create", "item": ITEM})
                await each.send_json({"type": "response.create"})
            while (await calls[0].receive_json())["type"] != "response.output_audio.delta":
                pass
            os.kill(of[0], signal.SIGKILL)
            done = await asyncio.gather(*map(until_done, calls))
            assert done == [worker != of[0] for worker in of]
            assert [each.close_code for each in calls] == [None if each else 1006 for each in done]
            calls = [each for each, worker in zip(calls, of, strict=True) if worker != of[0]]
            calls += [await seated(fleet, secret) for _ in range(most - len(calls))]
            assert await refused(fleet, secret) == 429
            os.kill(store, signal.SIGKILL)
            assert await asyncio.gather(*map(words, calls)) == ["You said: hello"] * most
            await until_status(fleet, "k", 429)  # each server states its sessions within a second
            # Servers that had the secret still know it; the others refuse it.
            assert {await status_of(fleet, secret) for _ in range(6)} <= {400, 429}
            await calls.pop().close()
            again = await seated(fleet)
            assert await session_of(again) not in ids
            assert await refused(fleet) == 429
            for each in (*calls, again):
                await each.close()


ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello " * 8}]}


async def until_done(ws: ClientWebSocketResponse[bool]) -> bool:
    """Whether a response comes to its end before the connection does."""
    while (message := await ws.receive()).type == WSMsgType.TEXT:
        if message.json()["type"] == "response.done":
            return True
    return False


def is_serving(pid: int, option: str) -> bool:
    with open(f"/proc/{pid}/cmdline") as file:
        return option in file.read().split("\0")
