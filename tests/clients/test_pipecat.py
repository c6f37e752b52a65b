"""pipecat: a pipeline around its realtime services of OpenAI and of xAI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients.reports import close_codes
from tests.clients.sound import chunks
from tests.clients.steps import Steps

pytest.importorskip("pipecat", reason="pipecat is not installed")
loguru: Any = pytest.importorskip("loguru")
frames: Any = pytest.importorskip("pipecat.frames.frames")
processors: Any = pytest.importorskip("pipecat.processors.frame_processor")
universal: Any = pytest.importorskip("pipecat.processors.aggregators.llm_response_universal")
contexts: Any = pytest.importorskip("pipecat.processors.aggregators.llm_context")
schemas: Any = pytest.importorskip("pipecat.adapters.llm.schemas.function_schema")
pipelines: Any = pytest.importorskip("pipecat.pipeline.pipeline")
workers: Any = pytest.importorskip("pipecat.pipeline.worker")
runners: Any = pytest.importorskip("pipecat.workers.runner")
metrics: Any = pytest.importorskip("pipecat.metrics.metrics")
pytestmark = pytest.mark.heavy

SLOTS = {"slots": ["10:00", "14:30"]}
TOOL = schemas.FunctionSchema(
    name="check_availability",
    description="Which slots are free.",
    properties={"service": {"type": "string"}, "date": {"type": "string"}},
    required=["service", "date"],
)


@pytest.fixture
def expected_errors() -> tuple[str, ...]:
    """It cancels on every interruption, whether or not an answer goes on."""
    return ("no active response",)


def openai_service(mock: MockServer, model: str) -> Any:
    llm: Any = pytest.importorskip("pipecat.services.openai.realtime.llm", reason="pipecat is installed without openai")
    events: Any = pytest.importorskip("pipecat.services.openai.realtime.events")
    audio = events.AudioConfiguration(
        input=events.AudioInput(
            transcription=events.InputAudioTranscription(model="gpt-4o-mini-transcribe"),
            turn_detection=events.TurnDetection(silence_duration_ms=500),
        )
    )
    service = llm.OpenAIRealtimeLLMService
    properties = events.SessionProperties(audio=audio)
    settings = service.Settings(model=model, session_properties=properties, system_instruction="You book appointments.")
    return service(api_key=mock.api_key, base_url=mock.ws_url, settings=settings)


def xai_service(mock: MockServer, model: str) -> Any:
    llm: Any = pytest.importorskip("pipecat.services.xai.realtime.llm", reason="pipecat is installed without grok")
    service = llm.GrokRealtimeLLMService
    settings = service.Settings(model=model, system_instruction="You book appointments.")
    return service(api_key=mock.api_key, base_url=mock.ws_url, settings=settings)


class Listener(processors.FrameProcessor):  # type: ignore[misc]
    """Notes what comes out of the service."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        self.usage: list[Any] = []

    async def process_frame(self, frame: Any, direction: Any) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, frames.MetricsFrame):
            self.usage += [each.value for each in frame.data if isinstance(each, metrics.LLMUsageMetricsData)]
        self._heard.put_nowait(frame)
        await self.push_frame(frame, direction)

    async def until(self, kind: Any) -> list[Any]:
        """Frames up to the first of that class."""
        heard: list[Any] = []
        while not heard or not isinstance(heard[-1], kind):
            heard.append(await asyncio.wait_for(self._heard.get(), 15))
        return heard

    async def words(self) -> str:
        """What is said from the next word to the end of the answer."""
        heard = [*await self.until(frames.TTSTextFrame), *await self.until(frames.LLMFullResponseEndFrame)]
        return "".join(frame.text for frame in heard if isinstance(frame, frames.TTSTextFrame))


