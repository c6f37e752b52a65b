"""A sideband through the recording proxy: requests about the call and the socket's events, and both kinds of replay."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from mockserver.server import virtual_time as autojump
from mockserver.server.calls.registry import NoEvents
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.cassette.frames import Close
from replay.cassette.recording import Recording
from replay.cassette.records import Request, Response
from replay.playback.client_driver import ClientDriver
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream

KEY = {"Authorization": "Bearer sk-a-key-of-nobody"}
SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}
ITEM = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}


async def steered(http_url: str, ws_url: str, id: str) -> list[str]:
    """Accept a call, have it say something, and hang up; the types of the events on the sideband."""
    types: list[str] = []

    async def until(ws: ClientConnection, last: str) -> None:
        while not types or types[-1] != last:
            types.append(json.loads(await ws.recv())["type"])

    async with aiohttp.ClientSession(headers=KEY) as http:
        async with http.post(f"{http_url}/calls/{id}/accept", json=SESSION) as answer:
            assert (answer.status, await answer.read()) == (200, b"")
        async with connect(f"{ws_url}?call_id={id}", additional_headers=KEY) as ws:
            await ws.send(json.dumps({"type": "session.update", "session": {"type": "realtime", "tools": []}}))
            await until(ws, "session.updated")
            await ws.send(json.dumps({"type": "conversation.item.create", "item": ITEM}))
            await ws.send('{"type":"response.create"}')
            await until(ws, "response.done")
            async with http.post(f"{http_url}/calls/{id}/hangup") as answer:
                assert answer.status == 200
            await ws.wait_closed()
            assert ws.close_code == 1000
        async with http.post(f"{http_url}/calls/{id}/hangup") as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "call_id_not_found")
    return types


def test_a_sideband_is_recorded_and_played_back(tmp_path: Path) -> None:
    out = tmp_path / "sideband.tape"

    async def tell() -> None:
        async with MockServer(dialect="openai", voice="tone", pacing="burst") as mock:
            service = mock._service
            id = service.calls.announce("openai@2026-10", "phone", service.clock.unix(), NoEvents()).id
            at = datetime(2026, 11, 30, tzinfo=timezone.utc)
            relay = Relay(await Upstream.find(mock.ws_url), Settings(out=out, recorded_at=at, tool="test"))
            await relay.start()
            base = f"127.0.0.1:{relay.port}/v1/realtime"
            types = await steered(f"http://{base}", f"ws://{base}", id)
            await relay.stop()
        assert "session.created" not in types
        assert "response.output_audio.delta" not in types
        with Cassette.open(out) as cassette:
            contents = [record.content for record in cassette]
        requests = [each.target.partition("/v1/realtime")[2] for each in contents if isinstance(each, Request)]
        assert requests == [f"/calls/{id}/accept", f"?call_id={id}", f"/calls/{id}/hangup", f"/calls/{id}/hangup"]
        assert [each.status for each in contents if isinstance(each, Response)] == [200, 101, 200, 404]
        assert Close(1000) in contents
        for verbatim in (True, False):
            async with MockServer(cassette=out, verbatim=verbatim, voice="tone", pacing="burst") as mock:
                again = await steered(f"{mock.http_url}/realtime", mock.ws_url, id)
                assert mock.report == []
            assert again == types
        async with MockServer(
            cassette=out, voice="tone", pacing="burst"
        ) as mock:  # its client joins, and accepts nothing
            driver = ClientDriver(Recording.read(out), mock.ws_url, "sk-any")
            await driver.run()
            assert driver.outcome.drift() == []

    autojump.run(tell())
