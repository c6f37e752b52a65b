"""One suite for one server, for two servers behind a proxy that takes turns, and for two workers on one port."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSServerHandshakeError
from prometheus_client.parser import text_string_to_metric_families

from mockserver.protocol.limits import Limits
from mockserver.server.app import Server
from mockserver.server.options import Options
from tests.mockserver.own_store import own_store
from tests.mockserver.server.state.fleets import (
    RESUMED,
    Fleet,
    children,
    opted_in,
    refused,
    seated,
    session_of,
    until_closed,
    words,
)

MOST = 3


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
async def fleet_of(kind: str, url: str | None, most: int = MOST, **options: Any) -> AsyncIterator[Fleet]:
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
            try:
                yield fleet
            finally:
                if process.returncode is None:
                    process.terminate()
                    await process.communicate()
            return
        servers = [
            Server(Options(voice="tone", pacing="burst", limits=Limits(max_sessions=most), **options))
            for _ in range(2 if url else 1)
        ]
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
            if fleet.process is not None:
                await check_a_killed_worker(fleet, fleet.process, sockets)
            for each in sockets:
                await each.close()


PUT = "turns: [{reply: [{say: Put on one of them.}]}]"
OUTAGE = "faults: [{at: handshake, do: {status: 503}}]"


@pytest.mark.parametrize("kind", ["one", "balanced"])
async def test_a_conversation_is_resumed_wherever_the_client_comes_back(kind: str):
    with nullcontext() if kind == "one" else own_store() as store:
        async with fleet_of(kind, store.url if store is not None else None) as fleet:
            assert (await fleet.ask("PUT", "/_mock/scenario", data=RESUMED))[0] == 200
            for _ in "ab":  # the proxy takes turns
                ws = await fleet.connect()
                known = await session_of(ws)
                assert await opted_in(ws) == []
                assert [await words(ws, each) for each in ("my name is ada", "hello")] == ["Hello ada.", "Once."]
                dropped = await fleet.connect(query=f"?conversation_id={known}")  # the other one is open still
                assert await session_of(dropped) == known
                assert await opted_in(dropped) == ["Hello ada.", "Once."]
                assert await words(dropped) == "Still ada."
                await ws.close()
                await dropped.close()
                for _ in "abc":
                    again = await seated(fleet, query=f"?conversation_id={known}")
                    assert await session_of(again) == known
                    assert await opted_in(again) == ["Hello ada.", "Once.", "Still ada."]
                    await again.close()
                for credential, query in (("other", f"?conversation_id={known}"), ("k", "?conversation_id=conv_1")):
                    other = await fleet.connect(credential, query)
                    assert await session_of(other) not in (known, "conv_1")
                    assert await opted_in(other) == []
                    await other.close()


@pytest.mark.parametrize("kind", ["one", "balanced"])
async def test_the_control_plane_sees_and_changes_all_servers(kind: str):
    with nullcontext() if kind == "one" else own_store() as store:
        async with fleet_of(kind, store.url if store is not None else None) as fleet:
            ids = []
            for text in ("hello",) * 2:
                ws = await fleet.connect()
                ids.append(await session_of(ws))
                assert await words(ws) == f"You said: {text}"
                await ws.close()
            assert (await fleet.ask("PUT", "/_mock/scenario", data=PUT))[0] == 200
            assert len((await fleet.ask("GET", "/_mock/unused"))[1]) == 1
            sockets = [await fleet.connect(), await fleet.connect()]
            assert await words(sockets[0]) == "Put on one of them."
            assert [(await fleet.ask("GET", "/_mock/unused"))[1] for _ in "ab"] == [[], []]
            await sockets[0].close()
            sockets[0] = await fleet.connect()
            assert [await words(each) for each in sockets] == ["Put on one of them."] * 2
            for _ in range(2):  # the proxy takes turns
                sessions = (await fleet.ask("GET", "/_mock/sessions"))[1]
                assert [each["conversation_id"] for each in sessions][:2] == ids
                assert [each["open"] for each in sessions] == [False, False, False, True, True]
                known = sessions[4]["id"]
                assert (await fleet.ask("GET", f"/_mock/sessions/{known}"))[1]["ledger"]["text_items"] == 1
                rows = (await fleet.ask("GET", f"/_mock/journal?session={known}"))[1]
                assert rows[-1]["type"].startswith("response.")
                assert {row["session"] for row in (await fleet.ask("GET", "/_mock/journal"))[1]} >= {known}
                total = (await fleet.ask("GET", "/_mock/ledger"))[1]
                assert (total["sessions"], total["text_items"]) == (5, 5)
                assert (await fleet.ask("GET", "/_mock/ledger?session=nobody"))[0] == 404
            assert (await fleet.ask("PUT", "/_mock/faults", data=OUTAGE))[0] == 200
            assert [await refused(fleet), await refused(fleet)] == [503, 503]
            assert [len((await fleet.ask("GET", "/_mock/refusals"))[1]) for _ in "ab"] == [2, 2]
            for do in ("drop", "reset"):
                once = await fleet.ask(
                    "PUT", "/_mock/faults", data=f"faults: [{{at: response.done, times: 1, do: {do}}}]"
                )
                assert once[0] == (200 if kind == "one" else 501)
            for each in sockets:
                await each.close()
            await until_closed(fleet)
            assert (await fleet.ask("POST", "/_mock/reset", json={"to": "start"}))[0] == 200
            assert (await fleet.ask("GET", "/_mock/sessions"))[1] == []
            again = [await fleet.connect(), await fleet.connect()]
            assert [await session_of(each) for each in again] == ids
            assert [await words(each) for each in again] == ["You said: hello"] * 2
            for each in again:
                await each.close()


async def test_a_call_goes_on_without_the_store_and_new_ones_are_refused_as_in_an_outage():
    with own_store() as store:
        async with fleet_of("balanced", store.url) as fleet:
            ws = await fleet.connect()
            first = await session_of(ws)
            store.kill()
            assert await words(ws) == "You said: hello"
            assert [await refused(fleet), await refused(fleet)] == [503, 503]
            status, _ = await fleet.ask("POST", "/v1/realtime/client_secrets", json={})
            assert status == 503
            assert (await fleet.ask("GET", "/_mock/sessions"))[0] == 503
            store.start()
            other = await seated(fleet)
            assert await session_of(other) != first
            assert await words(ws) == "You said: hello"
            for each in (ws, other):
                await each.close()


async def counted(fleet: Fleet, *, turns: int, sessions: int) -> Counter[str]:
    """The samples of a scrape, summed over their labels, once it shows as many turns and sessions: each worker tells
    its own every second."""
    while True:
        sums: Counter[str] = Counter()
        async with fleet.http.get(f"http://127.0.0.1:{fleet.port}/_mock/metrics") as answer:
            assert answer.status == 200
            for family in text_string_to_metric_families(await answer.text()):
                for sample in family.samples:
                    sums[sample.name] += sample.value  # type: ignore[assignment]
        if sums["realtape_turns_total"] >= turns and sums["realtape_sessions"] >= sessions:
            return sums
        await asyncio.sleep(0.05)


async def check_a_killed_worker(
    fleet: Fleet, process: asyncio.subprocess.Process, sockets: list[ClientWebSocketResponse[bool]]
) -> None:
    """Its sessions end and are shown, their seats come back, another worker serves; and SIGTERM ends all."""
    assert await words(sockets[0]) == "You said: hello"
    own, *workers = children(process.pid)  # the first one is the store
    await until_copied(own)
    known = {each["id"] for each in (await fleet.ask("GET", "/_mock/sessions"))[1]}
    before = await counted(fleet, turns=1, sessions=len(sockets))
    assert (before["realtape_workers"], before["realtape_sessions"]) == (2, len(sockets))
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    for each in sockets:
        while not each.closed:
            await each.receive()
    sockets[:] = [await seated(fleet) for _ in range(MOST)]
    assert await refused(fleet) == 429
    sessions = (await fleet.ask("GET", "/_mock/sessions"))[1]
    assert len(sessions) == len(known) + MOST and {each["id"] for each in sessions if not each["open"]} == known
    killed = [each for each in sessions if each["close_code"] == 1006]
    assert len(killed) == MOST and all("killed" in each["close_reason"] for each in killed)
    total = (await fleet.ask("GET", "/_mock/ledger"))[1]
    assert (total["sessions"], total["text_items"]) == (len(sessions), 1)
    spoken = [row["type"] for row in (await fleet.ask("GET", "/_mock/journal"))[1]]
    assert spoken.count("response.done") == 1
    after = await counted(fleet, turns=1, sessions=MOST)
    assert after["realtape_workers"] == 2
    assert after["realtape_turns_total"] == 1  # of a worker that is gone
    assert after["realtape_sessions_opened_total"] >= before["realtape_sessions_opened_total"] + MOST
    assert after["realtape_sent_bytes_total"] > before["realtape_sent_bytes_total"]
    assert after["process_cpu_seconds_total"] > before["process_cpu_seconds_total"]
    everyone = children(process.pid)
    process.terminate()
    out, err = await process.communicate()
    assert (process.returncode, out) == (0, b"")
    assert err.decode().count("ended by SIGKILL; starting another") == len(workers) == 2
    assert not any(map(alive, everyone))


def socket_of(store: int) -> str:
    """The socket of a store, which the title of its process names."""
    title = Path(f"/proc/{store}/cmdline").read_bytes().decode()
    return title.partition("unixsocket:")[2].strip(" \0")


async def until_copied(store: int) -> None:
    """Wait until the copies of the workers have the turn."""
    from redis.asyncio import Redis  # an extra

    client: Any = Redis(unix_socket_path=socket_of(store))
    while True:
        records = [each for key in await client.keys("*:records:*") for each in await client.hvals(key)]
        rows = [each for key in await client.keys("*:rows:*") for each in await client.lrange(key, 0, -1)]
        if any(b'"text_items":1' in each for each in records) and any(b"response.done" in each for each in rows):
            break
        await asyncio.sleep(0.05)
    await client.aclose()


def alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


async def test_without_the_store_nothing_is_put_on_one_server_alone():
    with own_store() as store:
        async with fleet_of("balanced", store.url) as fleet:
            await fleet.ask("GET", "/_mock/health")
            store.kill()
            assert (await fleet.ask("PUT", "/_mock/scenario", data=PUT))[0] == 503
            assert (await fleet.ask("PUT", "/_mock/faults", data=OUTAGE))[0] == 503
            assert [(await fleet.ask("GET", "/_mock/scenario"))[1]["plays"] for _ in "ab"] == ["echo", "echo"]
            store.start()
            ws = await seated(fleet)
            assert await words(ws) == "You said: hello"
            await ws.close()


@pytest.mark.parametrize("kind", ["one", "balanced"])
async def test_a_manual_clock_is_that_of_all_servers(kind: str):
    with nullcontext() if kind == "one" else own_store() as store:
        async with fleet_of(kind, store.url if store is not None else None, clock_rate=0.0) as fleet:
            sockets = [await fleet.connect(), await fleet.connect()]
            for _ in "abc":
                assert (await fleet.ask("POST", "/_mock/clock/advance", json={"ms": 500}))[0] == 200
            assert [(await fleet.ask("GET", "/_mock/health"))[1]["clock"]["now"] for _ in "ab"] == [1.5, 1.5]
            await fleet.ask("POST", "/_mock/reset", json={"to": "start"})
            assert (await fleet.ask("POST", "/_mock/clock/advance", json={"ms": 7_200_000}))[1]["now"] == 7201.5
            for each in sockets:  # two hours are the longest session
                while not each.closed:
                    await each.receive()


@pytest.mark.parametrize("kind", ["one", "balanced"])
async def test_single_faults_are_added_and_removed_on_all_servers(kind: str):
    slow = '{"at": "response.created", "do": {"delay": "1ms"}, "name": "slow"}'
    with nullcontext() if kind == "one" else own_store() as store:
        async with fleet_of(kind, store.url if store is not None else None) as fleet:

            async def on() -> list[tuple[int, str | None, int]]:
                shown = []
                for _ in "ab":  # the proxy takes turns
                    faults = (await fleet.ask("GET", "/_mock/faults"))[1]["faults"]
                    assert all(len(each["where"]) == each["fired"] for each in faults)
                    shown.append([(each["id"], each["fault"].get("name"), each["fired"]) for each in faults])
                assert shown[0] == shown[1]
                return shown[0]

            await fleet.ask("POST", "/_mock/faults", data=slow)
            sockets = [await fleet.connect(), await fleet.connect()]
            for each in sockets:
                await words(each)
            assert await on() == [(1, "slow", 2)]
            added = await asyncio.gather(*(fleet.ask("POST", "/_mock/faults", data=slow) for _ in "abc"))
            assert [status for status, _ in added] == [200] * 3
            assert await on() == [(1, "slow", 2), (2, "slow", 0), (3, "slow", 0), (4, "slow", 0)]
            await fleet.ask("DELETE", "/_mock/faults/3")
            assert [id for id, *_ in await on()] == [1, 2, 4]
            assert (await fleet.ask("DELETE", "/_mock/faults/3"))[0] == 404
            await fleet.ask("POST", "/_mock/faults", data=OUTAGE)
            assert [await refused(fleet), await refused(fleet)] == [503, 503]
            await fleet.ask("DELETE", "/_mock/faults/slow")
            assert await on() == [(5, None, 2)]
            await fleet.ask("PUT", "/_mock/faults", data=slow)
            assert await on() == [(6, "slow", 0)]
            await fleet.ask("DELETE", "/_mock/faults")
            assert await on() == []
            for each in sockets:
                await each.close()


@pytest.mark.parametrize("kind", ["one", "balanced"])
async def test_faults_of_requests_count_over_all_servers(kind: str):
    faults = "faults: [{at: handshake, times: 2, do: {status: 503}}, {at: handshake, nth: 6, do: {status: 500}}]"
    with nullcontext() if kind == "one" else own_store() as store:
        async with fleet_of(kind, store.url if store is not None else None, most=100) as fleet:

            async def statuses() -> list[int]:
                found = []
                for _ in range(7):
                    try:
                        await (await fleet.connect()).close()
                        found.append(101)
                    except WSServerHandshakeError as refusal:
                        found.append(refusal.status)
                return found

            await fleet.ask("PUT", "/_mock/faults", data=faults)
            assert await statuses() == [503, 503, 101, 101, 101, 500, 101]
            await until_closed(fleet)
            await fleet.ask("POST", "/_mock/reset")
            assert await statuses() == [503, 503, 101, 101, 101, 500, 101]
            fired = (await fleet.ask("GET", "/_mock/faults"))[1]["faults"]
            assert [each["fired"] for each in fired] == [2, 1]
