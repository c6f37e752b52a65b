"""The recording proxy: clients connect to it, it connects to the service, and every frame goes into a cassette as well.

A message is sent on before it is counted, cleaned or written (writer.py). Frames, handshakes and refusals are forwarded
unchanged. The proxy's own close frames, at a limit or at its end, have a reason that begins with `realtape: `.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import aiohttp
from aiohttp import hdrs, web
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from replay.addresses import is_loopback_url
from replay.billing.meter import Meter
from replay.billing.prices import PriceTable, UnknownPrice, price_table
from replay.cassette.file import BadCassette, Cassette
from replay.cassette.frames import Reset
from replay.cassette.records import Audio, Content, Header, Headers, Origin, Record, Request, Response, Way
from replay.connections import Connections, most_requests, without_bytes
from replay.dialing import direct
from replay.outlets import clean, logger
from replay.relay.budget import Budget
from replay.relay.connection import CLOSE_WAIT_S, RelayedCall
from replay.relay.destination import Destination
from replay.relay.followed import FollowedSession, Following
from replay.relay.upstream import PATH, Upstream
from replay.relay.writer import BackgroundWriter
from replay.secrets.named import Secrets
from replay.tracing.context import HEADERS as TRACE_CONTEXT
from replay.tracing.context import trace_context

MAX_MESSAGE = 64 << 20
MAX_BODY = 4 << 20
BACKLOG = 1024
"""Connections that the kernel keeps until the proxy takes them."""
OPEN_TIMEOUT_S = 30.0

Mode = Literal["none", "once", "all"]
_OWN = frozenset(
    """connection content-length host keep-alive proxy-authenticate proxy-authorization proxy-connection
    sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version te
    trailer transfer-encoding upgrade""".split()
)
"""Headers that belong to one hop. The next hop has its own."""

logger("aiohttp.server").addFilter(without_bytes)
# aiohttp logs the subprotocols that it was not configured to accept, and they may hold a key.
logger("aiohttp.websocket").addFilter(lambda record: "overlap" not in str(record.msg))


@dataclass(frozen=True, slots=True)
class Settings:
    """What to record, and when to stop.

    `out`: the cassette; None writes none, and the proxy only forwards, counts and calls its observer. `recorded_at`:
    the date of the recording. `tool`: the name and version of what records. `audio`: `outline` strips the audio.
    `overwrite`: replace an existing cassette, once the new one is complete. `keep_refused`: also keep a recording in
    which the service accepted no call. `origin`: an origin label, which can only lower what the upstream proves.
    `ignore`: what may differ when a client plays the cassette, for its header, besides what
    the header of a replaced one names.
    `max_usd`: end all calls at this cost, in USD; needs a service whose prices are known, else Relay raises ValueError.
    A Budget is one that other relays spend as well.
    `max_seconds`: end all calls this long after the first one opened. `trace_live`: pass the client's trace context on
    to a live service, too; a mock always gets it. `secrets`: values that are never written. `keys`:
    by the key that a client sends, the key that the service gets instead.
    """

    out: Path | None
    recorded_at: datetime
    tool: str
    audio: Audio = "keep"
    overwrite: bool = False
    keep_refused: bool = False
    origin: Origin | None = None
    max_usd: Fraction | Budget | None = None
    max_seconds: float | None = None
    trace_live: bool = False
    ignore: tuple[str, ...] = ()
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)


def _ignored_before(settings: Settings) -> tuple[str, ...]:
    """What may differ by the cassette that is replaced."""
    if settings.out is None or not settings.overwrite:
        return ()
    try:
        with Cassette.so_far(settings.out) as replaced:
            return replaced.header.ignore
    except (BadCassette, OSError):
        return ()


def whether_to_record(exists: bool, mode: Mode | None) -> Literal["record", "overwrite", "keep", "refuse", "missing"]:
    """What to do with a cassette that exists or not. Without a mode an existing one is an error."""
    match mode, exists:
        case "none", True:
            return "keep"
        case "none", False:
            return "missing"
        case "once", True:
            return "keep"
        case "all", True:
            return "overwrite"
        case None, True:
            return "refuse"
        case _:
            return "record"


class Relay:
    """A proxy for the length of one recording. All connections to it go into the same cassette.

    `upstream`: the service. `settings`: see Settings. `warn`: called with a line of text for the user. `observer`:
    called with every record before it is cleaned and written. `instead`: called with the number of a connection, and
    whether it is a WebSocket. It returns where the connection goes instead of the upstream, with the client's own key
    and free of charge, or None. `following`: who follows its sessions; None: nobody.
    """

    def __init__(
        self,
        upstream: Upstream,
        settings: Settings,
        warn: Callable[[str], None] = lambda _: None,
        observer: Callable[[Record], None] = lambda _: None,
        instead: Callable[[int, bool], Upstream | None] = lambda _, __: None,
        following: Following | None = None,
    ) -> None:
        self.upstream = upstream
        self.settings = settings
        self.port = 0
        self.connections = 0
        """Connections so far, plain HTTP calls included."""
        self.failure: str | None = None
        """Why nothing more is recorded, or None. Calls go on."""
        self.limit: str | None = None
        """The limit that ended the recording, or None."""
        self._warn = warn
        self._observer = observer
        self._instead = instead
        self._following = following
        self._followed: dict[int, tuple[FollowedSession, int]] = {}
        """The sessions that are followed, with the microsecond of their beginning, by their connection."""
        self._writer: BackgroundWriter | None = None
        self._destination: Destination | None = None
        self._calls: set[RelayedCall] = set()
        self._spent = Fraction(0)
        most = settings.max_usd
        self._budget = Budget(most) if isinstance(most, Fraction) else most
        self._reported = Fraction(0)
        """What the budget knows of the cost, in USD."""
        self._prices = _prices(upstream, settings)
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Future[None]
        self._timer: asyncio.TimerHandle | None = None
        self._opened_s = 0.0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen. Port 0 picks a free one. Raises OSError if the address cannot be used. Raises CannotRecord if the
        cassette cannot be written.
        """
        out = self.settings.out
        self._destination = None if out is None else Destination(out, replaces=self.settings.overwrite)
        if self._destination is not None and self._destination.rescued is not None:
            self._warn(f"a recording of {out} was not ended; what it had is in {self._destination.rescued}")
        try:
            await self._listen(host, port)
        except BaseException:
            if self._destination is not None:
                self._destination.give_up()
            raise

    async def _listen(self, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._noticed])
        app.router.add_route("*", PATH + "{rest:(/.*)?}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.25)  # a query may hold a key
        await self._runner.setup()
        self._http = aiohttp.ClientSession(  # it adds no headers and keeps no cookies
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=most_requests()),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=OPEN_TIMEOUT_S),
            trust_env=not is_loopback_url(self.upstream.url),
        )
        try:
            assert self._runner.server is not None
            self._tcp = Connections(self._runner.server, descriptors=2)  # a socket on each side
            self._listener = await self._loop.create_server(self._tcp, host, port, backlog=BACKLOG)
        except OSError:
            await self._http.close()
            await self._runner.cleanup()
            raise
        self.port = self._listener.sockets[0].getsockname()[1]

    async def until_limit(self) -> None:
        """Returns once a limit is reached. Without limits it waits until it is cancelled."""
        await asyncio.shield(self._over)

    async def stop(self, reason: str = "realtape: the recording was ended") -> None:
        """Close all calls (1001), write the end mark and release the port."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        self._listener.close()
        self._tcp.close()
        if self._timer is not None:
            self._timer.cancel()
        calls = [call.hang_up(1001, reason) for call in self._calls]
        if calls:
            await asyncio.wait(calls, timeout=CLOSE_WAIT_S + 1)
        await runner.cleanup()
        await self._http.close()
        if self._writer is not None:
            await self._loop.run_in_executor(None, self._writer.finish, self.now_us())
            self.failure = self._writer.failure
            if self.failure is not None and self._destination is not None and self._destination.rescued is not None:
                self.failure += f"; what was recorded is in {self._destination.rescued}"
        elif self._destination is not None:
            self._destination.give_up()

    def now_us(self) -> int:
        """Microseconds since the first connection."""
        return round((self._loop.time() - self._opened_s) * 1e6)

    def note(self, at_us: int, connection: int, way: Way, content: Content, encoding: str = "pcm") -> None:
        """Record something, in the order of the calls of this method."""
        record = Record(at_us, connection, way, content)
        self._observer(record)
        if (found := self._followed.get(connection)) is not None:
            followed, began_us = found
            followed.note((at_us - began_us) / 1e6, way, content)
        if self._writer is not None:
            self._writer.put(record, encoding)

    @property
    def busy(self) -> bool:
        """Whether a call is being relayed."""
        return bool(self._calls)

    @property
    def kept(self) -> bool:
        """Whether there is a cassette: the service accepted a call, or refused ones are kept too."""
        return self._writer is not None and self._writer.kept

    @property
    def spent_usd(self) -> Fraction:
        """The cost of all calls so far, in USD, as far as frames show it. 0 without a limit in USD."""
        if self._prices is None:
            return Fraction(0)
        return self._spent + sum((call.usd(self._prices) for call in self._calls), Fraction(0))

    def check_spending(self) -> None:
        """End all calls if their cost has reached the limit, with that of the other relays that share it."""
        self._report_spending()
        budget = self._budget
        if budget is not None and self.limit is None and budget.is_spent:
            self.end_calls(f"realtape: the limit of {float(budget.usd):g} USD is reached")

    def _report_spending(self) -> None:
        if self._budget is not None:
            spent = self.spent_usd
            self._budget.spend(spent - self._reported)
            self._reported = spent

    @web.middleware
    async def _noticed(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        session = "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()
        with self._tcp.answering(request.transport, session=session) as room:
            return await handler(request) if room else self._crowded(session)

    def _crowded(self, session: bool) -> web.Response:
        """A refusal of the proxy's own: the process has no file descriptors for one more call."""
        what = f"{self._tcp.most_sessions} calls" if session else "too many requests"
        self._warn(f"a client was refused: {what} are open at the same time; raise `ulimit -n` for more")
        error = {"error": "realtape: this proxy may open no more files"}
        response = web.json_response(error, status=503, headers={hdrs.RETRY_AFTER: "1"})
        response.force_close()
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.check_spending()  # another relay may have spent the budget
        if self.limit is not None:
            return web.json_response({"error": self.limit}, status=429)
        if not self.connections:
            self._begin(request.query.get("model"))
        connection = self.connections
        self.connections += 1
        if "websocket" in request.headers.get(hdrs.UPGRADE, "").lower():
            return await self._relay_call(request, connection)
        return await self._relay_http(request, connection)

    def _begin(self, model: str | None) -> None:
        self._opened_s = self._loop.time()
        settings = self.settings
        if settings.out is not None:
            origin = self.upstream.lowered(settings.origin)
            at = settings.recorded_at.isoformat(timespec="seconds")
            self._writer = BackgroundWriter(
                settings.out,
                Header(
                    origin,
                    self.upstream.url,
                    self.upstream.dialect,
                    model,
                    at,
                    settings.tool,
                    settings.audio,
                    ignore=tuple(dict.fromkeys((*_ignored_before(settings), *settings.ignore))),
                ),
                to=self._destination,
                keep_refused=settings.keep_refused,
                secrets=replace(settings.secrets, values=(*settings.secrets.values, *settings.keys.values())),
                failed=self._failed_from_thread,
            )
        if settings.max_seconds is not None:
            limit = f"realtape: the limit of {settings.max_seconds:g} s is reached"
            self._timer = self._loop.call_later(settings.max_seconds, self.end_calls, limit)

    def _failed_from_thread(self, reason: str) -> None:
        def failed() -> None:
            self.failure = reason
            self._warn(f"recording stopped: {reason}. Calls go on without being recorded")

        self._loop.call_soon_threadsafe(failed)

    def end_calls(self, limit: str) -> None:
        """Close all calls and refuse new ones, because of a limit. `limit` is the reason that clients see."""
        if self.limit is None:
            self.limit = limit
            for call in self._calls:
                call.hang_up(1000, limit)
            if not self._over.done():
                self._over.set_result(None)

    async def _relay_call(self, request: web.Request, connection: int) -> web.StreamResponse:
        if self._following is None:
            return await self._call(request, connection)
        about = {"server.address": urlsplit(self.upstream.url).hostname or ""}
        followed = FollowedSession(
            self._following,
            connection + 1,
            self._following.unix(),
            self.upstream.dialect,
            request.query.get("model"),
            trace_context(request.headers),
            about,
        )
        began_us = self.now_us()
        self._followed[connection] = followed, began_us
        try:
            return await self._call(request, connection)
        finally:
            del self._followed[connection]
            followed.ended((self.now_us() - began_us) / 1e6)

    async def _call(self, request: web.Request, connection: int) -> web.StreamResponse:
        noted = Request(request.method, request.raw_path, _pairs(request.headers))
        self.note(self.now_us(), connection, "sent", noted)
        instead = self._instead(connection, True)
        try:
            upstream = await self._dial(request, connection, instead)
        except InvalidStatus as refused:
            answer = refused.response
            headers = tuple(answer.headers.raw_items())
            self.note(
                self.now_us(), connection, "received", Response(answer.status_code, headers, bytes(answer.body or b""))
            )
            return web.Response(status=answer.status_code, headers=_passed_on(headers), body=bytes(answer.body or b""))
        except (OSError, WebSocketException, asyncio.TimeoutError, ValueError) as problem:
            self.note(self.now_us(), connection, "received", Reset())
            return self._unreachable(problem)
        return await self._serve(request, upstream, connection, billed=instead is None)

    async def _dial(self, request: web.Request, connection: int, instead: Upstream | None) -> ClientConnection:
        offered = request.headers.getall(hdrs.SEC_WEBSOCKET_PROTOCOL, [])
        names = [name.strip() for name in ",".join(offered).split(",")] if offered else None
        followed, _ = self._followed.get(connection, (None, 0))
        headers = self._traced(_passed_on(_pairs(request.headers)), instead, followed)
        if instead is None:
            headers, names = self._with_key(headers), names and [self._real(name) for name in names]
        upstream = instead or self.upstream
        return await _Dial(
            upstream.target(request.raw_path),
            additional_headers=headers,
            subprotocols=names,  # type: ignore[arg-type]
            user_agent_header=None,
            compression=None,
            max_size=MAX_MESSAGE,
            ping_interval=None,
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_WAIT_S,
            **direct(upstream.url),
        )

    async def _serve(
        self, request: web.Request, upstream: ClientConnection, connection: int, *, billed: bool
    ) -> web.StreamResponse:
        answer = upstream.response
        assert answer is not None
        headers = tuple(answer.headers.raw_items())
        self.note(self.now_us(), connection, "received", Response(answer.status_code, headers))
        chosen = (self._shown(upstream.subprotocol),) if upstream.subprotocol else ()
        ws = web.WebSocketResponse(protocols=chosen, compress=False, autoclose=False, max_msg_size=MAX_MESSAGE)
        ws.headers.extend(_passed_on(headers))
        try:
            await ws.prepare(request)
            transport = request.transport
            if transport is None:
                raise ConnectionResetError
        except ConnectionError:
            upstream.transport.abort()
            self.note(self.now_us(), connection, "sent", Reset())
            return ws
        call = RelayedCall(self, connection, ws, transport, upstream, Meter(request.query.get("model")), billed=billed)
        self._calls.add(call)
        try:
            await call.run()
        finally:
            self._calls.discard(call)
            if self._prices is not None:
                self._spent += call.usd(self._prices)
            self._report_spending()
        return ws

    async def _relay_http(self, request: web.Request, connection: int) -> web.StreamResponse:
        body = await request.read()
        headers = _pairs(request.headers)
        self.note(self.now_us(), connection, "sent", Request(request.method, request.raw_path, headers, body))
        instead = self._instead(connection, False)
        url = (instead or self.upstream).target(request.raw_path).replace("ws", "http", 1)
        onward = self._traced(_passed_on(headers), instead, None)
        try:
            async with self._http.request(
                request.method,
                url,
                headers=onward if instead else self._with_key(onward),
                data=body or None,
                allow_redirects=False,
            ) as answer:
                payload = await answer.content.read(MAX_BODY + 1)
                while len(payload) <= MAX_BODY and (more := await answer.content.read(MAX_BODY + 1 - len(payload))):
                    payload += more
        except (aiohttp.ClientError, OSError, asyncio.TimeoutError) as problem:
            self.note(self.now_us(), connection, "received", Reset())
            return self._unreachable(problem)
        if len(payload) > MAX_BODY:
            return web.json_response({"error": f"realtape: the response has more than {MAX_BODY} bytes"}, status=502)
        headers = _pairs(answer.headers)
        self.note(self.now_us(), connection, "received", Response(answer.status, headers, payload))
        return web.Response(status=answer.status, headers=_passed_on(headers), body=payload)

    def _traced(
        self, headers: list[tuple[str, str]], instead: Upstream | None, followed: FollowedSession | None
    ) -> list[tuple[str, str]]:
        """The headers with the trace context that the service may know. A live service cannot join the trace, so that
        no id of it leaves for one, unless that is wanted."""
        if (instead or self.upstream).origin == "live" and not self.settings.trace_live:
            return [each for each in headers if each[0].lower() not in (*TRACE_CONTEXT, "baggage")]
        if followed is None or followed.spans is None:
            return headers
        ours = followed.spans.headers()
        return [*(each for each in headers if each[0].lower() not in TRACE_CONTEXT), *ours.items()]

    def _with_key(self, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
        return [(name, self._real(value)) for name, value in headers]

    def _real(self, text: str) -> str:
        for given, key in self.settings.keys.items():
            text = text.replace(given, key)
        return text

    def _shown(self, text: str) -> str:
        for given, key in self.settings.keys.items():
            text = text.replace(key, given)
        return text

    def _unreachable(self, problem: BaseException) -> web.Response:
        why = str(problem) or type(problem).__name__
        self._warn(f"{self.upstream.url} cannot be reached: {why}")
        return web.json_response({"error": clean(f"realtape: {self.upstream.url} cannot be reached")}, status=502)


class _Dial(connect):
    """Passes a redirect on to the client instead of following it."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def _prices(upstream: Upstream, settings: Settings) -> PriceTable | None:
    if settings.max_usd is None:
        return None
    try:
        return price_table(upstream.dialect, settings.recorded_at.date(), upstream.url)
    except UnknownPrice as problem:
        if upstream.unreachable is not None:
            raise ValueError(
                f"{upstream.url} cannot be reached ({upstream.unreachable}), so its prices are not known; "
                "start it first, or limit the recording by seconds"
            ) from problem
        raise ValueError(
            f"no prices are known for {upstream.url} ({upstream.dialect}); limit the recording by seconds"
        ) from problem


def _pairs(headers: Mapping[str, str]) -> Headers:
    return tuple((str(name), value) for name, value in headers.items())


def _passed_on(headers: Headers) -> list[tuple[str, str]]:
    """The headers of one hop that go into the next one."""
    named = {name.strip().lower() for key, value in headers if key.lower() == "connection" for name in value.split(",")}
    return [(name, value) for name, value in headers if name.lower() not in _OWN | named]
