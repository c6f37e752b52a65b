"""Calls to bridges over sockets, in virtual time: the example's against both services, and small ones in the test."""

from __future__ import annotations

import base64
import json
import runpy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection, serve

from mockserver.audio.tts.tone import Tone
from mockserver.calls.caller import HangUp, Interrupt, Listen, Pause, Press
from mockserver.dial.signatures import plivo_signature, twilio_signature
from mockserver.responders.scenario import Scenario
from mockserver.server.virtual_time import virtual_time
from mockserver.testing.dialler import LARGEST_MESSAGE, CannotDial, Changes, DialOptions, Watch, dial
from mockserver.testing.mock_server import MockServer

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "bridge.py"
RULES = """
turns:
  - when: {says: cleaning}
    reply: [{say: "On which day would you like to come? We are open from nine in the morning until five."}]
  - when: {says: wait}
    reply: [{say: "I am waiting."}]
"""
WORDS = "I would like to book a dental cleaning for the sixth of July, please"


@asynccontextmanager
async def served(application: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


@asynccontextmanager
async def the_example(mock: MockServer, monkeypatch: pytest.MonkeyPatch, model: str) -> AsyncIterator[str]:
    for name, value in (("URL", mock.ws_url), ("KEY", mock.api_key), ("MODEL", model)):
        monkeypatch.setenv(f"REALTIME_{name}", value)
    async with served(runpy.run_path(str(EXAMPLE))["application"]()) as origin:
        yield f"{origin}/incoming-call"


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "model"), [("openai", "gpt-realtime-2.1"), ("xai", "grok-voice-3.0")])
@virtual_time
async def test_the_example_s_bridge_is_interrupted_and_truncates_what_was_heard(
    dialect: str, model: str, monkeypatch: pytest.MonkeyPatch
):
    rules = Scenario.parse(RULES)
    async with MockServer(rules, dialect=dialect) as mock, the_example(mock, monkeypatch, model) as url:
        says = [WORDS, Interrupt(1.0), "No, wait a moment."]
        report = await dial(url, says, synthesizer=Tone(), mock=mock)
        said = [each["transcript"] for each in mock.sessions[0].sent("response.output_audio_transcript.done")]
    assert said[0].startswith("On which day") and said[1] == "I am waiting."  # the mock has heard the words
    first, second = report.turns
    assert report.mistakes == [] and report.ended == "caller"
    assert first.latency_s is not None and 0.3 < first.latency_s < 2.0
    assert second.barge_in and second.stop_s is not None and second.stop_s < 0.5 and second.latency_s is not None
    (clear,) = report.clears
    assert clear.dropped_s > 0 and any(each.cleared for each in report.marks)
    (truncated,) = mock.sessions[0].received("conversation.item.truncate")
    assert first.answered_s is not None
    heard_ms = 1000 * (clear.at_s - first.answered_s)
    assert heard_ms - 500 < truncated["audio_end_ms"] <= heard_ms + 20  # a mark ends each piece, of up to half a second
    assert [each for each in mock.findings if each.level == "error"] == [] and mock.errors == []


@virtual_time
async def test_hanging_up_in_mid_answer_ends_the_bridge_s_session(monkeypatch: pytest.MonkeyPatch):
    async with MockServer(dialect="openai") as mock, the_example(mock, monkeypatch, "gpt-realtime-2.1") as url:
        report = await dial(url, ["Hello", Interrupt(0.2), HangUp()], synthesizer=Tone(), greeting_s=0)
        assert report.ended == "caller" and report.errors == []
        assert mock.sessions[0].closed_s is not None


KEY = "sk-" + "proj-" + "a1B2c3D4" * 5


