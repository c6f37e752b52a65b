"""The mock as an HTTP server on one port: the handshake, the realtime socket, client secrets, the control plane.

Nothing is decided here about content or admission: that is service.py. How frames cross a socket is connection.py.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

import orjson
from aiohttp import hdrs, web
from typing_extensions import assert_never

from mockserver.dialects.handshake import NOT_HTTP, Handshake, Refusal, http_refusal
from mockserver.dialects.names import ALIASES, AUTO, DIALECT_NAMES, dialect_for, dialect_name, dialect_of
from mockserver.dialects.registry import SERVICES
from mockserver.faults.injection_points import CLIENT_SECRETS, HANDSHAKE
from mockserver.faults.kinds import Hang, Reset, Slow, Status
from mockserver.responders.scenario import Scenario
from mockserver.server import causes, control, cors
from mockserver.server.accounts import Team
from mockserver.server.connection import Connection, tear_down
from mockserver.server.http import as_json, body_of
from mockserver.server.journal import SessionLog
from mockserver.server.listening import BACKLOG, listen
from mockserver.server.namespaces import ID, NamespaceEnded, Namespaces, gone
from mockserver.server.notices import CallOpened, HandshakeRefused, RouteRefused, TlsRefused
from mockserver.server.options import Options
from mockserver.server.origins import is_foreign
from mockserver.server.service import MockService, OpenSession
from mockserver.server.session_factory import Served
from mockserver.server.tls import TlsPort
from mockserver.server.workbench import routes as workbench
from replay.cassette.records import Request, Response
from replay.connections import Connections
from replay.findings.handshake import browser_call
from replay.findings.handshake import handshake as handshake_read
from replay.outlets import clean, logger

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
CROWD_RETRY_S = 1
"""`Retry-After` of what is refused because the server has no file descriptors for it, in seconds."""
HANG_S = 600.0
"""How long a request that is not answered hangs at most."""
AZURE_ROOT, API_KEY = "/openai/v1", "api-key"
"""The path at which Azure has what OpenAI has at `/v1`, and the header in which it takes keys."""
_NAMESPACE = re.compile(f"^/({ID})(?=/)")
"""The part of a path that names a namespace."""
_KEPT_HEADERS = frozenset({"content-type", "retry-after", "www-authenticate", "x-request-id"})
_LOG = logger(__name__)

# aiohttp logs the subprotocols that it was not configured to accept, and they may hold a key.
logger("aiohttp.websocket").addFilter(lambda record: "overlap" not in str(record.msg))


class Server:
    """One mock service on one port. `log_type` is what its journal keeps of each session.

    Raises OSError if the folder for recordings cannot be written to, ScenarioError for a known clip that cannot be
    used.
    """

    def __init__(
        self, options: Options, scenario: Scenario | None = None, *, log_type: type[SessionLog] = SessionLog
    ) -> None:
        self.service = MockService(options, log_type)
        """The root namespace."""
        self.namespaces = Namespaces(self.service)
        if scenario is not None:
            self.service.play(scenario)
        self.port = 0
        """The port that it listens on; 0 before `start`."""
        self._listeners: list[asyncio.Server] = []
        self._tls_port: TlsPort | None = None
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen and serve. Port 0 picks a free one. Raises OSError if it cannot listen."""
        await self.serve(listen(host, port))

    async def serve(self, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None) -> None:
        """Serve on sockets that listen already. With `tls` they speak TLS as well, also as a proxy: see tls.py."""
        self.service.start()
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._answer])
        for namespace in ("", f"/{{namespace:{ID}}}"):
            for root in ("/v1", AZURE_ROOT):
                app.router.add_get(f"{namespace}{root}/realtime", self._answer_handshake)
                app.router.add_post(f"{namespace}{root}/realtime/client_secrets", self._client_secret)
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
        await asyncio.gather(*(each.stop("the server is stopping", closing_s) for each in self.namespaces.services))
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
            name = _dialect(request, service)
            service.watcher.refused(name, asked, service.clock.now(), response.status, retry_s)
        return response

    async def _connect(self, request: web.Request, service: MockService) -> web.StreamResponse:
        name = _dialect(request, service)
        handshake = SERVICES[name].handshake
        if "websocket" not in request.headers.get(hdrs.UPGRADE, "").lower():
            self._told_route(request, service, NOT_HTTP.status)
            return _refused(NOT_HTTP, handshake)
        outage = await self._apply_faults(request, service, name, HANDSHAKE)
        if isinstance(outage, Refusal):
            return await self._refuse(request, service, name, outage, fault=True)
        if outage is not None:
            return outage
        query, headers = tuple(request.query.items()), request.headers
        authorization, beta = _authorization(request, name), headers.get("OpenAI-Beta")
        if is_foreign(headers.get(hdrs.ORIGIN), request.host, service.options.allow_origins):
            if _offered(request) is None:
                return await self._refuse(request, service, name, CROSS_SITE)
            authorization = None  # no browser sends it
        asked = handshake.read(authorization, _offered(request), query, beta)
        if isinstance(asked, Refusal):
            return await self._refuse(request, service, name, asked, credential=authorization is not None)
        team = service.admit(name, asked, query)
        if isinstance(team, Refusal):
            return await self._refuse(request, service, name, team, credential=asked.credential is not None)
        try:
            verbatim = service.factory.verbatim
            if verbatim is not None and (recorded := verbatim.refusal()) is not None:
                return _as_recorded(recorded)
            served = service.open(name, asked, team, query)
            return await self._serve(request, service, asked.subprotocol, served, team)
        finally:
            service.accounts.end_session(team)

    async def _apply_faults(
        self, request: web.Request, service: MockService, name: str, point: str
    ) -> Refusal | web.StreamResponse | None:
        """Apply the faults of this handshake or request; None if it goes on. Raises NamespaceEnded."""
        faults = service.faults
        for fault in faults.at_request(point, service.clock.now()) if faults else ():
            match fault:
                case Status():
                    return SERVICES[name].handshake.outage(fault.status, fault.retry_after)
                case Slow():
                    if not await _wait(service, fault.seconds) and service is self.service:
                        return _reset(request)
                    _check_open(service)
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
    ) -> web.StreamResponse:
        """Refuse a handshake: over HTTP, or on a socket that is opened to send the refusal."""
        keys = bool(service.options.api_keys or service.options.accounts)
        cause = causes.of_handshake(refusal.status, credential=credential, keys=keys, fault=fault)
        service.told(HandshakeRefused(refusal.status, refusal.error, cause, request.rel_url.raw_path))
        if refusal.close_code is None:
            return _refused(refusal, SERVICES[name].handshake)
        _log_advice(refusal)
        served = service.factory.refusing(name, refusal, refusal.close_code, service.clock.unix())
        subprotocol = "realtime" if "realtime" in (_offered(request) or "").replace(" ", "").split(",") else None
        return await self._serve(request, service, subprotocol, served, Team())

    async def _serve(
        self, request: web.Request, service: MockService, subprotocol: str | None, served: Served, team: Team
    ) -> web.StreamResponse:
        """Open the socket, and serve it until it is closed."""
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
        log, target = service.begin(served)
        if served.session is not None or service.factory.verbatim is not None:
            query, client = request.query, request.headers.get(hdrs.USER_AGENT, "")
            model, resumes = served.ledger.model, query.get("conversation_id", "")
            service.narrate(log, served, CallOpened(log.id, served.dialect.name, model, client, resumes))
        if not service.watcher.levels.silent:
            service.watch(log, served, handshake_read(request.query.items(), request.headers.items()))
        if service.recorder is not None:
            address = transport.get_extra_info("sockname") or ("127.0.0.1", 0)
            log.recording = service.recorder.open(
                log.id,
                served.dialect.name,
                f"ws://127.0.0.1:{address[1]}{_NAMESPACE.sub('', request.path)}",
                request.query.get("model"),
                Request(request.method, _NAMESPACE.sub("", request.raw_path), tuple(request.headers.items())),
                Response(101, tuple(ws.headers.items())),
                service.clock.unix(),
            )
        connection = Connection(
            service.peer(served, target), ws, writer, transport, service.clock, log, service.requests
        )
        service.open_sessions[log.id] = OpenSession(team, served.session, connection, target, asyncio.current_task())
        if (ping_s := served.dialect.traits.ping_s) is not None:
            connection.keep_alive(ping_s)
        try:
            await connection.pump()
        finally:
            service.end(log.id)
        return ws

    # Requests over HTTP.

    async def _client_secret(self, request: web.Request) -> web.StreamResponse:
        service = self._service(request)
        choice, body = service.options.dialect, b""
        if choice == AUTO or choice in ALIASES:  # the model decides, and here it is in the body
            body = await body_of(request)
            _check_open(service)
        name = _dialect(request, service, model_in(body))
        handshake = SERVICES[name].handshake
        outage = await self._apply_faults(request, service, name, CLIENT_SECRETS)
        if outage is not None:
            return outage if isinstance(outage, web.StreamResponse) else self._refuse_route(request, service, outage)
        if is_foreign(request.headers.get(hdrs.ORIGIN), request.host, service.options.allow_origins):
            service.told(RouteRefused(request.method, request.rel_url.raw_path, CROSS_SITE.status, causes.CROSS_SITE))
            return _refused(CROSS_SITE, handshake)
        scheme, _, key = (_authorization(request, name) or "").partition(" ")
        service.watcher.browser_call(browser_call(request.headers.items()), service.clock.now())
        team = service.admit_secret_request(name, key.strip() if scheme.lower() == "bearer" else None)
        if isinstance(team, Refusal):
            return _refused(team, handshake)
        body = body or await body_of(request)
        _check_open(service)
        secret = service.client_secret(name, team, body)
        return _refused(secret, handshake) if isinstance(secret, Refusal) else as_json(secret)

    @web.middleware
    async def _answer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a request of any route, refusals in the form of the service's; keep what fails inside the mock."""
        service = self.service
        try:
            service = self._service(request)
            response = await self._handled(request, service, handler)
        except NamespaceEnded as ended:
            refusal = http_refusal(404, str(ended))
            self.service.told(RouteRefused(request.method, request.rel_url.raw_path, refusal.status, str(ended)))
            response = _refused(refusal, SERVICES[_dialect(request, self.service)].handshake)
        except Exception as error:
            _LOG.error("error inside the mock at %s", request.path, exc_info=error)
            service.failed(error)
            refusal = Refusal(500, "Internal error", "The mock failed; see its log.")
            response = _refused(refusal, SERVICES[_dialect(request, service)].handshake)
        cors.share(request, response, self.service.options)
        return response

    async def _handled(
        self,
        request: web.Request,
        service: MockService,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        session = "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()
        path = _NAMESPACE.sub("", request.rel_url.raw_path)
        try:
            with self._tcp.answering(request.transport, session=session) as room:
                if not room:
                    return await self._refuse_crowd(request, service, session)
                if (allowed := cors.preflight(request)) is not None:
                    return allowed
                if service.faults and not path.startswith("/_mock"):
                    name = _dialect(request, service)
                    outage = await self._apply_faults(request, service, name, f"{request.method} {path}")
                    if isinstance(outage, Refusal) and session:
                        return await self._refuse(request, service, name, outage, fault=True)
                    if isinstance(outage, Refusal):
                        return self._refuse_route(request, service, outage)
                    if outage is not None:
                        return outage
                return await handler(request)
        except web.HTTPException as problem:
            handshake = SERVICES[_dialect(request, service)].handshake
            refusal = http_refusal(problem.status, problem.text or problem.reason)
            if problem.status == 404 and path.startswith(("/v1/", f"{AZURE_ROOT}/")):
                refusal = handshake.not_found(request.method, path)
            self._told_route(request, service, refusal.status)
            response = _refused(refusal, handshake)
            if (methods := problem.headers.get(hdrs.ALLOW)) is not None:
                response.headers[hdrs.ALLOW] = methods
            return response

    def _refuse_route(self, request: web.Request, service: MockService, outage: Refusal) -> web.Response:
        """Refuse a request because a fault says so."""
        service.told(RouteRefused(request.method, request.rel_url.raw_path, outage.status, causes.FAULT))
        return _refused(outage, SERVICES[_dialect(request, service)].handshake)

    async def _refuse_crowd(self, request: web.Request, service: MockService, session: bool) -> web.StreamResponse:
        """Refuse what the process has no file descriptors for."""
        name = _dialect(request, service)
        refusal = replace(SERVICES[name].handshake.outage(503, CROWD_RETRY_S), advice=causes.CROWD)
        if session:
            return await self._refuse(request, service, name, refusal)
        self._told_route(request, service, refusal.status)
        response = _refused(refusal, SERVICES[name].handshake)
        response.force_close()
        return response

    def _told_route(self, request: web.Request, service: MockService, status: int) -> None:
        path, authority = clean(request.rel_url.raw_path), f"127.0.0.1:{self.port}"  # the cause quotes it, cut
        cause = causes.CROWD if status == 503 else causes.of_route(request.method, path, authority)
        service.told(RouteRefused(request.method, path, status, cause))

    def _service(self, request: web.Request) -> MockService:
        """What serves a request: the root, or another namespace. Raises NamespaceEnded."""
        if request.path.startswith("/_mock"):
            return self.service
        named = _NAMESPACE.match(request.path)
        return self.namespaces.of(None if named is None else named[1], _credentials(request))


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


def _check_open(service: MockService) -> None:
    """Raise NamespaceEnded if the namespace has ended while a request waited."""
    if service.over:
        raise NamespaceEnded(gone(service.name) if service.name else "The server is stopping.")


CROSS_SITE = Refusal(
    403,
    "",
    "A page of another origin opens a session with a secret in the subprotocol.",
    kind="invalid_request_error",
    advice="Other pages are allowed with --allow-origin.",
)
"""That the services answer so is a guess: browsers send no other credential."""


def _refused(refusal: Refusal, handshake: Handshake) -> web.Response:
    _log_advice(refusal)
    response = web.Response(status=refusal.status) if refusal.bare else as_json(handshake.body(refusal), refusal.status)
    if refusal.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = str(refusal.retry_after_s)
    if refusal.status == 426:
        response.headers[hdrs.UPGRADE] = "websocket"
    return response


def _log_advice(refusal: Refusal) -> None:
    """Log what the mock serves instead of the requested service."""
    if refusal.advice:
        _LOG.warning("%s %s", refusal.error, refusal.advice)


def _reset(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        tear_down(request.transport)
    return web.Response()


def _as_recorded(response: Response) -> web.Response:
    """A recorded refusal of a handshake, without the headers that belong to its transport."""
    headers = [(name, value) for name, value in response.headers if name.lower() in _KEPT_HEADERS]
    return web.Response(status=response.status, headers=headers, body=response.body)


def _authorization(request: web.Request, dialect: str) -> str | None:
    """The `Authorization` header. Azure's key has a header, or a parameter, of its own."""
    key = request.headers.get(API_KEY) or request.query.get(API_KEY)
    return f"Bearer {key}" if key and dialect.startswith("azure@") else request.headers.get(hdrs.AUTHORIZATION)


def _credentials(request: web.Request) -> Iterator[str]:
    """All that may be a key or a client secret, wherever a service takes one."""
    yield request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")[2].strip()
    yield request.headers.get(API_KEY) or request.query.get(API_KEY, "")
    for offered in (_offered(request) or "").split(","):
        yield offered.partition(".")[2].strip()


def model_in(body: bytes) -> str | None:
    """The model that the body of a request for a client secret names."""
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    session = asked.get("session") if isinstance(asked, dict) else None
    model = session.get("model") if isinstance(session, dict) else None
    return model if isinstance(model, str) else None


def _dialect(request: web.Request, service: MockService, model: str | None = None) -> str:
    """The dialect that answers a request. `model`: the one in its body, which a parameter of the address overrides."""
    choice, model = service.options.dialect, request.query.get("model", model)
    if choice in ALIASES:
        return dialect_of(choice, model)
    if choice != AUTO:
        return choice
    _, _, credential = request.headers.get(hdrs.AUTHORIZATION, "").strip().partition(" ")
    azure = _NAMESPACE.sub("", request.path).startswith(AZURE_ROOT) or API_KEY in request.headers
    query = dict(request.query)
    return dialect_for(model, credential.strip(), _offered(request), query, azure=azure)


def _offered(request: web.Request) -> str | None:
    """The subprotocols that the client offers."""
    subprotocols = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, None)
    return None if subprotocols is None else ", ".join(subprotocols)
