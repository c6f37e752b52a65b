"""livekit-agents with its plugins for OpenAI and xAI: their realtime sessions, without a room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients.reports import close_codes
from tests.clients.sound import chunks
from tests.clients.steps import Steps
from tests.clients.wishes import SLOTS

aiohttp: Any = pytest.importorskip("aiohttp")
llm: Any = pytest.importorskip("livekit.agents.llm", reason="livekit-agents is not installed")
rtc: Any = pytest.importorskip("livekit.rtc")
plugins: dict[str, Any] = {
    name: pytest.importorskip(f"livekit.plugins.{name}", reason=f"livekit-plugins-{name} is not installed")
    for name in ("openai", "xai")
}
pytestmark = pytest.mark.heavy


@llm.function_tool
async def check_availability(service: str, date: str) -> str:
    """Which slots are free."""
    return SLOTS


class Call:
    """A realtime session of the library, and what it told."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self.metrics: list[Any] = []
        self.transcripts: list[str] = []
        self._told: asyncio.Queue[Any] = asyncio.Queue()
        session.on("metrics_collected", self.metrics.append)
        session.on("input_audio_transcription_completed", lambda event: self.transcripts.append(event.transcript))
        for kind in ("generation_created", "input_speech_started", "input_speech_stopped", "error"):
            session.on(kind, self._told.put_nowait)

    async def until(self, kind: str) -> Any:
        """The next event of that class. Fails on an error."""
        while True:
            event = await asyncio.wait_for(self._told.get(), 15)
            assert type(event).__name__ != "RealtimeModelError", event
            if type(event).__name__ == kind:
                return event

    async def add(self, *items: Any) -> None:
        """Puts items at the end of the conversation; returns when the service has them."""
        context = self.session.chat_ctx.copy()
        context.items.extend(items)
        await self.session.update_chat_ctx(context)

    async def ask(self, text: str) -> Any:
        await self.add(llm.ChatMessage(role="user", content=[text]))
        return await self.session.generate_reply()


async def spoken(generation: Any) -> tuple[str, float]:
    """The words of an answer, and the seconds of its sound."""
    words, seconds = "", 0.0
    async for message in generation.message_stream:
        words += "".join([str(piece) async for piece in message.text_stream])
        seconds += sum([frame.duration async for frame in message.audio_stream])
    return words, seconds


async def calls(generation: Any) -> Sequence[Any]:
    return [call async for call in generation.function_stream]


@asynccontextmanager
async def dial(mock: MockServer, dialect: str, model: str, **options: Any) -> AsyncIterator[Call]:
    base = mock.ws_url if dialect == "xai" else mock.http_url
    async with aiohttp.ClientSession() as http:
        realtime = plugins[dialect].realtime.RealtimeModel(
            model=model, base_url=base, api_key=mock.api_key, http_session=http, **options
        )
        session = realtime.session()
        try:
            yield Call(session)
        finally:
            await session.aclose()
            await realtime.aclose()


