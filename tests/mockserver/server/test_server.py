from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from mockserver.server import causes
from mockserver.server import virtual_time as autojump
from mockserver.server.options import Options
from mockserver.session import session
from mockserver.testing.mock_server import MockServer

Story = Callable[[MockServer, ClientSession], Awaitable[Any]]


def story(tell: Story, **settings: Any) -> Any:
    async def main() -> Any:
        async with (
            MockServer(**{"dialect": "xai@2026-07", "voice": "tone", **settings}) as mock,
            ClientSession() as http,
        ):
            return await tell(mock, http)

    return autojump.run(main())


def bearer(key: str = "k") -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def event(ws: ClientWebSocketResponse[bool]) -> dict[str, Any]:
    parsed = orjson.loads(await ws.receive_str())
    assert isinstance(parsed, dict)
    return parsed


async def until(ws: ClientWebSocketResponse[bool], type: str) -> dict[str, Any]:
    while (got := await event(ws))["type"] != type:
        pass
    return got


async def typed_turn(ws: ClientWebSocketResponse[bool], text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    await ws.send_json(
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    )
    await ws.send_json({"type": "response.create"})
    return await until(ws, "response.done")


async def refused(http: ClientSession, url: str, **kwargs: Any) -> tuple[int, dict[str, Any], Any]:
    """A handshake that must fail: status, body and headers, by a plain request with the upgrade's headers."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        **kwargs.pop("headers", {}),
    }
    async with http.get(url.replace("ws://", "http://"), headers=headers, **kwargs) as response:
        return response.status, orjson.loads(await response.read()), response.headers


def test_a_turn_over_a_real_socket_arrives_in_the_recorded_rhythm():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url + "?model=grok-voice-latest", headers=bearer()) as ws:
            greeting = [(await event(ws))["type"] for _ in range(3)]
            assert greeting == ["session.created", "conversation.created", "ping"]
            done = await typed_turn(ws, "hello")
            assert done["response"]["status"] == "completed"
            assert asyncio.get_running_loop().time() > 0.5
        (log,) = mock.sessions
        assert [sent["type"] for sent in log.received()] == ["conversation.item.create", "response.create"]
        assert log.sent("response.done") == [done]
        assert mock.ledger.text_items == 1

    story(tell)


def test_the_same_seed_and_traffic_give_the_same_bytes():
    async def tell(mock: MockServer, http: ClientSession) -> list[object]:
        for _ in range(2):
            async with http.ws_connect(mock.ws_url, headers=bearer()) as ws:
                await typed_turn(ws, "hello")
        return [entry.data for entry in mock.journal if entry.way == "out"]

    first, again, other = story(tell), story(tell), story(tell, seed=1)
    assert first == again
    assert first != other
    assert len(set(map(repr, first))) == len(first), "two sessions of one seed must not share ids"


def test_no_key_is_401_and_a_wrong_one_is_told_by_the_date():
    async def tell(mock: MockServer, http: ClientSession) -> list[int]:
        statuses = []
        for headers in ({}, bearer("sk-wrong-key")):
            status, body, _ = await refused(http, mock.ws_url, headers=headers)
            assert set(body) == {"code", "error"}
            assert "sk-wrong-key" not in str(body)
            statuses.append(status)
        return statuses

    assert story(tell, api_keys=["right"], dialect="xai@2026-07") == [401, 401]
    assert story(tell, api_keys=["right"], dialect="xai@2026-09") == [401, 400]


def test_a_key_in_the_query_is_no_key():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        assert (await refused(http, mock.ws_url + "?api_key=right&authorization=right"))[0] == 401

    story(tell, api_keys=["right"])


def test_a_team_without_credits_is_refused_everywhere():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        assert (await refused(http, mock.ws_url, headers=bearer("broke")))[0] == 403
        async with http.post(mock.http_url + "/realtime/client_secrets", headers=bearer("broke")) as response:
            assert response.status == 403

    story(tell, blocked_keys=["broke"])


def test_too_many_sessions_are_turned_away_until_one_ends():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=bearer()) as ws:
            await event(ws)
            status, _, headers = await refused(http, mock.ws_url, headers=bearer())
            assert (status, headers["Retry-After"]) == (429, "1")
            async with http.ws_connect(mock.ws_url, headers=bearer("another team")) as other:
                await event(other)
        async with http.ws_connect(mock.ws_url, headers=bearer()) as ws:
            await event(ws)

    story(tell, max_sessions=1)


def test_too_many_requests_are_told_when_to_come_back():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        for _ in range(2):
            async with http.ws_connect(mock.ws_url, headers=bearer()):
                await asyncio.sleep(10)
        status, _, headers = await refused(http, mock.ws_url, headers=bearer())
        assert (status, headers["Retry-After"]) == (429, "40")
        await asyncio.sleep(40)
        async with http.ws_connect(mock.ws_url, headers=bearer()):
            pass

    story(tell, requests_per_minute=2)


def test_a_secret_opens_a_socket_as_a_header_and_as_a_browser_s_subprotocol_until_it_expires():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        address = mock.http_url + "/realtime/client_secrets"
        async with http.post(address, json={"expires_after": {"seconds": 60}}, headers=bearer("right")) as response:
            answer = await response.json()
        assert set(answer) == {"value", "expires_at"}
        assert answer["expires_at"] == autojump.EPOCH + 60
        assert answer["value"].startswith("xai-realtime-client-secret-")
        async with http.ws_connect(mock.ws_url, headers=bearer(answer["value"])) as ws:
            await event(ws)
        offered = f"xai-client-secret.{answer['value']}"
        async with http.ws_connect(mock.ws_url, protocols=["realtime", offered]) as ws:
            assert ws.protocol == offered
        async with http.post(address, headers=bearer(answer["value"])) as response:
            assert response.status == 401
        await asyncio.sleep(60)
        assert (await refused(http, mock.ws_url, headers=bearer(answer["value"])))[0] == 401

    story(tell, api_keys=["right"])


def test_a_subprotocol_that_is_not_taken_is_not_logged_either(caplog: pytest.LogCaptureFixture):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        protocols = ["openai-insecure-api-key.sk-hush"]
        async with http.ws_connect(mock.ws_url, protocols=protocols, headers=bearer()) as ws:
            assert ws.protocol is None

    with caplog.at_level(logging.DEBUG):
        story(tell)
    assert "sk-hush" not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/realtime", 426),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/realtime/calls", 404),
        ("GET", "/v1/realtime/voices", 403),
        ("GET", "/v1/tts/voices", 501),
        ("GET", "/", 404),
        ("POST", "/v1/realtime", 405),
        ("GET", "/v1/realtime/client_secrets", 405),
        ("POST", "/v1/realtime/client_secrets", 401),
    ],
)
def test_other_requests_are_refused_in_two_flat_strings(method: str, path: str, status: int):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.request(method, mock.http_url.removesuffix("/v1") + path) as response:
            body = await response.json()
            assert response.status == status
            assert set(body) == {"code", "error"}
            assert all(isinstance(text, str) for text in body.values())

    story(tell)


def test_an_unknown_call_cannot_be_joined_and_with_an_ephemeral_token_none_can(caplog: pytest.LogCaptureFixture):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.post(mock.http_url + "/realtime/client_secrets", headers=bearer()) as response:
            token = (await response.json())["value"]
        for key, expected in (("k", 404), (token, 403)):
            status, body, _ = await refused(http, mock.ws_url + "?call_id=c-1", headers=bearer(key))
            assert (status, set(body)) == (expected, {"code", "error"})
            assert token not in str(body)

    story(tell)
    assert caplog.text.count("GET /_mock/calls") == 1


def test_a_key_of_arbitrary_bytes_is_just_a_wrong_key():
    async def tell(mock: MockServer, http: ClientSession) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(mock.http_url.split(":")[2].split("/")[0]))
        writer.write(b"GET /v1/realtime?model=%FF HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Authorization: Bearer \xff\xfe\r\n\r\n")
        status = await reader.readline()
        writer.close()
        await writer.wait_closed()
        return status

    assert b" 401 " in story(tell, api_keys=["right"])


def test_a_malformed_upgrade_is_refused_and_gives_its_seat_back():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        for _ in range(2):
            status, body, _ = await refused(http, mock.ws_url, headers={**bearer(), "Sec-WebSocket-Version": "1"})
            assert (status, set(body)) == (400, {"code", "error"})
        async with http.ws_connect(mock.ws_url, headers=bearer()):
            assert len(mock.sessions) == 1

    story(tell, max_sessions=1)


def test_a_body_too_large_is_refused():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        address = mock.http_url + "/realtime/client_secrets"
        async with http.post(address, data=BytesIO(b" " * (5 << 20)), headers=bearer()) as response:
            assert response.status == 413
            assert set(await response.json()) == {"code", "error"}
        assert [each.cause for _, each in mock._service.refusals] == [causes.LARGE]

    story(tell)


async def opted_in(ws: ClientWebSocketResponse[bool]) -> None:
    await ws.send_json({"type": "session.update", "session": {"resumption": {"enabled": True}}})
    await until(ws, "session.updated")


def test_a_lost_conversation_is_taken_up_again_by_its_own_team_within_half_an_hour():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=bearer()) as ws:
            known = (await until(ws, "conversation.created"))["conversation"]["id"]
            await opted_in(ws)
            await typed_turn(ws, "remember me")
        address = f"{mock.ws_url}?conversation_id={known}"

        async def conversation(key: str) -> str:
            async with http.ws_connect(address, headers=bearer(key)) as ws:
                return str((await until(ws, "conversation.created"))["conversation"]["id"])

        await asyncio.sleep(29 * 60)
        async with http.ws_connect(address, headers=bearer()) as ws:
            assert (await until(ws, "conversation.created"))["conversation"]["id"] == known
            await ws.send_json({"type": "session.update", "session": {"resumption": {"enabled": True}}})
            item = (await until(ws, "conversation.item.added"))["item"]
            assert item["role"] == "assistant"
        assert await conversation("another team") != known
        await asyncio.sleep(31 * 60)
        assert await conversation("k") != known

    story(tell)


def test_a_conversation_can_be_taken_up_before_the_server_knows_that_it_was_lost():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=bearer()) as ws:
            known = (await until(ws, "conversation.created"))["conversation"]["id"]
            await opted_in(ws)
            await typed_turn(ws, "remember me")
            async with http.ws_connect(f"{mock.ws_url}?conversation_id={known}", headers=bearer()) as again:
                assert (await until(again, "conversation.created"))["conversation"]["id"] == known

    story(tell)


def test_without_opting_in_nothing_is_remembered():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=bearer()) as ws:
            known = (await until(ws, "conversation.created"))["conversation"]["id"]
        async with http.ws_connect(f"{mock.ws_url}?conversation_id={known}", headers=bearer()) as ws:
            assert (await until(ws, "conversation.created"))["conversation"]["id"] != known

    story(tell)


def test_an_error_while_a_session_is_made_is_a_500_without_detail_and_is_raised_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
):
    def broken(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("a secret of the implementation")

    monkeypatch.setattr(session.Session, "__init__", broken)

    async def tell(mock: MockServer, http: ClientSession) -> None:
        with pytest.raises(WSServerHandshakeError) as refusal:
            await http.ws_connect(mock.ws_url, headers=bearer())
        assert refusal.value.status == 500
        assert "secret" not in str(refusal.value)

    with pytest.raises(ZeroDivisionError):
        story(tell)


@pytest.mark.parametrize(
    ("settings", "advice"),
    [
        ({"dialect": "klingon"}, "known are xai"),
        ({"pacing": "slow"}, "use live, realtime, burst"),
        ({"api_keys": ("",)}, "empty"),
    ],
)
def test_an_unknown_setting_is_refused_with_what_is_known(settings: dict[str, Any], advice: str):
    with pytest.raises(ValueError, match=advice):
        Options(**settings)
