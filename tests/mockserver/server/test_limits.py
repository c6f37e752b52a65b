"""Limits as a client meets them, over real sockets and hours of virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, WSServerHandshakeError

from mockserver.protocol.limits import Limits
from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer

Ws = ClientWebSocketResponse[bool]
KEY = {"Authorization": "Bearer k"}
OPT_IN = {"type": "session.update", "session": {"resumption": {"enabled": True}}}


def story(tell: Callable[[MockServer, ClientSession], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        async with MockServer(**{"dialect": "xai@2026-07", "voice": "tone", **settings}) as mock, _client() as http:
            return await tell(mock, http)

    return autojump.run(main())


def _client() -> ClientSession:
    return ClientSession(connector=TCPConnector(limit=0))


def connect(mock: MockServer, http: ClientSession, conversation: str | None = None, key: str = "k") -> Any:
    query = "?model=gpt-realtime" if conversation is None else f"?conversation_id={conversation}"
    return http.ws_connect(mock.ws_url + query, headers={"Authorization": f"Bearer {key}"})


async def until(ws: Ws, type: str) -> Any:
    while (event := orjson.loads(await ws.receive_str()))["type"] != type:
        pass
    return event


async def say(ws: Ws, text: str) -> Any:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await ws.send_json({"type": "conversation.item.create", "item": item})
    await ws.send_json({"type": "response.create"})
    return await until(ws, "response.done")


async def begin(ws: Ws, *texts: str) -> str:
    """Opt in to resumption and say that; gives the conversation's id."""
    known: str = (await until(ws, "conversation.created"))["conversation"]["id"]
    await ws.send_json(OPT_IN)
    await until(ws, "session.updated")
    for text in texts:
        await say(ws, text)
    return known


async def recalled(ws: Ws) -> tuple[str, list[str]]:
    """Opt in again: the conversation's id, and what comes back of it."""
    known: str = (await until(ws, "conversation.created"))["conversation"]["id"]
    await ws.send_json(OPT_IN)
    texts = []
    while (event := orjson.loads(await ws.receive_str()))["type"] != "session.updated":
        if event["type"] == "conversation.item.added":
            texts.append(event["item"]["content"][0]["text"])
    return known, texts


async def last_words(ws: Ws) -> tuple[dict[str, Any], int, str]:
    """The error before the end, and the close frame."""
    error = (await until(ws, "error"))["error"]
    message = await ws.receive()
    assert message.type is WSMsgType.CLOSE
    return error, message.data, message.extra or ""


def test_a_call_of_two_hours_is_ended_with_an_error_and_a_close():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            await say(ws, "hello")
            await mock.advance(minutes=119)
            await say(ws, "still there?")
            await mock.advance(minutes=1)
            error, code, reason = await last_words(ws)
            assert (error["type"], error["code"], code) == ("max_duration", "max_duration", 1001)
            assert reason == error["message"] == "The session ended after 120 minutes, its maximum duration."
            assert asyncio.get_running_loop().time() == pytest.approx(7200, abs=5)

    story(tell)


def test_a_session_may_be_given_fewer_minutes_and_openai_tells_the_time_of_its_end():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            session = (await until(ws, "session.created"))["session"]
            assert session["expires_at"] == 1_767_225_600 + 90
            await mock.advance(seconds=90)
            error, code, reason = await last_words(ws)
            assert (error["code"], code) == ("session_expired", 1001)
            assert reason == "Your session hit the maximum duration of 1.5 minutes."

    story(tell, dialect="openai", limits=Limits(session_minutes=1.5))