async def converse(call: Call, mock: MockServer, speech: bytes, steps: Steps) -> None:
    session = call.session
    with steps("configure"):
        await session.update_instructions("You book appointments.")
        await session.update_tools([check_availability])
    with steps("typed turn"):
        generation = await call.ask("A cleaning on 2026-12-01, please")
        (asked,) = await calls(generation)
        assert asked.arguments == '{"service":"dental cleaning","date":"2026-12-01"}'
    with steps("tool round"):
        output = llm.FunctionCallOutput(call_id=asked.call_id, name=asked.name, output=SLOTS, is_error=False)
        await call.add(output)
        words, seconds = await spoken(await session.generate_reply())
        assert words == "I have 10:00 and 14:30." and seconds > 1
    with steps("spoken turn"):
        for chunk in chunks(speech):
            session.push_audio(rtc.AudioFrame(chunk, 24_000, 1, len(chunk) // 2))
        await call.until("InputSpeechStartedEvent")
        await call.until("InputSpeechStoppedEvent")
        words, _ = await spoken(await call.until("GenerationCreatedEvent"))
        assert words == "July sixth is free."
        assert call.transcripts[-1] == "I would like a dental cleaning on July sixth."
    with steps("interruption"):
        generation = await call.ask("Tell me everything")
        message = await anext(aiter(generation.message_stream))
        await anext(aiter(message.audio_stream))
        session.interrupt()
        session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=100)
        assert [each async for each in generation.message_stream] == []
        assert mock.sessions[0].sent("response.done")[-1]["response"]["status"] == "cancelled"


@pytest.fixture
def expected_errors(dialect: str) -> tuple[str, ...]:
    """On xAI, a cancelled message is gone when LiveKit truncates it, as its users report."""
    return ("Item not found",) if dialect == "xai" else ()


async def test_livekit(
    mock: MockServer,
    dialect: str,
    model: str,
    speech: bytes,
    took: Callable[[str], Steps],
    caplog: pytest.LogCaptureFixture,
):
    steps = took(f"livekit-plugins-{dialect} {version(f'livekit-plugins-{dialect}')}")
    async with dial(mock, dialect, model) as call:
        await converse(call, mock, speech, steps)
    with steps("reconnect"):
        async with dial(mock, dialect, model) as again:
            assert (await spoken(await again.ask("Hello?")))[0] == "Pardon?"
    with steps("close"):
        assert close_codes(mock) == [1000, 1000]
    if dialect == "openai":
        with steps("ledger"):
            check_usage(call.metrics, mock)
    else:
        steps.skip("ledger", "it reads `response.usage`, which xAI sends empty")
        assert sum(each.input_tokens for each in answers(call.metrics)) == 0
    assert [each for each in warnings(caplog) if dialect == "openai" or "Item not found" not in each] == []


def answers(metrics: list[Any]) -> list[Any]:
    return [each for each in metrics if each.type == "realtime_model_metrics"]


def check_usage(metrics: list[Any], mock: MockServer) -> None:
    """The library's own figures against the ledger."""
    spent = mock.sessions[0].ledger.tokens["gpt-realtime"]
    read = [each.input_token_details for each in answers(metrics)]
    given = [each.output_token_details for each in answers(metrics)]
    assert sum(each.text_tokens for each in read) == spent.text + spent.cached_text
    assert sum(each.audio_tokens for each in read) == spent.audio + spent.cached_audio
    assert sum(each.cached_tokens for each in read) == spent.cached_text + spent.cached_audio
    assert sum(each.text_tokens for each in given) == spent.text_out
    assert sum(each.audio_tokens for each in given) == spent.audio_out


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_livekit_deletes_and_rewrites_the_conversation(
    mock: MockServer, dialect: str, model: str, caplog: pytest.LogCaptureFixture
):
    async with dial(mock, dialect, model) as call:
        assert (await spoken(await call.ask("Hello?")))[0] == "Pardon?"
        question, answer = call.session.chat_ctx.items
        context = call.session.chat_ctx.copy()
        context.items.remove(question)
        await call.session.update_chat_ctx(context)
        context.items.insert(0, llm.ChatMessage(role="system", content=["Be kind."]))
        await call.session.update_chat_ctx(context)
        # What has no item before it goes last with xAI's plugin and first with OpenAI's.
        order = [context.items[0].id, answer.id]
        assert [item.id for item in call.session.chat_ctx.items] == (order if dialect == "openai" else order[::-1])
    (deleted,) = mock.sessions[0].sent("conversation.item.deleted")
    assert deleted["item_id"] in (question.id, "")
    assert warnings(caplog) == []


@pytest.mark.parametrize("dialect", ["xai"])
async def test_livekit_has_xai_say_a_text(mock: MockServer, dialect: str, model: str, caplog: pytest.LogCaptureFixture):
    async with dial(mock, dialect, model) as call:
        words, seconds = await spoken(await call.session.say("Your appointment is confirmed."))
        assert words == "Your appointment is confirmed." and seconds > 1
    assert warnings(caplog) == []


async def test_livekit_takes_its_conversation_to_a_new_connection(
    mock: MockServer, dialect: str, model: str, caplog: pytest.LogCaptureFixture
):
    async with dial(mock, dialect, model, max_session_duration=2.0) as call:
        await call.session.update_tools([check_availability])
        (asked,) = await calls(await call.ask("A cleaning on 2026-12-01, please"))
        await call.add(llm.FunctionCallOutput(call_id=asked.call_id, name=asked.name, output=SLOTS, is_error=False))
        assert (await spoken(await call.session.generate_reply()))[0] == "I have 10:00 and 14:30."
        known = [item.id for item in call.session.chat_ctx.items]
        restored: asyncio.Queue[Any] = asyncio.Queue()
        call.session.on("remote_item_added", restored.put_nowait)
        assert [(await asyncio.wait_for(restored.get(), 15)).item.id for _ in known] == known
        assert (await spoken(await call.ask("Hello?")))[0] == "Pardon?"
        assert [item.id for item in call.session.chat_ctx.items][: len(known)] == known
    assert len(mock.sessions) >= 2
    assert warnings(caplog) == []
