from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
import time
from pathlib import Path

import pytest
from aiohttp import ClientSession, WSMsgType
from websockets.sync.client import connect

from mockserver.audio.tts import espeak
from mockserver.responders.base import Say
from mockserver.responders.scenario import Scenario, ScenarioError
from mockserver.server import virtual_time as autojump
from mockserver.server.service import MockService
from mockserver.session import session
from mockserver.testing.loop_thread import LoopThread
from mockserver.testing.mock_server import ANY_KEY, MockServer

KEY = {"Authorization": "Bearer k"}


async def first_word(mock: MockServer) -> str:
    async with ClientSession() as http, http.ws_connect(mock.ws_url, headers=KEY) as ws:
        await ws.send_json({"type": "response.create"})
        while (event := await ws.receive_json())["type"] != "response.output_audio_transcript.delta":
            pass
        return str(event["delta"])


@pytest.mark.parametrize("kind", [str, Path, Scenario.load])
def test_a_scenario_is_given_as_it_is_or_by_its_file(kind: type, tmp_path: Path):
    file = tmp_path / "hello.yaml"
    file.write_text("turns: [{reply: [{say: Welcome.}]}]", encoding="utf-8")

    async def main() -> str:
        async with MockServer(kind(file), voice="tone") as mock:
            return await first_word(mock)

    assert autojump.run(main()) == "Welcome."


def test_a_missing_scenario_file_is_told_at_once(tmp_path: Path):
    with pytest.raises(ScenarioError, match="nowhere"):
        MockServer(tmp_path / "nowhere.yaml")


def test_each_connection_begins_the_scenario_anew():
    async def main() -> list[str]:
        async with MockServer(Scenario(sequence=[Say("First."), Say("Second.")]), voice="tone") as mock:
            return [await first_word(mock) for _ in range(2)]

    assert autojump.run(main()) == ["First.", "First."]


def test_a_mock_in_its_thread_answers_while_a_test_freezes_the_clock(monkeypatch: pytest.MonkeyPatch):
    with MockServer(Scenario(sequence=[Say("Welcome.")])) as mock:
        still = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: still)
        with connect(mock.ws_url, additional_headers=KEY, proxy=None) as ws:
            ws.send('{"type": "response.create"}')
            while json.loads(ws.recv(timeout=20))["type"] != "response.done":
                pass
        monkeypatch.undo()


def test_addresses_and_keys_are_ready_for_any_client():
    async def main() -> None:
        async with MockServer(api_keys=["one", "two"]) as mock:
            assert mock.ws_url.startswith("ws://127.0.0.1:")
            assert mock.ws_url.endswith("/v1/realtime")
            assert mock.http_url == mock.ws_url.replace("ws:", "http:").removesuffix("/realtime")
            assert mock.api_key == "one"
        assert MockServer().api_key == ANY_KEY

    autojump.run(main())


def test_a_mock_that_is_not_running_has_no_address():
    with pytest.raises(RuntimeError, match="async with MockServer"):
        _ = MockServer().ws_url


def test_two_hours_pass_at_once_for_the_mock_and_its_client():
    async def main() -> float:
        async with MockServer(voice="tone") as mock, ClientSession() as http:
            async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                before = asyncio.get_running_loop().time()
                await mock.advance(minutes=120)
                await ws.close()
            return asyncio.get_running_loop().time() - before

    assert autojump.run(main()) == pytest.approx(7200)


def test_clients_are_told_when_the_mock_stops_and_need_not_answer():
    async def main() -> tuple[object, object]:
        async with ClientSession() as http:
            async with MockServer(voice="tone") as mock:
                reading = await http.ws_connect(mock.ws_url, headers=KEY)
                idle = await http.ws_connect(mock.ws_url, headers=KEY)
                messages = asyncio.get_running_loop().create_task(_drained(reading.receive))
                await asyncio.sleep(1)
            assert asyncio.get_running_loop().time() < 3
            codes = [log.close_code for log in mock.sessions]
            told = await messages
            await idle.close()
            return told, codes

    assert autojump.run(main()) == (1001, [1001, 1001])


