"""A store of the tests' own: Debian's `redis-server`, or `valkey-server`, on a socket in a folder. Where neither is
installed, or the client is not, the tests that need it are skipped."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import pytest


class OwnStore:
    """A server of Redis or Valkey in a process of its own, without files."""

    def __init__(self, folder: Path) -> None:
        self.program = shutil.which("redis-server") or shutil.which("valkey-server")
        self._socket = folder / "store.sock"
        self.url = f"unix://{self._socket}"

    def start(self) -> None:
        assert self.program is not None
        nothing = ["--save", "", "--appendonly", "no", "--logfile", "/dev/null"]
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [self.program, "--port", "0", "--unixsocket", str(self._socket), *nothing], stdout=subprocess.DEVNULL
        )
        while not self._listens():
            assert self._process.poll() is None
            Event().wait(0.005)

    def _listens(self) -> bool:
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self._socket)) == 0

    def kill(self) -> None:
        """As `kill -9`: its data is lost."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def hang(self) -> None:
        """As a network that drops everything: it takes connections, and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again."""
        self._process.send_signal(signal.SIGCONT)

    def empty(self) -> None:
        """Forget all."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self._socket))
            client.sendall(b"FLUSHALL\r\n")
            assert client.recv(100) == b"+OK\r\n"


@contextmanager
def own_store() -> Iterator[OwnStore]:
    """One that runs. Skips the test where that cannot be."""
    if find_spec("redis") is None:
        pytest.skip("the client of the extra `fleet` is not installed")
    with TemporaryDirectory(prefix="realtape") as folder:
        store = OwnStore(Path(folder))
        if store.program is None:
            pytest.skip("neither redis-server nor valkey-server is installed")
        store.start()
        try:
            yield store
        finally:
            store.kill()
