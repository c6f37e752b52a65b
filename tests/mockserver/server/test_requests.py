"""Work that sessions ask for, over real sockets in virtual time: what comes back, is bounded, is cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence

import pybase64
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.audio.formats import PCM_24K, Samples
from mockserver.protocol.requests import Failed, Result, Transcribe, Transcribed
from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.server.clock import Clock
from mockserver.server.requests import Outside, RequestRunner, Started
from mockserver.server.virtual_time import virtual_time
from mockserver.testing.mock_server import MockServer
from tests.mockserver.session.test_heard_in_calls import COMPLETED, VAD, event, turn

WORDS = "Is the doctor in today?"
RULES = Scenario([Rule(Say("Yes, she is."), When(says="doctor")), Rule(Say("Pardon?"))])


class Writes:
    """A transcriber that hears the same in everything; `meanwhile` happens in its thread."""

    def __init__(self, text: str = WORDS, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.text = text
        self.asked: list[tuple[int, str | None, list[str], str]] = []
        self._meanwhile = meanwhile

    def transcribe(
        self, samples: Samples, rate: int, language: str | None, keyterms: Sequence[str], prompt: str = ""
    ) -> str:
        self.asked.append((rate, language, list(keyterms), prompt))
        self._meanwhile()
        return self.text


def broken() -> None:
    raise MemoryError("no room for a beam")


async def speak(mock: MockServer, http: ClientSession) -> ClientWebSocketResponse[bool]:
    """Say a sentence that nobody knows on a new connection."""
    ws = await http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"})
    heard = {"model": "grok-transcribe", "language_hint": "en", "keyterms": ["Chen"]}
    session = {"turn_detection": VAD, "audio": {"input": {"transcription": heard}}}
    await ws.send_json({"type": "session.update", "session": session})
    data = turn("Some sentence that no clip says.").tobytes()
    for at in range(0, len(data), 9600):
        audio = pybase64.b64encode_as_string(data[at : at + 9600])
        await ws.send_json({"type": "input_audio_buffer.append", "audio": audio})
    return ws


@virtual_time
async def test_a_spoken_turn_is_transcribed_and_answered():
    writes = Writes()
    async with MockServer(RULES, transcriber=writes) as mock, ClientSession() as http:
        ws = await speak(mock, http)
        heard = await event(ws, COMPLETED, status="completed")
        said = await event(ws, "response.output_audio_transcript.done")
        assert (heard["transcript"], said["transcript"]) == (WORDS, "Yes, she is.")
        assert writes.asked[-1] == (24_000, "en", ["Chen"], "")
        (log,) = mock.sessions
        assert [(turn["words"], turn["heard_by"]) for turn in log.summary()["heard"]] == [(WORDS, "transcriber")]
        marked = [row["heard_by"] for row in log.shown() if "heard_by" in row]
        assert set(marked) == {"transcriber"}


@virtual_time
async def test_time_stands_still_while_the_transcriber_works():
    held = threading.Event()
    async with (
        MockServer(RULES, transcriber=Writes(meanwhile=lambda: held.wait(0.05))) as mock,
        ClientSession() as http,
    ):
        ws = await speak(mock, http)
        await event(ws, COMPLETED, status="completed")
        assert asyncio.get_running_loop().time() < 10.0


@virtual_time
async def test_a_transcriber_that_fails_is_logged_and_the_call_goes_on(caplog: pytest.LogCaptureFixture):
    async with MockServer(RULES, transcriber=Writes(meanwhile=broken)) as mock, ClientSession() as http:
        ws = await speak(mock, http)
        assert (await event(ws, "response.output_audio_transcript.done"))["transcript"] == "Pardon?"
        (log,) = mock.sessions
        assert [turn["heard_by"] for turn in log.summary()["heard"]] == ["nobody"]
    assert "the transcriber: MemoryError: no room for a beam" in caplog.text


@virtual_time
async def test_a_result_after_the_client_left_harms_nobody():
    loop, began, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow() -> None:
        loop.call_soon_threadsafe(began.set)
        go_on.wait(5)

    async with MockServer(RULES, transcriber=Writes(meanwhile=slow)) as mock, ClientSession() as http:
        ws = await speak(mock, http)
        await began.wait()
        await ws.close()
        go_on.set()
        ws = await speak(mock, http)
        assert (await event(ws, "response.output_audio_transcript.done"))["transcript"] == "Yes, she is."
        assert mock.errors == []


class Runs:
    """A runner whose transcriber waits until it may go on, and what came of its requests."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.go_on = threading.Event()
        self.clock = clock or Clock()
        self.runner = RequestRunner(Outside(Writes(meanwhile=lambda: self.go_on.wait(5))), self.clock)
        self.results: asyncio.Queue[tuple[Result, float]] = asyncio.Queue()

    def start(self, number: int, *, so_far: bool = False) -> Started:
        request = Transcribe(str(number), turn("One, two and three."), PCM_24K, so_far=so_far)
        return self.runner.start(request, lambda result, last: self.results.put_nowait((result, self.clock.now())))

    async def next(self) -> Result:
        return (await self.results.get())[0]


@virtual_time
@pytest.mark.slow
async def test_what_does_not_fit_the_queue_fails_at_once(caplog: pytest.LogCaptureFixture):
    runs = Runs()
    for number in range(35):
        runs.start(number)
    assert [await runs.next(), await runs.next()] == [
        Failed("33", "too much waits already"),
        Failed("34", "too much waits already"),
    ]
    assert "the transcriber: too much waits already" in caplog.text
    runs.go_on.set()
    assert [await runs.next() for _ in range(33)] == [Transcribed(str(number), WORDS) for number in range(33)]
    await runs.runner.stop()


@virtual_time
async def test_a_turn_that_goes_on_yields_to_whole_turns():
    runs = Runs()
    runs.start(0)
    runs.start(1, so_far=True)
    assert await runs.next() == Failed("1", "too much waits already")
    runs.go_on.set()
    await runs.runner.stop()


@virtual_time
async def test_what_is_cancelled_brings_no_result_and_frees_its_place():
    runs = Runs()
    started = [runs.start(number) for number in range(33)]
    await asyncio.sleep(0)
    for each in started:
        each.cancel()
    runs.go_on.set()
    await asyncio.sleep(0.01)
    runs.start(99)
    assert await runs.next() == Transcribed("99", WORDS)
    assert runs.results.empty()
    await runs.runner.stop()


async def test_a_manual_clock_waits_for_the_transcriber():
    runs = Runs(Clock(0))
    runs.start(0)
    asyncio.get_running_loop().call_later(0.02, runs.go_on.set)
    await runs.clock.advance(seconds=5)
    assert runs.results.get_nowait() == (Transcribed("0", WORDS), 0.0)
    await runs.runner.stop()
