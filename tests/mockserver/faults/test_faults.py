"""Faults on real sockets, in virtual time. What each does, one by one, is in docs/faults.md and test_faults_page.py."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType

from mockserver.faults.files import FaultError, parse
from mockserver.faults.kinds import NetworkFault
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from realtape import faults
from tests.mockserver.refusals import first_problem

Story = Callable[[MockServer, ClientSession], Awaitable[Any]]
KEY = {"Authorization": "Bearer k"}
WORDS = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello there"}]}
DELTA = "response.output_audio.delta"


def story(tell: Story, **settings: Any) -> Any:
    async def main() -> Any:
        async with (
            MockServer(**{"dialect": "xai@2026-07", "voice": "tone", **settings}) as mock,
            ClientSession() as http,
        ):
            return await tell(mock, http)

    return autojump.run(main())


async def turn(ws: ClientWebSocketResponse[bool]) -> list[str]:
    """One typed turn: the types of what comes until the response is over, or how the connection ended."""
    await ws.send_json({"type": "conversation.item.create", "item": WORDS})
    await ws.send_json({"type": "response.create"})
    types: list[str] = []
    while "response.done" not in types:
        message = await ws.receive(timeout=30)
        if message.type is not WSMsgType.TEXT:
            return [*types, f"{message.type.name} {message.data}"]
        types.append(json.loads(message.data)["type"])
    return types


def test_a_close_comes_in_place_of_the_named_event_of_the_named_response():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            assert (await turn(ws)).count(DELTA) == 4
            types = await turn(ws)
        assert types.count(DELTA) == 2
        assert types[-1] == "CLOSE 1011"
        (armed,) = mock.faults
        assert armed.fired == 1
        assert [(strike.session, strike.event) for strike in armed.triggers] == [(mock.sessions[0].id, DELTA)]
        assert [note.event for note in mock.sessions[0].faults] == [DELTA]

    story(tell, faults=[faults.Close(1011, at=DELTA, nth=3, response=2)])


def test_a_fault_that_is_spent_leaves_later_sessions_alone():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        with pytest.raises(Exception, match="429"):
            await http.ws_connect(mock.ws_url, headers=KEY)
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            assert (await turn(ws))[-1] == "response.done"

    story(tell, faults=[{"at": "handshake", "do": {"status": 429, "retry_after": 2}, "times": 1}])


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_every_route_has_faults_by_its_method_and_path(dialect: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        http._retry_connection = False  # aiohttp's clients would try a second time

        async def status(method: str, path: str) -> int:
            async with http.request(method, mock.http_url + path, headers=KEY, json={}) as response:
                return response.status

        assert await status("POST", "/chat/completions") == 503  # a route that the mock does not serve
        assert await status("GET", "/chat/completions") == 404
        assert await status("POST", "/realtime/client_secrets") == 200
        assert await status("POST", "/realtime/client_secrets") == 429
        with pytest.raises(ClientError):
            await status("DELETE", "/models/x")
        assert await status("GET", "/realtime") == 500  # before anything else is looked at
        model = "gpt-realtime" if dialect != "xai" else "grok-voice-think-fast-1.0"
        async with http.ws_connect(f"{mock.ws_url}?model={model}", headers=KEY) as ws:
            assert (await turn(ws))[-1] == "response.done"
        async with mock.isolate(faults=[{"at": "GET /v1/models", "do": {"status": 404}}]) as own:
            async with http.get(own.http_url + "/models", headers=KEY) as response:
                assert response.status == 404
            assert own.faults[0].fired == 1
        assert [armed.fired for armed in mock.faults] == [1, 1, 1, 1]
        assert mock.faults[0].triggers[0].event == "POST /v1/chat/completions"
        assert mock.unused == []

    story(
        tell,
        dialect=dialect,
        faults=[
            {"at": "POST /v1/chat/*", "do": {"status": 503}},
            {"at": "post /v1/realtime/client_secrets", "nth": 2, "do": {"status": 429}},
            {"at": "* /v1/models/x", "do": "reset"},
            {"at": "GET /v1/realtime", "do": {"status": 500}, "times": 1},
        ],
    )


def test_a_client_that_does_not_wait_for_a_slow_handshake_is_no_error_of_the_mock():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(http.ws_connect(mock.ws_url, headers=KEY), 1)
        await asyncio.sleep(10)
        assert (mock._service.errors, mock.sessions) == ([], [])

    story(tell, faults=[{"at": "handshake", "do": "slow: 5s"}])


@pytest.mark.parametrize("fault", [{"at": "GET /v1/x", "do": "drop"}, {"at": "GET v1/x", "do": "reset"}])
def test_a_route_takes_faults_of_requests_alone(fault: dict[str, str]):
    with pytest.raises(FaultError):
        MockServer(faults=[fault])


@pytest.mark.parametrize("dialect", ["xai", "openai", "azure"])
def test_requests_for_client_secrets_have_faults_of_their_own(dialect: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        http._retry_connection = False  # aiohttp's clients would try a second time
        loop, url = asyncio.get_running_loop(), mock.http_url + "/realtime/client_secrets"
        async with http.post(url, json={}, headers=KEY) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
            assert (await refused.json())["error"]
        began = loop.time()
        async with http.post(url, json={}, headers=KEY) as slow:
            assert slow.status == 200
        assert loop.time() - began >= 3
        began = loop.time()
        with pytest.raises(ClientError):
            await http.post(url, json={}, headers=KEY)
        assert loop.time() - began >= 5
        began = loop.time()
        with pytest.raises(ClientError):
            await http.post(url, json={}, headers=KEY)
        assert loop.time() - began < 1
        model = "gpt-realtime" if dialect != "xai" else "grok-voice-think-fast-1.0"
        async with http.ws_connect(f"{mock.ws_url}?model={model}", headers=KEY) as ws:
            assert (await turn(ws))[-1] == "response.done"  # no handshake has these faults
        assert [armed.fired for armed in mock.faults] == [1, 1, 1, 1]
        assert mock.faults[0].triggers[0].event == "client_secrets"

    story(
        tell,
        dialect=dialect,
        faults=[
            {"at": "client_secrets", "session": 1, "do": {"status": 429, "retry_after": 2}},
            {"at": "client_secrets", "session": 2, "do": {"slow": "3s"}},
            {"at": "client_secrets", "session": 3, "do": {"hang": "5s"}},
            {"at": "client_secrets", "session": 4, "do": "reset"},
        ],
    )


def test_faults_come_and_go_while_a_connection_is_open():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        faults_url = f"{mock.control_url}/faults"
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            assert (await turn(ws)).count(DELTA) == 4
            async with http.put(faults_url, data="faults: [{at: response.output_audio.delta, do: drop}]") as put:
                assert put.status == 200
            assert (await turn(ws)).count(DELTA) == 0
            async with http.get(faults_url) as told:
                (shown,) = (await told.json())["faults"]
                assert shown["fired"] == 4
                assert shown["fault"] == {"at": DELTA, "do": "drop"}
            async with http.delete(f"{faults_url}/{shown['id']}") as gone:
                assert (await gone.json())["faults"] == []
            assert (await turn(ws)).count(DELTA) == 4
            async with http.post(faults_url, json={"at": "<response.create", "do": "reset", "name": "cut"}) as post:
                assert [each["fault"]["name"] for each in (await post.json())["faults"]] == ["cut"]
            assert (await turn(ws))[-1].startswith("CLOSED")

    story(tell)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("faults:\n  - {at: respons.done, do: drop}", "<text>:2: faults[0].at: unknown event 'respons.done'; did you"),
        (
            "faults:\n  - {at: response.done, do: dorp}",
            "<text>:2: faults[0].do: unknown fault 'dorp'; did you mean 'drop'",
        ),
        ("seed: 1\nfalts: []", "<text>:2: falts: unknown key 'falts'; did you mean 'faults'?"),
    ],
)
def test_a_bad_fault_file_is_refused_with_its_line(text: str, told: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.put(f"{mock.control_url}/faults", data=text) as answer:
            assert answer.status == 400
            assert first_problem((await answer.json())["error"]).startswith(told)

    story(tell)


def test_a_program_is_told_of_a_bad_fault_where_it_stands():
    with pytest.raises(FaultError, match=r"^\[0\]\.do: unknown fault 'explode'"):
        MockServer(faults=[{"at": "response.done", "do": "explode"}])


def test_the_faults_of_a_webrtc_call_are_as_the_page_writes_them():
    page = (Path(__file__).resolve().parents[3] / "docs" / "faults.md").read_text(encoding="utf-8")
    written = re.findall(r"^\| `(\{do: .+?\})` \|", page, re.MULTILINE)
    found = parse(f"faults: [{', '.join(written)}]").faults
    assert tuple(type(fault) for fault in found) == get_args(NetworkFault)
    assert {fault.at for fault in found} == {"webrtc"}
    with pytest.raises(FaultError, match="is not possible at `webrtc`"):
        parse("faults: [{at: webrtc, do: drop}]")
    with pytest.raises(FaultError, match="happens at `webrtc`, and nowhere else"):
        parse("faults: [{at: handshake, do: dtls_hang}]")
