"""The mock as an HTTP server on one port: the handshake, the realtime socket, client secrets, the control plane.

Nothing is decided here about content or admission: that is service.py. How frames cross a socket is connection.py.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aiohttp import hdrs, web
from typing_extensions import assert_never

from mockserver.dialects.handshake import NOT_HTTP, Denied, HandshakeRequest, Refusal, http_refusal
from mockserver.dialects.names import ALIASES, AUTO, DIALECT_NAMES, dialect_name
from mockserver.dialects.registry import SERVICES
from mockserver.faults.injection_points import CLIENT_SECRETS, HANDSHAKE
from mockserver.faults.kinds import Hang, RequestFault, Reset, Slow, Status
from mockserver.responders.scenario import Scenario
from mockserver.server import causes, control, cors, counted_faults, fleet, forwarding, websocket
from mockserver.server.accounts import Team
from mockserver.server.admission import accepted, admitted
from mockserver.server.calls import offers, phone_number_routes, sideband
from mockserver.server.calls import routes as call_routes
from mockserver.server.calls.registry import NoSuchCall, TooManyCalls
from mockserver.server.calls.running_call import TooManyChannels
from mockserver.server.client_requests import (
    AZURE_ROOT,
    NAMESPACE,
    authorization_of,
    credentials_of,
    dialect_asked,
    model_in,
    subprotocols_of,
)
from mockserver.server.connection import Connection, tear_down
from mockserver.server.http import as_json, body_of
from mockserver.server.journal import SessionLog
from mockserver.server.listening import BACKLOG, listen
from mockserver.server.namespaces import ID, KEY_ENDED, NamespaceEnded, Namespaces, gone
from mockserver.server.notices import CallOpened, HandshakeRefused, RouteRefused, TlsRefused
from mockserver.server.options import Options
from mockserver.server.origins import is_foreign
from mockserver.server.refusals import CROSS_SITE, check_open, log_advice, refused
from mockserver.server.service import MockService, OpenSession
from mockserver.server.session_factory import Served
from mockserver.server.state.port import StateLost
from mockserver.server.tls import TlsPort
from mockserver.server.workbench import routes as workbench
from replay.cassette.records import Request, Response
from replay.connections import Connections, without_bytes
from replay.findings.handshake import handshake as handshake_read
from replay.outlets import clean, logger
from replay.tracing.context import trace_context

MAX_MESSAGE = 24 << 20
"""Bytes of the largest WebSocket message that is read: joining one is a single step, for which others wait. The
dialect's own bound is lower, at most 21 MiB, and gets an `error` event."""
MAX_BODY = 4 << 20
"""Bytes of a request's body."""
MAX_FIELD = 8190
"""Bytes of one header, and of the request line."""
KEEP_ALIVE_S = 30.0
"""How long an HTTP connection may stay open for another request."""
CLOSING_S = 0.25
"""How long clients may take to answer the close frame when the server stops."""
OUTAGE_RETRY_S = 1
"""`Retry-After` of what is refused because the server has no file descriptors for it, or lost its state; in seconds."""
HANG_S = 600.0
"""How long a request that is not answered hangs at most."""
HEALTH = "/healthz"
"""Says that the server serves, to anybody: health checks have neither key nor token, and are no refused requests."""
_KEPT_HEADERS = frozenset({"content-type", "retry-after", "www-authenticate", "x-request-id"})
_LOG = logger(__name__)
_LOG.addFilter(without_bytes)


