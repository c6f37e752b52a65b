from __future__ import annotations

import asyncio
import json
import sys

import numpy as np
import pytest

from mockserver.faults.kinds import PacketJitter
from mockserver.server.calls import webrtc
from mockserver.server.calls.network import Network
from mockserver.server.calls.sdp import read_offer
from tests.mockserver.server.calls.test_sdp import OFFER

TONE = (8000 * np.sin(2 * np.pi * 440 * np.arange(480 * 50) / 24000)).astype(np.int16)


@pytest.fixture(autouse=True)
def loopback_alone(monkeypatch):
    """The client looks for addresses where a machine without a network has some."""
    ice = pytest.importorskip("aioice.ice", reason="aiortc needs Python 3.11")
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


class Echo:
    """A call that plays a tone, and repeats events."""

    def __init__(self) -> None:
        self.heard: list[np.ndarray] = []
        self.channel: webrtc.DataChannel | None = None
        self.over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._played = 0

    def now(self):
        return asyncio.get_running_loop().time()

    def receive(self, text):
        assert self.channel is not None
        self.channel._channel.send(text)

    def hear(self, samples):
        self.heard.append(samples)

    def play(self):
        self._played += 480
        return TONE[(self._played - 480) % len(TONE) :][:480]

    def join(self, channel, *, early=False):
        self.channel = channel

    def leave(self, channel):
        assert channel is self.channel

    def hang_up(self, by, reason=""):
        self.over.set_result(f"{by}: {reason}")

    async def ended(self):
        await asyncio.shield(self.over)


async def connected(client, call):
    connection = webrtc.WebRtcConnection(read_offer(await client.offer()))
    await client.take(await connection.answer(["127.0.0.1"], 1e9))
    return connection, connection.start(call)


@pytest.mark.slow
async def test_sound_and_events_go_both_ways_until_the_client_leaves():
    from tests.mockserver.server.calls.rtc_client import RtcClient

    client, call = RtcClient(TONE), Echo()
    _, serving = await connected(client, call)
    await client.until(lambda: client.channel.readyState == "open")
    client.send({"type": "hello"})
    assert await client.got("hello") == {"type": "hello"}
    await client.until(lambda: len(client.heard) > 25)
    assert max(abs(client.heard[-1])) == pytest.approx(8000, rel=0.1)
    assert max(abs(np.concatenate(call.heard))) > 4000
    await client.close()
    assert (await call.over).startswith("caller: the client closed")
    await serving


@pytest.mark.slow
async def test_the_server_hangs_up_and_the_client_sees_it():
    from tests.mockserver.server.calls.rtc_client import RtcClient

    client, call = RtcClient(channel=False), Echo()
    connection, serving = await connected(client, call)
    await client.until(lambda: client.heard)
    connection.end("enough")
    await client.until(lambda: client.state == "closed")
    await serving
    assert await call.over == "caller: enough"
    assert call.channel is None


@pytest.mark.slow
async def test_a_client_that_only_sends_is_heard():
    from tests.mockserver.server.calls.rtc_client import RtcClient

    client, call = RtcClient(TONE), Echo()
    client.connection.getTransceivers()[0].direction = "sendonly"
    _, serving = await connected(client, call)
    await client.until(lambda: client.channel.readyState == "open")
    while not call.heard:
        assert not call.over.done()
        await asyncio.sleep(0.02)
    await client.close()
    assert (await call.over).startswith("caller: the client closed")
    await serving


async def test_a_datagram_that_is_late_is_not_sent_on_a_closed_socket():
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: problems.append(context))
    connection = webrtc.WebRtcConnection(read_offer(OFFER), Network([PacketJitter(0.02)]))
    await connection.answer(["127.0.0.1"], 1e9)
    (protocol,) = connection._gatherer._connection._protocols
    await protocol.send_data(bytes([128]) * 20, ("127.0.0.1", 9))
    protocol.datagram_received(bytes([128]) * 20, ("127.0.0.1", 9))
    await connection.abandon()
    await asyncio.sleep(0.05)
    assert not problems


def test_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aiortc", None)
    problem = str(webrtc.unavailable())
    assert ("Python 3.11" if sys.version_info < (3, 11) else "[webrtc]") in problem


def test_the_lateness_of_frames_is_counted_by_milliseconds():
    late = webrtc.LateFrames()
    assert late.percentile(0.99) == 0
    for ms in (*[0.2] * 98, 7.5, 500):
        late.add(ms / 1000)
    assert (late.percentile(0.5), late.percentile(0.99), late.percentile(1)) == (1, 8, 101)
    assert json.dumps(late.counts)
