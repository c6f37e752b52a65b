"""Takes the picture serve.svg: what `realtape serve` says on a terminal about a call and its mistakes.

    python docs/images/terminal.py

Needs rich, and an operating system with pseudo-terminals.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

WIDTH = 138
SCENARIO = """
turns:
  - when: {says: "appointment|cleaning"}
    reply:
      - say: "Let me check that for you."
      - call: {name: check_availability, arguments: {day: Monday}}
  - when: {tool: check_availability}
    reply: [{say: "I have {{ result.slots[0] }}. Does that suit you?"}]
  - when: {says: goodbye}
    reply: [{say: "Goodbye."}]
"""
TOOL = {"type": "function", "name": "check_availability", "parameters": {"type": "object"}}
KEY = {"Authorization": "Bearer any"}


async def call(ws: str) -> None:
    """A short call, in which the client forgets response.create once, and asks for what no rule answers."""

    async with connect(f"{ws}?model=grok-voice-3.0", additional_headers=KEY) as service:

        async def send(type: str, **fields: object) -> None:
            await service.send(json.dumps({"type": type, **fields}))

        async def until(type: str) -> dict[str, object]:
            while True:
                event: dict[str, object] = json.loads(await service.recv())
                if event["type"] == type:
                    return event

        async def say(words: str) -> None:
            part = {"type": "input_text", "text": words}
            await send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
            await send("response.create")

        await send("session.update", session={"tools": [TOOL]})
        await say("I would like an appointment for a cleaning.")
        called = await until("response.function_call_arguments.done")
        output = json.dumps({"slots": ["9:30", "14:00"]})
        item = {"type": "function_call_output", "call_id": called["call_id"], "output": output}
        await send("conversation.item.create", item=item)
        await asyncio.sleep(4)  # longer than realtape waits for response.create
        await send("response.create")
        await until("response.done")
        await until("response.done")
        await asyncio.sleep(3)
        await say("And what does it cost?")
        await until("response.done")
    with suppress(WebSocketException):
        await connect(ws.replace("/v1", ""), additional_headers=KEY)


def told() -> str:
    """What the terminal shows, with its colours."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "clinic.yaml").write_text(SCENARIO)
        ours, theirs = os.openpty()
        command = ["serve", "--scenario", "clinic.yaml", "--dialect", "xai@2026-10", "--json", "--transcriber", "off"]
        with subprocess.Popen(
            [sys.executable, "-m", "realtape", *command],
            stdout=subprocess.PIPE,
            stderr=theirs,
            cwd=folder,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": ""},
            text=True,
        ) as process:
            os.close(theirs)
            assert process.stdout is not None
            asyncio.run(call(json.loads(process.stdout.readline())["ws"]))
            process.send_signal(signal.SIGTERM)
            said = bytearray()
            with suppress(OSError):  # how Linux ends a terminal
                while select.select([ours], [], [], 10)[0] and (data := os.read(ours, 65536)):
                    said += data
            os.close(ours)
    return said.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ realtape serve --scenario clinic.yaml", style="bold"))
    console.print(Text.from_ansi(told()))
    picture = console.export_svg(title="realtape serve", unique_id="serve")
    # No font from elsewhere: the reader's own is used.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    (Path(__file__).parent / "serve.svg").write_text(picture.rstrip() + "\n", encoding="utf-8")
