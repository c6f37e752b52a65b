from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from mockserver.responders.base import Call, Say
from mockserver.responders.scenario import Rule, Scenario
from mockserver.server import virtual_time as autojump
from mockserver.server import waiting
from mockserver.testing.mock_server import MockServer
from replay.outlets import held
from replay.secrets.named import Secrets
from tests.mockserver.server.described import check_answer

KEY = {"Authorization": "Bearer sk-hush"}
SCENARIO = {"turns": [{"reply": [{"say": "From the new scenario."}]}]}


def story(tell: Callable[[MockServer, ClientSession], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        async with (
            MockServer(**{"dialect": "xai@2026-07", "voice": "tone", **settings}) as mock,
            ClientSession() as http,
        ):
            return await tell(mock, http)

    return autojump.run(main())


async def ask(http: ClientSession, mock: MockServer, path: str, method: str = "GET", **kwargs: Any) -> tuple[int, Any]:
    """The status and the value of an answer, which is as it is described."""
    async with http.request(method, mock.control_url + path, **kwargs) as response:
        body = await response.json()
    check_answer(method, str(response.url), response.status, body)
    return response.status, body


async def turn(ws: ClientWebSocketResponse[bool], text: str = "hello") -> str:
    """A typed turn; what the service said to it."""
    content = [{"type": "input_text", "text": text}]
    await ws.send_json(
        {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}
    )
    await ws.send_json({"type": "response.create"})
    said = ""
    while (event := await ws.receive_json())["type"] != "response.done":
        if event["type"] == "response.output_audio_transcript.delta":
            said += event["delta"]
    return said


def test_what_happened_can_be_looked_at_from_outside():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        for _ in range(2):
            async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                await turn(ws)
        status, health = await ask(http, mock, "/health")
        assert (status, health["status"], health["open_sessions"]) == (200, "ok", 0)
        _, (first, second) = await ask(http, mock, "/sessions")
        assert (first["open"], first["close_code"]) == (False, 1000)
        _, alone = await ask(http, mock, f"/sessions/{first['id']}")
        assert {key: alone[key] for key in first} == first
        _, journal = await ask(http, mock, "/journal", params={"session": second["id"]})
        assert all(set(entry) == {"at", "way", "type", "frame"} for entry in journal)
        assert [e["type"] for e in journal if e["way"] == "in"] == [
            "conversation.item.create",
            "response.create",
            "close",
        ]
        _, everything = await ask(http, mock, "/journal")
        assert {entry["session"] for entry in everything} == {first["id"], second["id"]}
        assert "sk-hush" not in str([health, first, everything])
        _, bill = await ask(http, mock, "/ledger", params={"session": first["id"]})
        _, total = await ask(http, mock, "/ledger")
        assert (bill["text_items"], total["text_items"], total["sessions"]) == (1, 2, 2)
        assert total["usd"] == str(mock.ledger.total_usd)

    story(tell)


def test_audio_is_short_in_the_journal_unless_asked_for():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)

        async def longest(**params: str) -> int:
            _, journal = await ask(http, mock, "/journal", params=params)
            deltas = [entry["frame"]["delta"] for entry in journal if entry["type"] == "response.output_audio.delta"]
            return max(map(len, deltas))

        assert await longest() < 100 < 1000 < await longest(audio="full")

    story(tell)


@pytest.mark.parametrize("path", ["/sessions/nobody", "/journal?session=nobody", "/ledger?session=nobody"])
def test_an_unknown_session_is_not_found(path: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, body = await ask(http, mock, path)
        assert (status, list(body)) == (404, ["error"])

    story(tell)


def test_a_new_scenario_answers_new_connections_and_leaves_the_open_ones_theirs():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as old:
            assert (await ask(http, mock, "/scenario", "PUT", json=SCENARIO))[0] == 200
            async with http.ws_connect(mock.ws_url, headers=KEY) as new:
                assert await turn(new) == "From the new scenario."
            assert await turn(old, "anyone?") == "You said: anyone?"

    story(tell)


@pytest.mark.parametrize("body", [b"turns: [{reply: [{shout: x}]}]", b"{", b"\xff", b""])
def test_a_bad_scenario_is_refused_with_the_reason_and_changes_nothing(body: bytes):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, answer = await ask(http, mock, "/scenario", "PUT", data=body)
        assert status == 400
        assert answer["error"]
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            assert await turn(ws) == "You said: hello"

    story(tell)


def test_a_reset_forgets_the_sessions():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
        assert (await ask(http, mock, "/reset", "POST"))[0] == 200
        assert (await ask(http, mock, "/sessions"))[1] == []
        assert (await ask(http, mock, "/ledger"))[1]["sessions"] == 0

    story(tell)


def test_a_manual_clock_moves_when_told_and_everything_on_the_way_happens():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            content = [{"type": "input_text", "text": "hello"}]
            item = {"type": "message", "role": "user", "content": content}
            await ws.send_json({"type": "conversation.item.create", "item": item})
            await ws.send_json({"type": "response.create"})
            while (await ws.receive_json())["type"] != "response.content_part.added":
                pass
            assert mock.sessions[0].sent("response.done") == []
            status, now = await ask(http, mock, "/clock/advance", "POST", json={"ms": 60_000})
            assert (status, now) == (200, {"now": 60, "unix": autojump.EPOCH + 60})
            while (await ws.receive_json())["type"] != "response.done":
                pass
            done = mock.sessions[0].entries[-1]
            assert 0.5 < done.at < 5, "it happened at its own time, not at the end of the push"

    story(tell, clock="manual")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"ms": -1}', b'{"ms": "5"}', b'{"ms": true}', b'{"ms": 1e300}', b"[5]"])
def test_a_push_must_say_how_far(body: bytes):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, answer = await ask(http, mock, "/clock/advance", "POST", data=body)
        assert status == 400
        assert '{"ms": N}' in answer["error"]

    story(tell, clock="manual")


def test_a_clock_that_runs_by_itself_is_not_moved():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, answer = await ask(http, mock, "/clock/advance", "POST", json={"ms": 1})
        assert status == 409
        assert "--clock manual" in answer["error"]

    story(tell)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8765"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "127.0.0.1.example:80"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
)
def test_a_web_page_of_another_name_cannot_use_the_control_plane(headers: dict[str, str], status: int):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        assert (await ask(http, mock, "/health", headers=headers))[0] == status

    story(tell)


