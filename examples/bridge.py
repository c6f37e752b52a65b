"""A bridge from a telephone to a realtime service: Twilio Media Streams here, the OpenAI or xAI API there.

Run it with the mock behind it, and call it: `realtape dial http://127.0.0.1:5050/incoming-call --say "Hello"`.
REALTIME_URL, REALTIME_KEY and REALTIME_MODEL name the service; a model `grok-…` is xAI's.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, web

URL = os.environ.get("REALTIME_URL", "ws://127.0.0.1:8765/v1/realtime")
MODEL = os.environ.get("REALTIME_MODEL", "gpt-realtime")
KEY = os.environ.get("REALTIME_KEY", "any")


def settings() -> dict[str, Any]:
    """Both services take and give a telephone's µ-law: nothing is converted."""
    sound = {"format": {"type": "audio/pcmu"}}
    hearing = {"type": "server_vad"}
    if MODEL.startswith("grok"):
        return {"turn_detection": hearing, "audio": {"input": sound, "output": sound}}
    return {"type": "realtime", "audio": {"input": {**sound, "turn_detection": hearing}, "output": sound}}


class Call:
    """One call. A mark behind each piece of an answer comes back when the caller has heard the piece."""

    def __init__(self, phone: web.WebSocketResponse, service: ClientWebSocketResponse) -> None:
        self.phone, self.service = phone, service
        self.stream = ""
        self.item = ""  # the answer that is being played
        self.sent_ms = self.heard_ms = 0.0

    async def from_phone(self) -> None:
        async for message in self.phone:
            event = message.json()
            match event["event"]:
                case "start":
                    self.stream = event["streamSid"]
                case "media":
                    await self.service.send_json(
                        {"type": "input_audio_buffer.append", "audio": event["media"]["payload"]}
                    )
                case "mark":
                    item, _, heard_ms = event["mark"]["name"].partition(" ")
                    if item == self.item:
                        self.heard_ms = float(heard_ms)
                case "stop":
                    return

    async def from_service(self) -> None:
        cut = ""  # an answer that was interrupted: what still comes of it is dropped
        async for message in self.service:
            event = message.json()
            match event["type"]:
                case "response.output_audio.delta" if event["item_id"] != cut:
                    if event["item_id"] != self.item:
                        self.item, self.sent_ms, self.heard_ms = event["item_id"], 0.0, 0.0
                    self.sent_ms += len(base64.b64decode(event["delta"])) / 8
                    await self.to_phone("media", media={"payload": event["delta"]})
                    await self.to_phone("mark", mark={"name": f"{self.item} {self.sent_ms}"})
                case "input_audio_buffer.speech_started" if self.heard_ms < self.sent_ms:
                    truncate = {"item_id": self.item, "content_index": 0, "audio_end_ms": int(self.heard_ms)}
                    cut, self.item, self.sent_ms = self.item, "", 0.0
                    await self.to_phone("clear")
                    await self.service.send_json({"type": "conversation.item.truncate", **truncate})
                case "error":
                    print(event["error"])

    async def to_phone(self, event: str, **rest: Any) -> None:
        await self.phone.send_json({"event": event, "streamSid": self.stream, **rest})


async def media_stream(request: web.Request) -> web.WebSocketResponse:
    phone = web.WebSocketResponse()
    await phone.prepare(request)
    headers = {"Authorization": f"Bearer {KEY}"}
    async with ClientSession() as http, http.ws_connect(f"{URL}?model={MODEL}", headers=headers) as service:
        await service.send_json({"type": "session.update", "session": settings()})
        call = Call(phone, service)
        sides = [asyncio.ensure_future(side) for side in (call.from_phone(), call.from_service())]  # noqa: TID251
        await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        for side in sides:
            side.cancel()
        await asyncio.gather(*sides, return_exceptions=True)
    await phone.close()
    return phone


async def incoming_call(request: web.Request) -> web.Response:
    stream = f'<Stream url="wss://{request.host}/media-stream"/>'
    return web.Response(text=f"<Response><Connect>{stream}</Connect></Response>", content_type="text/xml")


def application() -> web.Application:
    app = web.Application()
    app.add_routes([web.post("/incoming-call", incoming_call), web.get("/media-stream", media_stream)])
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(os.environ.get("PORT", "5050")))
