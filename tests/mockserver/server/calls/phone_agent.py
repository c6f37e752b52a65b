"""A phone agent as users write one: a webhook that takes calls, and a sideband that drives each."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web

from mockserver.calls.webhook import signature
from mockserver.testing.mock_server import MockServer

Event = dict[str, Any]


@dataclass
class Agent:
    """Accepts each call, or answers it as `takes` says. `on`: what it does at an event of the sideband."""

    mock: MockServer
    http: ClientSession
    session: Event = field(default_factory=dict)
    takes: str | tuple[str, Event] = "accept"
    on: Callable[[Agent, Event], Awaitable[None]] | None = None
    statuses: list[int] = field(default_factory=lambda: [200])
    """Of the receiver's answers, the last of them again and again."""
    secret: str = ""
    hooks: list[tuple[dict[str, str], Event]] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    """The ids of the webhooks that were obeyed."""
    bad: int = 0
    """Webhooks whose signature was wrong."""
    answers: list[tuple[str, int]] = field(default_factory=list)
    """Requests about calls, and the status of each."""
    events: list[Event] = field(default_factory=list)
    call_id: str = ""
    url: str = ""
    sideband: ClientWebSocketResponse[bool] | None = None
    closed: int | None = None
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def listening(self) -> Any:
        """Serve the webhook of this agent for as long as the block lasts."""
        app = web.Application()
        app.router.add_post("/calls/incoming", self._incoming)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        self.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/calls/incoming"  # type: ignore[attr-defined]
        try:
            yield self
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await runner.cleanup()

    async def _incoming(self, request: web.Request) -> web.Response:
        body = await request.read()
        hook = json.loads(body)
        self.hooks.append(({name.lower(): value for name, value in request.headers.items()}, hook))
        id, unix = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
        if request.headers["webhook-signature"] != signature(self.secret or self.mock.webhook_secret, id, unix, body):
            self.bad += 1
            return web.Response(status=400)
        status = self.statuses[min(len(self.hooks), len(self.statuses)) - 1]
        if status == 200 and id not in self.taken:  # a webhook may come twice
            self.taken.add(id)
            self.call_id = hook["data"]["call_id"]
            self.tasks.add(asyncio.get_running_loop().create_task(self._take()))
        return web.Response(status=status)

    async def _take(self) -> None:
        if self.takes == "ignore":
            return
        action, body = ("accept", self.session) if isinstance(self.takes, str) else self.takes
        if (
            await self.ask(action, {"type": "realtime", **body} if action == "accept" else body) != 200
            or action != "accept"
        ):
            return
        await self.attend()

    async def finished(self) -> None:
        """Wait until the agent is through with all calls."""
        await asyncio.gather(*self.tasks)

    async def ask(self, action: str, body: Event | None = None) -> int:
        """A request about the call; its status."""
        url = f"{self.mock.http_url}/realtime/calls/{self.call_id}/{action}"
        async with self.http.post(url, json=body or {}, headers=self._key) as response:
            self.answers.append((action, response.status))
            return response.status

    async def attend(self) -> None:
        """Be the sideband until the call is over."""
        async with self.http.ws_connect(f"{self.mock.ws_url}?call_id={self.call_id}", headers=self._key) as ws:
            self.sideband = ws
            async for message in ws:
                if message.type is WSMsgType.TEXT:
                    self.events.append(event := json.loads(message.data))
                    if self.on is not None:
                        await self.on(self, event)
            self.closed = ws.close_code

    async def send(self, **event: Any) -> None:
        assert self.sideband is not None
        await self.sideband.send_json(event)

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def _key(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.mock.api_key}"}