class Small:
    """A bridge of one stream: it notes what comes, and answers a key with what the test gives."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self.answers = answers
        self.got: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}

    async def __call__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.headers = {name.lower(): value for name, value in socket.request.headers.raw_items()}
        async for text in socket:
            self.got.append(event := json.loads(text))
            if event["event"] == "dtmf":
                for answer in self.answers:
                    await socket.send(json.dumps(answer))


@virtual_time
async def test_a_bridge_that_sends_too_much_or_a_secret_is_told_without_it():
    async def large(socket: ServerConnection) -> None:
        await socket.send("x" * (LARGEST_MESSAGE + 1))
        await socket.wait_closed()

    async def talkative(socket: ServerConnection) -> None:
        await socket.send(f"the key is {KEY}")
        await socket.close(4000, f"refused {KEY}")

    reports = []
    for bridge in (large, talkative):
        async with serve(bridge, "127.0.0.1", 0) as server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            reports.append(await dial(url, Press("1"), greeting_s=0))
    assert [each.rule for each in reports[0].mistakes] == ["too-large"]
    assert {each.rule for each in reports[1].mistakes} == {"not-json", "closed"}
    assert KEY not in reports[1].as_json() + str(reports[1])


@virtual_time
async def test_a_plivo_stream_that_is_dialled_directly():
    sound = base64.b64encode(bytes(range(256)) * 10).decode()
    play = {"event": "playAudio", "media": {"contentType": "audio/x-mulaw", "sampleRate": 8000, "payload": sound}}
    bridge = Small(play, {"event": "checkpoint", "name": "end"})
    async with serve(bridge, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ws"
        how: dict[str, Any] = {"provider": "plivo", "auth_token": "secret", "parameters": {"user": "7"}}
        report = await dial(url, Press("1"), greeting_s=0, **how)
    assert [each.name for each in report.marks] == ["end"] and report.sound_received_s == 0.32
    assert bridge.got[0]["extra_headers"] == "user=7" and bridge.got[-1]["event"] == "stop"
    nonce = bridge.headers["x-plivo-signature-v3-nonce"]
    assert bridge.headers["x-plivo-signature-v3"] == plivo_signature("GET", url, {}, nonce, "secret")


@virtual_time
async def test_the_webhook_and_the_handshake_are_signed_for_the_public_address():
    bridge = Small()
    forms: list[tuple[dict[str, str], str]] = []

    async def incoming(request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        forms.append((form, request.headers["X-Twilio-Signature"]))
        stream = '<Stream url="wss://tunnel.example/media"/>'
        return web.Response(text=f"<Response><Say>Hi</Say><Connect>{stream}</Connect></Response>")

    async def media(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        bridge.headers = {name.lower(): value for name, value in request.headers.items()}
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.add_routes([web.post("/incoming", incoming), web.get("/media", media)])
    async with served(app) as origin:
        public = "https://tunnel.example"
        report = await dial(f"{origin}/incoming", Press("1"), public_url=public, auth_token="secret", greeting_s=0)
    ((form, signature),) = forms
    assert form["CallSid"] == report.call_id and form["From"] == "+12025550143" and form["CallStatus"] == "ringing"
    assert signature == twilio_signature("https://tunnel.example/incoming", form, "secret")
    assert bridge.headers["x-twilio-signature"] == twilio_signature("wss://tunnel.example/media", {}, "secret")
    assert report.mistakes == [] and report.skipped == ['<Say> says: "Hi"'] and "secret" not in report.as_json()


@virtual_time
async def test_a_dropped_line_reaches_the_bridge_as_a_broken_connection():
    bridge = Small()
    async with serve(bridge, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        report = await dial(url, "Hello there", synthesizer=Tone(), drop_after_s=0.5)
    assert report.ended == "network" and "stop" not in {each["event"] for each in bridge.got}


@virtual_time
async def test_whoever_watches_a_call_hears_of_it_and_can_hang_up():
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if "says" in line and watch.hang_up is not None:
            watch.hang_up()

    watch = Watch(tell)
    bridge = Small()
    async with serve(bridge, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        report = await dial(url, "Hello there", synthesizer=Tone(), watch=watch)
    assert (report.ended, report.turns[0].text) == ("caller", "Hello there") and report.seconds < 3
    assert told[0].startswith("connected to ws://") and '2.00 s  the caller says "Hello there"' in told[1]
    assert bridge.got[-1]["event"] == "stop"


@pytest.mark.slow
@virtual_time
async def test_a_bridge_that_stops_reading_is_told_and_left():
    async def deaf(socket: ServerConnection) -> None:
        socket.transport.pause_reading()
        await socket.wait_closed()

    async with serve(deaf, "127.0.0.1", 0, close_timeout=0.1, ping_interval=None) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        report = await dial(url, Pause(3000.0), greeting_s=0, longest_s=3600)
    assert {"not-reading", "closed"} == {each.rule for each in report.errors} and report.ended == "bridge"


@virtual_time
async def test_a_bridge_that_throws_is_told():
    async def throws(socket: ServerConnection) -> None:
        await socket.close(1011, "KeyError: streamSid")

    async with serve(throws, "127.0.0.1", 0) as server:
        report = await dial(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", "Hello", synthesizer=Tone())
    assert [(each.rule, "KeyError" in each.message) for each in report.errors] == [("closed", True)]


@pytest.mark.parametrize(
    ("url", "problem"),
    [("127.0.0.1:5050/media", "is no address"), ("ftp://host/x", "is no address"), ("ws:///media", "is no address")],
)
@virtual_time
async def test_an_address_that_is_none_is_refused(url: str, problem: str):
    with pytest.raises(ValueError, match=problem):
        await dial(url, "Hello", synthesizer=Tone())


@virtual_time
async def test_a_bridge_that_cannot_be_reached_or_refuses_says_why():
    async def refused(request: web.Request) -> web.Response:
        return web.Response(status=403)

    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(text='<Response><Connect><Stream url="wss://127.0.0.1/no"/></Connect></Response>')

    app = web.Application()

    async def endless(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        with suppress(ConnectionError):
            while True:
                await answer.write(b" " * 65_536)
        return answer

    app.add_routes([web.post("/signed", refused), web.post("/lost", elsewhere), web.post("/endless", endless)])
    async with served(app) as origin:
        with pytest.raises(CannotDial, match="more than 400000 bytes"):
            await dial(f"{origin}/endless", Press("1"))
        with pytest.raises(CannotDial, match=r"answered 403 .* sign with --auth-token-env"):
            await dial(f"{origin}/signed", Press("1"))
        with pytest.raises(CannotDial, match="refused the WebSocket with 404"):
            await dial(f"{origin}/lost", Press("1"))
    with pytest.raises(CannotDial, match="start the bridge first"):
        await dial(f"{origin}/signed", Press("1"))
    with pytest.raises(CannotDial, match="start the bridge first"):
        await dial(origin.replace("http", "ws"), Press("1"))


def test_each_option_of_a_call_has_its_keyword():
    assert list(Changes.__annotations__) == [each.name for each in fields(DialOptions)]


@virtual_time
async def test_how_long_the_caller_waits_is_an_option_where_the_script_leaves_it_open():
    async with serve(Small(), "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        short = await dial(url, ["Hello"], synthesizer=Tone(), greeting_s=0, patience_s=3.0)
        fixed = await dial(url, [Press("1"), Listen(at_most_s=5.0)], greeting_s=0, patience_s=3.0)
    assert short.seconds == pytest.approx(short.turns[0].ended_s + 3.0, abs=0.3) and fixed.seconds > 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"silence_s": 0},
        {"patience_s": 601},
        {"provider": "telnyx"},
        {"content_type": "audio/mp3"},
        {"jitter_ms": -1},
        {"loss": 1.0},
        {"drop_after_s": 0},
        {"greeting_s": 100},
        {"longest_s": 0},
    ],
)
@virtual_time
async def test_options_out_of_range_are_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="not"):
        await dial("ws://127.0.0.1:1", Press("1"), **wrong)
