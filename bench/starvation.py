"""How long one client can keep the others waiting: 50 paced sessions while another one sends hostile messages.

python bench/starvation.py [--sessions 50] [--shape PART] [--dialect openai] [--record] [--relay]

Prints a row a shape, and last the worst of all; the goal is 50 ms:

wait    the longest that a small question of the others waited for its answer, in ms
above   what of that is above the longest wait while nobody attacked, measured before and after the shape
busy    the longest processor time of the server's event loop between two turns of it, in ms: what the others waited for
        even if the machine did nothing else
pause   the longest garbage collection, in ms; it is part of `busy`

The paced sessions speak all the while, and each asks something small every half second. `wait` also has what other
programs of the machine take; `busy` does not.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Coroutine
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

GOAL_MS = 50.0
EVERY_S = 0.5
SETTLE_S = 8.0
BEAT_S = 0.001
"""How often the server's event loop reads its clock."""


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


def append(audio: str) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": audio})


RESPOND = '{"type":"response.create"}'
COMMIT = '{"type":"input_audio_buffer.commit"}'
Message = str | bytes | list[str]
"""A list is sent in fragments."""
SHAPES: dict[str, Callable[[], list[Message]]] = {
    "20,000 unknown fields": lambda: [update(**{f"k{i}": i for i in range(20_000)})],
    "800,000 unknown fields": lambda: [update(**{f"k{i}": i for i in range(800_000)})],
    "4,000 unknown fields": lambda: [update(**{f"k{i}": i for i in range(4_000)})],
    "9,000 misspelt fields": lambda: [update(**{f"instruction{i}": i for i in range(9_000)})],
    "fields with long names": lambda: [update(**{"k" * 9_000 + str(i): i for i in range(200)})],
    "a field of 10 MB": lambda: [update(**{"k" * 10_000_000: 1})],
    "500,000 empty parts": lambda: [
        '{"type":"conversation.item.create","item":{"type":"message","role":"user",'
        '"content":[' + "{}," * 499_999 + "{}]}}"
    ],
    "9,000 empty parts": lambda: [item(*[{}] * 9_000)],
    "100,000 text parts": lambda: [item(*[{"type": "input_text", "text": "a"}] * 100_000)],
    "4,000 text parts": lambda: [item(*[{"type": "input_text", "text": "a"}] * 4_000)],
    "5,000 tools": lambda: [update(tools=[tool(i) for i in range(5_000)])],
    "1,500 tools": lambda: [update(tools=[tool(i) for i in range(1_500)])],
    "128 tools with 30 properties": lambda: [
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
    "a million brackets side by side": lambda: [
        '{"type":"session.update","session":{"tools":' + "[" + "[]," * 9_900 + "[" * 90 + "]" * 90 + "]}}"
    ],
    "a text of 10 MB": lambda: [text("y" * 10_000_000)],
    "a text of 10 MB, in Hiragana": lambda: [json.dumps(json.loads(text("\u3042" * 3_300_000)), ensure_ascii=False)],
    "a text of 1 MB, answered": lambda: [text("lorem ipsum " * 83_000), RESPOND],
    "a text of 10 MB of commas": lambda: [text(",:[{" * 2_500_000)],
    "a text of escapes": lambda: [text('\n\\"' * 700_000)],
    "a text of a million escaped characters": lambda: [text("\u3042" * 900_000)],
    "a text that begins keys": lambda: [text("eyJ" * 100_000)],
    "a text of dashes": lambda: [text("ask-" * 75_000)],
    "10 MB of noise as JSON": lambda: ["x" * 10_000_000],
    "JSON that is cut off": lambda: ['{"type":"session.update","session":{"a":"' + '\\"' * 1_000_000],
    "an output of 1 MB of JSON, answered": lambda: [output(json.dumps([{"a": i} for i in range(100_000)])), RESPOND],
    "instructions of 10 MB": lambda: [update(instructions="Be kind. " * 1_100_000)],
    "instructions of 900 kB, 20 times": lambda: [update(instructions="Be kind. " * 100_000)] * 20,
    "sound of 10 MB": lambda: [append("A" * 10_000_000)],
    "sound of 10 MB, mu-law": lambda: [
        update(audio={"input": {"format": {"type": "audio/pcmu"}}}),
        append("A" * 10_000_000),
    ],
    "sound of 1 MB, 20 times": lambda: [append("A" * 1_000_000)] * 20,
    "noise of 10 MB": lambda: [append("x7Yq" * 2_500_000)],
    "words and pauses of 10 MB, mu-law": lambda: [
        update(audio={"input": {"format": {"type": "audio/pcmu"}}}),
        append(("x7Yq" * 1_400 + "/" * 5_600) * 890),
    ],
    "sound of 10 MB, committed": lambda: [update(turn_detection=None), append("x7Yq" * 2_500_000), COMMIT, RESPOND],
    "sound of 10 MB that is none": lambda: [append("*" * 10_000_000)],
    "a binary message of 10 MB": lambda: [bytes(10_000_000)],
    "an item with 10 MB of sound": lambda: [item({"type": "input_audio", "audio": "x7Yq" * 2_500_000}), RESPOND],
    "an image of 10 MB": lambda: [
        item({"type": "input_image", "image_url": "data:image/png;base64," + "x7Yq" * 2_500_000}),
        RESPOND,
    ],
    "a conversation of 10 MB, answered": lambda: [*[text("lorem ipsum " * 8_300)] * 100, RESPOND],
    "10,000 items before the first": lambda: (
        [json.dumps({**json.loads(text("hello")), "previous_item_id": "root"})] * 10_000
    ),
    "10,000 small items": lambda: [text("hello")] * 10_000,
    "50,000 small items": lambda: [text("hello")] * 50_000,
    "10,000 small updates": lambda: [update(instructions="hello")] * 10_000,
    "10,000 small appends": lambda: [append("AAAA" * 20)] * 10_000,
    "10,000 responses": lambda: [RESPOND] * 10_000,
    "10,000 events of no type": lambda: ['{"type":"no.such"}'] * 10_000,
    "10,000 empty messages": lambda: [""] * 10_000,
    "a message in 100,000 fragments": lambda: [["x"] * 100_000],
    "sound of 15 MiB": lambda: [append("x7Yq" * (5 << 20))],
    "a message of 23 MiB": lambda: ["x" * (23 << 20)],
    "numbers of 4,000 digits": lambda: [update(max_output_tokens=None, temperature=int("9" * 4000))] * 50,
}


# The server, and what it measures of itself.


class Pulse:
    """Processor time of an event loop between two of its turns, and of garbage collections. In ms."""

    def __init__(self) -> None:
        self.busy = self.pause = 0.0
        self._began = 0.0
        gc.callbacks.append(self._collecting)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._at = loop, time.process_time()
        self._beat()

    def take(self) -> dict[str, float]:
        """The longest since the last call."""
        taken = {"busy": self.busy, "pause": self.pause}
        self.busy = self.pause = 0.0
        return taken

    def _beat(self) -> None:
        now = time.process_time()
        self.busy, self._at = max(self.busy, 1000 * (now - self._at)), now
        self._loop.call_later(BEAT_S, self._beat)

    def _collecting(self, phase: str, info: dict[str, int]) -> None:
        now = time.process_time()
        if phase == "start":
            self._began = now
        else:
            self.pause = max(self.pause, 1000 * (now - self._began))


def serve(arguments: list[str]) -> None:
    """Be the command `realtape`, and answer each line of stdin with what was measured since the last."""
    from mockserver.cli import serve as command
    from realtape.cli import main as realtape

    pulse = Pulse()
    new_loop, run = command._new_loop, asyncio.run

    def beating_loop() -> asyncio.AbstractEventLoop:
        loop = new_loop()
        loop.call_soon(pulse.start, loop)
        return loop

    def beating_run(main: Coroutine[Any, Any, Any]) -> Any:
        async def beating() -> Any:
            pulse.start(asyncio.get_running_loop())
            return await main

        return run(beating())

    command._new_loop = beating_loop  # type: ignore[assignment]
    asyncio.run = beating_run

    def answer() -> None:
        for _ in sys.stdin:
            print(json.dumps(pulse.take()), flush=True)

    threading.Thread(target=answer, daemon=True).start()
    sys.argv[1:] = arguments
    realtape()


class Measured:
    """A command of realtape in a process of its own that measures itself."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, __file__, "--serve", *arguments]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.url: str = json.loads(self._line())["ws"]

    def take(self) -> dict[str, float]:
        """What it measured since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        taken: dict[str, float] = json.loads(self._line())
        return taken

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


# The clients.


class Others:
    """The paced sessions, and their waits in ms."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self._waiting: dict[ClientConnection, float] = {}

    async def live(self, url: str, offset: float) -> None:
        """One session: it speaks, and asks something small now and then."""
        async with open_call(url) as ws:
            reader = asyncio.get_running_loop().create_task(self._read(ws))
            await ws.send(text("a long story, please, " * 20))
            await ws.send(RESPOND)
            await asyncio.sleep(offset)
            try:
                while True:
                    self._waiting.setdefault(ws, time.perf_counter())
                    await ws.send('{"type":"no.such.event"}')
                    await asyncio.sleep(EVERY_S)
            finally:
                reader.cancel()

    def longest(self) -> float:
        """The longest wait since the last call, and of those that still wait."""
        now = time.perf_counter()
        still = [1000 * (now - began) for began in self._waiting.values()]
        longest = max([*self.waits, *(each for each in still if each > 1000 * EVERY_S)], default=0.0)
        self.waits.clear()
        return longest

    async def _read(self, ws: ClientConnection) -> None:
        async for message in ws:
            if len(message) < 4_000 and "no.such.event" in str(message):
                if (began := self._waiting.pop(ws, None)) is not None:
                    self.waits.append(1000 * (time.perf_counter() - began))


def open_call(url: str) -> connect:
    headers = {"Authorization": "Bearer bench-key-123456"}
    return connect(
        url, additional_headers=headers, max_size=None, compression=None, ping_interval=None, close_timeout=1
    )


async def attack(url: str, messages: list[Message]) -> None:
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


async def attacked(attacker: asyncio.subprocess.Process) -> None:
    """The attack, and until what was asked during it is answered."""
    assert attacker.stdin is not None
    attacker.stdin.write(b"\n")
    await attacker.wait()
    await asyncio.sleep(EVERY_S + 0.2)


async def measured(server: Measured, url: str, sessions: int, part: str) -> int:
    others = Others()
    tasks = [asyncio.get_running_loop().create_task(others.live(url, EVERY_S * n / sessions)) for n in range(sessions)]
    await asyncio.sleep(3)

    async def look(during: Coroutine[Any, Any, Any]) -> tuple[float, dict[str, float]]:
        server.take()
        others.longest()
        await during
        return others.longest(), server.take()

    worst = busiest = 0.0
    print("    wait   above    busy   pause")
    for name in (each for each in SHAPES if part in each):
        attacker = await asyncio.create_subprocess_exec(
            sys.executable,
            __file__,
            "--attack",
            name,
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert attacker.stdout is not None
        await attacker.stdout.readline()  # it has made its messages

        before, _ = await look(asyncio.sleep(3 * EVERY_S))
        wait, own = await look(attacked(attacker))
        after, _ = await look(asyncio.sleep(EVERY_S))
        quiet = max(before, after)
        worst, busiest = max(worst, wait), max(busiest, own["busy"])
        print(f"{wait:8.1f}{max(0.0, wait - quiet):8.1f}{own['busy']:8.1f}{own['pause']:8.1f}  {name}", flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    print(f"worst wait {worst:.1f} ms, worst busy {busiest:.1f} ms; the goal is {GOAL_MS:g} ms")
    return int(worst > GOAL_MS)


def main() -> int:
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--shape", default="", help="only shapes with this in their name")
    parser.add_argument("--dialect", default="xai")
    parser.add_argument("--record", action="store_true", help="with serve --record")
    parser.add_argument("--relay", action="store_true", help="measure `record` instead, in front of the mock")
    parser.add_argument("--attack", nargs=2, metavar=("SHAPE", "URL"), help="be the attacker; used by the bench itself")
    options = parser.parse_args()
    if options.attack:
        os.nice(5)  # a client is on another machine
        name, url = options.attack
        messages = SHAPES[name]()
        print("made", flush=True)
        sys.stdin.readline()
        asyncio.run(attack(url, messages))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return compared(options, folder)


def compared(options: Namespace, folder: str) -> int:
    mock = ["serve", "--port", "0", "--json", "--quiet", "--dialect", options.dialect, "--max-sessions", "1000"]
    mock += ["--voice", "tone", "--transcriber", "off", *(["--record", folder] if options.record else [])]
    commands = [Measured(*mock)]
    try:
        if options.relay:
            relay = ["record", "--port", "0", "--json", "--out", f"{folder}/a.tape", "--upstream", commands[0].url]
            commands.append(Measured(*relay))
        model = "gpt-realtime" if options.dialect.startswith("openai") else "grok-voice-latest"
        url = f"{commands[-1].url}?model={model}"
        return asyncio.run(measured(commands[-1], url, options.sessions, options.shape))
    finally:
        for command in reversed(commands):
            command.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2:])
        sys.exit()
    sys.exit(main())
