"""A scripted language model behind `/v1/chat/completions`, over real sockets: for tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Answer:
    """What the model does once: pieces of text, calls (name and arguments), and how it goes wrong."""

    pieces: Sequence[str] = ()
    calls: Sequence[tuple[str, dict[str, object]]] = ()
    status: int = 200
    body: str = ""
    breaks_off: bool = False
    """The stream ends without an end."""
    error: str = ""
    """After the pieces it reports this."""
    resets: bool = False
    """After the pieces the connection breaks."""
    waits: asyncio.Event | None = None
    """After the first piece it waits for this."""
    finish: str = "stop"


@dataclass
class ChatServer:
    url: str
    answers: list[Answer]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    dropped: int = 0
    """Requests whose client left before the answer was complete."""


@asynccontextmanager
async def chat_server(*answers: Answer) -> AsyncIterator[ChatServer]:
    server = ChatServer("", list(answers))

    async def complete(request: web.Request) -> web.StreamResponse:
        server.asked.append(await request.json())
        server.keys.append(request.headers.get("Authorization"))
        answer = server.answers.pop(0)
        if answer.status != 200:
            return web.Response(status=answer.status, text=answer.body)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)

        async def send(delta: dict[str, object], finish: str | None = None) -> None:
            event = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            await response.write(f"data: {json.dumps(event)}\n\n".encode())

        try:
            for number, piece in enumerate(answer.pieces):
                await send({"content": piece})
                if number == 0 and answer.waits is not None:
                    await answer.waits.wait()
            for index, (name, arguments) in enumerate(answer.calls):
                function = {"name": name, "arguments": ""}
                await send(
                    {"tool_calls": [{"index": index, "id": f"c{index}", "type": "function", "function": function}]}
                )
                text = json.dumps(arguments)
                for part in (text[:5], text[5:]):
                    await send({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
            if answer.error:
                problem = {"error": {"message": answer.error}}
                await response.write(f"data: {json.dumps(problem)}\n\n".encode())
            if answer.resets and request.transport is not None:
                request.transport.abort()
            elif not answer.breaks_off:
                await send({}, "tool_calls" if answer.calls else answer.finish)
                await response.write(b"data: [DONE]\n\n")
        except (ConnectionError, asyncio.CancelledError):
            server.dropped += 1
            raise
        return response

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()
