"""Servers that may open few files: crowds of connections that say little, and as many sessions as there is room for."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from mockserver.testing.mock_server import MockServer

if sys.platform == "win32":
    pytest.skip("Windows has no limit of descriptors", allow_module_level=True)
import resource

DESCRIPTORS = 128
BEGINNINGS = (
    b"",
    b"G",
    b"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1\r\n",
    b"POST /v1/realtime/client_secrets HTTP/1.1\r\n",
)
MODEL = {"xai": "?model=grok-voice-latest", "openai": "?model=gpt-realtime-2.1"}
KEPT_ALIVE = b"GET /v1/elsewhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def started(*arguments: str) -> Iterator[dict[str, Any]]:
    """What `realtape …` says when it is ready. It may open 128 files."""

    def few_files() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))

    command = [sys.executable, "-m", "realtape", *arguments, "--port", "0", "--json"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=few_files
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            assert process.wait(10) == 0


def crowd(port: int, within: ExitStack) -> None:
    """Twice as many connections as there are descriptors, of every kind that says little."""
    for number in range(2 * DESCRIPTORS):
        connection = within.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
        try:
            connection.sendall((*BEGINNINGS, KEPT_ALIVE)[number % 5])
        except OSError:  # dropped already
            continue
        if number % 5 == 4:
            connection.recv(1 << 16)


def until_refused(url: str, within: ExitStack) -> tuple[list[ClientConnection], InvalidStatus]:
    """Sessions of a key each, until one is refused."""
    sessions: list[ClientConnection] = []
    for number in range(DESCRIPTORS):
        key = {"Authorization": f"Bearer key-{number}"}
        try:
            session = within.enter_context(connect(url, additional_headers=key, open_timeout=20, close_timeout=1))
        except InvalidStatus as refused:
            return sessions, refused
        session.recv(10)
        sessions.append(session)
    raise AssertionError("no session was refused")


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "kept"), [("xai", False), ("openai", False), ("xai", True)])
def test_a_server_with_few_descriptors_takes_sessions_beside_a_crowd(dialect: str, kept: bool, tmp_path: Path):
    most = DESCRIPTORS // 4 if kept else DESCRIPTORS // 2
    recorded = ("--record", str(tmp_path)) if kept else ()
    with started("serve", "--dialect", dialect, "--quiet", *recorded) as ready, ExitStack() as within:
        port = int(ready["origin"].rpartition(":")[2].partition("/")[0])
        crowd(port, within)
        sessions, refused = until_refused(ready["ws"] + MODEL[dialect], within)
        assert len(sessions) == most
        assert refused.response.status_code == 503 and refused.response.headers["Retry-After"] == "1"
        error = json.loads(refused.response.body)["error"]
        assert "unavailable" in error if dialect == "xai" else error["type"] == "server_error"
        assert _health(port)["memory"]["sessions"] == {"count": most, "most": most}
        crowd(port, within)
        sessions.pop().close()
        assert any(gets_in(ready["ws"]) for _ in range(100))


@pytest.mark.slow
def test_a_proxy_with_few_descriptors_takes_calls_beside_a_crowd(tmp_path: Path):
    with MockServer(findings="off") as mock, ExitStack() as within:
        out = str(tmp_path / "a.tape")
        with started("record", "--upstream", mock.ws_url, "--out", out) as ready:
            port = int(ready["ws"].rpartition(":")[2].partition("/")[0])
            crowd(port, within)
            calls, refused = until_refused(ready["ws"] + MODEL["xai"], within)
            assert len(calls) == DESCRIPTORS // 4
            assert refused.response.status_code == 503
            crowd(port, within)
            calls.pop().close()
            assert any(gets_in(ready["ws"]) for _ in range(100))


def gets_in(url: str) -> bool:
    try:
        with connect(url, additional_headers={"Authorization": "Bearer late"}, open_timeout=20) as late:
            late.recv(10)
    except InvalidStatus:
        return False
    return True


def _health(port: int) -> dict[str, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", "/_mock/health")
        health: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return health
