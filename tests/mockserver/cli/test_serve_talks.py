"""What `serve` says on a terminal about mistakes that used to pass in silence, as a user sees it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import select
import signal
import socket as socketlib
import ssl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")

SCENARIO = """
turns:
  - when: {says: name}
    reply: [{say: "Hello {{ nme }}"}]
  - when: {tool: hang_upp}
    reply: [{say: Goodbye}]
  - when: {says: book}
    reply: [{call: {name: book_room, arguments: {}}}]
  - when: {says: hello}
    reply: [{say: "Hello there."}]
"""
MESSAGES = (
    "{bad",
    '{"type": "no.such"}',
    '{"type": "conversation.item.create"}',
    '{"type": "input_audio_buffer.append", "audio": "!!!"}',
    '{"type": "session.update", "session": {"type": "realtime", "tools":'
    ' [{"type": "function", "function": {"name": "x", "parameters": {}}}]}}',
)
KEY = {"Authorization": "Bearer k"}


async def mistakes(ws: str, model: str) -> None:
    """Make every one of them, in one call and around it."""

    async def drain(socket: ClientConnection) -> None:
        with suppress(asyncio.TimeoutError):
            while True:
                await asyncio.wait_for(socket.recv(), 0.1)

    async with connect(f"{ws}?model={model}", additional_headers=KEY) as socket:
        for words in ("my name", "xyz", "book", "hello"):
            part = {"type": "input_text", "text": words}
            item = {"type": "message", "role": "user", "content": [part]}
            await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await socket.send('{"type": "response.create"}')
            while json.loads(await asyncio.wait_for(socket.recv(), 30))["type"] != "response.done":
                pass
        for message in MESSAGES:
            await socket.send(message)
            await drain(socket)
    for address in (ws.replace("/v1", ""), f"{ws}?model={model}"):
        with suppress(WebSocketException):
            async with connect(address) as socket:
                await drain(socket)
    with socketlib.create_connection(("127.0.0.1", urlsplit(ws).port or 0)) as plain, suppress(OSError):
        context = ssl.create_default_context()
        plain.settimeout(5)
        with context.wrap_socket(plain, server_hostname="localhost"):
            pass


def talk(command: list[str], ws_model: str, terminal: bool, environment: dict[str, str]) -> str:
    """Everything that serve says on stderr, which is a terminal or a pipe, while a client makes every mistake."""
    ours, theirs = os.openpty() if terminal else os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "realtape", "serve", *command],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, **environment},
        text=True,
    ) as process:
        os.close(theirs)
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        asyncio.run(mistakes(ready["ws"], ws_model))
        process.send_signal(signal.SIGTERM)
        said = bytearray()
        with suppress(OSError):  # how Linux ends a terminal
            while select.select([ours], [], [], 10)[0] and (data := os.read(ours, 65536)):
                said += data
        os.close(ours)
        assert process.wait(10) == 0
    return said.decode().replace("\r\n", "\n")


@pytest.fixture(scope="module", params=["xai@2026-09", "openai"])
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("talk") / "story.yaml"
    file.write_text(SCENARIO)
    command = ["--port", "0", "--json", "--dialect", request.param, "--scenario", str(file), "--voice", "tone"]
    command += ["--pacing", "burst"]
    model = "grok-voice-latest" if request.param.startswith("xai") else "gpt-realtime"
    return talk(command, model, True, {"NO_COLOR": "", "TERM": "xterm"})


def shown(said: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", said)


@pytest.mark.parametrize(
    "line",
    [
        r"inspector +http://127.0.0.1:\d+/_mock/",
        r"workbench +http://127.0.0.1:\d+/_mock/workbench",
        r"'nme' is undefined",  # a template's variable
        r"no rule answers 'xyz'",
        r"story.yaml:5: turns\[1\] never answered",  # `tool: hang_upp`
        r'turn \d+  "hello", answered by \S*story.yaml:9: turns\[3\]\n +"Hello there." · first audio',
        r"book_room \{\}",
        r"error sent .*(not valid JSON|failed to parse JSON)",
        r"error sent .*no\.such",
        r"error sent .*[Mm]iss.*item",
        r"error sent .*(not valid base64|base64-encoded)",
        r"GET /realtime with 404\n.*the base URL lacks /v1",
        r"a client spoke TLS to this plain port\n.*use ws://",
        r"refused  handshake with 401.*\n.*Authorization: Bearer",
        r"closed 1000 by the client after .* 4 turns",
    ],
)
def test_what_used_to_pass_in_silence_has_a_line(said: str, line: str):
    assert re.search(line, shown(said)), shown(said)


def test_a_terminal_gets_colours(said: str):
    assert "\x1b[31merror sent\x1b[0m" in said


@pytest.mark.slow
def test_pipes_and_no_color_get_no_colours_and_json_is_json(tmp_path: Path):
    (tmp_path / "story.yaml").write_text(SCENARIO)
    command = ["--port", "0", "--json", "--scenario", str(tmp_path / "story.yaml"), "--voice", "tone"]
    command += ["--pacing", "burst"]
    model = "grok-voice-latest"
    assert "\x1b" not in talk(command, model, False, {})
    assert "\x1b" not in talk(command, model, True, {"NO_COLOR": "1"})
    events = [json.loads(line) for line in talk([*command, "--log-format", "json"], model, False, {}).splitlines()]
    assert {"started", "opened", "turn", "error", "closed", "route_refused"} <= {each["event"] for each in events}
    assert talk([*command, "--quiet"], model, True, {}) == ""
