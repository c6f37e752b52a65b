"""Calls as a client meets them: requests over HTTP, sidebands, the control plane. The caller says nothing here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from mockserver.cli.console import Lines
from mockserver.server import virtual_time as autojump
from mockserver.server.accounts import Team
from mockserver.server.calls.registry import CallEntry
from mockserver.server.calls.running_call import MOST_CHANNELS
from mockserver.server.notices import CallOpened, Notice
from mockserver.server.service import MockService
from mockserver.server.state.port import Seat
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.calls.told import Told

Story = Callable[[MockServer, ClientSession], Awaitable[None]]
NO_CALL = {
    "error": {
        "message": "No session found for the provided call_id",
        "type": "invalid_request_error",
        "code": "call_id_not_found",
        "param": "",
    }
}
SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Answer in two words."}
KEY = {"Authorization": "Bearer sk-any"}


def story(tell: Story, **settings: Any) -> None:
    async def main() -> None:
        async with MockServer(**{"dialect": "openai", "pacing": "burst", **settings}) as mock, ClientSession() as http:
            await tell(mock, http)

    autojump.run(main())


def service_of(mock: MockServer) -> MockService:
    return mock._service


def ring(mock: MockServer, told: Told | None = None) -> CallEntry:
    service = service_of(mock)
    dialect = {"openai": "openai@2026-10", "xai": "xai@2026-10"}.get(service.options.dialect, service.options.dialect)
    return service.calls.announce(
        dialect, "phone", service.clock.unix(), told or Told(), caller="+14155550100", called="+18005550199"
    )


async def post(
    http: ClientSession, mock: MockServer, path: str, json: Any = None, headers: Any = KEY
) -> tuple[int, Any]:
    async with http.post(f"{mock.http_url}/realtime/calls/{path}", json=json, headers=headers) as response:
        body = await response.read()
        assert int(response.headers["Content-Length"]) == len(body)
        return response.status, await response.json() if body else b""


async def attach(http: ClientSession, mock: MockServer, id: str, headers: Any = KEY) -> ClientWebSocketResponse[bool]:
    return await http.ws_connect(f"{mock.ws_url}?call_id={id}", headers=headers)


async def refused(http: ClientSession, mock: MockServer, id: str, headers: Any = KEY) -> WSServerHandshakeError:
    with pytest.raises(WSServerHandshakeError) as raised:
        await attach(http, mock, id, headers)
    return raised.value


async def until(ws: ClientWebSocketResponse[bool], type: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    while not events or events[-1]["type"] != type:
        events.append(await ws.receive_json(timeout=60))
    return events


def test_a_call_is_accepted_steered_by_two_sidebands_and_hung_up_once() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        told = Told()
        call = ring(mock, told)
        assert await post(http, mock, f"{call.id}/accept", SESSION) == (200, b"")
        one, other = await attach(http, mock, call.id), await attach(http, mock, call.id)
        await one.send_json({"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}})
        (updated,) = await until(one, "session.updated")
        assert (await other.receive_json()) == updated
        assert updated["session"]["id"] == call.session
        assert updated["session"]["instructions"] == "Be brief."
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
        await other.send_json({"type": "conversation.item.create", "item": item})
        await one.send_json({"type": "response.create"})
        seen = await until(one, "response.done")
        assert seen == await until(other, "response.done")
        types = {event["type"] for event in seen}
        assert {"conversation.item.added", "response.output_audio_transcript.done"} <= types
        assert "response.output_audio.delta" not in types
        assert await post(http, mock, f"{call.id}/hangup") == (200, b"")
        for ws in (one, other):
            while (message := await ws.receive()).type is WSMsgType.TEXT:
                pass
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1000)
        assert await post(http, mock, f"{call.id}/hangup") == (404, NO_CALL)
        assert await post(http, mock, f"{call.id}/accept", SESSION) == (404, NO_CALL)
        assert told.learned == ["accepted", "ended: hung up by the client"]

    story(tell, voice="tone")


def test_a_lost_sideband_does_not_end_the_call() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        call = ring(mock)
        await post(http, mock, f"{call.id}/accept", SESSION)
        ws = await attach(http, mock, call.id)
        await ws.close()
        again = await attach(http, mock, call.id)
        await again.send_json({"type": "response.create"})
        assert (await until(again, "response.created"))[-1]["response"]["status"] == "in_progress"
        assert call.state == "open"
        (session,) = mock.sessions
        assert [each.closed_s is None for each in session.sidebands] == [False, True]

    story(tell)


@pytest.mark.parametrize(
    ("action", "body", "status", "param"),
    [
        ("accept", None, 400, "type"),
        ("accept", {"type": "transcription"}, 400, "type"),
        ("accept", {"type": "realtime", "tools": 5}, 400, "tools"),
        ("accept", {"type": "realtime", "model": "gpt-5"}, 400, "model"),
        ("reject", {"status_code": 200}, 400, "status_code"),
        ("reject", {"status_code": "busy"}, 400, "status_code"),
    ],
)
def test_a_bad_body_is_refused_and_the_call_rings_on(action: str, body: Any, status: int, param: str) -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        call = ring(mock)
        answered, error = await post(http, mock, f"{call.id}/{action}", body)
        assert (answered, error["error"]["param"], error["error"]["type"]) == (status, param, "invalid_request_error")
        assert call.state == "ringing"

    story(tell)


def test_a_call_that_rings_is_rejected_and_cannot_be_joined() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        told = Told()
        call = ring(mock, told)
        assert (await refused(http, mock, call.id)).status == 404
        for action in ("hangup", "refer"):
            assert await post(http, mock, f"{call.id}/{action}", {"target_uri": "tel:+1"}) == (404, NO_CALL)
        assert await post(http, mock, f"{call.id}/reject") == (200, b"")
        assert (call.state, told.learned) == ("rejected", ["rejected 603"])
        assert await post(http, mock, f"{call.id}/reject", {"status_code": 486}) == (404, NO_CALL)

    story(tell)


def test_a_caller_is_handed_over_unless_the_destination_refuses() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        told = Told(refuses=486)
        call = ring(mock, told)
        await post(http, mock, f"{call.id}/accept", SESSION)
        for uri in (None, "https://example.com", f"sip:{'a' * 3_000}@example.com"):
            status, body = await post(http, mock, f"{call.id}/refer", {"target_uri": uri} if uri else {})
            assert (status, body["error"]["param"]) == (400, "target_uri")
        assert (await post(http, mock, f"{call.id}/refer", {"target_uri": "tel:+14155550123"}))[0] == 400
        assert call.state == "open"
        told.refuses = None
        assert await post(http, mock, f"{call.id}/refer", {"target_uri": "tel:+14155550123"}) == (200, b"")
        assert (call.state, call.transferred_to) == ("over", "tel:+14155550123")

    story(tell)


def test_only_the_team_that_accepted_may_steer_a_call() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        call = ring(mock)
        await post(http, mock, f"{call.id}/accept", SESSION)
        other, wrong = {"Authorization": "Bearer sk-other"}, {"Authorization": "Bearer sk-nobodys-key"}
        assert await post(http, mock, f"{call.id}/hangup", headers=other) == (404, NO_CALL)
        assert (await refused(http, mock, call.id, other)).status == 404
        for headers, code in ((wrong, "invalid_api_key"), ({}, None)):
            status, body = await post(http, mock, f"{call.id}/hangup", headers=headers)
            assert (status, body["error"]["code"]) == (401, code)
        ws = await attach(http, mock, call.id, wrong)
        assert (await ws.receive_json())["error"]["code"] == "invalid_api_key"
        assert (await ws.receive()).data == 3000
        async with http.post(f"{mock.http_url}/realtime/client_secrets", headers=KEY) as response:
            secret = {"Authorization": f"Bearer {(await response.json())['value']}"}
        assert (await post(http, mock, f"{call.id}/hangup", headers=secret))[0] == 401
        async with await attach(http, mock, call.id, secret) as ws:
            await ws.send_json({"type": "input_audio_buffer.clear"})
            assert (await ws.receive_json())["type"] == "input_audio_buffer.cleared"
        assert call.state == "open"

    story(tell, api_keys=["sk-any", "sk-other"])


def test_a_socket_accepts_drives_and_ends_a_call_of_xai() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        told = Told(refuses=403)
        call = ring(mock, told)
        async with http.post(f"{mock.http_url}/realtime/client_secrets", headers=KEY, json={}) as response:
            secret = {"Authorization": f"Bearer {(await response.json())['value']}"}
        assert (await refused(http, mock, call.id, secret)).status == 403
        assert (await post(http, mock, f"{call.id}/accept", {}))[0] == 404
        ws = await attach(http, mock, call.id)
        assert (await ws.receive_json())["type"] == "session.created"  # as on any socket of the service
        assert (call.state, told.learned) == ("open", ["accepted"])
        await ws.send_json({"type": "response.create"})
        assert "response.output_audio.delta" not in {each["type"] for each in await until(ws, "response.done")}
        assert await post(http, mock, f"{call.id}/refer", {"target_uri": "mailto:a@b"}) == (
            400,
            {"code": "Client specified an invalid argument", "error": "target_uri must be a tel: or sip: URI"},
        )
        assert await post(http, mock, f"{call.id}/refer", {"target_uri": "sip:desk@example.com"}) == (
            502,
            {"error": "transfer rejected by downstream: SIP 403 Forbidden"},
        )
        async with await attach(http, mock, call.id):
            pass
        assert call.state == "open"
        other = ring(mock)
        assert await post(http, mock, f"{other.id}/hangup") == (200, {})
        assert other.state == "rejected"
        await ws.close()
        assert (call.state, call.reason) == ("over", "the client closed the socket that drove the call")
        assert (await post(http, mock, f"{call.id}/hangup"))[0] == 404
        assert (await refused(http, mock, call.id)).status == 404

    story(tell, dialect="xai")


def test_a_later_call_of_xai_goes_on_with_the_conversation_of_an_earlier_one() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        update = {"type": "session.update", "session": {"resumption": {"enabled": True}}}
        first, second = ring(mock), ring(mock)
        ws = await attach(http, mock, first.id)
        await ws.send_json(update)
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "I am Ada."}]}
        await ws.send_json({"type": "conversation.item.create", "item": item})
        await ws.send_json({"type": "response.create"})
        await until(ws, "response.done")
        await ws.close()
        async with await attach(http, mock, f"{second.id}&conversation_id={first.id}") as ws:
            await ws.send_json(update)
            replayed = await until(ws, "conversation.item.added")
            assert "I am Ada." in str(replayed[-1])

    story(tell, dialect="xai")


def test_azure_has_the_routes_below_its_own_path_and_takes_its_own_header() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        service, key = service_of(mock), {"api-key": "any"}
        id = service.calls.announce("azure@2026-10", "phone", service.clock.unix(), Told()).id
        base = mock.http_url.replace("/v1", "/openai/v1") + "/realtime"
        async with http.post(f"{base}/calls/{id}/accept", json={"type": "realtime"}) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (401, "401")
        async with http.post(f"{base}/calls/{id}/accept", json={"type": "realtime"}, headers=key) as response:
            assert response.status == 200
        async with http.ws_connect(f"{base.replace('http', 'ws')}?call_id={id}", headers=key) as ws:
            await ws.send_json({"type": "input_audio_buffer.clear"})
            assert (await ws.receive_json())["type"] == "input_audio_buffer.cleared"

    story(tell, dialect="azure")


def test_the_control_plane_lists_calls_and_hangs_up_for_the_caller() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        accepted, waiting, told = ring(mock), ring(mock), Told()
        accepted.events = told
        await post(http, mock, f"{accepted.id}/accept", SESSION)
        ws = await attach(http, mock, accepted.id)
        async with http.get(f"{mock.control_url}/calls") as response:
            listed = await response.json()
        assert [(each["id"], each["state"], each["from"]) for each in listed] == [
            (accepted.id, "open", "+14155550100"),
            (waiting.id, "ringing", "+14155550100"),
        ]
        async with http.get(f"{mock.control_url}/sessions") as response:
            (session,) = await response.json()
        assert (session["came"], session["call_id"], len(session["sidebands"])) == ("phone", accepted.id, 1)
        async with http.get(f"{mock.control_url}/sessions/{session['id']}/call") as response:
            facts = (await response.json())["facts"]
        assert (facts["came"], facts["sidebands"]) == (f"by phone, call {accepted.id}", "1, 1 of them open")
        for each in (accepted, waiting):
            async with http.delete(f"{mock.control_url}/calls/{each.id}") as response:
                assert response.status == 200
        assert (await ws.receive()).data == 1000
        assert [each.state for each in (accepted, waiting)] == ["over", "unanswered"]
        assert told.learned[-1] == "ended: hung up by the caller"
        async with http.delete(f"{mock.control_url}/calls/none") as response:
            assert response.status == 404

    story(tell)


def test_faults_strike_requests_and_a_socket_fault_ends_the_call_in_mid_answer() -> None:
    faults = [
        {"at": "POST /v1/realtime/calls/*/accept", "do": {"status": 503}, "times": 1},
        {"at": "response.output_audio_transcript.delta", "do": {"close": 1011}},
    ]

    async def tell(mock: MockServer, http: ClientSession) -> None:
        call = ring(mock)
        assert (await post(http, mock, f"{call.id}/accept", SESSION))[0] == 503
        assert (await post(http, mock, f"{call.id}/accept", SESSION))[0] == 200
        ws = await attach(http, mock, call.id)
        await ws.send_json({"type": "response.create"})
        while (message := await ws.receive()).type is WSMsgType.TEXT:
            assert message.json()["type"] != "response.done"
        assert (message.data, call.state) == (1011, "over")

    story(tell, faults=faults)


@pytest.mark.parametrize("by", ["reset", "silence"])
def test_sidebands_are_lost_while_the_call_goes_on(by: str) -> None:
    faults = [{"at": "response.created", "do": {"lose_sidebands": by}, "times": 1}]

    async def tell(mock: MockServer, http: ClientSession) -> None:
        call = ring(mock)
        await post(http, mock, f"{call.id}/accept", SESSION)
        ws = await attach(http, mock, call.id)
        await ws.send_json({"type": "response.create"})
        if by == "reset":
            assert (await ws.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        else:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(ws.receive(), 60)
        assert call.state == "open"
        async with await attach(http, mock, call.id) as again:
            await again.send_json({"type": "input_audio_buffer.clear"})
            assert (await until(again, "input_audio_buffer.cleared"))[-1]
        assert await post(http, mock, f"{call.id}/hangup") == (200, b"")

    story(tell, faults=faults)


def test_sidebands_are_bounded() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        call = ring(mock)
        await post(http, mock, f"{call.id}/accept", SESSION)
        sockets = [await attach(http, mock, call.id) for _ in range(MOST_CHANNELS)]
        ws = await attach(http, mock, call.id)
        assert (await ws.receive_json())["error"]["code"] == "rate_limit_exceeded"
        await sockets[0].close()
        async with await attach(http, mock, call.id) as ws:
            await ws.send_json({"type": "input_audio_buffer.clear"})
            assert (await ws.receive_json())["type"] == "input_audio_buffer.cleared"

    story(tell)


def test_a_namespace_that_ends_and_a_server_that_stops_end_their_calls() -> None:
    ends: list[tuple[Any, Any]] = []

    async def tell(mock: MockServer, http: ClientSession) -> None:
        lines, form = list[str](), Lines()
        service_of(mock).tell = lambda notice: lines.extend(form.of(notice, 0.0))
        async with mock.isolate() as own:
            theirs = ring(own)
            key = {"Authorization": f"Bearer {own.api_key}"}
            assert await post(http, own, f"{theirs.id}/accept", SESSION, key) == (200, b"")
            assert (await post(http, mock, f"{theirs.id}/hangup"))[0] == 404
            socket = await attach(http, own, theirs.id, key)
        ends.append(((await socket.receive()).data, theirs.state))
        assert f"call 1  accepted · ns-1/{theirs.id}" in lines
        call, waiting, told = ring(mock), ring(mock), Told()
        waiting.events = told
        await post(http, mock, f"{call.id}/accept", SESSION)
        ws = await attach(http, mock, call.id)

        message, _ = await asyncio.gather(ws.receive(), mock._server.stop())
        ends.append((message.data, call.state))
        ends.append((waiting.state, told.learned))

    story(tell)
    assert ends == [
        (1001, "over"),
        (1001, "over"),
        ("unanswered", ["ended: the server is stopping"]),
    ]


def test_a_call_of_a_fleet_has_the_number_of_its_session_in_the_log() -> None:
    async def tell(mock: MockServer, http: ClientSession) -> None:
        service, told = service_of(mock), list[Notice]()
        service.tell = told.append
        team = service.accounts.owner("sk-any")
        assert isinstance(team, Team)
        for number in (None, 6):
            service.calls.accept(ring(mock).id, Seat(team, number=number))
        assert [each.number for each in told if isinstance(each, CallOpened)] == [0, 7]

    story(tell)
