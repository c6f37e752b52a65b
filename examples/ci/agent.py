"""A small voice agent that books appointments over an open microphone. Replace it by your agent."""

from __future__ import annotations

import asyncio
import base64
import json
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed, InvalidStatus

CHUNK = 4800
"""Bytes of 100 ms of audio: PCM16 mono 24 kHz."""
BYTES_PER_S = 48_000
TOOL = {
    "type": "function",
    "name": "book_appointment",
    "description": "Book an appointment.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
}


class Refused(Exception):
    """The service refused a request; the message is from the service."""


def caller(pause_s: float = 0.5) -> bytes:
    """The caller's audio: one sentence, a pause, and the sentence again."""
    with wave.open(str(Path(__file__).parent / "caller.wav")) as file:
        words = file.readframes(file.getnframes())
    return words + bytes(int(BYTES_PER_S * pause_s) // 2 * 2) + words


class Agent:
    """One call. Its results are in `bookings`, `words` (transcripts of the caller) and `billable_s`."""

    model = "grok-voice-3.0"
    query = ""
    silence_ms = 600
    give_up_s = 30.0
    scenario = "clinic.yaml"
    """The mock's side of the call."""
    cassette = ""
    """A recording instead."""
    months = 0
    """Months of 30 days from 2026-01-01 to the day of the call."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key
        self.bookings: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.billable_s = 0.0
        self.over = False
        self.connection: ClientConnection
        self.calls: list[dict[str, Any]] = []
        self.item = ""
        self.received = 0
        self.plays_until = 0.0

    async def call(self) -> None:
        """Talk until the booking is made, for at most `give_up_s` seconds."""
        async with await self.connect() as self.connection:
            try:
                await asyncio.wait_for(self.talk(), self.give_up_s)
            except (asyncio.TimeoutError, ConnectionClosed):
                pass

    async def talk(self) -> None:
        await self.configure()
        await asyncio.gather(self.microphone(), self.listen())

    # Connection.

    async def connect(self) -> ClientConnection:
        """Connect; if the service is busy, try again after its `Retry-After`."""
        for wait_s in (0.5, 1.0, 2.0, 4.0):
            try:
                return await websocket(f"{self.url}?model={self.model}{self.query}", **self.credentials())
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
        """Send the configuration and wait for `session.updated`, before anything else is sent."""
        await self.send("session.update", session=self.session())
        while (await self.next())["type"] != "session.updated":
            pass

    # Audio.

    def sound(self) -> Iterator[bytes]:
        """The audio of the microphone: the caller, then silence until the end of the call."""
        speech = caller()
        yield from (speech[at : at + CHUNK] for at in range(0, len(speech), CHUNK))
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
                case "response.function_call_arguments.done" if self.is_mine(event["name"]):
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
        """A response has ended: run its tool calls, or hang up if there are none."""
        calls, self.calls = self.calls, []
        if not calls:
            await self.hang_up()
            return
        for each in calls:
            await self.result(each)
        await self.played()
        await self.ask()

    def is_mine(self, tool: str) -> bool:
        """Whether this agent runs a tool. The service runs its searches itself, and may show them as calls."""
        return tool == TOOL["name"]

    async def result(self, call: dict[str, Any]) -> None:
        output = self.book(json.loads(call["arguments"]))
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        await self.send("conversation.item.create", item=item)

    async def ask(self) -> None:
        await self.send("response.create")

    async def hang_up(self) -> None:
        """Hang up after the last audio has been played."""
        await self.played()
        self.over = True

    async def played(self) -> None:
        """Wait until all received audio has been played."""
        await asyncio.sleep(max(0.0, self.plays_until - asyncio.get_running_loop().time()))

    # Results.

    def book(self, arguments: dict[str, Any]) -> str:
        """Book a day. A repeated call returns the first booking, since models repeat calls."""
        day = arguments["day"]
        self.bookings.setdefault(day, json.dumps({"booking": len(self.bookings) + 1, "day": day}))
        return self.bookings[day]

    def read(self, item: str, words: str) -> None:
        """Each transcript of an item replaces the one before."""
        self.words[item] = words

    def bill(self, running_total_s: float) -> None:
        self.billable_s = running_total_s

    # Frames.

    async def send(self, type: str, **fields: Any) -> None:
        await self.connection.send(json.dumps({"type": type, **fields}))

    async def next(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(await self.connection.recv())
        if event["type"] == "error":
            self.failed(event["error"]["message"])
        return event

    def failed(self, message: str) -> None:
        raise Refused(message)
