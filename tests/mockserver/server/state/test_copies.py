"""What the other servers of a fleet show of one that was killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from mockserver.server import session_copies
from mockserver.server.app import Server
from mockserver.server.journal import JournalEntry
from mockserver.server.options import Options
from mockserver.server.session_copies import KILLED
from mockserver.server.state.port import CopyUpdate
from tests.mockserver.own_store import OwnStore, own_store

KEY = {"Authorization": "Bearer k"}
TOOL = {
    "type": "mcp",
    "server_label": "s",
    "server_url": "http://127.0.0.1:1",
    "authorization": "Bearer s3cr3t-t0k3n-of-mine",
}
PATHS = ("sessions", "journal", "ledger", "findings", "refusals", "unused")


@asynccontextmanager
async def fleet(store: OwnStore | None) -> AsyncIterator[list[Server]]:
    """Two servers over a store; one without any."""
    servers = [Server(Options(voice="tone", pacing="burst")) for _ in range(1 if store is None else 2)]
    for server in servers:
        if store is not None:
            from mockserver.server.state.store import StoreState  # an extra

            server.service.state = StoreState(store.url, server.service.accounts)
        await server.start()
    try:
        yield servers
    finally:
        for server in servers:
            await server.stop()


async def ask(server: Server, path: str, method: str = "GET", **more: Any) -> Any:
    async with ClientSession() as http:
        async with http.request(method, f"http://127.0.0.1:{server.port}/_mock/{path}", **more) as answer:
            return orjson.loads(await answer.read())


async def connect(server: Server, http: ClientSession, query: str = "") -> ClientWebSocketResponse[bool]:
    return await http.ws_connect(f"ws://127.0.0.1:{server.port}/v1/realtime{query}", headers=KEY)


async def turn(ws: ClientWebSocketResponse[bool], words: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}
    await ws.send_json({"type": "conversation.item.create", "item": item})
    await ws.send_json({"type": "response.create"})
    while orjson.loads(await ws.receive_str())["type"] != "response.done":
        pass


async def kill(server: Server) -> None:
    """As `kill -9` leaves it in the store: it renews nothing and answers nothing."""
    from mockserver.server.state import store as module

    state = server.service.state
    assert isinstance(state, module.StoreState)
    for each in state._running:
        each.cancel()
    await state._redis.delete(module._ALIVE + state.server)


async def copied(server: Server) -> None:
    """What it does a second later, and then no more."""
    state: Any = server.service.state
    copying = state._running[2]
    copying.cancel()
    await asyncio.wait([copying])
    later = asyncio.get_running_loop().time() + 2
    await state._copies.write(state._member.update(later, anew=state._copies.lost), state._version)


async def test_what_a_killed_server_had_is_shown_by_the_others():
    with own_store() as store:
        async with fleet(store) as (killed, other), ClientSession() as http:
            await ask(
                other, "scenario", "PUT", data="turns: [{when: {says: a}, reply: [{say: A.}]}, {reply: [{say: B.}]}]"
            )
            await ask(other, "faults", "PUT", data="faults: [{at: response.created, do: duplicate}]")
            with pytest.raises(WSServerHandshakeError):
                await http.ws_connect(f"ws://127.0.0.1:{killed.port}/v1/realtime")
            over = await connect(killed, http)
            await turn(over, "a")
            await over.send_bytes(b"12345")
            await over.close()
            mine = await connect(other, http)
            await turn(mine, "x")
            ws = await connect(killed, http)
            await ws.send_json({"type": "session.update", "session": {"tools": [TOOL], "nonsense": 1}})
            await turn(ws, "please")
            await turn(ws, "a")
            await copied(killed)
            before = {path: await ask(other, path) for path in PATHS}
            id = before["sessions"][2]["id"]
            of_one = [f"journal?session={id}&since=3", f"ledger?session={id}", f"findings?session={id}"]
            before |= {path: await ask(other, path) for path in of_one}
            assert before["findings"] and before["refusals"] and not before["unused"]
            await kill(killed)
            after = {path: await ask(other, path) for path in before}
            for path in before:
                if path != "sessions":
                    assert after[path] == before[path], path
            *rest, last = after["sessions"]
            assert rest[:1] == before["sessions"][:1]
            assert (last["id"], last["open"], last["close_code"], last["close_reason"]) == (id, False, 1006, KILLED)
            assert last["closed_s"] > 0 and last["frames"] == before["sessions"][2]["frames"]
            state: Any = other.service.state
            left = [await state._redis.lrange(key, 0, -1) for key in await state._redis.keys("*rows*")]
            assert "s3cr3t" not in str(left) and "please" in str(left)
            await mine.close()
            await ask(other, "reset", "POST")
            assert [await ask(other, path) for path in ("sessions", "findings", "refusals")] == [[], [], []]
            assert not [key for key in await state._redis.keys("*records*") if state.server not in str(key)]
            await ws.close()


async def test_copies_are_bounded_in_bytes_and_in_servers_that_are_gone(monkeypatch: pytest.MonkeyPatch):
    module = pytest.importorskip("mockserver.server.state.copies")
    asyncio_client = pytest.importorskip("redis.asyncio")
    monkeypatch.setattr(module, "ROWS_BYTES", 10)
    monkeypatch.setattr(module, "MOST_GONE_ROWS", 2)
    monkeypatch.setattr(module, "MOST_GONE_SESSIONS", 5)
    with own_store() as store:
        client = asyncio_client.Redis.from_url(store.url)
        for copies in (module.CopyStore(client, name) for name in "abcd"):
            records = {each: b"{}" for each in ("", "one")}
            await copies.write(CopyUpdate(True, records, (), b"[1,2]", (), True), 7)
            await copies.write(CopyUpdate(False, {"two": b"{}"}, ("one",), b"[3,4]", (), True), 7)
            await copies.write(CopyUpdate(False, {}, (), b"[5,6]", (), True), 7)
            copy, version = await copies.read(copies._server, rows=True)
            assert (sorted(copy.records), list(copy.rows), version) == (["", "two"], [3, 4, 5, 6], 7)
        copies = module.CopyStore(client, "e")
        gone = await copies.names()
        assert gone == ["d", "c", "b", "a"]
        await copies.bound(gone)
        assert await copies.names() == ["d", "c"]
        monkeypatch.setattr(module, "MOST_GONE_SESSIONS", 50)
        monkeypatch.setattr(module, "MOST_GONE_ROWS", 1)
        await copies.bound(["d", "c"])
        assert [len((await copies.read(each, rows=True))[0].rows) for each in "dc"] == [4, 0]
        await copies.forget(["d", "c"])
        assert await client.keys("*") == []
        await client.aclose()


@pytest.mark.parametrize("dump", [json.dumps, lambda value: orjson.dumps(value).decode()], ids=["spaced", "tight"])
@pytest.mark.parametrize(
    "name",
    """authorization api_key apiKey API-Key key signing_key token accessToken refresh_token idToken secret client_secret
    password PASSWD passphrase pwd pw pass auth credentials creds bearer Cookie sid session_id_token dsn jwt signature
    api_key_prod access_token_prod secret_old db_password_live headers kennwort senha wachtwoord""".split(),
)
def test_a_copy_has_no_value_under_the_name_of_a_credential(name: str, dump: Callable[[object], str]):
    secret = "q7Zr-9x_Kd83LmPw2TtVb5"
    asked = {"type": "session.update", "session": {"tools": [{"type": "mcp", "extra": {name: secret}}]}}
    assert secret not in str(JournalEntry(0.0, "in", dump(asked)).shown())
    assert secret not in str(session_copies._row(JournalEntry(0.0, "in", dump(asked))))
