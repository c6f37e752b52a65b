"""pydantic-ai: an agent with a tool, whose events, history and usage come from the wire."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from fractions import Fraction
from typing import Any

import pytest

from mockserver.server.journal import SessionLog
from mockserver.testing.mock_server import MockServer
from tests.clients.reports import close_codes
from tests.clients.sound import chunks
from tests.clients.steps import Steps
from tests.clients.wishes import SLOTS

pydantic_ai: Any = pytest.importorskip("pydantic_ai", reason="pydantic-ai is not installed")
realtime: Any = pytest.importorskip("pydantic_ai.realtime", reason="this pydantic-ai has no realtime models")
messages: Any = pytest.importorskip("pydantic_ai.messages")


def xai_model(mock: MockServer, model: str) -> Any:
    from_xai: Any = pytest.importorskip("pydantic_ai.realtime.xai", reason="pydantic-ai is installed without xai")
    providers: Any = pytest.importorskip("pydantic_ai.providers.xai")

    class LocalProvider(providers.XaiProvider):  # type: ignore[misc]
        @property
        def base_url(self) -> str:
            return mock.http_url

    return from_xai.XaiRealtimeModel(model, provider=LocalProvider(api_key=mock.api_key))


def openai_model(mock: MockServer, model: str) -> Any:
    from_openai: Any = pytest.importorskip("pydantic_ai.realtime.openai", reason="pydantic-ai without openai")
    providers: Any = pytest.importorskip("pydantic_ai.providers.openai")
    provider = providers.OpenAIProvider(base_url=mock.http_url, api_key=mock.api_key)
    return from_openai.OpenAIRealtimeModel(model, provider=provider)


class Call:
    """A session of the library, and all the events that it gave."""

    def __init__(self, session: Any) -> None:
        self.session = session
        self._events = session.__aiter__()

    async def until(self, kind: str) -> list[Any]:
        """Events up to the first of that class. Fails on an error of the session."""
        events: list[Any] = []
        while not events or type(events[-1]).__name__ != kind:
            event = await asyncio.wait_for(anext(self._events), 15)
            assert type(event).__name__ != "RealtimeSessionErrorEvent", event
            events.append(event)
        return events

    def said(self, message: str) -> list[str]:
        """The transcripts of the history: of "ModelRequest" or "ModelResponse"."""
        parts = [part for each in self.session.all_messages() if type(each).__name__ == message for part in each.parts]
        return [part.transcript for part in parts if isinstance(part, messages.SpeechPart) and part.transcript]


async def converse(call: Call, line: SessionLog, asked: list[str], speech: bytes, steps: Steps) -> None:
    with steps("typed turn"):
        await call.session.send("A cleaning on 2026-12-01, please")
        await call.until("FunctionToolCallEvent")
    with steps("tool round"):
        await call.until("RealtimeTurnCompleteEvent")
        assert asked == ["dental cleaning on 2026-12-01"]
        assert call.said("ModelResponse") == ["I have 10:00 and 14:30."]
    with steps("spoken turn"):
        for chunk in chunks(speech):
            await call.session.send_audio(chunk)
        names = [type(event).__name__ for event in await call.until("RealtimeTurnCompleteEvent")]
        assert names.index("RealtimeInputSpeechStartEvent") < names.index("RealtimeInputSpeechEndEvent")
        assert call.said("ModelRequest")[-1] == "I would like a dental cleaning on July sixth."
        assert call.said("ModelResponse")[-1] == "July sixth is free."
    with steps("interruption"):
        await call.session.send("Tell me everything")
        await call.until("PartStartEvent")
        await call.session.interrupt()
        await call.until("RealtimeTurnCompleteEvent")
        assert line.sent("response.done")[-1]["response"]["status"] == "cancelled"


async def test_pydantic_ai(
    mock: MockServer,
    dialect: str,
    model: str,
    speech: bytes,
    took: Callable[[str], Steps],
    caplog: pytest.LogCaptureFixture,
):
    steps = took(f"pydantic-ai {pydantic_ai.__version__}")
    agent = pydantic_ai.Agent(instructions="You book appointments.")
    asked: list[str] = []

    @agent.tool_plain
    async def check_availability(service: str, date: str) -> str:
        """Which slots are free."""
        asked.append(f"{service} on {date}")
        return SLOTS

    spoken = xai_model(mock, model) if dialect == "xai" else openai_model(mock, model)

    def dial() -> AbstractAsyncContextManager[Any]:
        session: AbstractAsyncContextManager[Any] = agent.realtime(spoken).session()
        return session

    with steps("configure"):
        async with dial() as session:
            await converse(Call(session), mock.sessions[0], asked, speech, steps)
            usage = session.usage
    with steps("reconnect"):
        async with dial():
            pass
    with steps("close"):
        assert close_codes(mock) == [1000, 1000]
    with steps("ledger"):
        check_usage(usage, mock)
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def check_usage(usage: Any, mock: MockServer) -> None:
    """The library's own sums and money against the ledger.

    It prices tokens only, and of xAI's calls the connected seconds, so there the money is of another table: see
    docs/clients/pydantic-ai.md.
    """
    line = mock.sessions[0]
    if not line.ledger.tokens:
        told = [event["usage"] for event in line.sent("response.done")]
        assert usage.input_tokens == sum(each["input_tokens"] for each in told)
        assert usage.output_tokens == sum(each["output_tokens"] for each in told)
        assert usage.audio_seconds == told[-1]["billable_audio_seconds"]
        assert sum(each["output_audio_seconds"] for each in told) == pytest.approx(float(line.ledger.audio_out_s))
        return
    spent = line.ledger.tokens["gpt-realtime"]
    assert usage.input_tokens == spent.text + spent.cached_text + spent.audio + spent.cached_audio
    assert usage.cache_read_tokens == spent.cached_text + spent.cached_audio
    assert usage.output_tokens == spent.text_out + spent.audio_out
    assert Fraction(usage.cost) == line.ledger.prices.tokens("gpt-realtime").of(spent)
