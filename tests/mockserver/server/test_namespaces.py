from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario
from mockserver.server import control, isolated_file, namespaces, virtual_time
from mockserver.server.notices import CallClosed, CallOpened, Notice
from mockserver.testing.mock_server import IsolatedMock, MockServer
from realtape import faults
from tests.mockserver.server.described import check_answer

Socket = ClientWebSocketResponse[bool]


def story(tell: Callable[[MockServer, ClientSession], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        async with MockServer(**{"dialect": "xai", "pacing": "burst", **settings}) as mock, ClientSession() as http:
            return await tell(mock, http)

    return virtual_time.run(main())


async def ask(http: ClientSession, url: str, method: str = "GET", **kwargs: Any) -> tuple[int, Any]:
    """The status and the value of an answer. Those of the control plane are as they are described."""
    async with http.request(method, url, **kwargs) as response:
        body = await response.json()
    if "/_mock/" in url:
        check_answer(method, url, response.status, body)
    return response.status, body


async def said(ws: Socket, text: str) -> str:
    """What the service says to a typed turn."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await ws.send_json({"type": "conversation.item.create", "item": item})
    await ws.send_json({"type": "response.create"})
    words = ""
    while (event := await ws.receive_json())["type"] != "response.done":
        if event["type"] == "response.output_audio_transcript.delta":
            words += event["delta"]
    return words


async def closed(ws: Socket) -> int | None:
    async for _ in ws:
        pass
    return ws.close_code


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def saying(words: str) -> dict[str, object]:
    return {"turns": [{"reply": [{"say": words}]}]}


def test_fifty_tests_at_once_see_nothing_of_each_other():
    resumed: list[int] = []

    async def one(mock: MockServer, http: ClientSession, number: int) -> None:
        words = f"This is number {number}."
        fault = [faults.Status(503, times=1)] if number % 2 else []
        async with mock.isolate(Scenario([Rule(Say(words))]), faults=fault) as own:
            for _ in range(number % 2):
                with pytest.raises(WSServerHandshakeError):
                    await http.ws_connect(mock.ws_url, headers=bearer(own.api_key))
            # by its key at the shared address, then with a client secret in the subprotocol, then by its own address
            async with http.ws_connect(mock.ws_url, headers=bearer(own.api_key)) as ws:
                while (created := await ws.receive_json())["type"] != "conversation.created":
                    pass
                await ws.send_json({"type": "session.update", "session": {"resumption": {"enabled": True}}})
                assert await said(ws, f"typed by {number}") == words
            status, secret = await ask(
                http, f"{mock.http_url}/realtime/client_secrets", "POST", headers=bearer(own.api_key), json={}
            )
            assert status == 200
            async with http.ws_connect(mock.ws_url, protocols=[f"xai-client-secret.{secret['value']}"]) as ws:
                assert await said(ws, f"typed by {number}") == words
            # the same id exists in every namespace: what comes back is the own conversation
            url = f"{own.ws_url}?conversation_id={created['conversation']['id']}"
            async with http.ws_connect(url, headers=bearer(own.api_key)) as ws:
                await ws.send_json({"type": "session.update", "session": {"resumption": {"enabled": True}}})
                while (event := await ws.receive_json())["type"] != "session.updated":
                    if event["type"] == "conversation.item.added":
                        assert words in str(event["item"])
                        resumed.append(number)
                assert await said(ws, f"typed by {number}") == words
            seen = json.dumps([log.received() for log in own.sessions])
            assert len(own.sessions) == 3
            assert seen.count(f'typed by {number}"') == 3
            assert seen.count("typed by") == 3
            assert own.ledger.sessions == 3
            assert own.ledger.text_items == 3
            assert [armed.fired for armed in own.faults] == [1] * (number % 2)
            assert {finding.session for finding in own.findings} <= {log.id for log in own.sessions} | {""}
            status, sessions = await ask(http, f"{own.control_url}/sessions")
            assert [each["id"] for each in sessions] == [log.id for log in own.sessions]

    async def tell(mock: MockServer, http: ClientSession) -> None:
        await asyncio.gather(*(one(mock, http, number) for number in range(50)))
        assert sorted(resumed) == list(range(50))
        assert mock.sessions == []
        assert list(mock._server.namespaces) == []

    story(tell)


def test_a_namespace_over_http_has_a_key_addresses_and_a_control_plane_of_its_own():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        body = {"scenario": saying("Mine."), "faults": [{"at": "handshake", "do": {"status": 503}, "times": 1}]}
        status, own = await ask(http, f"{mock.control_url}/namespaces", "POST", json=body)
        assert status == 200
        assert own["ws"] == mock.ws_url.replace("/v1/", f"/{own['id']}/v1/")
        assert own["http"] == mock.http_url.replace("/v1", f"/{own['id']}/v1")
        assert own["control"] == f"{mock.control_url}/namespaces/{own['id']}"
        assert own["environment"]["XAI_REALTIME_URL"] == own["ws"]
        assert own["environment"]["OPENAI_API_KEY"].startswith("sk-")
        with pytest.raises(WSServerHandshakeError):
            await http.ws_connect(own["ws"], headers=bearer("anything"))
        async with http.ws_connect(own["ws"], headers=bearer("anything")) as ws:
            assert await said(ws, "hello") == "Mine."
        async with http.ws_connect(mock.ws_url, headers=bearer("anything")) as ws:
            assert await said(ws, "hello") == "You said: hello"
        assert (await ask(http, f"{own['control']}/scenario", "PUT", json=saying("Changed.")))[0] == 200
        async with http.ws_connect(mock.ws_url, headers=bearer(own["api_key"])) as ws:
            assert await said(ws, "hello") == "Changed."
        _, (listed,) = await ask(http, f"{mock.control_url}/namespaces")
        assert (listed["id"], listed["sessions"], listed["open_sessions"]) == (own["id"], 2, 0)
        assert "api_key" not in listed
        _, struck = await ask(http, f"{own['control']}/faults")
        assert [each["fired"] for each in struck["faults"]] == [1]
        _, ledger = await ask(http, f"{own['control']}/ledger")
        _, root = await ask(http, f"{mock.control_url}/ledger")
        assert (ledger["sessions"], root["sessions"]) == (2, 1)

    story(tell)


def test_a_namespace_starts_as_the_server_did():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        await ask(http, f"{mock.control_url}/scenario", "PUT", json=saying("Changed."))
        async with mock.isolate() as own:
            with pytest.raises(WSServerHandshakeError):
                await http.ws_connect(own.ws_url, headers=bearer("x"))
            async with http.ws_connect(own.ws_url, headers=bearer("x")) as ws:
                assert await said(ws, "hello") == "As at the start."
            assert own.unused == []
        assert [armed.fired for armed in mock.faults] == [0]

    story(tell, scenario=Scenario([Rule(Say("As at the start."))]), faults=[faults.Status(503, times=1)])


@pytest.mark.parametrize(
    ("dialect", "begins"), [("xai", "xai-"), ("openai", "sk-"), ("azure", "sk-"), ("auto", "xai-")]
)
def test_the_key_has_the_form_of_the_services_keys(dialect: str, begins: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate() as own:
            assert own.api_key.startswith(begins)
            assert own.environment["XAI_API_KEY"].startswith("xai-")
            assert own.environment["OPENAI_API_KEY"].startswith("sk-")

    story(tell, dialect=dialect)


def test_either_key_chooses_its_service_where_the_dialect_is_open():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate() as own:
            for name, begins in (("XAI_API_KEY", "xai@"), ("OPENAI_API_KEY", "openai@")):
                url = mock.ws_url if name.startswith("XAI") else f"{mock.ws_url}?model=gpt-realtime"
                async with http.ws_connect(url, headers=bearer(own.environment[name])) as ws:
                    await ws.receive_json()
                assert own.sessions[-1].dialect.startswith(begins)

    story(tell, dialect="auto")


def test_who_comes_after_the_end_is_refused_and_does_not_reach_the_root():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        _, own = await ask(http, f"{mock.control_url}/namespaces", "POST")
        secrets = f"{own['http']}/realtime/client_secrets"
        _, secret = await ask(http, secrets, "POST", headers=bearer(own["api_key"]), json={})
        async with http.ws_connect(own["ws"], headers=bearer(own["api_key"])) as ws:
            await ws.receive_json()
            code, answer = await asyncio.gather(closed(ws), ask(http, own["control"], "DELETE"))
            assert (code, answer) == (1001, (200, {"status": "ok"}))
        for url, key in ((own["ws"], "any"), (mock.ws_url, own["api_key"]), (mock.ws_url, secret["value"])):
            with pytest.raises(WSServerHandshakeError) as refused:
                await http.ws_connect(url, headers=bearer(key))
            assert refused.value.status == 404
        status, body = await ask(http, secrets, "POST", headers=bearer("any"), json={})
        assert status == 404
        assert "/_mock/namespaces" in body["error"]
        assert (await ask(http, f"{own['control']}/sessions"))[0] == 404
        assert (await ask(http, own["control"], "DELETE"))[0] == 404
        assert mock.sessions == []

    story(tell)


@pytest.mark.parametrize("clock", ["wall", "manual"])
@pytest.mark.parametrize("at", ["handshake", "GET /v1/realtime"])
def test_a_handshake_that_a_fault_delays_is_refused_when_its_namespace_ends(clock: str, at: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async def connect(own: MockServer) -> int:
            with pytest.raises(WSServerHandshakeError) as refused:
                await http.ws_connect(own.ws_url, headers=bearer(own.api_key))
            return refused.value.status

        async def end(own: MockServer) -> None:
            await asyncio.sleep(0.3)
            assert len(service.held_requests) == 1
            await own.__aexit__(None, None, None)

        own = await mock.isolate(clock=clock, faults=[{"at": at, "do": {"slow": "1s"}}]).__aenter__()
        service = own._service
        assert (await asyncio.gather(connect(own), end(own)))[0] == 404
        assert (service.open_sessions, service.held_requests, own.sessions) == ({}, set(), [])

    story(tell)


@pytest.mark.parametrize("dialect", ["xai@2026-09", "auto"])
def test_no_client_secret_is_made_when_the_namespace_ends_during_the_request(dialect: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(0.3)
            await own.__aexit__(None, None, None)
            yield b"}"

        own = await mock.isolate().__aenter__()
        service, url = own._service, f"{own.http_url}/realtime/client_secrets"
        status, answer = await ask(http, url, "POST", headers=bearer(own.api_key), data=body())
        assert (status, "namespace" in str(answer)) == (404, True)
        assert not service.accounts.secrets

    story(tell, dialect=dialect)


def test_requests_for_namespaces_are_read_in_threads_and_keep_the_cap(monkeypatch: pytest.MonkeyPatch):
    together = threading.Barrier(2)

    def parse(text: str) -> namespaces.Isolated:
        together.wait(10)
        return isolated_file.parse(text)

    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = f"{mock.control_url}/namespaces"
        answers = await asyncio.gather(*(ask(http, url, "POST", json={"pacing": "burst"}) for _ in range(2)))
        assert sorted(status for status, _ in answers) == [200, 429]
        assert [each["id"] for each in (await ask(http, url))[1]] == ["ns-1"]

    monkeypatch.setattr(namespaces, "MOST", 1)
    monkeypatch.setattr(control, "parse_isolated", parse)
    story(tell)


async def test_a_server_that_has_stopped_makes_no_namespace():
    async with MockServer() as mock:
        pass
    with pytest.raises(namespaces.NamespaceEnded, match="stopping"):
        await mock._server.namespaces.open(namespaces.Isolated())


def test_a_server_that_knows_its_keys_accepts_those_of_its_namespaces_and_no_other():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate() as own:
            for key in (own.api_key, "xai-known"):
                async with http.ws_connect(own.ws_url, headers=bearer(key)) as ws:
                    await ws.receive_json()
            for url, key in ((own.ws_url, "xai-unknown"), (mock.ws_url, "xai-unknown")):
                with pytest.raises(WSServerHandshakeError) as refused:
                    await http.ws_connect(url, headers=bearer(key))
                assert refused.value.status == 400

    story(tell, api_keys=["xai-known"])


def test_there_are_a_hundred_at_most_and_idle_ones_make_room(monkeypatch: pytest.MonkeyPatch):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = f"{mock.control_url}/namespaces"
        made = [(await ask(http, url, "POST"))[1]["id"] for _ in range(3)]
        status, refused = await ask(http, url, "POST")
        assert (status, "DELETE" in refused["error"]) == (429, True)
        with pytest.raises(namespaces.TooManyNamespaces):
            await mock.isolate().__aenter__()
        await asyncio.sleep(namespaces.IDLE_S - 1)
        await ask(http, f"{url}/{made[1]}/health")  # this one is used
        await asyncio.sleep(2)
        assert (await ask(http, url, "POST"))[0] == 200
        assert [each["id"] for each in (await ask(http, url))[1]] == [made[1], "ns-4"]

    monkeypatch.setattr(namespaces, "MOST", 3)
    story(tell)


def test_a_namespace_that_a_program_holds_or_that_has_a_session_does_not_end_for_being_idle():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        _, own = await ask(http, f"{mock.control_url}/namespaces", "POST")
        async with mock.isolate() as held, http.ws_connect(f"{own['ws']}?model=gpt-realtime", headers=bearer("x")):
            await asyncio.sleep(namespaces.IDLE_S + 1)
            async with mock.isolate():
                assert len(list(mock._server.namespaces)) == 3
                assert held.control_url
        assert (await ask(http, f"{mock.control_url}/namespaces", "POST"))[0] == 200
        assert len(list(mock._server.namespaces)) == 2  # its session ended just now

    story(tell, dialect="openai")


def test_what_is_told_of_sessions_names_their_namespace():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        told: list[Notice] = []
        mock._service.tell = told.append
        async with mock.isolate() as one, mock.isolate() as other:
            for url in (mock.ws_url, one.ws_url, other.ws_url):
                async with http.ws_connect(url, headers=bearer("x")) as ws:
                    await said(ws, "hello")
            (id,) = {log.id for each in (mock, one, other) for log in each.sessions}  # the same seed, the same id
        ids = [id, f"ns-1/{id}", f"ns-2/{id}"]
        assert [each.session for each in told if isinstance(each, CallOpened)] == ids
        assert [each.session for each in told if isinstance(each, CallClosed)] == ids

    story(tell)


@pytest.mark.parametrize(
    ("body", "said_to_be_wrong"),
    [
        ('{"szenario": {}}', "unknown key 'szenario'; did you mean 'scenario'?"),
        ('{"scenario": {"turns": [{"reply": [{"shout": "x"}]}]}}', "shout"),
        ('{"scenario": "clinnic"}', "clinic"),
        ('{"faults": [{"at": "handshake", "do": "explode"}]}', "explode"),
        ('{"dialect": "klingon"}', "unknown dialect 'klingon'"),
        ('{"clock": "sundial"}', "unknown clock"),
        ('{"cassette": "nowhere.tape"}', "nowhere.tape"),
        ('{"verbatim": true}', "cassette"),
        ('{"scenario": {"turns": []}, "cassette": "x.tape"}', "leave out one"),
        ('{"pacing": "slow"}', "pacing"),
        ("[]", "expected a mapping"),
        ("{", "<body>"),
    ],
)
def test_a_bad_request_is_refused_with_the_reason(body: str, said_to_be_wrong: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, answer = await ask(http, f"{mock.control_url}/namespaces", "POST", data=body)
        assert status == 400
        assert said_to_be_wrong in answer["error"]
        assert (await ask(http, f"{mock.control_url}/namespaces"))[1] == []

    story(tell)


def test_each_has_a_clock_of_its_own():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate(clock="manual") as one, mock.isolate(clock="manual") as other:
            await one.advance(minutes=3)
            (_, first), (_, second) = [await ask(http, f"{each.control_url}/health") for each in (one, other)]
            assert (first["clock"]["now"], second["clock"]["now"]) == (180, 0)

    story(tell)


def test_the_same_seed_gives_each_test_the_same_ids_whatever_else_goes_on():
    async def ids(own: MockServer, http: ClientSession) -> list[str]:
        async with http.ws_connect(own.ws_url, headers=bearer("x")) as ws:
            await said(ws, "hello")
        return [event["event_id"] for event in own.sessions[0].sent()]

    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate() as one, mock.isolate() as other, mock.isolate(seed=8) as third:
            first = await ids(one, http)
            assert await ids(other, http) == first
            assert await ids(third, http) != first

    story(tell)


def test_the_mock_in_a_thread_is_isolated_with_a_plain_with():
    with MockServer(pacing="burst") as mock:
        with mock.isolate(Scenario([Rule(Say("Mine."))])) as own:

            async def talk() -> str:
                async with ClientSession() as http, http.ws_connect(own.ws_url, headers=bearer("x")) as ws:
                    return await said(ws, "hello")

            assert asyncio.run(talk()) == "Mine."
            assert isinstance(own, IsolatedMock)
            assert len(own.sessions) == 1
            own.assert_order("client response.create", "response.done")
        assert mock.sessions == []

        async def enters_it_from_a_loop() -> None:
            async with mock.isolate() as own:
                assert own.unused == []

        asyncio.run(enters_it_from_a_loop())


def test_a_mock_that_a_loop_serves_says_how_it_is_isolated():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        with pytest.raises(RuntimeError, match="async with"):
            mock.isolate().__enter__()
        with pytest.raises(RuntimeError, match="not open"):
            _ = mock.isolate().ws_url
        with pytest.raises(ValueError, match="klingon"):
            mock.isolate(dialect="klingon")

    story(tell)


def test_recordings_of_all_namespaces_have_files_of_their_own(tmp_path: Any):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate() as one, mock.isolate() as other:
            for own in (one, other):
                async with http.ws_connect(own.ws_url, headers=bearer("x")) as ws:
                    await said(ws, "hello")
        assert len({*one.cassettes, *other.cassettes}) == 2
        assert mock.cassettes == []
        assert sorted([*one.cassettes, *other.cassettes]) == sorted(tmp_path.iterdir())

    story(tell, record=tmp_path)
