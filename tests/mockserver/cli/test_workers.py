"""What the supervisor of `serve --workers` does when workers end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from mockserver.cli import workers
from mockserver.cli.serve import serve
from replay.cli.usage import Unusable
from tests.mockserver.own_store import own_store

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")


class AllStarted(Exception):
    """The supervisor did what the test waits for."""


def test_the_supervisor_goes_on_when_its_only_worker_ends_soon(monkeypatch: pytest.MonkeyPatch):
    started: list[int] = []
    said: list[str] = []

    def fork() -> int:
        if len(started) == 2:
            raise AllStarted
        started.append(1_000_000 + len(started))
        return started[-1]

    def tell(text: str, at: float) -> list[str]:
        said.append(text)
        return []

    monkeypatch.setattr(os, "fork", fork)
    monkeypatch.setattr(os, "waitpid", lambda pid, options: (pid, signal.SIGKILL))
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(signal, "set_wakeup_fd", lambda descriptor, **more: None)
    monkeypatch.setattr(workers, "LOOK_S", 0.001)
    monkeypatch.setattr(workers, "AGAIN_S", 0.05)
    pipes: list[int] = []
    pipe = os.pipe

    def kept_pipe() -> tuple[int, int]:
        ends = pipe()
        pipes.extend(ends)
        return ends

    monkeypatch.setattr(os, "pipe", kept_pipe)
    with socket.create_server(("127.0.0.1", 0)) as port:
        supervisor = workers._Supervisor(1, [[port]], str, tell, "", None, None)
        supervisor.served.add(1)
        with pytest.raises(AllStarted):
            supervisor.run()
    for each in pipes:
        os.close(each)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert said == [f"worker 1 (process {pid}) ended by SIGKILL; starting another" for pid in started]


TOLD_TO_END = """
import os, signal, socket
import click
from mockserver.cli import workers
from mockserver.cli.serve import serve
from replay.cli.usage import Unusable
from tests.mockserver.own_store import own_store

fork = os.fork

def ended_at_once():
    if (pid := fork()) == 0:
        os.kill(os.getpid(), signal.SIGTERM)
    return pid

workers.os.fork = ended_at_once
with socket.create_server(("127.0.0.1", 0)) as port:
    try:
        workers._Supervisor(1, [[port]], str, lambda text, at: [text], "", None, None).run()
        os._exit(7)  # as a worker that serves
    except click.exceptions.Exit as end:
        print(end.exit_code)
"""


def test_a_worker_that_has_to_end_just_after_its_start_ends():
    done = subprocess.run([sys.executable, "-c", TOLD_TO_END], capture_output=True, text=True, timeout=30)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_a_store_that_does_not_answer_is_an_error_and_nothing_is_ready():
    pytest.importorskip("redis", reason="the extra fleet is not installed")
    with socket.create_server(("127.0.0.1", 0)) as port:
        unused = port.getsockname()[1]
    ended = CliRunner().invoke(serve, ["--port", "0", "--state", f"redis://user:hidden@127.0.0.1:{unused}/0"])
    assert (ended.exit_code, ended.stdout) == (2, "")
    assert "--state: the store does not answer" in ended.stderr and "hidden" not in ended.stderr


def test_a_port_that_another_program_took_meanwhile_is_an_error_without_a_traceback(monkeypatch: pytest.MonkeyPatch):
    def taken(bound: object, count: int) -> list[list[socket.socket]]:
        raise OSError(98, "Address already in use")

    tries: list[int] = []

    def opened() -> list[socket.socket]:
        tries.append(1)
        return []

    monkeypatch.setattr(workers, "_sockets", taken)
    with pytest.raises(Unusable, match="the workers cannot share the port: Address already in use"):
        workers.supervise(2, opened, str, lambda text, at: [], "redis://127.0.0.1:1/0", None)
    assert len(tries) == workers.TRIES


@pytest.mark.parametrize("typed", [["--workers", "2"], ["--state", "redis://127.0.0.1:1/0"]])
def test_a_fleet_without_its_extra_is_refused_once_and_before_it_starts(
    typed: list[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("nothing is started"))
    found = CliRunner().invoke(serve, [*typed, "--port", "0"])
    assert found.exit_code == 2
    assert found.output.count(f"{typed[0]} needs redis; install it with:") == 1
    assert "ready" not in found.output


def test_a_file_that_no_worker_can_use_is_told_once(tmp_path: Path):
    (tmp_path / "bad.yaml").write_text("turns: [{reply: [{sey: Hello.}]}]", encoding="utf-8")
    with own_store() as store:
        command = [sys.executable, "-m", "realtape", "serve", "--port", "0", "--workers", "3", "--state", store.url]
        done = subprocess.run([*command, "--scenario", "bad.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("did you mean 'say'?")) == (2, "", 1)
