"""`serve --workers N`: a supervisor, N processes that serve one port, and a store of their own.

The supervisor listens, forks the workers before anything slow is loaded, and starts another one for each that dies. It
serves nothing itself. On Linux each worker has a socket of its own on the port (SO_REUSEPORT). The supervisor keeps all
of them open, so that connections wait for the next worker when one is killed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

import click

from mockserver.server.clock import wall_clock
from mockserver.server.listening import BACKLOG, listen
from mockserver.server.options import Options
from replay.cli.usage import Unusable
from replay.stopping import SIGNALS, is_pipe
from replay.version import install_command

STORES = ("redis-server", "valkey-server")
LOOK_S = 0.25
"""Seconds between two looks at the parent process."""
AGAIN_S = 1.0
"""Seconds that a worker has to live before it is replaced at once; for one that lived less, as long a wait."""
TRIES = 3
"""Attempts to open a port that all workers share."""
STORE_S = 5.0
"""Seconds in which a store of one's own has to listen."""


@dataclass(frozen=True, slots=True)
class Worker:
    """What one worker serves with. `parent`: the process id of its supervisor, with which it ends. `state`: the address
    of the store. `first`: it replaces no other. `counts`: a folder in which workers tell each other what they count."""

    number: int
    sockets: list[socket.socket]
    state: str
    parent: int
    first: bool
    counts: Path
    _ready: int = field(repr=False)

    def tell_ready(self) -> None:
        """Tell the supervisor that it serves."""
        os.write(self._ready, b"%c" % self.number)
        os.close(self._ready)


def open_port(host: str, port: int) -> list[socket.socket]:
    """Listen. Raises Unusable."""
    try:
        return listen(host, port)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise Unusable(f"cannot listen on {host}:{port} ({reason}); --port 0 picks a free port") from problem


def check_shareable(typed: str, options: Options, cassette: Path | None) -> None:
    """Refuse what servers do not share yet, and a fleet without its extra. `typed`: the option that makes a fleet.
    Raises Unusable."""
    for given, name in (
        (cassette is not None, "--cassette"),
        (options.clock_rate not in (0, 1), "a clock with a rate"),
    ):
        if given:
            raise Unusable(f"{name} is for one process: leave it out, or leave out --state and --workers")
    if find_spec("redis") is None:
        raise Unusable(f"{typed} needs redis; install it with: {install_command('fleet')}")


def supervise(
    count: int,
    opened: Callable[[], Sequence[socket.socket]],
    ready: Callable[[int], str],
    tell: Callable[[str, float], list[str]],
    state: str | None,
    parent: int | None,
) -> Worker:
    """Fork the workers, and return in each of them. The supervisor itself never returns: it ends with the largest exit
    code of a worker. `ready`: the line for a port. `tell`: the
    lines about what went wrong at a Unix second. `parent`: the process to end with. Raises Unusable."""
    if sys.platform == "win32":
        raise Unusable("--workers needs processes that share a port, which Windows does not have: leave it out")
    sockets = _shared_port(opened, count)
    store = None if state is not None else _OwnStore()
    supervisor, counts = os.getpid(), Path(mkdtemp(prefix="realtape-counts-"))
    place = state or (store.url if store else "")
    try:
        return _Supervisor(count, sockets, ready, tell, place, parent, store, counts).run()
    finally:  # also in a worker, for which it is not
        if os.getpid() == supervisor:
            shutil.rmtree(counts, ignore_errors=True)
        if store is not None:
            store.close()


def _shared_port(opened: Callable[[], Sequence[socket.socket]], count: int) -> list[list[socket.socket]]:
    """The sockets of each worker on one port. Raises Unusable."""
    problem: OSError | None = None
    for _ in range(TRIES):  # some other program may take a free port before the workers share it
        try:
            return _sockets(opened(), count)
        except OSError as taken:
            problem = taken
    assert problem is not None
    raise Unusable(f"the workers cannot share the port: {problem.strerror or problem}") from problem


def _sockets(bound: Sequence[socket.socket], count: int) -> list[list[socket.socket]]:
    """The sockets of each worker."""
    if sys.platform != "linux":  # elsewhere the kernel does not spread connections over sockets
        return [list(bound)] * count
    found: list[list[socket.socket]] = [[] for _ in range(count)]
    for each in bound:
        address = each.getsockname()
        each.close()
        for sockets in found:
            sockets.append(socket.create_server(address, family=each.family, backlog=BACKLOG, reuse_port=True))
            sockets[-1].setblocking(False)
    return found


