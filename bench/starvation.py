"""How long one client can keep the others waiting: 50 paced sessions while another one sends hostile messages.

python bench/starvation.py [--sessions 50] [--shape PART] [--record]

Prints a line a shape with the worst delay of a small question of the others, in ms, and last the worst of all. The goal
is 50 ms. The paced sessions speak all the while, and each asks something small every half second.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

GOAL_MS = 50.0
EVERY_S = 0.5
SETTLE_S = 8.0


def item(*parts: Any, **fields: Any) -> str:
    message = {"type": "message", "role": "user", "content": list(parts), **fields}
    return json.dumps({"type": "conversation.item.create", "item": message})


def text(content: str) -> str:
    return item({"type": "input_text", "text": content})


def update(**session: Any) -> str:
    return json.dumps({"type": "session.update", "session": session})


def output(content: str) -> str:
    result = {"type": "function_call_output", "call_id": "c", "output": content}
    return json.dumps({"type": "conversation.item.create", "item": result})


def tool(n: int, **parameters: Any) -> dict[str, Any]:
    return {"type": "function", "name": f"f{n}", "parameters": {"type": "object", **parameters}}


RESPOND = '{"type":"response.create"}'
SHAPES: dict[str, Callable[[], list[str]]] = {
    "20,000 unknown fields": lambda: [update(**{f"k{i}": i for i in range(20_000)})],
    "800,000 unknown fields": lambda: [update(**{f"k{i}": i for i in range(800_000)})],
    "4,000 unknown fields": lambda: [update(**{f"k{i}": i for i in range(4_000)})],
    "9,000 misspelt fields": lambda: [update(**{f"instruction{i}": i for i in range(9_000)})],
    "fields with long names": lambda: [update(**{"k" * 9_000 + str(i): i for i in range(200)})],
    "500,000 empty parts": lambda: [
        '{"type":"conversation.item.create","item":{"type":"message","role":"user",'
        '"content":[' + "{}," * 499_999 + "{}]}}"
    ],
    "9,000 empty parts": lambda: [item(*[{}] * 9_000)],
    "100,000 text parts": lambda: [item(*[{"type": "input_text", "text": "a"}] * 100_000)],
    "4,000 text parts": lambda: [item(*[{"type": "input_text", "text": "a"}] * 4_000)],
    "5,000 tools": lambda: [update(tools=[tool(i) for i in range(5_000)])],
    "1,500 tools": lambda: [update(tools=[tool(i) for i in range(1_500)])],
    "128 tools with 40 properties": lambda: [
        update(tools=[tool(i, properties={f"p{j}": {"type": "string"} for j in range(30)}) for i in range(128)])
    ],
    "a tool with 100,000 properties": lambda: [
        update(tools=[tool(0, properties={f"p{j}": {} for j in range(100_000)})])
    ],
    "100,000 metadata pairs": lambda: [
        '{"type":"response.create","response":{"metadata":' + json.dumps({f"k{i}": "v" for i in range(100_000)}) + "}}"
    ],
    "depth 100,000": lambda: ['{"type":"session.update","session":' + '{"a":' * 100_000 + "1" + "}" * 100_001 + "}"],
    "depth 4,000": lambda: ['{"type":"session.update","session":' + "[" * 4_000 + "]" * 4_000 + "}"],
    "a text of 10 MB": lambda: [text("y" * 10_000_000)],
    "a text of 1 MB, answered": lambda: [text("lorem ipsum " * 83_000), RESPOND],
    "a text of 10 MB of commas": lambda: [text(",:[{" * 2_500_000)],
    "a text of escapes": lambda: [text('\n\\"' * 700_000)],
    "a text that begins keys": lambda: [text("eyJ" * 100_000)],
    "a text of dashes": lambda: [text("ask-" * 75_000)],
    "10 MB of noise as JSON": lambda: ["x" * 10_000_000],
    "JSON that is cut off": lambda: ['{"type":"session.update","session":{"a":"' + '\\"' * 1_000_000],
    "an output of 1 MB of JSON, answered": lambda: [output(json.dumps([{"a": i} for i in range(100_000)])), RESPOND],
    "instructions of 10 MB": lambda: [update(instructions="Be kind. " * 1_100_000)],
    "sound of 10 MB": lambda: [json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 10_000_000})],
    "sound of 10 MB that is none": lambda: [
        json.dumps({"type": "input_audio_buffer.append", "audio": "*" * 10_000_000})
    ],
    "10,000 small items": lambda: [text("hello")] * 10_000,
    "10,000 small updates": lambda: [update(instructions="hello")] * 10_000,
    "10,000 responses": lambda: [RESPOND] * 10_000,
    "10,000 events of no type": lambda: ['{"type":"no.such"}'] * 10_000,
    "numbers of 100,000 digits": lambda: [update(max_output_tokens=None, temperature=int("9" * 4000))] * 50,
}


class Others:
    """The paced sessions, and their waits."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def live(self, url: str, offset: float) -> None:
        """One session: it speaks, and asks something small now and then."""
        async with open_call(url) as ws:
            reader = asyncio.get_running_loop().create_task(self._read(ws))
            await ws.send(text("a long story, please, " * 20))
            await ws.send(RESPOND)
            await asyncio.sleep(offset)
            number = 0
            try:
                while True:
                    number += 1
                    self._answered = asyncio.get_running_loop().create_future()
                    await self._ask(ws, number)
                    await asyncio.sleep(EVERY_S)
            finally:
                reader.cancel()

    async def _ask(self, ws: ClientConnection, number: int) -> None:
        waiting[ws] = time.perf_counter()
        await ws.send(json.dumps({"type": "no.such.event", "event_id": f"q{number}"}))

    async def _read(self, ws: ClientConnection) -> None:
        async for message in ws:
            if (
                len(message) < 4_000
                and "no.such.event" in str(message)
                and (began := waiting.pop(ws, None)) is not None
            ):
                self.waits.append(1000 * (time.perf_counter() - began))


