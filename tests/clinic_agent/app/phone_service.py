"""A telephone service on loopback: accept, refer, hangup and the sideband, with frames that a test sends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from clinic_agent.config import Config, Dialect

CALL = "rtc_u1_test"


@dataclass
class Side:
    """The service's side of one sideband."""

    socket: web.WebSocketResponse
    events: list[dict[str, Any]]

    async def send(self, type_: str, **fields: Any) -> None:
        await self.socket.send_str(json.dumps({"type": type_, "event_id": "e", **fields}))

    async def until(self, type_: str) -> dict[str, Any]:
        async for message in self.socket:
            assert message.type is WSMsgType.TEXT
            event: dict[str, Any] = json.loads(message.data)
            self.events.append(event)
            if event["type"] == type_:
                return event
        raise ConnectionError(f"closed before {type_}")

    async def says(self, name: str, text: str) -> None:
        """A spoken response up to its end; the playback goes on."""
        await self.send("response.created", response={"id": name})
        await self.send("response.output_audio_transcript.delta", response_id=name, item_id=f"i-{name}", delta=text)
        await self.send("output_audio_buffer.started", response_id=name)
        await self.send("response.done", response={"id": name, "status": "completed"})

    async def played(self, name: str) -> None:
        await self.send("output_audio_buffer.stopped", response_id=name)

    async def hears(self, name: str, text: str) -> None:
        await self.send("input_audio_buffer.speech_started", item_id=name)
        await self.send("input_audio_buffer.speech_stopped", item_id=name)
        await self.send("input_audio_buffer.committed", item_id=name)
        kind = "conversation.item.input_audio_transcription.completed"
        await self.send(kind, item_id=name, transcript=text)

    async def calls(self, name: str, tool: str, **arguments: Any) -> None:
        """A response that calls a tool."""
        await self.send("response.created", response={"id": name})
        text = json.dumps(arguments)
        kind = "response.function_call_arguments.done"
        await self.send(kind, response_id=name, item_id=f"f-{name}", call_id=name, name=tool, arguments=text)
        await self.send("response.done", response={"id": name, "status": "completed"})


@dataclass
class PhoneService:
    """What the service was asked for; `answers` are the statuses of commands, one after another."""

    commands: list[tuple[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, list[tuple[int, Any]]] = field(default_factory=dict)
    sidebands: list[Callable[[Side], Awaitable[None]]] = field(default_factory=list)
    config: Config = field(default_factory=lambda: Config("", "", "key"))

    @asynccontextmanager
    async def serving(self, dialect: Dialect) -> AsyncIterator[PhoneService]:
        app = web.Application()
        app.router.add_post("/v1/realtime/calls/{id}/{command}", self._command)
        app.router.add_get("/v1/realtime", self._sideband)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        origin = f"127.0.0.1:{runner.addresses[0][1]}"
        self.config = Config(f"ws://{origin}/v1/realtime", f"http://{origin}/v1", "key", dialect=dialect)
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _command(self, request: web.Request) -> web.Response:
        command = request.match_info["command"]
        body = await request.json() if request.can_read_body else None
        self.commands.append((command, body))
        status, answer = (self.answers.get(command) or [(200, None)]).pop(0) if self.answers.get(command) else (200, {})
        return web.json_response(answer, status=status)

    async def _sideband(self, request: web.Request) -> web.StreamResponse:
        if not self.sidebands:
            return web.Response(status=404)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await self.sidebands.pop(0)(Side(socket, self.events))
        await socket.close()
        return socket
