"""Hours and long answers: what a session or a server holds does not grow with them. Time is virtual, audio is real."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pybase64
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.protocol.limits import Limits
from mockserver.responders.base import Say
from mockserver.responders.scenario import Scenario
from mockserver.server import virtual_time as autojump
from mockserver.server.app import Server
from mockserver.server.options import Options
from mockserver.session.session import Session
from tests.mockserver.talk import TONE, Script, Talk

pytestmark = pytest.mark.slow
VAD = {"type": "server_vad"}
DELTA = "response.output_audio.delta"
MIB = 1 << 20
TEN_MINUTES = "This is a rather long answer, and it goes on and on. " * 210


def minute(append_ms: int) -> list[str]:
    """What a microphone sends in a minute in which one sentence is said."""
    sound = np.zeros(60 * 24_000, "<i2")
    spoken = TONE.speak("I would like a dental cleaning, please.").samples
    sound[24_000 : 24_000 + len(spoken)] = spoken
    return [append(part.tobytes()) for part in sound.reshape(-1, 24 * append_ms)]


def append(sound: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": pybase64.b64encode_as_string(sound)})


class Hearer:
    """A client that counts what comes and keeps nothing."""

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.sent_ms = 0.0

    def take(self, data: bytes | str) -> None:
        event = json.loads(data)
        self.types[event["type"]] = self.types.get(event["type"], 0) + 1
        if event["type"] == DELTA:
            self.sent_ms += len(pybase64.b64decode(event["delta"])) / 48


def listened(session: Session, hearer: Hearer, minutes: int, from_s: float = 0.0) -> float:
    """Feed a session so many minutes in appends of 100 ms, each at its time; gives the time at the end."""
    frames = minute(100)
    for number in range(minutes * len(frames)):
        now = from_s + (number + 1) / 10
        session.receive(frames[number % len(frames)], now)
        for out in session.take_output(now):
            hearer.take(out.frame.data)  # type: ignore[union-attr]
    return from_s + minutes * 60


def held() -> int:
    """Bytes alive now that Python and numpy have asked for."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


@pytest.fixture
def traced() -> Iterator[None]:
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced")
def test_two_hours_of_microphone_leave_only_the_conversation_behind():
    session, hearer = Talk(Script(), update={"turn_detection": VAD}).session, Hearer()
    now = listened(session, hearer, minutes=10)
    tracemalloc.start()
    before = held()
    now = listened(session, hearer, 110, now)
    assert float(session.ledger.audio_in_s) == now == 7200
    assert hearer.types["input_audio_buffer.speech_started"] == hearer.types["response.done"] == 120
    # A turn leaves two items in the conversation, about a KiB each; one minute of sound would be 2.9 MB.
    assert held() - before < 110 * 4096


@pytest.mark.usefixtures("traced")
def test_an_answer_of_ten_minutes_is_made_piece_by_piece():
    session, hearer = Talk(Script([Say(TEN_MINUTES)])).session, Hearer()
    session.receive('{"type": "response.create"}', 0.0)
    tracemalloc.start()
    before = held()
    while (due := session.next_due()) is not None:
        for out in session.take_output(due):
            hearer.take(out.frame.data)  # type: ignore[union-attr]
    assert hearer.types["response.done"] == 1
    assert hearer.sent_ms > 600_000
    assert hearer.sent_ms == pytest.approx(float(session.ledger.audio_out_s) * 1000)
    # The sound has 29 MB. A sentence of it has 0.2 MB, and some times that while it is made.
    assert tracemalloc.get_traced_memory()[1] - before < 3 * MIB
    assert held() - before < MIB // 2


@pytest.mark.usefixtures("traced")
def test_two_hours_with_such_an_answer_pass_through_a_server():
    """In appends of a second, for each takes two sockets, two parsers and a timer besides."""

    async def call(server: Server, http: ClientSession, hearer: Hearer, minutes: int) -> None:
        address = f"http://127.0.0.1:{server.port}/v1/realtime"
        async with http.ws_connect(address, headers={"Authorization": "Bearer k"}) as ws:
            await ws.send_json({"type": "session.update", "session": {"turn_detection": VAD}})
            reading = asyncio.get_running_loop().create_task(read(ws, hearer))
            frames = minute(1000)
            for number in range(minutes * len(frames)):
                await asyncio.sleep(1)
                await ws.send_str(frames[number % len(frames)])
            await asyncio.sleep(400)
            await ws.close()
            await reading

    async def main() -> None:
        scenario = Scenario(sequence=[*[Say("Yes.")] * 119, Say(TEN_MINUTES)])
        longer = Limits(session_minutes=180)  # than the service allows: the last second falls on its end
        server, hearer = Server(Options(voice="tone", journal_bytes=4 * MIB, limits=longer), scenario), Hearer()
        await server.start()
        async with ClientSession() as http:
            await call(server, http, Hearer(), 5)
            tracemalloc.start()
            before = held()
            await call(server, http, hearer, 120)
            # The journal may keep 4 MiB. The answer alone has 38 MB on the wire.
            assert held() - before < 6 * MIB
        assert server.service.journal.total().audio_in_s == 125 * 60
        assert hearer.types["response.done"] == 120
        assert hearer.sent_ms > 600_000
        await server.stop()

    autojump.run(main())


async def read(ws: ClientWebSocketResponse[bool], hearer: Hearer) -> None:
    async for message in ws:
        hearer.take(message.data)