class Call:
    """A pipeline with one of the services in its middle."""

    def __init__(self, service: Any) -> None:
        self.asked: list[Any] = []
        self.service = service
        self.context = contexts.LLMContext([], tools=contexts_tools())
        self.listener = Listener()
        pair = universal.LLMContextAggregatorPair(self.context)
        steps = [pair.user(), service, self.listener, pair.assistant()]
        sound = {"audio_in_sample_rate": 24_000, "audio_out_sample_rate": 24_000}
        params = workers.PipelineParams(enable_metrics=True, enable_usage_metrics=True, **sound)
        self.worker = workers.PipelineWorker(
            pipelines.Pipeline(steps), params=params, cancel_on_idle_timeout=False, enable_rtvi=False
        )
        service.register_function("check_availability", self._check_availability)

    async def _check_availability(self, call: Any) -> None:
        self.asked.append(call.arguments)
        await call.result_callback(SLOTS)

    async def speak(self, speech: bytes) -> None:
        for chunk in chunks(speech):
            await self.worker.queue_frame(frames.InputAudioRawFrame(chunk, 24_000, 1))

    async def ask(self, text: str) -> None:
        message = {"role": "user", "content": text}
        await self.service.queue_frame(frames.LLMMessagesAppendFrame([message], run_llm=True))


def contexts_tools() -> Any:
    tools: Any = pytest.importorskip("pipecat.adapters.llm.schemas.tools_schema")
    return tools.ToolsSchema(standard_tools=[TOOL])


@asynccontextmanager
async def dial(service: Any) -> AsyncIterator[Call]:
    call = Call(service)
    runner = runners.WorkerRunner(handle_sigint=False)
    await runner.add_workers(call.worker)
    running = asyncio.create_task(runner.run())  # noqa: TID251 - awaited below
    try:
        yield call
    finally:
        await call.worker.queue_frame(frames.EndFrame())
        await asyncio.wait_for(running, 15)


async def converse(call: Call, mock: MockServer, speech: bytes, steps: Steps) -> None:
    listener = call.listener
    with steps("typed turn"):
        call.context.add_message({"role": "user", "content": "A cleaning on 2026-12-01, please"})
        await call.worker.queue_frame(frames.LLMRunFrame())
        await listener.until(frames.FunctionCallResultFrame)
        assert call.asked == [{"service": "dental cleaning", "date": "2026-12-01"}]
    with steps("configure"):
        told = mock.sessions[0].sent("session.updated")[-1]["session"]
        assert "check_availability" in str(told["tools"]) and told["instructions"] == "You book appointments."
    with steps("tool round"):
        assert await listener.words() == "I have 10:00 and 14:30."
    with steps("spoken turn"):
        await call.speak(speech)
        assert await listener.words() == "July sixth is free."
    with steps("interruption"):
        await call.ask("Tell me everything")
        await listener.until(frames.TTSAudioRawFrame)
        # Its cancel names no response: sent after the whole turn, it would hit the answer to that.
        begun, rest = speech[: 48 * 1200], speech[48 * 1200 :]
        await call.speak(begun)
        await listener.until(frames.InterruptionFrame)
        await call.speak(rest)
        assert "July sixth is free." in await listener.words()
        states = [event["response"]["status"] for event in mock.sessions[0].sent("response.done")]
        assert states[-2:] == ["cancelled", "completed"]


async def test_pipecat(mock: MockServer, dialect: str, model: str, speech: bytes, took: Callable[[str], Steps]):
    steps = took(f"pipecat {version('pipecat-ai')}")
    service = xai_service if dialect == "xai" else openai_service
    problems: list[str] = []
    loguru.logger.remove()
    sink = loguru.logger.add(problems.append, level="WARNING")
    try:
        async with dial(service(mock, model)) as call:
            await converse(call, mock, speech, steps)
        with steps("reconnect"):
            async with dial(service(mock, model)) as again:
                again.context.add_message({"role": "user", "content": "Hello?"})
                await again.worker.queue_frame(frames.LLMRunFrame())
                assert await again.listener.words() == "Pardon?"
    finally:
        loguru.logger.remove(sink)
    with steps("close"):
        assert close_codes(mock) == [1000, 1000]
    with steps("ledger"):
        check_usage(call.listener.usage, mock)
    assert problems == []


def check_usage(usage: list[Any], mock: MockServer) -> None:
    """Its sums of tokens against what the mock charges, or with xAI told."""
    line = mock.sessions[0]
    sums = sum(each.prompt_tokens for each in usage), sum(each.completion_tokens for each in usage)
    if not line.ledger.tokens:
        told = [event["usage"] for event in line.sent("response.done")]
        assert sums == (sum(each["input_tokens"] for each in told), sum(each["output_tokens"] for each in told))
        return
    spent = line.ledger.tokens["gpt-realtime"]
    read = spent.text + spent.cached_text + spent.audio + spent.cached_audio
    assert sums == (read, spent.text_out + spent.thought + spent.audio_out)