class _OwnStore:
    """A store without files, on a socket in a folder of this user. It ends with the supervisor."""

    def __init__(self) -> None:
        self._program = next(filter(None, map(shutil.which, STORES)), None)
        if self._program is None:
            raise Unusable(
                "--workers needs a store: install redis-server or valkey-server (Debian: apt-get install redis-server),"
                " or name one with --state redis://HOST:PORT/0"
            )
        self._made_by = os.getpid()
        self._folder = mkdtemp(prefix="realtape-")
        self._socket = str(Path(self._folder, "store.sock"))
        self.url = f"unix://{self._socket}"
        self.start()

    def start(self) -> None:
        """Start it, or start it again. Raises Unusable."""
        assert self._program is not None
        options = ["--port", "0", "--unixsocket", self._socket, "--unixsocketperm", "700", "--save", ""]
        self.process = subprocess.Popen(
            [self._program, *options, "--appendonly", "no", "--dir", self._folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_end_with_parent,
            start_new_session=True,
        )
        for _ in range(round(STORE_S / 0.01)):
            with socket.socket(socket.AF_UNIX) as client:
                if client.connect_ex(self._socket) == 0:
                    return
            if self.process.poll() is not None:
                break
            select.select([], [], [], 0.01)
        raise Unusable(f"{self._program} does not start; name another store with --state redis://HOST:PORT/0")

    def close(self) -> None:
        """End it; nothing in a process that did not start it."""
        if os.getpid() == self._made_by:
            self.process.kill()
            self.process.wait()
            shutil.rmtree(self._folder, ignore_errors=True)


def _end_with_parent() -> None:
    """Have Linux end this process with the one that started it, also if that is killed."""
    if sys.platform == "linux":
        import ctypes  # slow to load, and for this alone

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


@dataclass(slots=True)
class _Supervisor:
    count: int
    sockets: list[list[socket.socket]]
    line: Callable[[int], str]
    tell: Callable[[str, float], list[str]]
    state: str
    parent: int | None
    store: _OwnStore | None
    counts: Path = field(default_factory=Path)
    """The folder of the workers' counts."""
    running: dict[int, int] = field(default_factory=dict)
    """The numbers of the workers by process id."""
    begun: dict[int, float] = field(default_factory=dict)
    """When the last worker of each number was started."""
    due: dict[int, float] = field(default_factory=dict)
    """When a number gets another worker."""
    served: set[int] = field(default_factory=set)
    """The numbers of which a worker was ready."""
    code: int = 0
    ending: bool = False

    def run(self) -> Worker:
        """Start and watch the workers. Returns in a worker; the supervisor exits."""
        ours, theirs = os.pipe()
        woken, wakes = os.pipe()
        for each in (ours, woken, wakes):
            os.set_blocking(each, False)
        asked: list[int] = []
        for name in (*SIGNALS, signal.SIGCHLD):
            signal.signal(name, lambda got, _: asked.append(got) if got != signal.SIGCHLD else None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self.due = {1: 0.0}  # what is wrong with the options, one worker says for all
        watched = [ours, woken, *([0] if self.parent is not None and is_pipe(0) else [])]
        while True:
            if not self.ending:
                for number in [number for number, at in self.due.items() if at <= time.monotonic()]:
                    if (worker := self._fork(number, theirs, ours, woken, wakes)) is not None:
                        return worker
            if self.ending and not self.running:  # else each number that has no worker is due
                break
            for each in select.select(watched, [], [], LOOK_S)[0]:
                if each == 0 and not os.read(0, 1 << 12):
                    watched.remove(0)
                    self._end(signal.SIGTERM)
                elif each == woken:
                    os.read(woken, 1 << 12)
                elif each == ours:
                    self._ready(os.read(ours, 1 << 12))
            while asked:
                asked.pop()
                self._end(signal.SIGKILL if self.ending else signal.SIGTERM)
            if self.parent is not None and os.getppid() != self.parent and not self.ending:
                self._end(signal.SIGTERM)
            self._reap()
        raise click.exceptions.Exit(self.code)

    def _fork(self, number: int, ready: int, *others: int) -> Worker | None:
        """Start a worker; it is returned in that process alone."""
        supervisor = os.getpid()
        del self.due[number]
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # the worker would take one for the supervisor's
        try:
            if (pid := os.fork()) != 0:
                self.running[pid] = number
                self.begun[number] = time.monotonic()
                return None
            os.setpgid(0, 0)  # the terminal's SIGINT is for the supervisor, which passes it on
            signal.set_wakeup_fd(-1)
            for name in (*SIGNALS, signal.SIGCHLD):
                signal.signal(name, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for descriptor in others:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        mine = self.sockets[number - 1]
        for sockets in self.sockets:
            for each in sockets:
                if each not in mine:
                    each.close()
        return Worker(number, mine, self.state, supervisor, number not in self.served, self.counts, ready)

    def _ready(self, numbers: bytes) -> None:
        before = len(self.served)
        self.served |= set(numbers)
        if not before:
            self.due.update(dict.fromkeys(range(2, self.count + 1), 0.0))
        if before < self.count == len(self.served):
            click.echo(self.line(self.sockets[0][0].getsockname()[1]))
            sys.stdout.flush()

    def _say(self, text: str) -> None:
        for line in self.tell(text, wall_clock()):
            click.echo(line, err=True)

    def _end(self, number: signal.Signals) -> None:
        """Have all workers end."""
        self.ending = True
        for pid in self.running:
            os.kill(pid, number)

    def _reap(self) -> None:
        """Look which processes ended, and plan another one for each that should not have."""
        if self.store is not None and self.store.process.poll() is not None and not self.ending:
            self._say("the store of the workers ended; starting another: what it held is lost")
            self.store.start()
        for pid, number in list(self.running.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            del self.running[pid]
            code = os.waitstatus_to_exitcode(status)
            if self.ending:
                self.code = max(self.code, code)
            elif number not in self.served:  # it says why
                self.code = code if code > 0 else 1
                self._end(signal.SIGTERM)
            else:
                now = time.monotonic()
                self.due[number] = now if now - self.begun[number] >= AGAIN_S else now + AGAIN_S
                how = f"with exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
                self._say(f"worker {number} (process {pid}) ended {how}; starting another")
