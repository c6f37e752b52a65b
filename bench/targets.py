"""The servers that the benchmarks compare, each in a process of its own on loopback: the mock, aimock, bare aiohttp.

aimock is CopilotKit's mock (npm package @copilotkit/aimock); it is installed into a cache folder where npm can reach
its registry, and left out where it cannot. `python bench/targets.py` is the bare server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

AIMOCK = "@copilotkit/aimock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realtape-bench"
FIXTURE = {"fixtures": [{"match": {"userMessage": "hello"}, "response": {"content": "You said: hello"}}]}
"""What the mock's echo says as well."""
START_S = 20.0
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""Servers have the first, the client has the others."""
STOP_S = 2.0
ROOT = Path(__file__).resolve().parent.parent
WITHOUT_JOURNAL = "import mockserver.cli.serve as c; c.JOURNAL_BYTES = 0; import realtape; realtape.main()"


@dataclass(frozen=True, slots=True)
class Target:
    """A running server."""

    name: str
    url: str
    pid: int
    ready_s: float
    """From its start until it took connections."""
    turn_ends: bytes
    """How the event begins that ends a turn."""

    def cpu_s(self) -> float | None:
        """Processor seconds that its threads have used so far; None where the system does not tell."""
        with contextlib.suppress(OSError, IndexError):
            tasks = Path(f"/proc/{self.pid}/task").iterdir()
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
        return None

    def waited_s(self) -> float | None:
        """Seconds that its first thread was ready to run and had no core: others' work; None where it is not told."""
        with contextlib.suppress(OSError, IndexError):
            return int(Path(f"/proc/{self.pid}/schedstat").read_text().split()[1]) / 1e9
        return None

    def resident_kib(self) -> float | None:
        """Memory in KiB; None where the system does not tell."""
        with contextlib.suppress(OSError, ValueError):
            return float(subprocess.run(["ps", "-o", "rss=", "-p", str(self.pid)], capture_output=True).stdout)
        return None


Start = Callable[[], contextlib.AbstractContextManager[Target]]


@contextlib.contextmanager
def realtape(*options: str, journal: bool = True, dialect: str = "xai") -> Iterator[Target]:
    """`realtape serve`, by default with its journal."""
    program = ["-m", "realtape"] if journal else ["-c", WITHOUT_JOURNAL]
    arguments = ("serve", "--port", "0", "--json", "--dialect", dialect, "--max-sessions", "100000", *options)
    with process([sys.executable, *program, *arguments], subprocess.DEVNULL) as (server, began):
        line = first_line(server)
        ready_s = monotonic() - began
        model = "grok-voice-3.0" if dialect.startswith("xai") else "gpt-realtime-2.1"  # an alias is a finding
        yield Target(
            "realtape", f"{json.loads(line)['ws']}?model={model}", server.pid, ready_s, b'{"type":"response.done"'
        )


@contextlib.contextmanager
def bare() -> Iterator[Target]:
    """aiohttp that echoes, as it comes."""
    with process([sys.executable, __file__]) as (server, began):
        url = first_line(server).strip()
        yield Target("bare aiohttp", url, server.pid, monotonic() - began, b'{"type":"response.create"')


@contextlib.contextmanager
def aimock() -> Iterator[Target]:
    """aimock's realtime endpoint with one fixture."""
    folder = aimock_folder()
    assert folder is not None
    port = _free_port()
    with tempfile.TemporaryDirectory() as place:
        fixture = Path(place, "hello.json")
        fixture.write_text(json.dumps(FIXTURE))
        cli = folder / "node_modules" / AIMOCK / "dist" / "cli.js"
        options = ("--port", str(port), "--fixtures", str(fixture), "--log-level", "silent")
        with process(["node", str(cli), *options]) as (server, began):
            _connects(port)
            url = f"ws://127.0.0.1:{port}/v1/realtime?model=gpt-realtime"
            yield Target("aimock", url, server.pid, monotonic() - began, b'{"type":"response.done"')


def aimock_folder() -> Path | None:
    """Where aimock is installed; it is installed first where that is possible."""
    if not (shutil.which("node") and (npm := shutil.which("npm"))):
        return None
    if (CACHE / "node_modules" / AIMOCK / "dist" / "cli.js").exists():
        return CACHE
    CACHE.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--prefix", str(CACHE), "--no-audit", "--no-fund", "--silent", AIMOCK]
    with contextlib.suppress(subprocess.TimeoutExpired):
        if subprocess.run(command, capture_output=True, timeout=60).returncode == 0:
            return CACHE
    return None


@contextlib.contextmanager
def process(command: list[str], errors: int | None = None) -> Iterator[tuple[subprocess.Popen[str], float]]:
    """A server on the first core, and when it was started. This process, the client, moves to the other cores."""
    began = monotonic()
    _move_to(CORES[:1])
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    _move_to(CORES[1:])
    try:
        yield server, began
    finally:
        server.terminate()
        try:
            server.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:  # aimock waits for its connections to end
            server.kill()
            server.communicate()


def _move_to(cores: list[int]) -> None:
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)


def python_build() -> str:
    """The Python that runs the servers. Two builds of a version differ by half: with and without optimisations."""
    optimised = " --enable-optimizations" * (
        "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or "")
    )
    version = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{version} ({platform.python_compiler()}{optimised}), {os.path.realpath(sys.executable)}, {_processor()}"


def _processor() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
        return f"{len(CORES)} cores of {name}"
    return platform.machine()


def aimock_version() -> str | None:
    """None without aimock."""
    folder = aimock_folder()
    return (
        None
        if folder is None
        else json.loads((folder / "node_modules" / AIMOCK / "package.json").read_text())["version"]
    )


def first_line(server: subprocess.Popen[str]) -> str:
    """What it prints as soon as it takes connections."""
    assert server.stdout is not None
    if not (line := server.stdout.readline()):
        raise RuntimeError(f"the server did not start; try it by hand: {server.args!r}")
    return line


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _connects(port: int) -> None:
    until = monotonic() + START_S
    while monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
    raise RuntimeError("aimock did not start")


def _serve_bare() -> None:
    import uvloop
    from aiohttp import web

    async def echo(request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        async for message in ws:
            if not message.data.startswith('{"type":"input_audio_buffer.append"'):
                await ws.send_str(message.data)
        return ws

    async def serve() -> None:
        app = web.Application()
        app.router.add_get("/v1/realtime", echo)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        print(f"ws://127.0.0.1:{runner.addresses[0][1]}/v1/realtime?model=bench", flush=True)
        await asyncio.Event().wait()

    uvloop.run(serve())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        _serve_bare()
