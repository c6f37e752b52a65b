"""A client in Node, with `ws` from npm, recorded through the relay and played its own recording again.

Beside tests/clients, which points such clients at the mock itself. Skips where there is no Node, npm or network.
"""

from __future__ import annotations

import asyncio
import json
import math
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.cassette.records import Request
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream
from tests.clients.conftest import node_folder as node_folder
from tests.replay.recordings import typed

pytestmark = pytest.mark.slow

AT = datetime(2026, 7, 10, 9, tzinfo=timezone.utc)
KEY = "a-key-that-must-not-be-kept"
BOOKING = Path(__file__).parents[3] / "cassettes" / "scenarios" / "clinic.yaml"
WORDS = "I would like a dental cleaning on July sixth."
SLOTS = {"slots": ["09:30", "10:00"], "price": 90}

# Types a line, answers calls with SLOTS, closes after the first answer without a call; prints the frames as they came.
CLIENT = """
import WebSocket from "ws";
const [url, key, words, slots] = process.argv.slice(1);
const socket = new WebSocket(url, { headers: { Authorization: `Bearer ${key}` } });
const send = (event) => socket.send(JSON.stringify(event));
const create = (item) => send({ type: "conversation.item.create", item });
socket.on("open", () => {
  create({ type: "message", role: "user", content: [{ type: "input_text", text: words }] });
  send({ type: "response.create" });
});
socket.on("message", (data) => {
  console.log(data.toString());
  const event = JSON.parse(data);
  if (event.type !== "response.done") return;
  const calls = event.response.output.filter((item) => item.type === "function_call");
  for (const { call_id } of calls) create({ type: "function_call_output", call_id, output: slots });
  if (calls.length) send({ type: "response.create" });
  else socket.close(1000, "done");
});
"""


async def node(folder: Path, url: str, words: str = WORDS) -> list[str]:
    """The frames that the client got."""
    arguments = [url, KEY, words, json.dumps(SLOTS, separators=(",", ":"))]
    process = await asyncio.create_subprocess_exec(
        "node", "--input-type=module", "--eval", CLIENT, "--", *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 30)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0
    return out.decode().splitlines()


async def python(url: str) -> list[str]:
    """The same client in Python, whose JSON has spaces."""
    frames: list[str] = []
    async with connect(url, additional_headers={"Authorization": f"Bearer {KEY}"}) as ws:
        await ws.send(json.dumps(typed(WORDS)))
        await ws.send(json.dumps({"type": "response.create"}))
        async for frame in ws:
            frames.append(str(frame))
            event = json.loads(frame)
            if event["type"] != "response.done":
                continue
            calls = [item for item in event["response"]["output"] if item["type"] == "function_call"]
            if not calls:
                break
            for call in calls:
                item = {"type": "function_call_output", "call_id": call["call_id"], "output": json.dumps(SLOTS)}
                await ws.send(json.dumps({"type": "conversation.item.create", "item": item}))
            await ws.send(json.dumps({"type": "response.create"}))
        await ws.close(1000, "done")
    return frames


async def recorded(folder: Path, out: Path) -> list[str]:
    """A call of Node's client through the relay, on a cassette; gives the frames that it got."""
    async with MockServer(BOOKING, voice="tone", pacing="burst") as mock:
        relay = Relay(await Upstream.find(mock.ws_url), Settings(out, AT, "test"))
        await relay.start()
        try:
            return await node(folder, f"ws://127.0.0.1:{relay.port}/v1/realtime?model=grok-voice-latest")
        finally:
            await relay.stop()


def kinds(frames: list[str]) -> list[str]:
    return [json.loads(frame)["type"] for frame in frames]


def test_a_client_in_node_is_recorded_and_played_back_to_node_and_to_python(node_folder: Path, tmp_path: Path):
    tape = tmp_path / "node.tape"

    async def main() -> None:
        first = await recorded(node_folder, tape)
        assert kinds(first).count("response.done") == 2
        for play in (partial(node, node_folder), python):
            async with MockServer(cassette=tape, verbatim=True, speed=math.inf) as mock:
                assert await play(mock.ws_url) == first, "byte for byte"
            assert mock.report == []

    asyncio.run(main())
    with Cassette.open(tape) as cassette:
        assert isinstance(cassette[0].content, Request)
    assert KEY.encode() not in tape.read_bytes()


def test_a_client_in_node_may_ask_otherwise_when_its_call_is_re_enacted(node_folder: Path, tmp_path: Path):
    tape = tmp_path / "node.tape"

    async def main() -> None:
        first = await recorded(node_folder, tape)
        async with MockServer(cassette=tape, pacing="burst", seed=1) as mock:
            again = await node(node_folder, mock.ws_url, "Something else entirely.")
        assert kinds(again) == kinds(first)
        assert not set(again) & set(first), "new frames, with new ids"

    asyncio.run(main())
