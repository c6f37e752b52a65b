"""The mock inside a Python program: a server for the length of a `with`, and what it saw.

Not the command: see cli.py. `async with` serves from the running loop, `with` from a thread of its own.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Generator, Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from mockserver.protocol.limits import Limits
from mockserver.server.accounts import Roster
from mockserver.server.clock import rate_named
from mockserver.server.options import Options
from mockserver.server.service import Server
from mockserver.testing.loop_thread import Background
from mockserver.testing.observed import Observed
from replay.findings import Finding, Setting

if TYPE_CHECKING:
    from mockserver.faults.armed import Armed
    from mockserver.faults.files import FaultFile, FaultSource
    from mockserver.responders.scenario import Scenario
    from mockserver.server.recordings import Reenacted, Verbatim


ANY_KEY = "mock-api-key"
"""What `api_key` is when the mock takes any."""


class MockServer(Observed):
    """A realtime voice service for one test or program.

    `scenario` is a Scenario, the path of a scenario file, or None: then the mock says back what it is told. `cassette`
    is a recording, or a folder of them, to give instead: anew as a session, or with `verbatim` frame by frame, `speed`
    times as fast as recorded (`math.inf`: at once), to a client that does what was recorded; see `report`. `faults` are
    a fault file's path, its content as a mapping, or a list of `realtape.faults` or mappings. `dialect` is `xai`,
    `openai`, `auto` or a dated name such as `xai@2026-09`, if not given that of the cassette, else `xai`; `pacing` is
    `live`, `realtime` or `burst`; `voice` is `auto`, `tone` or `espeak`; `clock` is `wall`, `wall:RATE` or `manual`.
    With `api_keys` other keys are refused, without any non-empty key is accepted; `blocked_keys` belong to a team
    without credits; `accounts` is a file of teams, or a Roster. `limits` are those of every team, where they shall not
    be the service's; `max_sessions` and `requests_per_minute` are two of them by themselves. `findings` is how loud
    mistakes of the client are told: `off`, `warn`, `error`, or a mapping of rules (and `all`) to these; they are told,
    never raised; `write_tools` are the tools that must not be called twice alike, by name or pattern (`book_*`), where
    their verbs do not tell. `record` is a folder that gets each session as a cassette, see `cassettes`; with `check`
    each event is held against its dialect's shape. The same seed and the same traffic give the same frames. Port 0
    picks a free one.

    Raises ValueError for a setting it does not know, DocumentError, which is one, for an accounts file, ScenarioError
    for a scenario that cannot be used, FaultError for such faults, BadCassette, UnreadableRecording or EmptyLibrary for
    such a recording, OSError when it cannot listen or record. What goes wrong inside the mock is raised at the end of
    the `with`: the client only saw 1011.
    """

    def __init__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        *,
        cassette: str | os.PathLike[str] | None = None,
        verbatim: bool = False,
        speed: float = 1.0,
        faults: FaultSource | None = None,
        dialect: str | None = None,
        pacing: str = "live",
        seed: int | str = 0,
        voice: str = "auto",
        vad: str = "energy",
        api_keys: tuple[str, ...] | list[str] = (),
        blocked_keys: tuple[str, ...] | list[str] = (),
        accounts: Roster | str | os.PathLike[str] | None = None,
        limits: Limits | None = None,
        max_sessions: int | None = None,
        requests_per_minute: int | None = None,
        clock: str = "wall",
        findings: Setting = None,
        write_tools: Iterable[str] | None = None,
        record: str | os.PathLike[str] | None = None,
        check: bool = False,
        admin_token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if cassette is not None and scenario is not None:
            raise ValueError("scenario and cassette both say what to answer; leave out one of them")
        tapes = _tapes(cassette, verbatim, speed)
        options = Options(
            dialect=dialect or (tapes and tapes.dialect) or "xai",
            pacing=pacing,
            seed=str(seed),
            voice=voice,
            vad=vad,
            api_keys=tuple(api_keys),
            blocked_keys=tuple(blocked_keys),
            limits=Limits(max_sessions, requests_per_minute).over(limits or Limits()),
            roster=_roster(accounts),
            clock_rate=rate_named(clock),
            findings=findings,
            write_tools=None if write_tools is None else tuple(write_tools),
            record=None if record is None else Path(record),
            check=check,
            admin_token=admin_token,
        )
        self._server = Server(options, _loaded(scenario))
        super().__init__(self._server.journal)
        if tapes is not None:
            self._server.play_tapes(tapes)
        if faults is not None:
            file = _read_faults(faults)
            self._server.set_faults(file.faults, file.seed)
        self._host = host
        self._port = port

    @property
    def ws_url(self) -> str:
        """Where clients connect: `ws://127.0.0.1:PORT/v1/realtime`."""
        return f"ws://{self._authority}/v1/realtime"

    @property
    def http_url(self) -> str:
        """The base of the REST routes: `http://127.0.0.1:PORT/v1`."""
        return f"http://{self._authority}/v1"

    @property
    def control_url(self) -> str:
        """The base of the control plane: `http://127.0.0.1:PORT/_mock`."""
        return f"http://{self._authority}/_mock"

    @property
    def api_key(self) -> str:
        """A key that is accepted."""
        options = self._server.options
        return next(iter((*options.api_keys, *(options.roster.open_keys if options.roster else ()))), ANY_KEY)

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables by which clients find this mock."""
        return environment(self.ws_url, self.http_url, self.api_key)

    @property
    def cassettes(self) -> list[Path]:
        """With `record`: the files of the sessions so far, oldest first. After the `with` each has its end mark."""
        return list(self._server.tapes.written) if self._server.tapes is not None else []

    @property
    def findings(self) -> list[Finding]:
        """Mistakes of clients so far, oldest first: `.rule`, `.at`, `.message`, `.fix`, `.level`, `.session`."""
        self._catch_up()
        return self._thread.ask(self._server.findings) if self._thread is not None else self._server.findings()

    def claim(self, *, transcript: str | None = None, billable_audio_seconds: float | None = None) -> list[Finding]:
        """Judge what the client made of running totals, which the wire does not show: the caller's words as it shows
        them, the seconds that it counted over all sessions. Gives what is wrong with it, which is then a finding."""
        watches = [log.watch for log in self.sessions if log.watch is not None]
        return self._server.watcher.claim(watches, transcript=transcript, billable_audio_seconds=billable_audio_seconds)

    @property
    def report(self) -> list[str]:
        """With `verbatim`: what was not as recorded so far, a line each; empty if all was."""
        return self._server.verbatim.report() if self._server.verbatim is not None else []

    @property
    def errors(self) -> list[Exception]:
        """What went wrong inside the mock so far."""
        return self._server.errors

    @property
    def unused(self) -> list[str]:
        """What no client has made use of so far, and turns that found no answer, a line each.

        That is: rules that never answered, except a last one that answers anything; entries of a sequence and recorded
        responses that were never reached; known clips that were never heard; faults that were never triggered, unless
        that was left to chance. With `verbatim` it is the report, and the faults.
        """
        self._catch_up()
        return [*self._server.unused(), *self._server.faults.unused()]

    @property
    def faults(self) -> list[Armed]:
        """Those that are on: `.fault`, how often it was triggered (`.fired`) and where (`.triggers`)."""
        return list(self._server.faults.armed)

    def set_faults(self, faults: FaultSource) -> None:
        """These in place of those that are on, for open connections as well; `[]` for none. Raises FaultError."""
        file = _read_faults(faults)
        self._do(lambda: self._server.set_faults(file.faults, file.seed))

    def _do(self, work: Callable[[], None]) -> None:
        """In the server's own thread, if it has one."""
        if self._thread is None:
            work()
        else:
            self._thread.ask(work)

    def advance(self, *, minutes: float = 0, seconds: float = 0, ms: float = 0) -> Awaitable[None]:
        """Move the server's time ahead, stopping at everything that happens on the way.

        To be awaited under `async with`; under `with` it returns when it is done. In virtual time the client's own
        timers move as well. Raises ValueError for less than nothing and more than 30 days.
        """
        push = self._server.clock.advance(minutes=minutes, seconds=seconds, ms=ms)
        if self._thread is None:
            return push
        self._thread.call(push)
        return _Done()

    async def __aenter__(self) -> MockServer:
        await self._server.start(self._host, self._port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop()
        self._raise_unless(error)

    def __enter__(self) -> MockServer:
        self._thread = Background("mock server")
        try:
            self._thread.call(self._server.start(self._host, self._port))
        except BaseException:
            self._thread.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._thread is not None
        try:
            self._thread.call(self._server.stop())
        finally:
            self._thread.end()
        self._raise_unless(error)

    def _raise_unless(self, error: BaseException | None) -> None:
        """A bug in here explains a failed test better than what the client saw of it; an interrupt goes first."""
        if self._server.errors and (error is None or isinstance(error, Exception)):
            raise self._server.errors[0]

    @property
    def _authority(self) -> str:
        if not self._server.port:
            raise RuntimeError("the mock is not running; use it inside `async with MockServer(...) as mock:`")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._server.port}"


