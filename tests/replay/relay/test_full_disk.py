"""Real processes whose files may not grow: the calls go on, and what was recorded before can be read."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from websockets.sync.client import connect

from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette

if sys.platform == "win32":
    pytest.skip("Windows has no limit of file sizes", allow_module_level=True)
import resource

MOST_BYTES = 60_000
ITEMS = 200


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))


def talk(url: str) -> None:
    """A call that needs more than there is room for, and gets all its answers."""
    with connect(url, additional_headers={"Authorization": "Bearer k"}, open_timeout=30) as ws:
        for number in range(ITEMS):
            content = [{"type": "input_text", "text": f"item {number} " + "and so on " * 50}]
            item = {"type": "message", "role": "user", "content": content}
            ws.send(json.dumps({"type": "conversation.item.create", "item": item}))
        answered = 0
        while answered < ITEMS:
            answered += "conversation.item.added" in str(ws.recv(30))


@pytest.mark.slow
@pytest.mark.parametrize("command", ["record", "serve"])
def test_a_full_disk_is_told_at_once_and_at_the_end_and_what_came_before_can_be_read(tmp_path: Path, command: str):
    with MockServer(findings="off") as mock:
        options = {
            "record": ["--upstream", mock.ws_url, "--out", str(tmp_path / "a.tape")],
            "serve": ["--record", str(tmp_path), "--quiet"],
        }
        with subprocess.Popen(
            [sys.executable, "-m", "realtape", command, *options[command], "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=limited,
        ) as process:
            assert process.stdout is not None and process.stderr is not None
            talk(json.loads(process.stdout.readline())["ws"])
            assert "File too large" in process.stderr.readline()  # while the server is still there
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "recorded" in told
    (tape,) = tmp_path.glob("*.tape")
    assert tape.stat().st_size <= MOST_BYTES
    with Cassette.so_far(tape) as cassette:
        assert len(list(cassette)) > 50
        assert cassette.end_us is None
