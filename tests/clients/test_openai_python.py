"""The `openai` package for Python: typed events over its own connection."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import TypeAdapter

from mockserver.testing.mock_server import MockServer
from tests.clients.reports import close_codes
from tests.clients.sound import chunks
from tests.clients.steps import Steps
from tests.clients.wishes import asks, session, tool_result

openai: Any = pytest.importorskip("openai", reason="the package openai is not installed")
types: Any = pytest.importorskip("openai.types.realtime")


class Line:
    """A connection of the package, and all that it read."""

    def __init__(self, connection: Any) -> None:
        self.send = connection
        self.usage: list[Any] = []

    async def until(self, *kinds: str) -> list[Any]:
        """Events up to the first of those kinds. Fails on what the package gives no type, and on errors."""
        events: list[Any] = []
        while not events or events[-1].type not in kinds:
            event = await asyncio.wait_for(self.send.recv(), 15)
            assert hasattr(event, "event_id"), f"no event of the package: {event!r}"
            assert event.type != "error", event
            events.append(event)
            if event.type == "response.done":
                self.usage.append(getattr(event, "usage", None) or event.response.usage)
        return events

    async def ask(self, text: str) -> None:
        await self.send.conversation.item.create(item=asks(text))
        await self.send.response.create()


def said(events: list[Any]) -> str:
    return "".join(event.delta for event in events if event.type == "response.output_audio_transcript.delta")


async def converse(line: Line, dialect: str, speech: bytes, steps: Steps) -> None:
    with steps("configure"):
        await line.send.session.update(session=session(dialect))
        updated = (await line.until("session.updated"))[-1]
        assert "check_availability" in str(updated.session)
    with steps("typed turn"):
        await line.ask("A cleaning on 2026-12-01, please")
        events = await line.until("response.done")
        (call,) = (event for event in events if event.type == "response.function_call_arguments.done")
        assert json.loads(call.arguments) == {"service": "dental cleaning", "date": "2026-12-01"}
    with steps("tool round"):
        await line.send.conversation.item.create(item=tool_result(call.call_id))
        await line.send.response.create()
        assert said(await line.until("response.done")) == "I have 10:00 and 14:30."
    with steps("spoken turn"):
        for chunk in chunks(speech):
            await line.send.input_audio_buffer.append(audio=base64.b64encode(chunk).decode())
        events = await line.until("response.done")
        assert [event.type for event in events if event.type.startswith("input_audio_buffer.")] == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
        ]
        assert said(events) == "July sixth is free."
    with steps("interruption"):
        await line.ask("Tell me everything")
        await line.until("response.output_audio.delta")
        await line.send.response.cancel()
        assert (await line.until("response.done"))[-1].response.status == "cancelled"


async def test_openai_in_python(
    mock: MockServer,
    dialect: str,
    model: str,
    speech: bytes,
    took: Callable[[str], Steps],
    caplog: pytest.LogCaptureFixture,
):
    steps = took(f"openai {openai.__version__} (Python)")
    base = mock.ws_url.removesuffix("/realtime")
    async with openai.AsyncOpenAI(api_key=mock.api_key, websocket_base_url=base, max_retries=0) as client:
        async with client.realtime.connect(model=model) as connection:
            line = Line(connection)
            await line.until("session.created")
            await converse(line, dialect, speech, steps)
        with steps("reconnect"):
            async with client.realtime.connect(model=model) as connection:
                await Line(connection).until("session.created")
    with steps("close"):
        assert close_codes(mock) == [1000, 1000]
    with steps("ledger"):
        check_usage(line.usage, mock, dialect)
    if dialect == "openai":
        strict = TypeAdapter(types.RealtimeServerEvent)
        assert [strict.validate_python(event) for session in mock.sessions for event in session.sent()]
    assert [record.message for record in caplog.records if record.levelno >= logging.WARNING] == []


def check_usage(usage: list[Any], mock: MockServer, dialect: str) -> None:
    """What the client was told against what the mock charges."""
    ledger = mock.sessions[0].ledger
    if dialect == "xai":
        seconds = sum(each["output_audio_seconds"] for each in usage)
        assert seconds == pytest.approx(float(ledger.audio_out_s))
        return
    spent = ledger.tokens["gpt-realtime"]
    read = spent.text + spent.cached_text + spent.audio + spent.cached_audio
    assert sum(each.input_tokens for each in usage) == read
    assert sum(each.output_tokens for each in usage) == spent.text_out + spent.thought + spent.audio_out