class _Done:
    """Something to await that is over already."""

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


def _read_faults(faults: FaultSource) -> FaultFile:
    from mockserver.faults.files import faults_from

    return faults_from(faults)


def _tapes(cassette: str | os.PathLike[str] | None, verbatim: bool, speed: float) -> Reenacted | Verbatim | None:
    if cassette is None:
        return None
    from mockserver.server.recordings import Reenacted, Verbatim

    return Verbatim(cassette, speed) if verbatim else Reenacted(cassette)


def _roster(accounts: Roster | str | os.PathLike[str] | None) -> Roster | None:
    if isinstance(accounts, str | os.PathLike):
        from mockserver.server.accounts_file import load

        return load(accounts)
    return accounts


def _loaded(scenario: Scenario | str | os.PathLike[str] | None) -> Scenario | None:
    if isinstance(scenario, str | os.PathLike):
        from mockserver.responders.scenario import Scenario

        return Scenario.load(Path(scenario))
    return scenario


def environment(ws_url: str, http_url: str, api_key: str) -> dict[str, str]:
    """The environment variables by which clients find their service: the agent's here, and the openai packages'."""
    return {
        "XAI_REALTIME_URL": ws_url,
        "XAI_HTTP_URL": http_url,
        "XAI_API_KEY": api_key,
        "OPENAI_BASE_URL": http_url,
        "OPENAI_WEBSOCKET_BASE_URL": ws_url.removesuffix("/realtime"),
        "OPENAI_API_KEY": api_key,
    }