async def _drained(receive: object) -> object:
    while (message := await receive()).type is WSMsgType.TEXT:  # type: ignore[operator]
        pass
    return message.data


def test_an_error_inside_the_mock_is_raised_at_the_end_and_explains_a_failed_body(monkeypatch: pytest.MonkeyPatch):
    def broken(self: object, data: str | bytes, now: float) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(session.Session, "receive", broken)

    async def main() -> None:
        async with MockServer(voice="tone") as mock:
            await first_word(mock)

    with pytest.raises(ZeroDivisionError, match="inside"):
        autojump.run(main())


def test_an_error_of_the_test_itself_comes_through():
    async def main() -> None:
        async with MockServer():
            raise AssertionError("mine")

    with pytest.raises(AssertionError, match="mine"):
        autojump.run(main())


def test_faults_that_never_struck_are_unused():
    async def main() -> None:
        faults = [{"at": "<response.cancel", "do": "drop"}, {"at": "response.done", "do": "drop"}]
        async with MockServer(voice="tone", pacing="burst", faults=faults) as mock:
            await first_word(mock)
            await asyncio.sleep(10)
        assert mock.unused == ["never triggered: {at: <response.cancel, do: drop}"]

    autojump.run(main())


def test_the_port_is_free_again_afterwards():
    async def main() -> None:
        async with MockServer() as mock:
            port = int(mock.ws_url.rsplit(":", 1)[1].split("/")[0])
        async with MockServer(port=port):
            pass

    autojump.run(main())


def test_a_taken_port_is_an_os_error_in_both_forms():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        async def main() -> None:
            async with MockServer(port=port):
                pass

        with pytest.raises(OSError, match="in use"):
            autojump.run(main())
        with pytest.raises(OSError, match="in use"), MockServer(port=port):
            pass


def test_in_a_thread_of_its_own_it_serves_a_client_that_blocks_and_its_clock_can_be_moved():
    with MockServer(voice="tone", clock="manual") as mock:
        with connect(mock.ws_url, additional_headers=KEY, compression=None) as ws:
            ws.send('{"type": "response.create"}')
            while '"response.created"' not in str(ws.recv()):
                pass
            mock.advance(seconds=30)
            while '"response.done"' not in str(ws.recv()):
                pass
        (log,) = mock.sessions
        assert len(log.sent("response.done")) == 1
    assert mock.sessions[0].close_code == 1000


@pytest.mark.parametrize("member", ["findings", "report", "unused"])
def test_in_a_thread_of_its_own_it_is_asked_there_once_it_has_read_what_was_sent(
    member: str, monkeypatch: pytest.MonkeyPatch
):
    with MockServer() as mock:
        asked = list[str]()
        catch_up, ask = LoopThread.catch_up, getattr(MockService, member)

        def caught_up(thread: LoopThread) -> None:
            asked.append("caught up")
            catch_up(thread)

        def answer(service: MockService) -> object:
            asked.append(threading.current_thread().name)
            return ask(service)

        monkeypatch.setattr(LoopThread, "catch_up", caught_up)
        monkeypatch.setattr(MockService, member, answer)
        assert getattr(mock, member) == []
        assert asked == ["caught up", "mock server"]
    assert getattr(mock, member) == []


def test_an_error_in_the_thread_is_raised_at_the_end_too(monkeypatch: pytest.MonkeyPatch):
    def broken(self: object, now: float) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr(session.Session, "lost", broken)
    with (
        pytest.raises(ZeroDivisionError, match="inside"),
        MockServer(voice="tone") as mock,
        connect(mock.ws_url, additional_headers=KEY),
    ):
        pass


async def test_a_mock_in_a_thread_ends_where_another_loop_runs():
    with MockServer() as mock, connect(mock.ws_url, additional_headers=KEY):
        assert len(mock.sessions) == 1


def test_a_voice_that_is_not_installed_is_refused_before_anybody_connects(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    monkeypatch.setattr(espeak, "_library", espeak._library.__wrapped__)  # another test may have loaded it
    with pytest.raises(ValueError, match=r"voice='espeak'.*pip install"):
        MockServer(voice="espeak")
