"""OpenAI's way in: every upgrade is accepted, and what is wrong is said on the socket; client secrets; auto."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from yarl import URL

from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from tests.mockserver.talk import TONE, kinds

Story = Callable[[MockServer, ClientSession], Awaitable[Any]]
KEY = "sk-proj-0123456789abcdefghij"


def story(tell: Story, **settings: Any) -> Any:
    async def main() -> Any:
        async with MockServer(**{"voice": "tone", "dialect": "openai", **settings}) as mock, ClientSession() as http:
            return await tell(mock, http)

    return autojump.run(main())


async def first(ws: ClientWebSocketResponse[bool]) -> dict[str, Any]:
    event: dict[str, Any] = await ws.receive_json()
    return event


async def greeted(
    http: ClientSession, url: str, key: str | None = KEY, **options: Any
) -> tuple[dict[str, Any], int | None, str | None]:
    """The first event, and how the service closed; it had not when this closed first."""
    headers = {**({"Authorization": f"Bearer {key}"} if key else {}), **options.pop("headers", {})}
    async with http.ws_connect(url, headers=headers, **options) as ws:
        event = await first(ws)
        if event["type"] != "error":
            return event, None, ws.protocol
        message = await ws.receive()
        return event, message.data, message.extra


@pytest.mark.parametrize(
    ("query", "options", "close", "reason"),
    [
        ("?model=gpt-realtime", {"key": "sk-wrong-but-long-enough"}, 3000, "invalid_request_error.invalid_api_key"),
        ("?model=gpt-realtime", {"key": None}, 3000, "invalid_request_error"),
        ("", {}, 4000, "invalid_request_error.missing_model"),
        ("?model=gpt-5", {}, 4000, "invalid_request_error.invalid_model"),
        ("?model=gpt-4o-transcribe", {}, 4000, "invalid_request_error.invalid_model"),
        ("?model=gpt-realtime-whisper&intent=transcription", {}, 4000, "invalid_request_error.invalid_model"),
        (
            "?model=gpt-realtime",
            {"headers": {"OpenAI-Beta": "realtime=v1"}},
            4000,
            "invalid_request_error.beta_api_shape_disabled",
        ),
    ],
)
def test_a_refused_client_is_let_in_told_and_closed(query: str, options: Any, close: int, reason: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        event, code, said = await greeted(http, mock.ws_url + query, **options)
        assert (code, said) == (close, reason)
        error = event["error"]
        assert ".".join(filter(None, (error["type"], error["code"]))) == reason
        assert KEY not in error["message"] and "wrong-but" not in error["message"]

    story(tell, api_keys=[KEY])


@pytest.mark.parametrize("offered", [("realtime", f"openai-insecure-api-key.{KEY}", "openai-agents-sdk.0.20.0")])
def test_a_browser_brings_its_key_as_a_subprotocol(offered: tuple[str, ...]):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = f"{mock.ws_url}?model=gpt-realtime"
        event, _, protocol = await greeted(http, url, None, protocols=offered)
        assert (event["type"], protocol) == ("session.created", "realtime")

    story(tell, api_keys=[KEY])


def test_a_client_secret_brings_its_session_along():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        asked = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief.", "tools": [TOOL]}
        async with http.post(
            f"{mock.http_url}/realtime/client_secrets",
            json={"session": asked, "expires_after": {"anchor": "created_at", "seconds": 60}},
            headers={"Authorization": f"Bearer {KEY}"},
        ) as response:
            minted = await response.json()
        assert list(minted) == ["value", "expires_at", "session"]
        assert len(minted["value"]) == 35 and minted["value"].startswith("ek_")
        assert (minted["session"]["instructions"], minted["session"]["expires_at"]) == ("Be brief.", 0)
        assert minted["session"]["tools"][0]["description"] is None
        event, _, _ = await greeted(http, mock.ws_url, minted["value"])
        assert event["session"]["instructions"] == "Be brief."
        assert event["session"]["expires_at"] > 0

    story(tell, api_keys=[KEY])


TOOL = {"type": "function", "name": "look", "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"expires_after": {"seconds": 9}}, 400, "invalid_value"),
        ({"session": {"type": "realtime", "voice": "marin"}}, 400, "unknown_parameter"),
        ([], 400, "invalid_json"),
    ],
)
def test_a_bad_request_for_a_secret_is_refused_in_the_usual_body(body: Any, status: int, code: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = f"{mock.http_url}/realtime/client_secrets"
        async with http.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}) as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"]) == (status, code)
            assert list(error) == ["message", "type", "param", "code"]

    story(tell)


@pytest.mark.parametrize(
    ("query", "key", "protocols", "expected"),
    [
        ("?model=gpt-realtime", "k", (), "openai"),
        ("?model=grok-voice-latest", "k", (), "xai"),
        ("?model=grok-voice-latest", KEY, (), "xai"),
        ("", "xai-123", (), "xai"),
        ("?intent=transcription", "k", (), "openai"),
        ("?model=other", None, ("xai-client-secret.k",), "xai"),
    ],
)
def test_one_port_serves_both_services_by_what_a_client_brings(
    query: str, key: str | None, protocols: tuple[str, ...], expected: str
):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        event, _, _ = await greeted(http, mock.ws_url + query, key, protocols=protocols)
        assert event["type"] == "session.created"
        assert ("audio" in event["session"]) == (expected == "openai")

    story(tell, dialect="auto")


def test_a_transcription_session_hears_and_never_answers():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = f"{mock.ws_url}?intent=transcription"
        async with http.ws_connect(url, headers={"Authorization": f"Bearer {KEY}"}) as ws:
            session = (await first(ws))["session"]
            assert list(session) == ["type", "object", "id", "expires_at", "audio", "include"]
            assert list(session["audio"]["input"]["turn_detection"]) == [
                "type",
                "threshold",
                "prefix_padding_ms",
                "silence_duration_ms",
            ]
            await ws.send_json({"type": "response.create"})
            assert (await first(ws))["error"]["code"] == "invalid_parameter"
            streaming = {"transcription": {"model": "gpt-realtime-whisper"}}
            await ws.send_json({"type": "session.update", "session": {"type": "realtime", "instructions": None}})
            assert (await first(ws))["error"]["code"] == "invalid_parameter"
            by_hand = {**streaming, "turn_detection": None}
            detected = {**streaming, "turn_detection": {"type": "server_vad"}}
            updated = "session.updated"
            for asked, answered in ((detected, "error"), (by_hand, updated), (streaming, updated)):
                session = {"type": "transcription", "audio": {"input": asked}}
                await ws.send_json({"type": "session.update", "session": session})
                assert (await first(ws))["type"] == answered
            heard = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": {"type": "server_vad"}}
            await ws.send_json(
                {"type": "session.update", "session": {"type": "transcription", "audio": {"input": heard}}}
            )
            assert (await first(ws))["session"]["audio"]["input"]["transcription"]["language"] is None
            sound = np.concatenate([TONE.speak("Hello there, how are you?").samples, np.zeros(12_000, np.int16)])
            audio = b64encode(sound.astype("<i2").tobytes()).decode()
            await ws.send_json({"type": "input_audio_buffer.append", "audio": audio})
            events = [await first(ws)]
            while not events[-1]["type"].endswith("completed"):
                events.append(await first(ws))
            assert kinds(events)[2:] == [
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "conversation.item.input_audio_transcription.delta",
                "conversation.item.input_audio_transcription.completed",
            ]
            assert events[-1]["usage"]["type"] == "tokens"

    story(tell)


def test_a_session_is_pinged_and_ends_after_an_hour():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = f"{mock.ws_url}?model=gpt-realtime"
        async with http.ws_connect(url, headers={"Authorization": f"Bearer {KEY}"}, autoping=False) as ws:
            await first(ws)
            await mock.advance(seconds=21)
            ping = await ws.receive()
            assert (ping.type, len(ping.data)) == (WSMsgType.PING, 4)
        async with http.ws_connect(url, headers={"Authorization": f"Bearer {KEY}"}) as ws:
            await first(ws)
            await mock.advance(minutes=60, seconds=1)
            assert (await first(ws))["error"]["code"] == "session_expired"
            closed = await ws.receive()
            assert (closed.data, closed.extra) == (1001, "Your session hit the maximum duration of 60 minutes.")

    story(tell, clock="manual")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/realtime", 426),
        ("POST", "/v1/realtime/translations/client_secrets", 501),
        ("POST", "/v1/realtime/sessions", 404),
        ("POST", "/v1/chat/completions", 404),
        ("GET", "/v1/a%0Ab", 404),
    ],
)
def test_what_is_not_served_says_so_in_the_service_s_body_and_in_the_log(
    method: str, path: str, status: int, caplog: pytest.LogCaptureFixture
):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = URL(mock.http_url.removesuffix("/v1") + path, encoded=True)
        async with http.request(method, url, data=b"v=0" if method == "POST" else None) as response:
            assert response.status == status
            assert list((await response.json())["error"]) == ["message", "type", "param", "code"]

    story(tell)
    (told,) = caplog.messages
    assert "This mock serves ws://" in told and "\n" not in told


def test_whoever_asks_for_an_unknown_call_reads_in_the_log_which_there_are(caplog: pytest.LogCaptureFixture):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        with pytest.raises(WSServerHandshakeError) as refused:
            await greeted(http, mock.ws_url + "?call_id=rtc_1")
        assert refused.value.status == 404

    story(tell)
    assert "rtc_1" in caplog.text and "GET /_mock/calls" in caplog.text


@pytest.mark.parametrize(
    ("body", "begins"),
    [
        ({"session": {"type": "realtime", "model": "gpt-realtime"}}, "ek_"),
        ({"session": {"model": "grok-voice-latest"}}, "xai-realtime-client-secret-"),
        ({}, "xai-realtime-client-secret-"),
        ({"session": "gpt-realtime"}, None),
    ],
)
def test_with_an_open_dialect_the_model_in_the_body_chooses_who_makes_the_secret(body: object, begins: str | None):
    async def tell() -> None:
        async with MockServer(dialect="auto") as mock, ClientSession() as http:
            url, headers = f"{mock.http_url}/realtime/client_secrets", {"Authorization": "Bearer any"}
            async with http.post(url, json=body, headers=headers) as response:
                answer = await response.json()
            assert (begins is None) is (response.status != 200)
            assert begins is None or answer["value"].startswith(begins)

    asyncio.run(tell())