class Server:
    """One mock service on one port. `log_type` is what its journal keeps of each session.

    Raises OSError if the folder for recordings cannot be written to, ScenarioError for a known clip that cannot be
    used, PluginError for a plugin that cannot be used.
    """

    def __init__(
        self, options: Options, scenario: Scenario | None = None, *, log_type: type[SessionLog] = SessionLog
    ) -> None:
        self.service = MockService(options, log_type)
        """The root namespace."""
        self.namespaces = Namespaces(self.service)
        dialect = dialect_name(options.dialect)
        self._roots = ("/v1", AZURE_ROOT, *(() if dialect == AUTO else SERVICES[dialect].roots))
        if scenario is not None:
            self.service.play(scenario)
        self.port = 0
        """The port that it listens on; 0 before `start`."""
        self._listeners: list[asyncio.Server] = []
        self._own_port = 0
        """The port for other servers of the fleet; 0 without any."""
        self._tls_port: TlsPort | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen and serve. Port 0 picks a free one. Raises OSError if it cannot listen."""
        await self.serve(listen(host, port))

    async def serve(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Serve on sockets that listen already. With `tls` they speak TLS as well, also as a proxy: see tls.py."""
        self.service.start()
        await self.service.state.start(fleet.Member(self.namespaces))
        if self.service.counts is not None:
            self.service.counts.start()
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._answer])
        app[forwarding.FORWARDED] = set()
        roots = [f"{namespace}{root}" for namespace in ("", f"/{{namespace:{ID}}}") for root in self._roots]
        for root in roots:
            app.router.add_get(f"{root}/realtime", self._answer_handshake)
            app.router.add_post(f"{root}/realtime/client_secrets", self._client_secret)
            app.router.add_post(f"{root}/realtime/calls", self._offer)
            app.router.add_post(f"{root}/realtime", self._beta_offer)
        app.router.add_routes(call_routes.routes(self._service, roots))
        app.router.add_routes(phone_number_routes.routes(self._service, ("", f"/{{namespace:{ID}}}")))
        app.router.add_get(HEALTH, self._health)
        app.router.add_routes(control.routes(self.namespaces))
        app.router.add_routes(workbench.routes(self.namespaces))
        # No access log: a query may hold a key.
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_LOG,
            shutdown_timeout=CLOSING_S,
            keepalive_timeout=KEEP_ALIVE_S,
            max_field_size=MAX_FIELD,
        )
        await self._runner.setup()
        assert self._runner.server is not None
        self._tcp = Connections(
            self._runner.server,
            1 if self.service.recorder is None else 2,  # the socket, and the cassette of the session
            lambda: self.service.told(TlsRefused(f"127.0.0.1:{self.port}/v1/realtime")),
        )
        self.service.most_open = self._tcp.most_sessions
        loop = asyncio.get_running_loop()
        if tls is None:
            self._listeners = [await loop.create_server(self._tcp, sock=each, backlog=BACKLOG) for each in sockets]
        else:
            self._tls_port = TlsPort(self._tcp, tls)
            self._tls_port.start(sockets)
        if self.service.state.shared != "no":
            own = await forwarding.own_port(sockets, self.service)
            self._listeners.append(await loop.create_server(self._tcp, sock=own, backlog=BACKLOG))
            host, self._own_port = own.getsockname()[:2]
            self.service.address = f"[{host}]:{self._own_port}" if ":" in host else f"{host}:{self._own_port}"
        self.port = sockets[0].getsockname()[1]

    async def stop(self, closing_s: float = CLOSING_S) -> None:
        """Take no more connections, close those that are open (1001), and release the port. Frames that are on their
        way to a client are sent before the close frame, if the client reads them within `closing_s`."""
        if self._runner is None:
            return
        for listener in self._listeners:
            listener.close()
        if self._tls_port is not None:
            self._tls_port.close()
        self._tcp.close()
        ending = [each.stop("the server is stopping", closing_s) for each in self.namespaces.services]
        await asyncio.gather(*ending, forwarding.stop(self._runner.app, closing_s))
        await self.service.state.stop()
        if self.service.counts is not None:
            await self.service.counts.stop()
        await self._runner.cleanup()
        self._runner = None
        await self.service.factory.equipment.outside.close()

    def warm_up(self) -> None:
        """Prepare what the first session needs, so that it does not wait for it."""
        dialect = self.service.options.dialect
        for name in DIALECT_NAMES if dialect == AUTO else [dialect_name(dialect)]:
            self.service.factory.traits(name)
        _ = self.service.factory.equipment.voice
        try:
            self.service.factory.equipment.load_transcriber()
        except (ImportError, FileNotFoundError, RuntimeError) as missing:
            _LOG.warning("the transcriber cannot be used: %s", missing)

    # The handshake.

    async def _answer_handshake(self, request: web.Request) -> web.StreamResponse:
        service = self._service(request)
        response = await self._connect(request, service)
        if response.status != 101:
            after = response.headers.get(hdrs.RETRY_AFTER, "")
            asked = handshake_read(request.query.items(), request.headers.items())
            retry_s = float(after) if after.isdigit() else None
            name = dialect_asked(request, service)
            service.watcher.refused(name, asked, service.clock.now(), response.status, retry_s)
        return response

    async def _connect(self, request: web.Request, service: MockService) -> web.StreamResponse:
        name = dialect_asked(request, service)
        handshake = SERVICES[name].handshake
        if "websocket" not in request.headers.get(hdrs.UPGRADE, "").lower():
            self._told_route(request, service, NOT_HTTP.status)
            return refused(NOT_HTTP, handshake)
        outage = await self._apply_faults(request, service, name, HANDSHAKE)
        if isinstance(outage, Refusal):
            return await self._refuse(request, service, name, outage, fault=True)
        if outage is not None:
            return outage
        query, headers = tuple(request.query.items()), request.headers
        authorization, beta = authorization_of(request, name), headers.get("OpenAI-Beta")
        if is_foreign(headers.get(hdrs.ORIGIN), request.host, service.options.allow_origins):
            if subprotocols_of(request) is None:
                return await self._refuse(request, service, name, CROSS_SITE)
            authorization = None  # no browser sends it
        asked = handshake.read(authorization, subprotocols_of(request), query, beta)
        if isinstance(asked, Refusal):
            return await self._refuse(request, service, name, asked, credential=authorization is not None)
        if "call_id" in request.query:
            return await self._join(request, service, name, asked, query)
        seat = await service.admit(name, asked, query)
        if isinstance(seat, Refusal):
            return await self._refuse(request, service, name, seat, credential=asked.credential is not None)
        try:
            verbatim = service.factory.verbatim
            if verbatim is not None and (recorded := verbatim.refusal()) is not None:
                return _as_recorded(recorded)
            served = await service.open(name, asked, seat, query)
            return await self._serve(request, service, asked.subprotocol, served, seat.team)
        finally:
            service.state.leave(seat)

    async def _join(
        self,
        request: web.Request,
        service: MockService,
        name: str,
        asked: HandshakeRequest,
        query: tuple[tuple[str, str], ...],
    ) -> web.StreamResponse:
        """Let a client in beside a call that goes on. Where there is no `accept`, it accepts a call that rings."""
        control, id = SERVICES[name].calls, request.query["call_id"]
        credential = asked.credential is not None
        team = await service.admit_join(name, asked, query)
        if isinstance(team, Refusal):
            return await self._refuse(request, service, name, team, credential=credential)
        try:
            if service.factory.recordings is not None:
                service.calls.stage(id, name, service.clock.unix())
            known = service.calls.get(id)
            accepts = control.answers_by_socket or (known is not None and known.recorded)
            call = service.calls.find(id, team, "open", *(("ringing",) if accepts else ()))
            if call.state == "ringing":
                call.resumes = asked.conversation_id
            try:
                running = call.running if call.state == "open" else await accepted(service, id, team)
            except NoSuchCall:  # another socket answered it while the state was asked for a seat
                running = service.calls.find(id, team, "open").running
        except (NoSuchCall, TooManyCalls):
            return await self._refuse(request, service, name, control.no_call(id, socket=True))
        if running is None or isinstance(running, Denied):
            refusal = SERVICES[name].handshake.refuse(running or Denied("crowded"), asked.credential)
            return await self._refuse(request, service, name, refusal)
        ping_s = service.factory.traits(name).ping_s
        early = control.answers_by_socket or service.factory.verbatim is not None
        drives: sideband.Drives = "until lost" if call.recorded else "until closed" if accepts else "never"
        try:
            return await sideband.serve(
                request, asked.subprotocol, MAX_MESSAGE, service, running, ping_s=ping_s, early=early, drives=drives
            )
        except TooManyChannels:
            refusal = SERVICES[name].handshake.refuse(Denied("crowded", 1), asked.credential)
            return await self._refuse(request, service, name, refusal)

    async def _apply_faults(
        self, request: web.Request, service: MockService, name: str, point: str
    ) -> Refusal | web.StreamResponse | None:
        """Apply the faults of this handshake or request; None if it goes on. Raises NamespaceEnded."""
        found = await counted_faults.triggered(service.faults, service.state, point, service.clock.now())
        for fault in (each for each in found if isinstance(each, RequestFault)):
            match fault:
                case Status():
                    return SERVICES[name].handshake.outage(fault.status, fault.retry_after)
                case Slow():
                    if not await _wait(service, fault.seconds) and service is self.service:
                        return _reset(request)
                    check_open(service)
                    if request.transport is None:  # the client did not wait
                        return _reset(request)
                case Hang(seconds=seconds):
                    await _wait(service, HANG_S if seconds is None else seconds)
                    return _reset(request)
                case Reset():
                    return _reset(request)
                case _:
                    assert_never(fault)
        return None

    async def _refuse(
        self,
        request: web.Request,
        service: MockService,
        name: str,
        refusal: Refusal,
        *,
        credential: bool = True,
        fault: bool = False,
        cause: str = "",
    ) -> web.StreamResponse:
        """Refuse a handshake: over HTTP, or on a socket that is opened to send the refusal."""
        keys = bool(service.options.api_keys or service.options.accounts)
        cause = cause or causes.of_handshake(refusal.status, credential=credential, keys=keys, fault=fault)
        service.told(HandshakeRefused(refusal.status, refusal.error, cause, request.rel_url.raw_path))
        if refusal.close_code is None:
            return refused(refusal, SERVICES[name].handshake)
        log_advice(refusal)
        served = service.factory.refusing(name, refusal, refusal.close_code, service.clock.unix())
        subprotocol = "realtime" if "realtime" in (subprotocols_of(request) or "").replace(" ", "").split(",") else None
        return await self._serve(request, service, subprotocol, served, Team())

    async def _serve(
        self, request: web.Request, service: MockService, subprotocol: str | None, served: Served, team: Team
    ) -> web.StreamResponse:
        """Open the socket, and serve it until it is closed."""
        socket = await websocket.accept(request, subprotocol, MAX_MESSAGE)
        transport = socket.transport
        if transport is None:
            return socket.response
        log, target = service.begin(served)
        if served.session is not None or service.factory.verbatim is not None:
            query, client = request.query, request.headers.get(hdrs.USER_AGENT, "")
            model, resumes = served.ledger.model, query.get("conversation_id", "")
            number = 0 if served.number is None else served.number + 1
            opened = CallOpened(log.id, served.dialect.name, model, client, resumes, number=number)
            service.narrate(log, served, opened, trace_context(request.headers))
        if not service.watcher.levels.silent:
            service.watch(log, served, handshake_read(request.query.items(), request.headers.items()))
        if service.recorder is not None:
            address = transport.get_extra_info("sockname") or ("127.0.0.1", 0)
            log.recording = service.recorder.open(
                log.id,
                served.dialect.name,
                f"ws://127.0.0.1:{address[1]}{NAMESPACE.sub('', request.path)}",
                request.query.get("model"),
                Request(request.method, NAMESPACE.sub("", request.raw_path), tuple(request.headers.items())),
                Response(101, tuple(socket.response.headers.items())),
                service.clock.unix(),
            )
        peer = service.peer(served, target)
        if served.session is not None:
            served.session.joins = peer is served.peer  # neither faults nor checks look at single frames
        connection = Connection(peer, socket, transport, service.clock, log, service.requests)
        service.open_sessions[log.id] = OpenSession(team, served.session, connection, target, asyncio.current_task())
        if (ping_s := served.dialect.traits.ping_s) is not None:
            connection.keep_alive(ping_s)
        try:
            await connection.pump()
        finally:
            service.end(log.id)
        return socket.response

    # Requests over HTTP.

    async def _client_secret(self, request: web.Request) -> web.StreamResponse:
        service = self._service(request)
        choice, body = service.options.dialect, b""
        if choice == AUTO or choice in ALIASES:  # the model decides, and here it is in the body
            body = await body_of(request)
            check_open(service)
        name = dialect_asked(request, service, model_in(body))
        handshake = SERVICES[name].handshake
        outage = await self._apply_faults(request, service, name, CLIENT_SECRETS)
        if outage is not None:
            return outage if isinstance(outage, web.StreamResponse) else self._refuse_route(request, service, outage)
        team = await admitted(request, service, name)
        if isinstance(team, Refusal):
            return refused(team, handshake)
        body = body or await body_of(request)
        check_open(service)
        secret = await service.client_secret(name, team, body)
        return refused(secret, handshake) if isinstance(secret, Refusal) else as_json(secret)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return as_json({"status": "ok"})

    async def _offer(self, request: web.Request) -> web.StreamResponse:
        return await offers.answer_offer(request, self._service(request))

    async def _beta_offer(self, request: web.Request) -> web.StreamResponse:
        return await offers.refuse_beta_offer(request, self._service(request))

    @web.middleware
    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a request of any route, refusals in the form of the service's; keep what fails inside the mock."""
        if request.path == HEALTH:
            return await handler(request)
        service = self.service
        try:
            service = self._service(request)
            response = await self._handled(request, service, handler)
        except NamespaceEnded as ended:
            refusal = http_refusal(404, str(ended))
            self.service.told(RouteRefused(request.method, request.rel_url.raw_path, refusal.status, str(ended)))
            response = refused(refusal, SERVICES[dialect_asked(request, self.service)].handshake)
        except Exception as error:
            _LOG.error("error inside the mock at %s", request.path, exc_info=error)
            service.failed(error)
            refusal = Refusal(500, "Internal error", "The mock failed; see its log.")
            response = refused(refusal, SERVICES[dialect_asked(request, service)].handshake)
        cors.share(request, response, self.service.options)
        return response

    async def _handled(
        self,
        request: web.Request,
        service: MockService,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        session = "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()
        path = NAMESPACE.sub("", request.rel_url.raw_path)
        try:
            with self._tcp.answering(request.transport, session=session) as room:
                if not room:
                    return await self._refuse_outage(request, service, session, causes.CROWD)
                if (allowed := cors.preflight(request)) is not None:
                    return allowed
                if not path.startswith("/_mock"):
                    if (address := await self._elsewhere(request, service)) is not None:
                        return await forwarding.forward(request, address)
                if service.faults and not path.startswith("/_mock"):
                    name = dialect_asked(request, service)
                    outage = await self._apply_faults(request, service, name, f"{request.method} {path}")
                    if isinstance(outage, Refusal) and session:
                        return await self._refuse(request, service, name, outage, fault=True)
                    if isinstance(outage, Refusal):
                        return self._refuse_route(request, service, outage)
                    if outage is not None:
                        return outage
                return await handler(request)
        except StateLost:
            return await self._refuse_outage(request, service, session, causes.STATE_LOST)
        except forwarding.OwnerUnreachable as lost:
            return await self._refuse_outage(request, service, session, f"{causes.OWNER_LOST}: {lost}")
        except web.HTTPException as problem:
            handshake = SERVICES[dialect_asked(request, service)].handshake
            refusal = http_refusal(problem.status, problem.text or problem.reason)
            if problem.status == 404 and path.startswith(tuple(f"{root}/" for root in self._roots)):
                refusal = handshake.not_found(request.method, path)
            if problem.status == 501:
                service.told(RouteRefused(request.method, clean(request.rel_url.raw_path), 501, refusal.error))
            else:
                self._told_route(request, service, refusal.status)
            response = refused(refusal, handshake)
            if (methods := problem.headers.get(hdrs.ALLOW)) is not None:
                response.headers[hdrs.ALLOW] = methods
            return response

    async def _elsewhere(self, request: web.Request, service: MockService) -> str | None:
        """Where a request is forwarded: to the server that has the namespace of the client, or the call which it is
        about. Raises NamespaceEnded and StateLost."""
        named = NAMESPACE.match(request.path)
        id = None if named is None else named[1]
        found = await service.state.look(credentials_of(request), id)
        forwarded = self._is_forwarded(request)
        if found is not None and found.address is not None and not forwarded:
            return found.address
        if (found is not None and found.address is None) or (id is not None and service is self.service):
            raise NamespaceEnded(gone(id) if id else KEY_ENDED)
        if forwarded:
            return None
        call_id = request.match_info.get("call_id") or request.query.get("call_id")
        return None if call_id is None else await forwarding.owner(service, call_id)

    def _is_forwarded(self, request: web.Request) -> bool:
        """Whether another server of the fleet sent the request on."""
        here = None if request.transport is None else request.transport.get_extra_info("sockname")
        return here is not None and here[1] == self._own_port

    def _refuse_route(self, request: web.Request, service: MockService, outage: Refusal) -> web.Response:
        """Refuse a request because a fault says so."""
        service.told(RouteRefused(request.method, request.rel_url.raw_path, outage.status, causes.FAULT))
        return refused(outage, SERVICES[dialect_asked(request, service)].handshake)

    async def _refuse_outage(
        self, request: web.Request, service: MockService, session: bool, cause: str
    ) -> web.StreamResponse:
        """Refuse what the process has no file descriptors for, or what a state that is lost decides."""
        name = dialect_asked(request, service)
        refusal = replace(SERVICES[name].handshake.outage(503, OUTAGE_RETRY_S), advice=cause)
        if session:
            return await self._refuse(request, service, name, refusal, cause=cause)
        service.told(RouteRefused(request.method, clean(request.rel_url.raw_path), refusal.status, cause))
        response = refused(refusal, SERVICES[name].handshake)
        response.force_close()
        return response

    def _told_route(self, request: web.Request, service: MockService, status: int) -> None:
        path, authority = clean(request.rel_url.raw_path), f"127.0.0.1:{self.port}"  # the cause quotes it, cut
        cause = causes.LARGE if status == 413 else causes.of_route(request.method, path, authority)
        service.told(RouteRefused(request.method, path, status, cause))

    def _service(self, request: web.Request) -> MockService:
        """What serves a request: the root, or another namespace. Raises NamespaceEnded."""
        if request.path.startswith("/_mock"):
            return self.service
        named = NAMESPACE.match(request.path)
        id = None if named is None else named[1]
        if self.service.state.shared != "no" and id is not None and self.namespaces.find(id) is None:
            return self.service  # until `_elsewhere` knows more
        return self.namespaces.of(id, credentials_of(request))


async def _wait(service: MockService, seconds: float) -> bool:
    """Wait by the namespace's clock; False if the namespace ends before."""
    if service.over:
        return False
    held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def on_time() -> None:
        if not held.done():
            held.set_result(True)

    alarm = service.clock.call_at(service.clock.now() + seconds, on_time)
    service.held_requests.add(held)
    try:
        return await held
    finally:
        service.held_requests.discard(held)
        alarm.cancel()


def _reset(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        tear_down(request.transport)
    return web.Response()


def _as_recorded(response: Response) -> web.Response:
    """A recorded refusal of a handshake, without the headers that belong to its transport."""
    headers = [(name, value) for name, value in response.headers if name.lower() in _KEPT_HEADERS]
    return web.Response(status=response.status, headers=headers, body=response.body)