waiting: dict[ClientConnection, float] = {}


def open_call(url: str) -> connect:
    headers = {"Authorization": "Bearer bench-key-123456"}
    return connect(
        url, additional_headers=headers, max_size=None, compression=None, ping_interval=None, close_timeout=1
    )


async def attack(url: str, messages: list[str]) -> None:
    """Send everything, and read until it is answered or refused."""
    try:
        async with open_call(url) as ws:

            async def send() -> None:
                for message in messages:
                    await ws.send(message)
                await ws.send('{"type":"no.such.event","event_id":"end"}')

            sender = asyncio.get_running_loop().create_task(send())
            try:
                async with asyncio.timeout(SETTLE_S):
                    async for message in ws:
                        if len(message) < 4_000 and "no.such.event" in str(message):
                            break
            finally:
                sender.cancel()
    except (ConnectionClosed, TimeoutError):
        pass


async def main() -> int:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--shape", default="")
    parser.add_argument("--dialect", default="xai")
    parser.add_argument("--record", action="store_true", help="with serve --record")
    parser.add_argument("--attack", nargs=2, metavar=("SHAPE", "URL"), help="be the attacker; used by the bench itself")
    options = parser.parse_args()
    if options.attack:
        name, url = options.attack
        messages = SHAPES[name]()
        print("made", flush=True)
        sys.stdin.readline()
        await attack(url, messages)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "realtape",
            "serve",
            "--port",
            "0",
            "--json",
            "--quiet",
            "--dialect",
            options.dialect,
        ]
        command += ["--record", folder] if options.record else []
        command += ["--max-sessions", "1000", "--voice", "tone", "--transcriber", "off"]
        server = subprocess.Popen(  # noqa: ASYNC220  # nothing else runs yet
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert server.stdout is not None
        model = "gpt-realtime" if options.dialect.startswith("openai") else "grok-voice-latest"
        url = json.loads(server.stdout.readline())["ws"] + f"?model={model}"
        try:
            return await measured(url, options.sessions, options.shape)
        finally:
            server.terminate()
            server.wait(10)


async def measured(url: str, sessions: int, part: str) -> int:
    others = Others()
    tasks = [asyncio.get_running_loop().create_task(others.live(url, EVERY_S * n / sessions)) for n in range(sessions)]
    await asyncio.sleep(3)
    others.waits.clear()
    await asyncio.sleep(3)
    print(f"{max(others.waits):8.1f} ms  nobody attacks", flush=True)
    worst = 0.0
    for name in SHAPES:
        if part not in name:
            continue
        attacker = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "--attack",
            name,
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert attacker.stdout is not None and attacker.stdin is not None
        await attacker.stdout.readline()  # it has made its messages
        await asyncio.sleep(EVERY_S)
        others.waits.clear()
        attacker.stdin.write(b"\n")
        await attacker.wait()
        await asyncio.sleep(EVERY_S + 0.2)
        still = [1000 * (time.perf_counter() - began) for began in waiting.values()]
        delay = max([*others.waits, *(each for each in still if each > 1000 * EVERY_S)], default=0.0)
        worst = max(worst, delay)
        print(f"{delay:8.1f} ms  {name}", flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"{worst:8.1f} ms  worst; the goal is {GOAL_MS:g} ms")
    return int(worst > GOAL_MS)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
