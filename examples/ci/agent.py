"""A small voice agent that books appointments by an open microphone. It stands for yours."""

from __future__ import annotations

import asyncio
import base64
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

CHUNK = 4800
"""Bytes of 100 ms: PCM16, one channel, 24 kHz."""
BYTES_PER_S = 48_000
TOOL = {
    "type": "function",
    "name": "book_appointment",
    "description": "Book an appointment.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
}


class Refused(Exception):
    """The service did not take a request; the message is its own."""


def caller(pause_s: float = 0.5) -> bytes:
    """Somebody who says one thing, takes a breath, and says it again."""
    with wave.open(str(Path(__file__).parent / "caller.wav")) as file:
        words = file.readframes(file.getnframes())
    return words + bytes(int(BYTES_PER_S * pause_s) // 2 * 2) + words


class Agent:
    """One call, from dialling to hanging up. What it did is in `bookings`, `words` and `billable_s`."""

    model = "grok-voice-think-fast-2.0"
    query = ""
    silence_ms = 600
    give_up_s = 30.0

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.bookings: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.billable_s = 0.0
        self.over = False
        self.line: ClientConnection
        self.calls: list[dict[str, Any]] = []
        self.item = ""
        self.received = 0
        self.plays_until = 0.0

    async def call(self) -> None:
        """Talk until the booking is made, at most for `patience_s`."""
        async with await self.dial() as self.line:
            try:
                await asyncio.wait_for(self.talk(), self.give_up_s)
            except (asyncio.TimeoutError, ConnectionClosed):
                pass

    async def talk(self) -> None:
        await self.configure()
        await asyncio.gather(self.microphone(), self.listen())

    # The way in.

    async def dial(self) -> ClientConnection:
        """Connect; a service that is busy is asked again when it said so."""
        for wait_s in (0.5, 1.0, 2.0, 4.0):
            try:
                return await connect(f"{self.url}?model={self.model}{self.query}", **self.credentials())
            except InvalidStatus as refused:
                if refused.response.status_code != 429:
                    raise
                await self.back_off(float(refused.response.headers.get("Retry-After", wait_s)))
        raise Refused("the service is busy")

    async def back_off(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def credentials(self) -> dict[str, Any]:
        return {"additional_headers": {"Authorization": f"Bearer {self.key}"}}

    def session(self) -> dict[str, Any]:
        return {
            "instructions": "You book appointments.",
            "turn_detection": {"type": "server_vad", "silence_duration_ms": self.silence_ms},
            "audio": {"input": {"transcription": {"model": "grok-transcribe"}}},
            "tools": [TOOL],
        }

    async def configure(self) -> None:
        """Nothing else is sent until the service has taken the configuration."""
        await self.send("session.update", session=self.session())
        while (await self.next())["type"] != "session.updated":
            pass

    # Speaking and listening.

    def sound(self) -> Iterator[bytes]:
        """What the microphone hears: the caller, and then a quiet room, for as long as the call goes on."""
        said = caller()
        yield from (said[at : at + CHUNK] for at in range(0, len(said), CHUNK))
        while True:
            yield bytes(CHUNK)

    async def microphone(self) -> None:
        for chunk in self.sound():
            if self.over:
                return
            await self.send("input_audio_buffer.append", audio=base64.b64encode(chunk).decode())
            await asyncio.sleep(0.1)

    async def listen(self) -> None:
        while not self.over:
            event = await self.next()
            match event["type"]:
                case "response.output_item.added":
                    self.item, self.received = event["item"]["id"], 0
                case "response.output_audio.delta":
                    await self.play(len(base64.b64decode(event["delta"])))
                case "response.function_call_arguments.done":
                    self.calls.append(event)
                case "response.done":
                    self.bill(event["usage"]["billable_audio_seconds"])
                    await self.answered()
                case kind if kind.startswith("conversation.item.input_audio_transcription."):
                    self.read(event["item_id"], event["transcript"])

    async def play(self, size: int) -> None:
        now = asyncio.get_running_loop().time()
        self.received += size
        self.plays_until = max(now, self.plays_until) + size / BYTES_PER_S

    async def answered(self) -> None:
        """A response is over: its calls are carried out, or the call has come to its end."""
        calls, self.calls = self.calls, []
        if not calls:
            await self.hang_up()
            return
        for each in calls:
            await self.result(each)
        await self.ask()

    async def result(self, call: dict[str, Any]) -> None:
        output = self.book(json.loads(call["arguments"]))
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        await self.send("conversation.item.create", item=item)

    async def ask(self) -> None:
        await self.send("response.create")

    async def hang_up(self) -> None:
        """Not before the last word has been heard."""
        await asyncio.sleep(max(0.0, self.plays_until - asyncio.get_running_loop().time()))
        self.over = True

    # What comes of it.

    def book(self, wish: dict[str, Any]) -> str:
        """Each day once: a model may ask twice."""
        day = wish["day"]
        self.bookings.setdefault(day, json.dumps({"booking": len(self.bookings) + 1, "day": day}))
        return self.bookings[day]

    def read(self, item: str, words: str) -> None:
        """Each reading of the caller's words takes the place of the one before."""
        self.words[item] = words

    def bill(self, running_total_s: float) -> None:
        self.billable_s = running_total_s

    # The wire.

    async def send(self, type: str, **fields: Any) -> None:
        await self.line.send(json.dumps({"type": type, **fields}))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.line.recv())
        if event["type"] == "error":
            self.failed(event["error"]["message"])
        return event

    def failed(self, message: str) -> None:
        raise Refused(message)
