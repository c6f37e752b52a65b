"""Commands that are told to stop in mid-call, as processes of their own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from realtape import MockServer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="no such signals")]
ROOT = Path(__file__).resolve().parent.parent
BOOKING = ROOT / "cassettes" / "booking.tape"


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A command, and where it serves."""
    command = [sys.executable, "-m", "realtape", *arguments, "--port", "0", "--json"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())["ws"]
        finally:
            process.kill()


def calling(url: str) -> ClientConnection:
    return connect(url, additional_headers={"Authorization": "Bearer k"}, compression=None)


def asked(ws: ClientConnection) -> None:
    """Ask for a long answer, and hear its first sound."""
    text = [{"type": "input_text", "text": "on and on " * 40}]
    item = {"type": "message", "role": "user", "content": text}
    ws.send(json.dumps({"type": "conversation.item.create", "item": item}))
    ws.send(json.dumps({"type": "response.create"}))
    while '"response.output_audio.delta"' not in str(ws.recv()):
        pass


def test_a_mock_that_is_told_to_stop_says_goodbye_in_mid_answer_and_ends_with_0():
    with running("serve", "--voice", "tone") as (process, url), calling(url) as ws:
        asked(ws)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                ws.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1001, "the server is stopping")
        _, told = process.communicate(timeout=10)
        assert (process.returncode, told.count("stopping: 1 open session is closed")) == (0, 1)


def mute(url: str) -> socket.socket:
    """A client that is let in and never says a word, not even goodbye."""
    parts = urlsplit(url)
    line = socket.create_connection(("127.0.0.1", parts.port or 0), timeout=10)
    line.sendall(
        b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer k"
        b"\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    read_until(line, b"session.created")
    return line


def read_until(line: socket.socket, text: bytes) -> None:
    """Read up to a text. Fails if the connection ends before it."""
    while text not in (data := line.recv(1 << 16)):
        assert data, f"the connection ended before {text!r}"


def test_a_client_that_does_not_answer_is_not_waited_for():
    with running("serve", "--voice", "tone") as (process, url), mute(url):
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0


def test_a_second_signal_ends_at_once():
    with running("serve", "--voice", "tone") as (process, url), mute(url) as line:
        process.send_signal(signal.SIGTERM)
        read_until(line, b"the server is stopping")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == -signal.SIGTERM


def test_the_mock_s_own_tapes_have_their_end_mark_too(tmp_path: Path):
    with running("serve", "--voice", "tone", "--record", str(tmp_path)) as (process, url), calling(url) as ws:
        asked(ws)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)
        assert process.returncode == 0
    assert checked(*tmp_path.iterdir()) == 0


def checked(*tapes: Path) -> int:
    """The exit code of `check`."""
    command = [sys.executable, "-m", "realtape", "check", *map(str, tapes)]
    return subprocess.run(command, cwd=ROOT, capture_output=True).returncode


def test_a_recording_that_is_told_to_stop_in_mid_answer_has_its_end_mark(tmp_path: Path):
    tape = tmp_path / "call.tape"
    with MockServer(voice="tone") as mock:
        with running("record", "--upstream", mock.ws_url, "--out", str(tape)) as (process, url), calling(url) as ws:
            asked(ws)
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    ws.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
            _, told = process.communicate(timeout=10)
            assert process.returncode == 0, told
    assert checked(tape) == 0


def test_a_recording_with_its_parent_has_its_end_mark_when_standard_input_is_closed(tmp_path: Path):
    tape = tmp_path / "call.tape"
    record = ("record", "--with-parent", "--upstream")
    with MockServer(voice="tone") as mock:
        with running(*record, mock.ws_url, "--out", str(tape)) as (process, url), calling(url) as ws:
            asked(ws)
            assert process.poll() is None and process.stdin is not None
            process.stdin.close()
            with pytest.raises(ConnectionClosed):
                while True:
                    ws.recv()
            assert process.wait(timeout=10) == 0
            assert process.stderr is not None and "--with-parent): standard input was closed" in process.stderr.read()
    assert checked(tape) == 0


def test_a_server_with_its_parent_ends_orderly_when_its_standard_input_is_closed(tmp_path: Path):
    with (
        running("serve", "--voice", "tone", "--with-parent", "--record", str(tmp_path)) as (process, url),
        calling(url) as ws,
    ):
        asked(ws)
        assert process.poll() is None and process.stdin is not None
        process.stdin.close()
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                ws.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        assert process.wait(timeout=10) == 0
        assert process.stderr is not None and "--with-parent): standard input was closed" in process.stderr.read()
    assert checked(*tmp_path.iterdir()) == 0


def test_a_replay_with_its_parent_keeps_what_was_recorded_when_standard_input_is_closed(tmp_path: Path):
    process, told = replay_of_which_standard_input_is_closed(BOOKING, tmp_path / "again.tape")
    report = json.loads(told)
    assert (process.returncode, report["same"]) == (1, False)
    assert report["stopped"] == "standard input was closed (--with-parent)"
    assert checked(tmp_path / "again.tape") == 0


def test_a_replay_of_several_with_its_parent_starts_no_other_when_standard_input_is_closed(tmp_path: Path):
    folder = tmp_path / "recorded"
    folder.mkdir()
    for name in ("a.tape", "b.tape"):
        shutil.copy(BOOKING, folder / name)
    process, told = replay_of_which_standard_input_is_closed(folder, tmp_path / "again")
    first, second = json.loads(told)["recordings"]
    reason = "standard input was closed (--with-parent)"
    assert process.returncode == 1
    assert (first["verdict"], first["reason"]) == ("stopped", reason)
    assert (second["verdict"], second["reason"]) == ("stopped", f"not replayed: {reason}")
    assert checked(tmp_path / "again" / "a.tape") == 0


def replay_of_which_standard_input_is_closed(recorded: Path, out: Path) -> tuple[subprocess.Popen[str], str]:
    """A replay that would take minutes, after its end, and its report."""
    pipe = subprocess.PIPE
    with MockServer(voice="tone") as mock:
        command = [sys.executable, "-m", "realtape", "replay", str(recorded), "--to", mock.ws_url, "--speed", "0.05"]
        command += ["--with-parent", "--json", "--out", str(out)]
        with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
            try:
                urlopen(f"{mock.control_url}/wait?type=session.update&way=in&ms=30000").close()
                assert process.poll() is None
                told, _ = process.communicate(timeout=10)  # closes standard input
            finally:
                process.kill()
    return process, told


PARENT = """
import subprocess, sys, time
server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=sys.stderr)
server.stdout.readline()
print("ready", flush=True)
time.sleep(60)
"""


def test_a_server_with_its_parent_ends_when_its_parent_is_killed():
    serve = [sys.executable, "-m", "realtape", "serve", "--port", "0", "--with-parent"]
    command = [sys.executable, "-c", PARENT, *serve]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == "ready\n"
        parent.kill()
        _, told = parent.communicate(timeout=20)  # to the end of the server, which holds stderr
    assert "--with-parent): the parent process ended" in told
