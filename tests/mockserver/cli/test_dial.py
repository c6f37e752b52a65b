from __future__ import annotations

import base64
import json
import socket
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from websockets.asyncio.server import ServerConnection, serve

from mockserver.audio.wav import read_wav
from mockserver.cli.dial import dial
from mockserver.server import virtual_time


def dialled(*arguments: str, runner: Any = virtual_time.run) -> Result:
    return CliRunner().invoke(dial, list(arguments), obj=runner)


async def answering(bridge: ServerConnection) -> None:
    """Speaks for 3 s to the 60th frame of a call, and half a second to a key, which interrupts it."""
    async for text in bridge:
        event = json.loads(text)
        stream = {"streamSid": event.get("streamSid")}
        if event["event"] == "dtmf":
            await bridge.send(json.dumps({"event": "clear", **stream}))
        if event["event"] == "dtmf" or event.get("media", {}).get("chunk") == "60":
            sound = bytes(range(256)) * (16 if event["event"] == "dtmf" else 94)
            payload = base64.b64encode(sound).decode()
            await bridge.send(json.dumps({"event": "media", **stream, "media": {"payload": payload}}))


def test_the_caller_s_options_are_carried_out_in_their_order(tmp_path: Path):
    script = tmp_path / "caller.yaml"
    script.write_text("script: [{press: '1'}]", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        async def with_bridge(call: Coroutine[Any, Any, Any]) -> Any:
            async with serve(answering, sock=listening):
                return await call

        def run(call: Coroutine[Any, Any, Any]) -> Any:
            return virtual_time.run(with_bridge(call))

        caller = ["--greeting", "0", "--voice", "tone", "--say=Hello", "--barge-in", "400", "--script", str(script)]
        url = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        result = dialled(url, *caller, "--out", str(tmp_path / "c.wav"), "--json", "--max-latency", "1", runner=run)
    report = json.loads(result.stdout)
    (turn,) = report["turns"]
    assert (turn["text"], turn["answered_s"]) == ("Hello", 1.2)
    assert [round(each["at_s"], 1) for each in report["clears"]] == [1.6]
    assert report["ended"] == "caller" and report["mistakes"] == []
    assert result.exit_code == 1 and "more than 1 ms" in result.stderr
    samples, rate = read_wav(tmp_path / "c.wav")
    assert rate == 8000 and len(samples) / rate == pytest.approx(report["seconds"])


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["ws://127.0.0.1:1/media"], "give --say TEXT or --audio FILE"),
        (["127.0.0.1:1", "--press", "1"], "use http(s):// for its webhook"),
        (["ws://127.0.0.1:1", "--press", "x"], "is on no key"),
        (["ws://127.0.0.1:1", "--press", "1", "--parameter", "x"], "is not NAME=VALUE"),
        (["ws://127.0.0.1:1", "--press", "1", "--auth-token-env", "NO_SUCH_VARIABLE"], "is not set"),
        (["ws://127.0.0.1:1", "--press", "1", "--public-url", "abc.example"], "such as https://abc.example"),
        (["ws://127.0.0.1:1", "--press", "1", "--out", "no-such-folder/call.wav"], "make it first"),
        (["ws://127.0.0.1:1", "--press", "1", "--from", "x"], "from: 'x' is no number; use one such as +1"),
        (["ws://127.0.0.1:1", "--press", "1", "--to", ""], "to: '' is no number"),
        (["ws://127.0.0.1:1", "--press", "1"], "start the bridge first"),
    ],
)
def test_what_cannot_be_dialled_exits_with_2_and_a_line_that_says_what_to_do(arguments: list[str], advice: str):
    result = dialled(*arguments)
    assert result.exit_code == 2 and advice in result.output and result.output.count("\n") == 1
