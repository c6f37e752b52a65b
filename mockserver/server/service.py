"""The mock as an HTTP server on one port: the handshake, the realtime socket, client secrets, the control plane.

It puts the parts together and decides nothing about content: who may come in is accounts.py and the handshake
of a dialect, what a session says is session/, how frames cross the socket is connection.py, and /_mock/ is control.py.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING

from aiohttp import hdrs, web

from mockserver.dialects.handshake import NOT_HTTP, Denied, Handshake, HandshakeRequest, Refusal, http_refusal
from mockserver.dialects.names import AUTO, DIALECT_NAMES, dialect_for
from mockserver.faults.armed import FaultTarget
from mockserver.faults.fault_set import FaultSet
from mockserver.protocol.limits import Limits
from mockserver.protocol.peer import ExpiringPeer, RefusedPeer
from mockserver.server import control
from mockserver.server.accounts import Accounts, Team
from mockserver.server.clock import Clock
from mockserver.server.connection import Connection, tear_down
from mockserver.server.http import as_json, body_of
from mockserver.server.idle_connections import Anteroom
from mockserver.server.journal import Journal
from mockserver.server.options import Options
from replay.cassette.frames import Close, Frame
from replay.findings import Finding, Levels, Rule
from replay.findings.handshake import browser_call
from replay.findings.handshake import handshake as handshake_read
from replay.findings.watch import Watcher

if TYPE_CHECKING:  # these load numpy and pydantic, which a server that is not yet talked to can do without
    from mockserver.audio.tts.base import Voice
    from mockserver.audio.vad.detector import EngineFor
    from mockserver.billing.ledger import Ledger
    from mockserver.dialects.base import Dialect, Traits
    from mockserver.dialects.registry import DatedService
    from mockserver.faults.kinds import Fault
    from mockserver.protocol.peer import Peer
    from mockserver.responders.base import Responder
    from mockserver.responders.scenario import Scenario
    from mockserver.server.recordings import Reenacted, Verbatim
    from mockserver.server.session_recorder import Tapes
    from mockserver.session.resumption import Memory
    from mockserver.session.session import Session
    from mockserver.session.transcription import Hearing
    from replay.cassette.records import Response

MAX_MESSAGE = 64 << 20
"""Bytes of one WebSocket message that the socket takes at all; the dialect's own bound is lower, and answered."""
MAX_BODY = 4 << 20
MAX_FIELD = 8190
"""Bytes of one header, and of the request's line."""
KEEP_ALIVE_S = 30.0
"""How long a connection may stay open for another request."""
MOST_ERRORS = 1000
"""Of mistakes in what is sent, which may come with each event."""
GOODBYE_S = 0.25
"""How long clients may take to say goodbye when the server stops."""
HANG_S = 600.0
"""How long a handshake that is not answered hangs at most."""
_KEPT_HEADERS = frozenset({"content-type", "retry-after", "www-authenticate", "x-request-id"})
_LOG = logging.getLogger(__name__)
_FINDINGS = logging.getLogger("realtape.findings")
_LOUDNESS = {"warn": logging.WARNING, "error": logging.ERROR}

# aiohttp logs the subprotocols that it was not told to accept, and they may hold a key.
logging.getLogger("aiohttp.websocket").addFilter(lambda record: "overlap" not in str(record.msg))


@dataclass(slots=True, eq=False)
class Live:
    """An open session: what it is made of, and the task that serves it."""

    team: Team
    session: Session | None
    """None where a recording is played verbatim."""
    connection: Connection
    target: FaultTarget
    task: asyncio.Task[object] | None


@dataclass(frozen=True, slots=True)
class _Cast:
    """What a new connection is served by."""

    dialect: Dialect
    peer: Peer
    session: Session | None
    ledger: Ledger


def _service(name: str) -> DatedService:
    from mockserver.dialects.registry import SERVICES

    return SERVICES[name]


