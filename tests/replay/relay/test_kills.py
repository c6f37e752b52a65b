from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.sync.client import connect

from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.cassette.frames import Text

KILLS = 25
FLUSHED_S = 0.25
"""What crossed so long before the kill is in the file: the writing thread works at once, unless the disk is slow."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_recording_can_be_read_and_lacks_only_its_last_moment(tmp_path: Path):
    rng = random.Random("kills")
    with MockServer(voice="tone", pacing="burst", findings="off") as mock:
        for number in range(KILLS):
            out = tmp_path / f"{number}.tape"
            command = [sys.executable, "-m", "realtape", "record", "--upstream", mock.ws_url, "--out", str(out)]
            with subprocess.Popen([*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                url = json.loads(process.stdout.readline())["ws"]
                sent, answered = 0, list[float]()
                with connect(url, additional_headers={"Authorization": "Bearer k"}, close_timeout=0.1) as ws:
                    ws.recv()
                    until = time.monotonic() + rng.uniform(0.0, 0.6)
                    while time.monotonic() < until:
                        ws.send(json.dumps({"type": "no.such.event", "event_id": f"n{sent}"}))
                        sent += 1
                        with suppress(TimeoutError):
                            while True:
                                answer = ws.recv(timeout=0.002)  # a client in real time, as a microphone is
                                answered += [time.monotonic()] if json.loads(answer)["type"] == "error" else []
                    killed = time.monotonic()
                    process.kill()
                    process.wait(10)
            written: list[bytes] = []
            if out.exists():  # a recording that is killed in its first moment has not got this name yet
                with Cassette.so_far(out) as cassette:
                    written = [record.content.data for record in cassette if isinstance(record.content, Text)]
            names = [
                json.loads(data)["event_id"] for data in written if b"no.such.event" in data and b'"n' in data[:60]
            ]
            ours = [name for name in names if name.startswith("n")]
            assert ours == [f"n{place}" for place in range(len(ours))]
            due = sum(at < killed - FLUSHED_S for at in answered)
            assert len(ours) >= due, f"kill {number}: {due} messages were answered in time, {len(ours)} are in the file"
