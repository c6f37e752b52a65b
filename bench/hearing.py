"""Whether other sessions keep their pace while turns are transcribed: lateness of audio of 50 sessions.

    python bench/hearing.py [--transcriber auto|off]

Needs the extra `hearing` for `auto`. Fifty clients listen to long answers at the pace of playback; then five more speak
a shipped clip at the same time. Client and server share this process. Prints how late audio comes compared with the
first piece, and how long the words take.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import resource
from pathlib import Path
from time import perf_counter

import numpy as np
from aiohttp import ClientSession

from mockserver.audio.codecs import resample
from mockserver.audio.wav import read_wav
from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.testing.mock_server import MockServer

CLIP = Path(__file__).resolve().parents[1] / "cassettes" / "voices" / "booking-2.wav"
LISTENERS, SPEAKERS, SECONDS = 50, 5, 20.0
LONG = "This answer goes on for a while, word after word, so that there is something to be late with. " * 8
COMPLETED = "conversation.item.input_audio_transcription.completed"


async def listen(http: ClientSession, url: str, late: list[float], until: float) -> None:
    """Note how late each piece of audio is, by the audio before it."""
    async with http.ws_connect(url, headers={"Authorization": "Bearer k"}) as ws:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "go on"}]}
        await ws.send_json({"type": "conversation.item.create", "item": item})
        await ws.send_json({"type": "response.create"})
        began, played = 0.0, 0.0
        while perf_counter() < until:
            event = json.loads(await ws.receive_str())
            if event["type"] == "response.output_audio.delta":
                now = perf_counter()
                began = began or now
                late.append(now - began - played)
                played += len(base64.b64decode(event["delta"])) / 48_000
            elif event["type"] == "response.done":
                return


async def speak(http: ClientSession, url: str, took: list[float]) -> None:
    samples, rate = read_wav(CLIP)
    sound = np.concatenate([resample(samples, rate, 24_000), np.zeros(24_000, np.int16)]).astype("<i2").tobytes()
    async with http.ws_connect(url, headers={"Authorization": "Bearer k"}) as ws:
        session = {"turn_detection": {"type": "server_vad"}}
        await ws.send_json({"type": "session.update", "session": session})
        for at in range(0, len(sound), 4800):
            audio = base64.b64encode(sound[at : at + 4800]).decode()
            await ws.send_json({"type": "input_audio_buffer.append", "audio": audio})
        sent = perf_counter()
        while True:
            event = json.loads(await ws.receive_str())
            if event["type"] == COMPLETED and event.get("status") == "completed":
                took.append(perf_counter() - sent)
                return


async def main(transcriber: str) -> None:
    rules = Scenario([Rule(Say(LONG), When(says="go on")), Rule(Say("Yes."))])
    most = LISTENERS + SPEAKERS
    async with (
        MockServer(rules, pacing="realtime", transcriber=transcriber, max_sessions=most, findings="off") as mock,
        ClientSession() as http,
    ):
        began = perf_counter()
        await asyncio.get_running_loop().run_in_executor(None, mock._server.warm_up)
        print(f"warm-up {perf_counter() - began:.1f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")
        late: list[float] = []
        took: list[float] = []
        until = perf_counter() + SECONDS
        listeners = [listen(http, mock.ws_url, late, until) for _ in range(LISTENERS)]

        async def speakers() -> None:
            await asyncio.sleep(3)
            await asyncio.gather(*(speak(http, mock.ws_url, took) for _ in range(SPEAKERS)))

        await asyncio.gather(speakers(), *listeners)
    for share in (50, 99, 99.9):
        print(f"late p{share:<5} {np.percentile(late, share) * 1000:8.1f} ms of {len(late)} pieces")
    print(f"words of {SPEAKERS} turns after {min(took):.1f} to {max(took):.1f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transcriber", default="auto", choices=("auto", "off"))
    asyncio.run(main(parser.parse_args().transcriber))