def test_with_an_admin_token_everybody_needs_it_and_nothing_else():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        assert (await ask(http, mock, "/sessions"))[0] == 403
        for given, status in [("Bearer wrong", 403), ("t-1", 403), ("Bearer t-1", 200), ("Bearer ü", 403)]:
            assert (await ask(http, mock, "/sessions", headers={"Authorization": given}))[0] == status
        afar = {"Authorization": "Bearer t-1", "Host": "mock.example"}
        assert (await ask(http, mock, "/sessions", headers=afar))[0] == 200

    story(tell, admin_token="t-1")


def test_a_client_waits_for_the_next_frame_of_a_type():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async def talk() -> None:
            await asyncio.sleep(1)
            await turn(ws, "second")
            await ws.close()

        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws, "first")
            (created, ended), _ = await asyncio.gather(
                asyncio.gather(
                    ask(http, mock, "/wait", params={"type": "conversation.item.create", "way": "in"}),
                    ask(http, mock, "/wait", params={"type": "close"}),
                ),
                talk(),
            )
        assert created[0] == ended[0] == 200
        assert "second" in str(created[1]["frame"])
        assert (created[1]["session"], created[1]["way"]) == (mock.sessions[0].id, "in")
        assert ended[1]["frame"]["code"] == 1000

    story(tell)


