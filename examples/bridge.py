"""A bridge from a telephone to a realtime service: Twilio Media Streams here, the OpenAI or xAI API there.

With the mock behind it, `realtape dial http://127.0.0.1:5050/incoming-call --say "Hello"` calls it.
REALTIME_URL, REALTIME_KEY and REALTIME_MODEL name the service; a model `grok-…` is xAI's.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

from aiohttp import ClientSession, web

MODEL = os.environ.get("REALTIME_MODEL", "gpt-realtime-2.1")
URL = f"{os.environ.get('REALTIME_URL', 'ws://127.0.0.1:8765/v1/realtime')}?model={MODEL}"
HEADERS = {"Authorization": f"Bearer {os.environ.get('REALTIME_KEY', 'any')}"}

MULAW = {"format": {"type": "audio/pcmu"}}  # both services take and give a telephone's sound: nothing is converted
TURNS = {"turn_detection": {"type": "server_vad"}}
XAI = {**TURNS, "audio": {"input": MULAW, "output": MULAW}}
OPENAI = {"type": "realtime", "audio": {"input": {**MULAW, **TURNS}, "output": MULAW}}


async def incoming_call(request: web.Request) -> web.Response:
    stream = f'<Stream url="wss://{request.host}/media-stream"/>'
    return web.Response(text=f"<Response><Connect>{stream}</Connect></Response>", content_type="text/xml")


async def media_stream(request: web.Request) -> web.WebSocketResponse:
    phone = web.WebSocketResponse()
    await phone.prepare(request)
    stream = item = cut = ""  # the call's stream, the answer that plays, an answer that was interrupted
    sent_ms = heard_ms = 0.0  # of that answer: a mark behind each piece comes back when the caller has heard it

    async def to_phone(event: str, **rest: Any) -> None:
        await phone.send_json({"event": event, "streamSid": stream, **rest})

    async def from_phone() -> None:
        nonlocal stream, heard_ms
        async for message in phone:
            event = message.json()
            match event["event"]:
                case "start":
                    stream = event["streamSid"]
                case "media":
                    sound = event["media"]["payload"]
                    await service.send_json({"type": "input_audio_buffer.append", "audio": sound})
                case "mark" if event["mark"]["name"].startswith(f"{item} "):
                    heard_ms = float(event["mark"]["name"].split()[1])
        await service.close()

    async def from_service() -> None:
        nonlocal item, cut, sent_ms, heard_ms
        async for message in service:
            event = message.json()
            match event["type"]:
                case "response.output_audio.delta" if event["item_id"] != cut:
                    if event["item_id"] != item:
                        item, sent_ms, heard_ms = event["item_id"], 0.0, 0.0
                    sent_ms += len(base64.b64decode(event["delta"])) / 8
                    await to_phone("media", media={"payload": event["delta"]})
                    await to_phone("mark", mark={"name": f"{item} {sent_ms}"})
                case "input_audio_buffer.speech_started" if heard_ms < sent_ms:
                    heard = {"item_id": item, "content_index": 0, "audio_end_ms": int(heard_ms)}
                    item, cut, sent_ms, heard_ms = "", item, 0.0, 0.0
                    await to_phone("clear")
                    await service.send_json({"type": "conversation.item.truncate", **heard})
        await phone.close()

    async with ClientSession() as http, http.ws_connect(URL, headers=HEADERS) as service:
        await service.send_json({"type": "session.update", "session": XAI if MODEL.startswith("grok") else OPENAI})
        await asyncio.gather(from_phone(), from_service())
    return phone


def application() -> web.Application:
    app = web.Application()
    app.add_routes([web.post("/incoming-call", incoming_call), web.get("/media-stream", media_stream)])
    return app


if __name__ == "__main__":
    web.run_app(application(), host="127.0.0.1", port=int(os.environ.get("PORT", "5050")))
