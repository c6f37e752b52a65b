"""Servers that share a state, and a client of theirs, for tests: each of its connections is a new one, so that a proxy
or the kernel can choose the server."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSServerHandshakeError

from tests.mockserver.own_store import own_store

ROOT = Path(__file__).resolve().parents[4]
KINDS = ("one process", "three workers", "behind HAProxy")
RESUMED = """
turns:
  - when: {says: "my name is (?P<name>[a-z]+)"}
    remember: {name: "{{ name }}"}
    reply: [{say: "Hello {{ name }}."}]
  - when: {says: hello}
    times: 1
    reply: [{say: Once.}]
  - reply: [{say: "Still {{ name }}."}]
"""


class Fleet:
    """Where clients connect."""

    def __init__(self, port: int, http: ClientSession, key: str = "k") -> None:
        self.port, self.http, self.key = port, http, key
        self.process: asyncio.subprocess.Process | None = None

    async def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        async with self.http.request(method, f"http://127.0.0.1:{self.port}{path}", headers=headers, **more) as answer:
            body = await answer.read()
            return answer.status, orjson.loads(body) if body else None

    async def secret(self, key: str | None = None, **asked: Any) -> str:
        status, made = await self.ask("POST", "/v1/realtime/client_secrets", key, json=asked)
        assert status == 200, made
        value: str = made["value"]
        return value

    async def connect(self, credential: str | None = None, query: str = "") -> ClientWebSocketResponse[bool]:
        headers = {"Authorization": f"Bearer {credential or self.key}"}
        return await self.http.ws_connect(f"ws://127.0.0.1:{self.port}/v1/realtime{query}", headers=headers)


async def session_of(ws: ClientWebSocketResponse[bool]) -> str:
    """The id of its conversation, which follows from the number of its session."""
    while (event := orjson.loads(await ws.receive_str()))["type"] != "conversation.created":
        pass
    id: str = event["conversation"]["id"]
    return id


async def refused(fleet: Fleet, credential: str | None = None, query: str = "") -> int:
    """The status of a handshake that is refused."""
    with pytest.raises(WSServerHandshakeError) as refusal:
        await fleet.connect(credential, query)
    return refusal.value.status


async def seated(fleet: Fleet, credential: str | None = None, query: str = "") -> ClientWebSocketResponse[bool]:
    """A session, once a seat is free."""
    while True:
        try:
            return await fleet.connect(credential, query)
        except (aiohttp.ClientError, OSError):
            await asyncio.sleep(0.05)


async def words(ws: ClientWebSocketResponse[bool], typed: str = "hello") -> str:
    """The answer to a typed turn."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": typed}]}
    await ws.send_json({"type": "conversation.item.create", "item": item})
    await ws.send_json({"type": "response.create"})
    while (event := orjson.loads(await ws.receive_str()))["type"] != "response.output_audio_transcript.done":
        pass
    text: str = event["transcript"]
    return text


async def opted_in(ws: ClientWebSocketResponse[bool]) -> list[str]:
    """What comes back of a conversation."""
    await ws.send_json({"type": "session.update", "session": {"resumption": {"enabled": True}}})
    texts = []
    while (event := orjson.loads(await ws.receive_str()))["type"] != "session.updated":
        if event["type"] == "conversation.item.added":
            texts.append("".join(each.get("transcript") or each.get("text") for each in event["item"]["content"]))
    return texts


async def until_closed(fleet: Fleet) -> None:
    """Wait until no session is open."""
    while any(  # noqa: ASYNC110 - no event tells it
        each["open"] for each in (await fleet.ask("GET", "/_mock/sessions"))[1]
    ):
        await asyncio.sleep(0.01)


def children(pid: int) -> list[int]:
    """The processes that a process started, in any of its threads; on Linux."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sorted(int(each) for thread in threads for each in (thread / "children").read_text().split())


@contextmanager
def served(*options: str) -> Iterator[int]:
    """The port of `realtape serve` in a process of its own."""
    command = [sys.executable, "-m", "realtape", "serve", "--port", "0", "--quiet", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            assert ready.startswith("ready "), ready
            yield int(ready.rpartition(":")[2].partition("/")[0])
        finally:
            process.terminate()


@contextmanager
def proxied(ports: list[int]) -> Iterator[int]:
    """The port of HAProxy in front of servers, with the rules of deploy/haproxy.cfg."""
    program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if program is None:
        pytest.skip("haproxy is not installed")
    rules = (ROOT / "deploy" / "haproxy.cfg").read_text(encoding="utf-8")
    rules = re.sub(r"(?m)^resolvers .*\n( .*\n)*", "", rules)
    rules = rules.replace("maxconn 20000", "maxconn 500")  # more than this user may open
    servers = "".join(f"    server mock{port} 127.0.0.1:{port} check inter 2s\n" for port in ports)
    rules = re.sub(r"(?m)^    server-template .*\n", lambda _: servers, rules)
    assert all(f"127.0.0.1:{port}" in rules for port in ports)
    with TemporaryDirectory(prefix="realtape") as folder, socket.create_server(("127.0.0.1", 0)) as door:
        file = Path(folder, "haproxy.cfg")
        file.write_text(rules.replace("bind :8765", f"bind fd@{door.fileno()}"), encoding="utf-8")
        port = int(door.getsockname()[1])
        with subprocess.Popen([program, "-db", "-q", "-f", str(file)], pass_fds=[door.fileno()]) as process:
            door.close()  # it is HAProxy's
            try:
                yield port
            finally:
                process.terminate()


@contextmanager
def fleet_of(kind: str, *options: str) -> Iterator[int]:
    """The port of one of KINDS. Skips the test where a store or HAProxy is not installed."""
    with ExitStack() as stack:
        if kind == "one process":
            yield stack.enter_context(served(*options))
            return
        state = ("--state", stack.enter_context(own_store()).url)
        if kind == "three workers":
            yield stack.enter_context(served("--workers", "3", *state, *options))
            return
        ports = [stack.enter_context(served(*state, *options)) for _ in range(2)]
        yield stack.enter_context(proxied(ports))
