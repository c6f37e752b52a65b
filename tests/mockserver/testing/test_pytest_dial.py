"""The fixture `realtime_dial`, as test files use it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mockserver.suites import INI, LEAN, LOADED

pytest_plugins = ["pytester"]

BRIDGE = """
import base64, json

import pytest
from websockets.asyncio.server import serve as serve_async
from websockets.sync.server import serve
import threading

SOUND = base64.b64encode(bytes(range(256)) * 8).decode()


def answer(text):
    event = json.loads(text)
    if event["event"] == "dtmf":
        return json.dumps({"event": "media", "streamSid": event["streamSid"], "media": {"payload": SOUND}})


def talk(socket):
    for text in socket:
        if (reply := answer(text)) is not None:
            socket.send(reply)


async def talk_async(socket):
    async for text in socket:
        if (reply := answer(text)) is not None:
            await socket.send(reply)


@pytest.fixture
def url():
    with serve(talk, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
"""


def test_an_async_test_awaits_its_calls_in_virtual_time(pytester: pytest.Pytester):
    pytester.makeini(INI)
    pytester.makepyfile(
        BRIDGE
        + """
from realtape import phone

@pytest.mark.realtime(time="virtual", unused="off")
@pytest.mark.realtime_dial(greeting_s=0, jitter_ms=20)
async def test_it(realtime_mock, realtime_dial):
    async with serve_async(talk_async, "127.0.0.1", 0) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        report = await realtime_dial(url, phone.Press("1"))
        report.check()
        assert report.sound_received_s == 0.256
        assert (await realtime_dial(url, "Hello there", longest_s=0.5)).ended == "limit"
    assert len(realtime_dial.reports) == 2
    assert [text for _, _, text in realtime_mock._service.factory.known] == ["Hello there"]  # the mock would hear it
"""
    )
    pytester.runpytest(*LOADED, *LEAN).assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_failed_test_shows_its_calls_and_keeps_their_sound(pytester: pytest.Pytester):
    pytester.makeini(INI)
    pytester.makepyfile(
        BRIDGE
        + """
from realtape import phone

@pytest.mark.realtime_dial(greeting_s=0)
def test_it(url, realtime_dial):
    report = realtime_dial(url, [phone.Press("1"), phone.Pause(0.1)])
    assert report.ended == "bridge"

@pytest.mark.realtime_dial(provider="plivo")
def test_wrong_option(url, realtime_dial):
    realtime_dial(url, jiter_ms=3)
"""
    )
    result = pytester.runpytest(*LOADED, *LEAN, "--realtime-artifacts", "kept")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["*realtime phone call 1*", "*over Twilio Media Streams*", "*did you mean 'jitter_ms'?"]
    )
    (sound,) = Path(pytester.path, "kept").rglob("phone-1.wav")
    assert sound.stat().st_size > 2000
