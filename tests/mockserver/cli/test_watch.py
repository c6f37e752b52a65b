"""`serve --watch`: a changed file takes effect on new connections, a bad one is told and the old one stays."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, cast
from urllib.request import Request, urlopen

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from mockserver.cli.assembly import reloads
from mockserver.faults.files import FaultError
from mockserver.server.app import Server
from mockserver.server.options import Options

KEY = {"Authorization": "Bearer k"}


def scenario(words: str) -> str:
    return f'turns:\n  - reply: [{{say: "{words}"}}]\n'


async def answer(socket: ClientConnection) -> str:
    await socket.send('{"type": "response.create", "response": {"output_modalities": ["text"]}}')
    said = ""
    while True:
        event = json.loads(await socket.recv())
        said += event.get("delta", "") if event["type"].endswith(("transcript.delta", "text.delta")) else ""
        if event["type"] == "response.done":
            return said


@pytest.mark.slow
async def test_a_changed_file_takes_effect_and_a_bad_one_does_not(tmp_path: Path):
    story, plan = tmp_path / "story.yaml", tmp_path / "faults.yaml"
    story.write_text(scenario("One."), encoding="utf-8")
    plan.write_text("faults: []\n", encoding="utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "realtape", "serve", "--port", "0", "--pacing", "burst", "--watch", "--json"),
        *("--scenario", str(story), "--faults", str(plan)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None

    async def told(text: str) -> None:
        assert process.stderr is not None
        while text not in (line := (await asyncio.wait_for(process.stderr.readline(), 20)).decode()):
            assert line, f"stderr ended before it told {text!r}"

    try:
        ready = json.loads(await process.stdout.readline())
        ws = ready["ws"]
        async with connect(ws, additional_headers=KEY) as early:
            assert await answer(early) == "One."
            story.write_text(scenario("Two."), encoding="utf-8")
            await told("story.yaml changed; new connections use it")
            async with connect(ws, additional_headers=KEY) as late:
                assert await answer(late) == "Two."
            assert await answer(early) == "One."
        story.write_text("turns:\n  - when: hello\n    reply: Hi\n", encoding="utf-8")
        await told("story.yaml changed and cannot be used; the server goes on with what it had")
        await told("story.yaml:2:11: turns[0].when: expected a mapping")
        async with connect(ws, additional_headers=KEY) as socket:
            assert await answer(socket) == "Two."
        plan.write_text("faults: [{at: handshake, do: {status: 503}}]\n", encoding="utf-8")
        await told("faults.yaml changed; new connections use it")
        start = Request(ready["control"] + "/reset", data=b'{"to": "start"}', method="POST")
        (await asyncio.to_thread(urlopen, start)).close()  # the start is what the files say now
        with pytest.raises(InvalidStatus, match="503"):
            await connect(ws, additional_headers=KEY)
    finally:
        process.terminate()
        await process.communicate()


def test_a_fleet_takes_no_fault_that_counts_over_sessions_from_a_changed_file(tmp_path: Path):
    plan, server = tmp_path / "faults.yaml", Server(Options(voice="tone"))
    (read,) = reloads(server, None, plan).values()
    plan.write_text("faults: [{at: response.created, do: drop, times: 1}]", encoding="utf-8")
    read()
    cast(Any, server.service.state).shared = "yes"
    with pytest.raises(FaultError, match="leave out `times`"):
        read()