@pytest.mark.parametrize(("dialect", "told"), [("xai", "timeout"), ("openai", "invalid_request_error")])
def test_whoever_says_nothing_for_too_long_is_hung_up_on_but_not_while_the_service_speaks(dialect: str, told: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            await mock.advance(seconds=50)
            await say(ws, "hello")
            spoken = asyncio.get_running_loop().time()
            error, code, _ = await last_words(ws)
            assert (error["type"], code) == (told, 1001)
            assert asyncio.get_running_loop().time() == pytest.approx(spoken + 60, abs=0.2)

    long = Scenario([Rule(Say("This goes on and on and on and on. " * 120))])
    story(tell, scenario=long, dialect=dialect, limits=Limits(idle_minutes=1))


def test_by_default_nobody_is_hung_up_on_for_being_silent():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            await mock.advance(minutes=119)
            await say(ws, "hello")

    story(tell)


def test_a_conversation_is_lost_thirty_minutes_after_its_connection():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            known = await begin(ws, "I am Ada.")
        await mock.advance(minutes=29)
        async with connect(mock, http, known) as ws:
            assert await recalled(ws) == (known, ["You said: I am Ada."])
        await mock.advance(minutes=29)  # counted anew from the end of that one
        async with connect(mock, http, known) as ws:
            assert await recalled(ws) == (known, ["You said: I am Ada."])
        await mock.advance(minutes=30)
        async with connect(mock, http, known) as ws:
            other, texts = await recalled(ws)
            assert other != known and texts == []

    story(tell)


def test_only_the_history_comes_back_and_the_settings_are_those_of_a_new_session():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            known = await begin(ws, "hello")
            await ws.send_json({"type": "session.update", "session": {"instructions": "Be brief.", "voice": "rex"}})
            fresh = (await until(ws, "session.updated"))["session"]
        await asyncio.sleep(1)
        async with connect(mock, http, known) as ws:
            created = (await until(ws, "session.created"))["session"]
            assert (created["instructions"], created["voice"]) == ("", "ara")
            await ws.send_json(OPT_IN)
            updated = (await until(ws, "session.updated"))["session"]
            assert (fresh["instructions"], updated["instructions"]) == ("Be brief.", "")

    story(tell)


def test_without_opting_in_again_the_id_is_kept_and_nothing_is_remembered():
    once = Scenario([Rule(Say("For the first time."), times=1), Rule(Say("Once more."))])

    async def tell(mock: MockServer, http: ClientSession) -> list[str]:
        async with connect(mock, http) as ws:
            known = await begin(ws, "hello")
        await asyncio.sleep(1)
        said = []
        for opts_in in (False, True):
            async with connect(mock, http, known) as ws:
                assert (await until(ws, "conversation.created"))["conversation"]["id"] == known
                if opts_in:
                    await ws.send_json(OPT_IN)
                done = await say(ws, "hello again")
                said.append(done["response"]["output"][0]["content"][0]["transcript"])
        return said

    assert story(tell, scenario=once) == ["For the first time.", "Once more."]


def test_who_is_back_too_soon_gets_a_stale_snapshot(caplog: pytest.LogCaptureFixture):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            known = await begin(ws, "first", "second")
        async with connect(mock, http, known) as soon:
            assert await recalled(soon) == (known, ["You said: first"])
        await asyncio.sleep(1)
        async with connect(mock, http, known) as later:
            assert (await recalled(later))[1] == ["You said: first"], "a conversation goes on from what was taken up"

    story(tell)
    assert "resumes from a stale snapshot" in caplog.text


def test_who_waits_a_moment_gets_it_all(caplog: pytest.LogCaptureFixture):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            known = await begin(ws, "first", "second")
            await asyncio.sleep(0.3)  # the recorded client's
            async with connect(mock, http, known) as again:
                assert await recalled(again) == (known, ["You said: first", "You said: second"])

    story(tell)
    assert "stale" not in caplog.text


def test_an_answer_that_a_lost_connection_cut_is_in_the_next_snapshot_only():
    slow = Scenario([Rule(Say("This goes on and on. " * 30), When(says="long")), Rule(Say("Yes."))])

    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with connect(mock, http) as ws:
            known = await begin(ws, "short")
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "long"}]}
            await ws.send_json({"type": "conversation.item.create", "item": item})
            await ws.send_json({"type": "response.create"})
            await until(ws, "response.output_audio_transcript.delta")
        async with connect(mock, http, known) as ws:
            assert (await recalled(ws))[1] == ["Yes."]

    story(tell, scenario=slow, limits=Limits(snapshot_ms=500))


def test_a_call_goes_on_although_its_secret_has_expired():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        address = mock.http_url + "/realtime/client_secrets"
        async with http.post(address, json={"expires_after": {"seconds": 60}}, headers=KEY) as response:
            secret = (await response.json())["value"]
        async with connect(mock, http, key=secret) as ws:
            await say(ws, "hello")
            await mock.advance(minutes=5)
            await say(ws, "still there?")
            with pytest.raises(WSServerHandshakeError) as refused:
                await connect(mock, http, key=secret)
            assert refused.value.status == 401

    story(tell, api_keys=["k"])


@pytest.mark.parametrize(("dialect", "most"), [("xai", 3600), ("openai", 7200)])
def test_a_secret_lasts_ten_minutes_unless_asked_and_no_longer_than_the_service_allows(dialect: str, most: int):
    async def tell(mock: MockServer, http: ClientSession) -> list[int]:
        lives = []
        for body in ({}, {"expires_after": {"seconds": most}}, {"expires_after": {"seconds": most + 1}}):
            async with http.post(mock.http_url + "/realtime/client_secrets", json=body, headers=KEY) as response:
                told = await response.json()
                lives.append(told["expires_at"] - 1_767_225_600 if response.status == 200 else response.status)
        return lives

    assert story(tell, dialect=dialect) == [600, most, 400]
    assert story(tell, dialect=dialect, limits=Limits(secret_seconds=30, secret_max_seconds=40)) == [30, 400, 400]


def test_a_hundred_calls_of_a_team_are_served_and_not_one_more():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        calls = [await connect(mock, http) for _ in range(100)]
        with pytest.raises(WSServerHandshakeError) as refused:
            await connect(mock, http)
        assert refused.value.status == 429
        async with connect(mock, http, key="another team") as ws:
            await until(ws, "ping")
        await asyncio.gather(*(call.close() for call in calls))

    story(tell)


def test_a_file_gives_each_team_its_own_limits(tmp_path: Any):
    file = tmp_path / "accounts.yaml"
    file.write_text(
        "limits: {session_minutes: 2}\nteams:\n"
        "  - {name: small, keys: [small-1, small-2], limits: {max_sessions: 1, session_minutes: 1}}\n"
        "  - {name: broke, keys: [broke], blocked: true}\n"
        "  - {name: busy, keys: [busy], limits: {requests_per_minute: 1}}\n"
    )

    async def refused(mock: MockServer, http: ClientSession, key: str) -> int:
        with pytest.raises(WSServerHandshakeError) as problem:
            await connect(mock, http, key=key)
        return problem.value.status

    async def tell(mock: MockServer, http: ClientSession) -> None:
        assert mock.api_key == "small-1"
        async with connect(mock, http, key="small-1") as small, connect(mock, http, key="busy") as busy:
            assert await refused(mock, http, "small-2") == 429
            assert await refused(mock, http, "busy") == 429
            assert await refused(mock, http, "broke") == 403
            assert await refused(mock, http, "unknown") == 401
            await mock.advance(minutes=1)
            assert (await last_words(small))[0]["type"] == "max_duration"
            await mock.advance(minutes=1)
            assert (await last_words(busy))[0]["message"].startswith("The session ended after 2 minutes")

    story(tell, accounts=file)