def test_a_client_waits_for_the_nth_frame_that_may_have_come_already():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async def done(nth: int, **params: str) -> str:
            _, frame = await ask(http, mock, "/wait", params={"type": "response.done", "nth": str(nth), **params})
            return str(frame["session"])

        async def talk() -> list[str]:
            async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                await turn(ws)
                async with http.ws_connect(mock.ws_url, headers=KEY) as other:
                    await turn(other)
                    _, second = mock.sessions
                    came = [await done(1), await done(2), await done(1, session=second.id)]
                    await turn(ws)
            return came

        third, came = await asyncio.gather(done(3), talk())
        first, second = (log.id for log in mock.sessions)
        assert ([*came], third) == ([first, second, second], first)

    story(tell)


def test_a_wait_ends_with_what_came_instead():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, answer = await ask(http, mock, "/wait", params={"type": "response.done", "ms": "10"})
        assert (status, answer["error"]) == (408, "no response.done came within 10 ms; no frame came at all")
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
        status, answer = await ask(http, mock, "/wait", params={"type": "response.d*", "way": "in", "ms": "10"})
        assert status == 408
        assert "response.create 1x" in answer["error"]

    story(tell)


def test_a_wait_names_no_half_of_a_secret():
    secret = "-".join(["plainword"] * 9)

    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await ws.send_json({"type": secret})
            await turn(ws)
        _, answer = await ask(http, mock, "/wait", params={"type": "nothing", "ms": "10"})
        assert "<scrubbed:key> 1x" in answer["error"] and "plainword" not in answer["error"]

    with held(Secrets((secret,))):
        story(tell)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "type=response.done"),
        ({"type": "x", "way": "up"}, "way must be in or out"),
        ({"type": "x", "ms": "60001"}, "from 0 to 60000"),
        ({"type": "x", "ms": "²"}, "from 0 to 60000"),
        ({"type": "x", "nth": "0"}, "from 1"),
        ({"type": "x", "nth": "last"}, "from 1"),
    ],
)
def test_a_wait_for_nothing_is_refused(params: dict[str, str], said: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, answer = await ask(http, mock, "/wait", params=params)
        assert status == 400
        assert said in answer["error"]

    story(tell)


def test_the_requests_that_wait_are_bounded_and_end_with_their_namespace(monkeypatch: pytest.MonkeyPatch):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with mock.isolate() as own:

            async def one_more_and_end() -> int:
                await asyncio.sleep(1)
                status, _ = await ask(http, own, "/wait", params={"type": "x"})
                await ask(http, own, "", "DELETE")
                return status

            waits = [ask(http, own, "/wait", params={"type": "x"}) for _ in range(2)]
            ended, refused = await asyncio.gather(asyncio.gather(*waits), one_more_and_end())
            assert ([status for status, _ in ended], refused) == ([408, 408], 429)

    monkeypatch.setattr(waiting, "MOST", 2)
    story(tell)


def test_findings_are_chosen_by_level_and_session():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        for _ in range(2):
            async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                await turn(ws)
                await ws.send_json({"type": "response.create"})  # gets a call, to which nothing is said
                while (await ws.receive_json())["type"] != "response.done":
                    pass
        _, found = await ask(http, mock, "/findings")
        levels = {each["level"] for each in found}
        assert levels == {"warn", "error"}
        for level in levels:
            _, chosen = await ask(http, mock, "/findings", params={"level": level, "session": mock.sessions[0].id})
            own = [each for each in found if each["session"] == mock.sessions[0].id]
            assert chosen == [each for each in own if each["level"] == level]
            assert chosen
        status, answer = await ask(http, mock, "/findings", params={"level": "fatal"})
        assert (status, "warn" in answer["error"]) == (400, True)

    scenario = Scenario(sequence=[Say("Hello."), Call("look_up")])
    story(tell, scenario=scenario, findings={"undeclared-call": "warn", "all": "error"})


def test_refused_handshakes_are_listed_with_their_likely_cause():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        for headers in ({}, {"Authorization": "Bearer xai-wrong"}):
            with pytest.raises(WSServerHandshakeError):
                await http.ws_connect(f"{mock.ws_url}?model=a-secret", headers=headers)
        async with http.get(f"{mock.http_url}/models") as response:
            assert response.status == 404
        _, (no_key, wrong, other) = await ask(http, mock, "/refusals")
        assert (no_key["status"], no_key["method"], no_key["path"]) == (401, "GET", "/v1/realtime")
        assert "Authorization: Bearer KEY" in no_key["cause"]
        assert "--api-key" in wrong["cause"]
        assert (other["status"], other["path"], other["error"]) == (404, "/v1/models", "")
        assert "secret" not in str([no_key, wrong, other])
        await ask(http, mock, "/reset", "POST")
        assert (await ask(http, mock, "/refusals"))[1] == []

    story(tell, api_keys=["xai-right"])


def test_the_scenario_is_shown_and_removed():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        nothing = {"plays": "echo", "name": "", "verbatim": False, "scenario": None}
        assert (await ask(http, mock, "/scenario"))[1] == nothing
        await ask(http, mock, "/scenario", "PUT", json={"name": "new", **SCENARIO})
        _, shown = await ask(http, mock, "/scenario")
        assert shown == {**nothing, "plays": "scenario", "name": "new", "scenario": {"name": "new", **SCENARIO}}
        assert (await ask(http, mock, "/scenario", "DELETE"))[0] == 200
        assert (await ask(http, mock, "/scenario"))[1] == nothing
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            assert await turn(ws) == "You said: hello"

    story(tell)


def test_a_recording_is_shown_and_its_deviations_reported():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        _, shown = await ask(http, mock, "/scenario")
        assert (shown["plays"], shown["verbatim"], shown["scenario"]) == ("cassette", True, None)
        assert shown["name"] == "version-1.tape"
        _, lines = await ask(http, mock, "/report")
        assert lines == mock.report
        assert lines

    story(tell, cassette=Path(__file__).parents[2] / "replay" / "version-1.tape", verbatim=True)


def test_a_reset_to_the_start_brings_back_its_scenario_and_faults():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        await ask(http, mock, "/scenario", "PUT", json=SCENARIO)
        await ask(http, mock, "/faults", "DELETE")
        await ask(http, mock, "/reset", "POST")
        assert (await ask(http, mock, "/scenario"))[1]["scenario"] == SCENARIO
        assert mock.faults == []
        assert (await ask(http, mock, "/reset", "POST", json={"to": "start"}))[0] == 200
        assert (await ask(http, mock, "/scenario"))[1]["name"] == "first"
        with pytest.raises(WSServerHandshakeError):
            await http.ws_connect(mock.ws_url, headers=KEY)
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            assert await turn(ws) == "As at the start."
        assert (await ask(http, mock, "/unused"))[1] == []
        for body in (b"{", b'{"to": "end"}', b"[]"):
            assert (await ask(http, mock, "/reset", "POST", data=body))[0] == 400

    scenario = Scenario([Rule(Say("As at the start."))], name="first")
    story(tell, scenario=scenario, faults=[{"at": "handshake", "do": {"status": 503}, "times": 1}])


def test_no_key_is_in_what_the_control_plane_shows_of_requests_and_scenarios():
    key = "sk-proj-0123456789abcdefghijABCDEFGHIJ"

    async def tell(mock: MockServer, http: ClientSession) -> None:
        await ask(http, mock, "/scenario", "PUT", json={"turns": [{"reply": [{"say": f"The key is {key}."}]}]})
        async with http.get(f"{mock.http_url}/{key}/models") as response:
            assert response.status == 404
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await ws.send_json({"type": key})
            await turn(ws)
        _, waited = await ask(http, mock, "/wait", params={"type": "response.done", "ms": "0"})
        shown = [waited] + [(await ask(http, mock, path))[1] for path in ("/scenario", "/refusals", "/sessions")]
        assert "response.create 1x" in waited["error"]
        assert len(shown[2]) == 1
        assert key not in str(shown)

    story(tell)