class Server:
    """One mock service. `responder` makes one for each new connection, `hearing` understands its spoken turns."""

    def __init__(self, options: Options, scenario: Scenario | None = None) -> None:
        self.options = options
        self.responder: Callable[[], Responder] = _echo
        """For new connections; the control plane replaces it."""
        self.hearing: Hearing | None = None
        self.verbatim: Verbatim | None = None
        """What is played instead of sessions."""
        self.unused: Callable[[], list[str]] = list
        """What of the scenario or recording no client has made use of so far, a line each."""
        if scenario is not None:
            self.play(scenario)
        self.accounts = Accounts(
            keys=options.api_keys,
            blocked=options.blocked_keys,
            roster=options.roster,
            seed=options.seed,
        )
        self.journal = Journal(options.journal_bytes)
        self.watcher = Watcher(Levels(options.findings, options.write_tools), _tell_finding)
        """Looks for mistakes of clients."""
        self.errors: list[Exception] = []
        """What went wrong inside the mock, oldest first."""
        self.live: dict[str, Live] = {}
        """Open sessions by id."""
        self.faults = FaultSet(seed=options.seed)
        self._served_so_far = 0
        self._waiting: set[asyncio.Future[bool]] = set()
        """Handshakes that a fault keeps waiting."""
        self.port = 0
        self.clock: Clock
        self.tapes = _tapes(options)
        """Where sessions are recorded. Raises OSError for a folder that cannot be written to."""
        self._opened = 0
        self._traits: dict[str, Traits] = {}
        self._runner: web.AppRunner | None = None

    def play(self, scenario: Scenario) -> None:
        """Answer new connections by this scenario. Raises ScenarioError for a known clip that cannot be used."""
        from mockserver.audio.asr import installed_transcriber
        from mockserver.responders.scenario import ScenarioError
        from mockserver.session.transcription import Hearing

        try:
            hearing = Hearing.of(scenario, installed_transcriber())
        except (OSError, ValueError) as problem:
            raise ScenarioError(f"hears: {problem}") from problem
        tally = scenario.tally()
        self.responder, self.hearing, self.verbatim = partial(scenario.responder, tally), hearing, None
        self.unused = lambda: [*tally.unused(), *scenario.unheard(hearing.recognised)]

    def play_tapes(self, tapes: Reenacted | Verbatim) -> None:
        """Give new connections what was recorded."""
        from mockserver.server.recordings import Reenacted

        if isinstance(tapes, Reenacted):
            self.responder, self.verbatim, self.unused = tapes.responder, None, tapes.unused
        else:
            self.verbatim, self.unused = tapes, tapes.report

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Port 0 picks a free one. Raises OSError when that is not possible."""
        self.clock = Clock(self.options.clock_rate)
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._flat_errors])
        app.router.add_get("/v1/realtime", self._knocked)
        app.router.add_post("/v1/realtime/client_secrets", self._client_secret)
        app.router.add_routes(control.routes(self))
        # A query may hold a key: no access log.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=GOODBYE_S, keepalive_timeout=KEEP_ALIVE_S, max_field_size=MAX_FIELD
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._anteroom = Anteroom(self._runner.server)
        try:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._anteroom, host, port, backlog=1024)
        except OSError:
            await self._runner.cleanup()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self, goodbye_s: float = GOODBYE_S) -> None:
        """Take no more connections, close those that are open (1001), and let go of the port. What is on its way to a
        client leaves before the close frame, if the client reads it within `goodbye_s`."""
        if self._runner is None:
            return
        self._listener.close()
        self._anteroom.close()
        tasks = [live.task for live in self.live.values() if live.task is not None]
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(False)
        for live in self.live.values():
            live.connection.close(1001, "the server is stopping")
        if tasks:
            await asyncio.wait(tasks, timeout=goodbye_s)
        for live in list(self.live.values()):
            live.connection.reset("the server stopped")
        await self._runner.cleanup()
        self._runner = None
        if self.tapes is not None:
            await self.tapes.finished()
        self.watcher.ended()

    def findings(self) -> list[Finding]:
        """Mistakes of clients so far, what is overdue by now included."""
        for live in list(self.live.values()):
            live.connection.look()
        return list(self.watcher.findings)

    def warm_up(self) -> None:
        """Load what the first session needs, so that it need not wait for it."""
        from mockserver.session import session  # noqa: F401

        for name in DIALECT_NAMES if self.options.dialect == AUTO else [self.options.dialect]:
            self.traits(name)
        _ = self.voice

    def traits(self, dialect: str) -> Traits:
        """Of a dialect by its full name."""
        from mockserver.dialects.base import Opening

        if dialect not in self._traits:
            self._traits[dialect] = _service(dialect).open(Opening(seed="", epoch=0.0)).traits
        return self._traits[dialect]

    @cached_property
    def voice(self) -> Voice:
        """Shared by all sessions. Raises RuntimeError, saying what to install, when it cannot speak here."""
        from mockserver.audio.tts import Cached, voice_named

        return Cached(voice_named(self.options.voice))

    @cached_property
    def engine(self) -> EngineFor:
        """Finds the turns of all sessions. Raises ValueError for an unknown name; ImportError says what to install."""
        from mockserver.audio.vad.detector import engine_named

        return engine_named(self.options.vad)

    def _served(self, request: web.Request) -> str:
        """The dialect of a request."""
        if self.options.dialect != AUTO:
            return self.options.dialect
        _, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")
        return dialect_for(request.query.get("model"), credential.strip(), _offered(request), dict(request.query))

    async def _knocked(self, request: web.Request) -> web.StreamResponse:
        """A handshake, however it is answered."""
        response = await self._realtime(request)
        if response.status != 101:
            after = response.headers.get(hdrs.RETRY_AFTER, "")
            asked = handshake_read(request.query.items(), request.headers.items())
            retry_s = float(after) if after.isdigit() else None
            self.watcher.refused(self._served(request), asked, self.clock.now(), response.status, retry_s)
        return response

    async def _realtime(self, request: web.Request) -> web.StreamResponse:
        if "websocket" not in request.headers.get(hdrs.UPGRADE, "").lower():
            return self._refused(NOT_HTTP, self._handshake(request))
        name = self._served(request)
        if self.faults and (answer := await self._disturb(request, name)) is not None:
            return answer
        entered = self._let_in(request, name)
        if isinstance(entered, Refusal):
            return await self._turn_away(request, name, entered)
        asked, team = entered
        try:
            if self.verbatim is not None and (recorded := self.verbatim.refusal()) is not None:
                return _as_recorded(recorded)
            cast = self._cast(name, asked, team, tuple(request.query.items()))
            return await self._serve(request, asked.subprotocol, cast, team)
        finally:
            self.accounts.leave(team)

    async def _disturb(self, request: web.Request, name: str) -> web.StreamResponse | None:
        """Let faults strike a handshake; None if it goes on all the same."""
        from mockserver.faults.kinds import Hang, Reset, Slow, Status

        for fault in self.faults.at_handshake(self.clock.now()):
            match fault:
                case Status():
                    return await self._turn_away(
                        request, name, _service(name).handshake.outage(fault.status, fault.retry_after)
                    )
                case Slow():
                    if not await self._wait(fault.seconds):
                        return _reset(request)
                case Hang(seconds=seconds):
                    await self._wait(HANG_S if seconds is None else seconds)
                    return _reset(request)
                case Reset():
                    return _reset(request)
        return None

    async def _wait(self, seconds: float) -> bool:
        """For so long by the server's clock; False if the server stops before."""
        waiting: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        alarm = self.clock.call_at(self.clock.now() + seconds, lambda: waiting.set_result(True))
        self._waiting.add(waiting)
        try:
            return await waiting
        finally:
            self._waiting.discard(waiting)
            alarm.cancel()

    def set_faults(self, faults: Iterable[Fault], seed: str | None = None) -> None:
        """These faults in place of those that are on, open connections included."""
        self.faults.replace(faults, seed)
        self.refit()

    def refit(self) -> None:
        """Let open connections follow a change of `faults`."""
        for live in self.live.values():
            live.connection.refit(partial(self.faults.fit, target=live.target))

    def _let_in(self, request: web.Request, name: str) -> tuple[HandshakeRequest, Team] | Refusal:
        """What a handshake asks for and who asks, who has a seat from then on."""
        handshake, query, headers = _service(name).handshake, tuple(request.query.items()), request.headers
        asked = handshake.read(headers.get(hdrs.AUTHORIZATION), _offered(request), query, headers.get("OpenAI-Beta"))
        if isinstance(asked, Refusal):
            return asked
        team = self._admit(self.accounts.bearer(asked.credential, self.clock.unix()), name)
        if isinstance(team, Denied):
            return handshake.refuse(team, asked.credential)
        if (refusal := handshake.check(asked, self.accounts.session_of(asked.credential), query)) is not None:
            return refusal
        seats = self.limits(team, name).max_sessions
        if (denied := self.accounts.enter(team, seats)) is not None:
            return handshake.refuse(denied, asked.credential)
        return asked, team

    async def _turn_away(self, request: web.Request, name: str, refusal: Refusal) -> web.StreamResponse:
        """Refuse a handshake: over HTTP, or on a socket that is opened for that alone."""
        if refusal.close_code is None:
            return self._refused(refusal, _service(name).handshake)
        _tell(refusal)
        from mockserver.billing.ledger import Ledger
        from mockserver.dialects.base import Opening
        from mockserver.protocol.commands import Rejected
        from mockserver.protocol.facts import Malformed

        dialect = _service(name).open(Opening(self._next_seed(), self.clock.unix()))
        rejected = Rejected(refusal.error, refusal.kind, refusal.code or None)
        reason = ".".join(filter(None, (refusal.kind, refusal.code)))
        frames = (*dialect.render(Malformed(rejected), 0.0), Close(refusal.close_code, reason))
        subprotocol = "realtime" if "realtime" in (_offered(request) or "").replace(" ", "").split(",") else None
        cast = _Cast(dialect, RefusedPeer(frames), None, Ledger(dialect.prices, dialect.model))
        return await self._serve(request, subprotocol, cast, Team())

    def limits(self, team: Team, name: str) -> Limits:
        """Those of a team at a service: its own, else those of all, else the service's."""
        roster, options = self.options.roster, self.options
        everybody = options.limits if roster is None else roster.limits.over(options.limits)
        return team.limits.over(everybody).over(self.traits(name).limits)

    def _admit(self, team: Team | Denied, name: str) -> Team | Denied:
        if isinstance(team, Denied):
            return team
        per_minute = self.limits(team, name).requests_per_minute
        return self.accounts.knock(team, self.clock.unix(), per_minute) or team

    async def _serve(
        self, request: web.Request, subprotocol: str | None, cast: _Cast, team: Team
    ) -> web.StreamResponse:
        ws = web.WebSocketResponse(
            protocols=(subprotocol,) if subprotocol else (),
            compress=False,
            autoclose=False,
            max_msg_size=MAX_MESSAGE,
        )
        writer = await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        ids = cast.dialect.ids
        conversation = cast.session.conversation.id if cast.session else ids.conversation
        log = self.journal.open(ids.session, conversation, self.clock.unix(), cast.ledger)
        if not self.watcher.levels.silent:
            asked = handshake_read(request.query.items(), request.headers.items())
            log.watch = self.watcher.open(log.id, cast.dialect.name, asked, now=self.clock.now())
        if self.tapes is not None:
            log.tape = self.tapes.open(log.id, cast.dialect.name, request, ws.headers, self.clock.unix())
        self._served_so_far += 1
        target = FaultTarget(self._served_so_far, log.id, cast.dialect, cast.session)
        peer = self.faults.fit(self._checked(cast, log.id), 0.0, target)
        connection = Connection(peer, ws, writer, transport, self.clock, log)
        self.live[log.id] = Live(team, cast.session, connection, target, asyncio.current_task())
        if (ping_s := cast.dialect.traits.ping_s) is not None:
            connection.keep_alive(ping_s)
        try:
            await connection.pump()
        finally:
            del self.live[log.id]
            self._settle(team, cast.session, connection)
        return ws

    def _checked(self, cast: _Cast, session: str) -> Peer:
        """A peer whose events are looked at, if they shall be; recorded ones are nobody's doing here."""
        if not self.options.check or self.verbatim is not None:
            return cast.peer
        from mockserver.dialects.schema import Checked, SchemaMismatch

        def report(problem: str) -> None:
            _LOG.error("session %s: a bug of the mock: %s", session, problem)
            if len(self.errors) < MOST_ERRORS:
                self.errors.append(SchemaMismatch(problem))

        return Checked(cast.peer, _service(cast.dialect.name).schema, report)

    @cached_property
    def _plain_hearing(self) -> Hearing:
        """Without a scenario: what an installed transcriber makes of it."""
        from mockserver.audio.asr import installed_transcriber
        from mockserver.session.transcription import Hearing

        return Hearing(None, installed_transcriber())

    def begin_anew(self) -> None:
        """Count connections from the first again, so that the same traffic gives the same frames as after a start.
        Not while some are open, whose ids would come twice."""
        self.faults.forget()
        if not self.live:
            self._opened = self._served_so_far = 0

    def _next_seed(self) -> str:
        seed = f"{self.options.seed}/{self._opened}"
        self._opened += 1
        return seed

    def _cast(self, name: str, asked: HandshakeRequest, team: Team, query: tuple[tuple[str, str], ...]) -> _Cast:
        """Who serves a new connection: a session, or a recording."""
        from mockserver.dialects.base import Opening

        limits, now = self.limits(team, name), self.clock.unix()
        resumed = self._remembered(team, asked.conversation_id, limits.resumption_s)
        seed, secret = self._next_seed(), self.accounts.session_of(asked.credential)
        dialect = _service(name).open(
            Opening(seed, now, asked.model, resumed is not None, query, secret, limits.session_s)
        )
        return self._player(dialect) or self._session(dialect, seed, resumed, limits, now)

    def _player(self, dialect: Dialect) -> _Cast | None:
        from mockserver.billing.ledger import Ledger

        if self.verbatim is None:
            return None
        return _Cast(dialect, self.verbatim.peer(dialect), None, Ledger(dialect.prices, dialect.model))

    def _session(self, dialect: Dialect, seed: str, resumed: Memory | None, limits: Limits, now: float) -> _Cast:
        from mockserver.protocol.facts import Expired
        from mockserver.server.recordings import overheard
        from mockserver.session.session import Session

        responder = self.responder()
        session = Session(
            dialect,
            responder,
            self.voice,
            seed=seed,
            pacing=self.options.pacing,
            resumed=resumed,
            opened=now,
            snapshot_s=limits.snapshot_s,
            hearing=self.hearing or self._plain_hearing,
            engine=self.engine,
        )
        if resumed is not None and len(resumed.history(now)) < len(resumed.history(None)):
            _LOG.warning(
                "conversation %s is taken up from a stale snapshot: the client is back within %g ms",
                resumed.conversation.id,
                limits.snapshot_s * 1000,
            )

        def last(at: float, idle: bool) -> Iterable[Frame]:
            return dialect.render(Expired(limits.idle_s if idle else limits.session_s, idle), at)

        peer = ExpiringPeer(overheard(session, responder), limits.session_s, limits.idle_s, last)
        return _Cast(dialect, peer, session, session.ledger)

    def _remembered(self, team: Team, conversation_id: str | None, kept_s: float) -> Memory | None:
        """A conversation to take up again. Its connection may be lost without the server knowing it yet."""
        if conversation_id is None:
            return None
        for live in self.live.values():
            known = live.session
            if known is None or live.team is not team or not known.settings.resumable:
                continue
            if known.conversation.id == conversation_id:
                return known.memory
        return self.accounts.recall(team, conversation_id, self.clock.unix(), kept_s)

    def _settle(self, team: Team, session: Session | None, connection: Connection) -> None:
        if session is not None and session.settings.resumable:
            self.accounts.remember(team, session.memory, self.clock.unix())
        if connection.error is not None:
            self.errors.append(connection.error)

    async def _client_secret(self, request: web.Request) -> web.StreamResponse:
        scheme, _, key = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        name = self._served(request)
        handshake = _service(name).handshake
        self.watcher.browser_call(browser_call(request.headers.items()), self.clock.now())
        credential = key.strip() if scheme.lower() == "bearer" else None
        team = self._admit(self.accounts.owner(credential), name)
        if isinstance(team, Denied):
            return self._refused(handshake.refuse(team, credential), handshake)
        body = await body_of(request)
        seconds = handshake.lifetime(body, self.limits(team, name))
        if isinstance(seconds, Refusal):
            return self._refused(seconds, handshake)
        secret = self.accounts.mint(
            team,
            handshake.secret_prefix,
            seconds,
            self.clock.unix(),
            digits=handshake.secret_digits,
            session=handshake.session(body),
        )
        return as_json(handshake.secret(secret))

    def _handshake(self, request: web.Request) -> Handshake:
        return _service(self._served(request)).handshake

    def _refused(self, refusal: Refusal, handshake: Handshake) -> web.Response:
        _tell(refusal)
        response = as_json(handshake.body(refusal), refusal.status)
        if refusal.retry_after_s is not None:
            response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_s)
        if refusal.status == 426:
            response.headers[hdrs.UPGRADE] = "websocket"
        return response

    @web.middleware
    async def _flat_errors(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """What aiohttp itself refuses looks like the service's refusals; what breaks in here is kept."""
        self._anteroom.leave(request.protocol)
        try:
            return await handler(request)
        except web.HTTPException as problem:
            handshake, refusal = self._handshake(request), http_refusal(problem.status, problem.text or problem.reason)
            if problem.status == 404 and request.path.startswith("/v1/"):
                refusal = handshake.not_found(request.method, request.rel_url.raw_path)
            response = self._refused(refusal, handshake)
            if (allowed := problem.headers.get(hdrs.ALLOW)) is not None:
                response.headers[hdrs.ALLOW] = allowed
            return response
        except Exception as error:
            _LOG.error("error inside the mock at %s", request.path, exc_info=error)
            self.errors.append(error)
            return self._refused(
                Refusal(500, "Internal error", "The mock failed; see its log."), self._handshake(request)
            )


def _reset(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        tear_down(request.transport)
    return web.Response()


def _tapes(options: Options) -> Tapes | None:
    if options.record is None:
        return None
    from mockserver.server.session_recorder import Tapes

    return Tapes(options.record, options.api_keys)


def _tell_finding(finding: Finding, rule: Rule) -> None:
    level = logging.INFO if rule.advice else _LOUDNESS[finding.level]
    _FINDINGS.log(level, "%s: %s", f"session {finding.session}" if finding.session else "no session", finding)


def _tell(refusal: Refusal) -> None:
    """Say in the log what is served instead of what was asked for."""
    if refusal.advice:
        _LOG.warning("%s %s", refusal.error, refusal.advice)


def _as_recorded(response: Response) -> web.Response:
    """A handshake's recorded refusal, without what belongs to its transport."""
    headers = [(name, value) for name, value in response.headers if name.lower() in _KEPT_HEADERS]
    return web.Response(status=response.status, headers=headers, body=response.body)


def _offered(request: web.Request) -> str | None:
    subprotocols = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, None)
    return None if subprotocols is None else ", ".join(subprotocols)


def _echo() -> Responder:
    from mockserver.responders.echo import Echo

    return Echo()
