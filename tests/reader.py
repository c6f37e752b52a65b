"""A reader of a page, who types what its blocks say, in an empty folder with an installed realtape.

Two things differ from the page: the port, since 8765 may be taken here, and what stands for a live service.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from tests.test_docs import NAME, Block

SERVERS = ("realtape serve", "realtape record")
OWN = re.compile(r"((?:127\.0\.0\.1|localhost):|--port )876[56]")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Reader:
    """bin: the folder of the commands. live: the address that is dialled where the page names a live service."""

    def __init__(self, folder: Path, bin: Path, live: str = "") -> None:
        self.folder = folder
        self.port = free_port()
        self._bin = bin
        self._live = live
        self._servers = ExitStack()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST", "COV"))}
        own = {"REALTAPE_SERVE_PORT": str(self.port), "REALTAPE_RECORD_PORT": str(self.port), "NO_COLOR": "1"}
        self.environ = kept | own | {"PATH": os.pathsep.join([str(bin), os.environ["PATH"]])}

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, at: TracebackType | None
    ) -> None:
        self._servers.close()

    def follow(self, block: Block, code: int = 0) -> str:
        """Do what a block says; what its commands and programs write. `code`: with which its commands end."""
        if block.kind in ("console", "sh"):
            return "".join(self.type(line.removeprefix("$ "), code) for line in block.text.splitlines())
        named = NAME.match(block.text)
        name = named[1] if named else "block.py"
        (self.folder / name).write_text(self.here(block.text), encoding="utf-8")
        if block.kind != "python":
            return ""
        return self.run("pytest", "-q", name) if "def test_" in block.text else self.run("python", name)

    def type(self, line: str, code: int = 0) -> str:
        """Enter one line of a shell. A server is started, and ends the one before; other commands are waited for."""
        line = self.here(line)
        if line.startswith("export "):
            self.environ |= dict(word.split("=", 1) for word in shlex.split(line)[1:])
            return ""
        if line.startswith(SERVERS):
            return self.serve(*shlex.split(line))
        return self.run(*shlex.split(line), code=code)

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            self._command(words), cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=100
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def serve(self, *words: str) -> str:
        """Start a server, in place of the one before; its ready line."""
        self._servers.close()
        command = self._command(words)
        server = self._servers.enter_context(
            subprocess.Popen(command, cwd=self.folder, env=self.environ, stdout=subprocess.PIPE, text=True)
        )
        self._servers.callback(server.send_signal, signal.SIGINT if sys.platform != "win32" else signal.SIGTERM)
        assert server.stdout is not None
        ready = server.stdout.readline()
        assert ready.startswith("ready "), (words, ready)
        return ready

    def stop(self) -> None:
        """Ctrl-C in the shell of the server."""
        self._servers.close()

    def here(self, text: str) -> str:
        """A text of the page, with the addresses of this reader."""
        text = OWN.sub(rf"\g<1>{self.port}", text)
        return re.sub(r"wss://api\.\w+\.\w+/v1/realtime", self._live, text) if self._live else text

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [shutil.which(words[0], path=self.environ["PATH"]) or words[0], *words[1:]]
