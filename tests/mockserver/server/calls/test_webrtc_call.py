"""A whole call over WebRTC with a client of Python, without a browser: in real time, on the loopback interface."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession

from mockserver.responders.scenario import Scenario
from mockserver.server.calls import webrtc
from mockserver.testing.mock_server import MockServer

ice = pytest.importorskip("aioice.ice", reason="aiortc needs Python 3.11")
from tests.mockserver.server.calls.rtc_client import RtcClient  # noqa: E402
from tests.mockserver.server.calls.test_sdp import OFFER  # noqa: E402

pytestmark = pytest.mark.slow
LONG = "And then another patient came in. " * 20
SCENARIO = Scenario.parse(f"""
turns:
  - when: {{says: hello}}
    reply: [{{say: Good morning.}}]
  - when: {{says: story}}
    reply: [{{say: "{LONG}"}}]
""")


TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(480 * 200) / 24000)).astype(np.int16)
CONNECTIONS: list[webrtc.WebRtcConnection] = []


@pytest.fixture(autouse=True)
def loopback_alone(monkeypatch):
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
    CONNECTIONS.clear()
    start = webrtc.WebRtcConnection.start

    def started(self, call):
        CONNECTIONS.append(self)
        return start(self, call)

    monkeypatch.setattr(webrtc.WebRtcConnection, "start", started)


@pytest.fixture
async def mock() -> AsyncIterator[MockServer]:
    async with MockServer(SCENARIO, dialect="openai", voice="tone") as server:
        yield server
        assert not server._service.errors


async def called(mock: MockServer, client: RtcClient, session: dict[str, Any] | None = None) -> str:
    """Open a call as a page does, with a secret; returns its id."""
    async with ClientSession(headers={"Authorization": "Bearer sk-key"}) as http:
        asked = {"session": {"type": "realtime", "model": "gpt-realtime", **(session or {})}}
        async with http.post(f"{mock.http_url}/realtime/client_secrets", json=asked) as response:
            secret = (await response.json())["value"]
        headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp", "Origin": "http://localhost"}
        url = f"{mock.http_url}/realtime/calls"
        async with http.post(url, data=await client.offer(), headers=headers) as response:
            assert (response.status, response.headers["Content-Type"]) == (201, "text/plain; charset=utf-8")
            assert "Location" in response.headers["Access-Control-Expose-Headers"]
            await client.take(await response.text())
            return response.headers["Location"].rpartition("/")[2]


def says(client: RtcClient, text: str) -> None:
    content = [{"type": "input_text", "text": text}]
    client.send({"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}})
    client.send({"type": "response.create"})


def order(client: RtcClient, *types: str) -> list[str]:
    return [each for each in client.types if each in types]


async def test_a_page_opens_a_call_is_answered_in_sound_and_hangs_up(mock: MockServer):
    client = RtcClient()
    call_id = await called(mock, client, {"instructions": "Be brief."})
    created = await client.got("session.created")
    assert client.types[0] == "session.created"
    assert created["session"]["instructions"] == "Be brief."
    assert created["session"]["id"].removeprefix("sess_") == call_id.removeprefix("rtc_")
    says(client, "hello")
    await client.got("output_audio_buffer.stopped")
    assert (await client.got("response.output_audio_transcript.done"))["transcript"] == "Good morning."
    assert "response.output_audio.delta" not in client.types
    buffer = order(client, "output_audio_buffer.started", "response.output_audio.done", "output_audio_buffer.stopped")
    assert buffer == ["output_audio_buffer.started", "response.output_audio.done", "output_audio_buffer.stopped"]
    assert max(abs(np.concatenate(client.heard))) > 1000
    (session,) = mock.sessions
    call = mock._service.calls.get(call_id)
    assert call is not None and call.running is not None
    ended = call.running.ended()
    await client.close()
    await asyncio.wait_for(ended, 10)
    assert call.state == "over"
    assert session.close_code == 1000


async def test_an_answer_that_is_cleared_stops_sounding_and_is_truncated(mock: MockServer):
    client = RtcClient()
    await called(mock, client)
    await client.until(lambda: client.channel.readyState == "open")
    says(client, "a story")
    await client.got("output_audio_buffer.started")
    await client.until(lambda: client.heard and max(abs(client.heard[-1])) > 1000)
    client.send({"type": "response.cancel"})
    client.send({"type": "output_audio_buffer.clear"})
    await client.got("conversation.item.truncated")
    assert "output_audio_buffer.cleared" in client.types
    await client.until(lambda: not client.heard[-1].any())
    await client.close()


async def test_an_offer_without_a_socket_for_it_is_refused(mock: MockServer, monkeypatch):
    async def failing(self, addresses, unix):
        raise OSError("no UDP socket could be opened on 127.0.0.1")

    monkeypatch.setattr(webrtc.WebRtcConnection, "answer", failing)
    headers = {"Authorization": "Bearer sk-key", "Content-Type": "application/sdp"}
    async with ClientSession(headers=headers) as http:
        async with http.post(f"{mock.http_url}/realtime/calls", data=OFFER) as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "1")
            assert (await response.json())["error"]["type"] == "server_error"
    assert mock._service.calls.listed == []


def lose(mock: MockServer, fault: str) -> None:
    mock.set_faults([{"at": "webrtc", "do": fault, "times": 1}])


async def test_sound_that_comes_unevenly_is_heard(mock: MockServer):
    lose(mock, "packet_jitter: 30ms")
    client = RtcClient()
    await called(mock, client)
    await client.until(lambda: client.heard)
    await client.close()


async def test_lost_packets_are_silence(mock: MockServer):
    lose(mock, "packet_loss: 0.3")
    client = RtcClient(TONE)
    await called(mock, client)
    await client.until(lambda: client.microphone.sent > 60)
    (connection,) = CONNECTIONS
    assert 0.1 < connection._receiver.lost / client.microphone.sent < 0.5
    await client.close()


async def test_ice_that_is_late_only_delays_the_call(mock: MockServer):
    lose(mock, "late_ice: 1s")
    client, begun = RtcClient(), asyncio.get_running_loop().time()
    await called(mock, client)
    await client.got("session.created")
    assert asyncio.get_running_loop().time() - begun > 1
    await client.close()


async def test_a_handshake_that_never_ends_ends_the_call(mock: MockServer, monkeypatch, caplog):
    monkeypatch.setattr(webrtc, "CONNECT_S", 0.5)
    lose(mock, "dtls_hang")
    client = RtcClient()
    call = mock._service.calls.get(await called(mock, client))
    assert call is not None and call.running is not None
    await call.running.ended()
    assert "DTLS did not end" in caplog.text
    assert client.state == "connecting"
    await client.close()


async def test_a_channel_that_closes_leaves_the_sound(mock: MockServer):
    lose(mock, "close_channel: 500ms")
    client = RtcClient()
    await called(mock, client)
    await client.until(lambda: client.channel.readyState == "closed")
    heard = len(client.heard)
    await client.until(lambda: len(client.heard) > heard + 10)
    await client.close()


async def test_sound_that_stops_leaves_the_events(mock: MockServer):
    lose(mock, "stop_sound: 200ms")
    client = RtcClient()
    await called(mock, client)
    await client.got("session.created")
    says(client, "hello")
    await client.got("output_audio_buffer.stopped")
    assert len(client.heard) < 20
    await client.close()


async def test_a_call_without_a_channel_is_heard_and_ends_with_the_server(mock: MockServer):
    client = RtcClient(channel=False)
    await called(mock, client)
    await client.until(lambda: client.heard)
    await mock._server.stop()
    await client.until(lambda: client.state == "closed")
