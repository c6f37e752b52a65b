"""Sessions as a viewer shows them, and waits for frames: at one server, and at one that asks the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.server.app import Server
from tests.mockserver.own_store import own_store
from tests.mockserver.server.state.test_copies import ask, connect, copied, fleet, kill, turn

KINDS = ("one", "two")
Both = tuple[Server, Server]


@pytest.fixture(params=KINDS)
async def both(request: pytest.FixtureRequest) -> AsyncIterator[Both]:
    """The server that has the sessions, and the one that is asked."""
    if request.param == "one":
        async with fleet(None) as (server,):
            yield server, server
        return
    with own_store() as store:
        async with fleet(store) as (owner, asked):
            yield owner, asked


async def status(server: Server, path: str) -> int:
    async with ClientSession() as http, http.get(f"http://127.0.0.1:{server.port}/_mock/{path}") as answer:
        return answer.status


async def test_a_session_is_shown_whole_at_any_server(both: Both):
    owner, asked = both
    async with ClientSession() as http:
        ws = await connect(owner, http)
        await turn(ws, "a")
        (session,) = await ask(asked, "sessions")
        at = f"sessions/{session['id']}"
        document = await ask(asked, f"{at}/call")
        assert document["title"] == session["id"] and len(document["frames"]) == session["frames"]
        assert (await ask(asked, f"{at}/call?since=5"))["frames"] == document["frames"][5:]
        assert await ask(asked, f"{at}/sound") == await ask(owner, f"{at}/sound") != {}
        async with http.get(f"http://127.0.0.1:{asked.port}/_mock/{at}/tape") as answer:
            assert answer.content_type == "application/octet-stream"
            assert (await answer.read())[:4] == (await _tape(owner, at))[:4]
        async with http.get(f"http://127.0.0.1:{asked.port}/_mock/{at}/scenario") as answer:
            assert "You said: a" in await answer.text()
        assert await ask(asked, "limits") == [{"team": "", "sessions": 1, "most": 10}]
        assert await status(asked, "sessions/nobody/call") == 404
        await ws.close()


async def _tape(server: Server, at: str) -> bytes:
    async with ClientSession() as http, http.get(f"http://127.0.0.1:{server.port}/_mock/{at}/tape") as answer:
        return await answer.read()


async def test_a_frame_is_waited_for_at_any_server(both: Both):
    owner, asked = both
    async with ClientSession() as http:
        ws, other = await connect(owner, http), await connect(asked, http)
        await turn(ws, "a")
        first, *_ = await ask(asked, "journal")
        known = await ask(asked, "wait?type=response.done&nth=1")
        assert known["frame"]["type"] == "response.done" and first["session"]
        late = asyncio.get_running_loop().create_task(ask(asked, "wait?type=response.done&nth=3"))
        await turn(other, "b")
        await turn(ws, "c")
        third = await late
        assert third["session"] == known["session"] and third["at"] > known["at"]
        second = await ask(asked, "wait?type=response.done&nth=2")
        assert second["session"] != known["session"]
        assert await ask(asked, f"wait?type=response.done&nth=2&session={known['session']}") == third
        coming = asyncio.get_running_loop().create_task(ask(asked, "wait?type=response.create&way=in"))
        for _ in range(200):  # until the request waits at the owner
            if owner.service.journal.waiting.waiters:
                break
            await asyncio.sleep(0.01)
        await turn(ws, "d")
        assert (await coming)["session"] == known["session"]
        answer = await ask(asked, "wait?type=response.done&nth=9&ms=50")
        assert "response.output_audio.done 4x" in str(answer)
        assert await status(asked, "wait?type=response.done&nth=9&ms=50") == 408
        for each in (ws, other):
            await each.close()


async def test_of_a_killed_server_there_is_no_view_but_its_frames_are_found():
    with own_store() as store:
        async with fleet(store) as (killed, asked), ClientSession() as http:
            ws: ClientWebSocketResponse[bool] = await connect(killed, http)
            await turn(ws, "a")
            known = await ask(asked, "wait?type=response.done&nth=1")
            await copied(killed)
            await kill(killed)
            for more in ("", f"&session={known['session']}"):
                assert await ask(asked, f"wait?type=response.done&nth=1{more}") == known
            assert "its audio" in str(await ask(asked, f"sessions/{known['session']}/tape"))
            await ws.close()
