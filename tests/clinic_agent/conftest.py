"""A service on loopback that sends the frames of a test. Origin: hand, shapes after recordings of xAI, July 2026."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import date
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from clinic_agent.call.manual_turns import VoiceClient, connect
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.config import Config

Script = Callable[["ServiceSide"], Awaitable[None]]
Serving = Callable[..., AbstractAsyncContextManager[Config]]
PRICED_ON = date(2026, 7, 1)


class ServiceSide:
    """The service's side of one call."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.received: list[dict[str, Any]] = []

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": type_, "event_id": "e", **fields, "previous_item_id": None}))

    async def until(self, *types: str) -> dict[str, Any]:
        """The next client frame of one of these types."""
        while True:
            event: dict[str, Any] = json.loads(await self.socket.recv())
            self.received.append(event)
            if event["type"] in types:
                return event

    async def greet(self, model: str = "grok-voice-think-fast-1.0") -> dict[str, Any]:
        """The frames up to session.updated; returns the client's session.update."""
        await self.send("session.created", session={"id": "0" * 32, "object": "realtime.session", "model": model})
        await self.send("conversation.created", conversation={"id": "conv-1", "object": "realtime.conversation"})
        await self.send("ping", timestamp=1785214084929)
        update = await self.until("session.update")
        await self.send("session.updated", session={"model": model})
        return update

    async def hears(self, *drafts: str, final: str) -> None:
        kind = "conversation.item.input_audio_transcription"
        for draft in drafts:
            await self.send(f"{kind}.updated", item_id="u", transcript=draft)
            await self.send(f"{kind}.completed", item_id="u", transcript=draft, status="in_progress")
        await self.send(f"{kind}.completed", item_id="u", transcript=final, status="completed")

    async def speaks(self, *segments: str, samples: int = 734, item: str = "a") -> None:
        """A spoken item; the audio of a segment comes before its text, as recorded."""
        for text in segments:
            delta = b64encode(b"\1\0" * samples).decode()
            await self.send("response.output_audio.delta", item_id=item, delta=delta, rid=text)
            await self.send("response.output_audio_transcript.delta", item_id=item, delta=text, rid=text)

    async def calls(self, name: str, arguments: str, call_id: str = "call-1-0") -> None:
        await self.send("response.function_call_arguments.done", call_id=call_id, name=name, arguments=arguments)

    async def done(self, status: str = "completed", **usage: Any) -> None:
        response = {"id": "r", "object": "realtime.response", "status": status, "usage": {}}
        await self.send("response.done", response=response, usage=usage)

    async def hung_up(self) -> None:
        """Read until the client closes."""
        try:
            await self.until("nothing is of this type")
        except ConnectionClosed:
            pass


@pytest.fixture
def serving() -> Serving:
    """`async with serving(script) as config`: a service that runs `script`; an error in the script fails the test."""

    @asynccontextmanager
    async def run(script: Script, refuse: tuple[HTTPStatus, dict[str, str]] | None = None) -> AsyncIterator[Config]:
        broken: list[Exception] = []

        async def answer(socket: ServerConnection) -> None:
            try:
                await script(ServiceSide(socket))
            except Exception as error:
                broken.append(error)
                raise

        def admit(socket: ServerConnection, request: Request) -> Response | None:
            if refuse is None:
                return None
            response = socket.respond(refuse[0], f"Incorrect API key provided: {request.headers['Authorization']}")
            response.headers.update(refuse[1])
            return response

        async with serve(answer, "127.0.0.1", 0, process_request=admit) as server:
            port = server.sockets[0].getsockname()[1]
            origin = f"127.0.0.1:{port}"
            yield Config(f"ws://{origin}/v1/realtime", f"http://{origin}", key="hand-made-key")
        if broken:
            raise broken[0]

    return run


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the records, of a command too."""
    monkeypatch.setenv("CLINIC_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@asynccontextmanager
async def _calling(config: Config, **retry: Any) -> AsyncIterator[VoiceClient]:
    limits = replace(RetryPolicy(attempts=1, resumptions=0), **retry)
    async with connect(config, priced_on=PRICED_ON, retry=limits, plays=False) as client:
        await client.configure({})
        yield client


@pytest.fixture
def calling() -> Callable[..., AbstractAsyncContextManager[VoiceClient]]:
    """`async with calling(config) as client`: a configured client."""
    return _calling
