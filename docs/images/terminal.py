"""Records what `realtape serve` says on a terminal about a call and its mistakes, and draws it as a moving picture.

    python docs/images/terminal.py

It serves on port 8765 and writes serve.cast, which asciinema plays, and serve.svg. Needs an operating system with
pseudo-terminals. `draw` alone makes the picture of the recording.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from html import escape
from pathlib import Path

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

COMMAND = "realtape serve --scenario clinic.yaml"
COLUMNS = 112
LAST_S = 6.0
"""Seconds for which the whole is shown before it begins again."""
CHARACTER, LINE, EDGE, SIZE = 7.2, 18, 18, 12
"""Width of a character, height of a line, margin, and size of the letters, in pixels."""
COLOURS = {  # as on GitHub's pages: light, dark
    "ground": ("#f6f8fa", "#0d1117"),
    "frame": ("#d1d9e0", "#3d444d"),
    "ink": ("#1f2328", "#f0f6fc"),
    "dim": ("#59636e", "#9198a1"),
    "red": ("#cf222e", "#ff7b72"),
    "green": ("#116329", "#7ee787"),
    "yellow": ("#7d4e00", "#e3b341"),
    "cyan": ("#0b6a73", "#76e3ea"),
}
CLASSES = {"1": "bold", "2": "dim", "31": "red", "32": "green", "33": "yellow", "36": "cyan"}
"""What the colours of a terminal are called here."""
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


def recorded() -> Iterator[tuple[float, str]]:
    """What the terminal gets, with the seconds since the command."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "clinic.yaml").write_text(SCENARIO)
        ours, theirs = os.openpty()
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", *COMMAND.split()],
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={
                **os.environ,
                "TERM": "xterm",
                "NO_COLOR": "",
                "REALTAPE_SERVE_TRANSCRIBER": "off",
            },  # typed words only
        ) as process:
            os.close(theirs)
            caller: threading.Thread | None = None
            with suppress(OSError):  # how Linux ends a terminal
                while data := os.read(ours, 65536):
                    text = data.decode()
                    yield time.monotonic() - began, text
                    if caller is None and (ready := re.search(r"ready (ws:\S+)", text)):
                        caller = threading.Thread(target=_call_and_stop, args=(ready[1], process))
                        caller.start()
            os.close(ours)


def _call_and_stop(ws: str, process: subprocess.Popen[bytes]) -> None:
    time.sleep(2)  # noqa: TID251 - to read what serve says first
    asyncio.run(call(ws))
    time.sleep(1)  # noqa: TID251
    process.send_signal(signal.SIGINT)


def write_cast(path: Path) -> None:
    """The recording as asciicast, version 2."""
    title = "realtape serve"
    lines: list[object] = [{"version": 2, "width": COLUMNS, "height": 40, "title": title}]
    lines.append([0.0, "o", f"$ {COMMAND}\r\n"])
    lines += [[round(at, 3), "o", text] for at, text in recorded()]
    path.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")


def rows(cast: str) -> Iterator[tuple[float, list[tuple[str, str]]]]:
    """The rows of the terminal: when each was whole, and its runs of a class and a text."""
    _, *events = map(json.loads, cast.splitlines())
    at, text = 0.0, ""
    for at, _, data in events:
        *whole, text = (text + data).split("\r\n")
        for line in whole:
            yield from ((at, row) for row in _wrapped(line))
    if text:
        yield from ((at, row) for row in _wrapped(text))


def _wrapped(line: str) -> Iterator[list[tuple[str, str]]]:
    """A line as the terminal breaks it, at its last column."""
    row: list[tuple[str, str]] = []
    kind, left = "", COLUMNS
    for code, text in re.findall(r"\x1b\[(\d*)m|([^\x1b]+)", line):
        kind = kind if text else CLASSES.get(code, "")
        while text:
            row.append((kind, text[:left]))
            text, left = text[left:], left - len(text[:left])
            if text:
                yield row
                row, left = [], COLUMNS
    yield row


def draw(cast: str) -> str:
    """An SVG whose rows appear when they did on the terminal, in light and dark colours."""
    drawn = list(rows(cast))
    times = sorted({at for at, _ in drawn})
    whole_s = times[-1] + LAST_S
    width, height = round(COLUMNS * CHARACTER + 2 * EDGE), len(drawn) * LINE + 2 * EDGE
    light, dark = (";".join(f"--{name}:{both[at]}" for name, both in COLOURS.items()) for at in (0, 1))
    classes = "".join(f".{name}{{fill:var(--{name})}}" for name in (*COLOURS,))
    frames = "".join(
        f"@keyframes k{n}{{0%{{opacity:0}}{100 * at / whole_s:.2f}%{{opacity:1}}}}.k{n}{{animation-name:k{n}}}"
        for n, at in enumerate(times)
        if at
    )
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<title>{escape(COMMAND)}, and what it says about a call</title>",
        f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}"
        f"text{{font:{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;"
        f"fill:var(--ink);white-space:pre}}{classes}.bold{{font-weight:600}}"
        f"g{{animation:{whole_s:.1f}s step-end infinite both}}{frames}"
        "@media(prefers-reduced-motion:reduce){g{animation:none}}</style>",
        f'<rect width="{width - 1}" height="{height - 1}" x=".5" y=".5" rx="8" class="ground" stroke="var(--frame)"/>',
    ]
    for n, (at, row) in enumerate(drawn):
        column, line = 0, []
        for kind, text in row:
            place = f'x="{EDGE + column * CHARACTER:.1f}" textLength="{len(text) * CHARACTER:.1f}"'
            line.append(f"<tspan {place}{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</tspan>")
            column += len(text)
        y = EDGE + n * LINE + SIZE
        out.append(f'<g class="k{times.index(at)}"><text y="{y}">{"".join(line)}</text></g>')
    return "\n".join([*out, "</svg>", ""])


if __name__ == "__main__":
    here = Path(__file__).parent
    write_cast(here / "serve.cast")
    (here / "serve.svg").write_text(draw((here / "serve.cast").read_text(encoding="utf-8")), encoding="utf-8")
