"""POST /v1/realtime/calls: an offer of a WebRTC call comes over HTTP, and its answer opens the call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import orjson
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from mockserver.dialects.handshake import Denied, Refusal, bearer
from mockserver.dialects.registry import SERVICES
from mockserver.faults.injection_points import WEBRTC
from mockserver.faults.kinds import NetworkFault
from mockserver.server import counted_faults
from mockserver.server.accounts import Team
from mockserver.server.admission import accepted
from mockserver.server.calls import webrtc
from mockserver.server.calls.network import Network
from mockserver.server.calls.registry import NoEvents, NoSuchCall, TooManyCalls
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.calls.sdp import InvalidOffer, read_offer
from mockserver.server.client_requests import authorization_of, dialect_asked, model_in
from mockserver.server.http import BODY_S, body_of
from mockserver.server.notices import RouteRefused
from mockserver.server.origins import is_foreign
from mockserver.server.refusals import CROSS_SITE, check_open, refused
from mockserver.server.service import MockService
from mockserver.server.virtual_time import AutoJumpLoop
from replay.addresses import is_loopback_address
from replay.findings.handshake import browser_call
from replay.findings.rules.calls import no_event_channel, trimmed_offer
from replay.findings.rules.table import NO_EVENT_CHANNEL, TRIMMED_OFFER
from replay.outlets import logger

_LOG = logger(__name__)
RETRY_S = 1
"""`Retry-After` of an offer for which no socket can be opened, in seconds."""
_EXPOSED = "Location, X-Request-Id"
_BROKEN = (ValueError, LookupError, AssertionError, RuntimeError, HttpProcessingError)
"""What aiohttp raises for a form that cannot be read."""


@dataclass(frozen=True, slots=True)
class OfferRequest:
    """What a request brings: the offer, and the session as JSON if it names one."""

    sdp: str
    session: bytes | None = None


async def answer_offer(request: web.Request, service: MockService) -> web.StreamResponse:
    """Answer an offer with 201 and an answer, or refuse it in the service's form. Raises HTTPNotFound for a service
    without WebRTC."""
    asked = await _read(request)
    check_open(service)
    name = dialect_asked(request, service, model_in(b'{"session":%b}' % (asked.session or b"null")))
    if not SERVICES[name].calls.offers_by:
        raise web.HTTPNotFound
    answered = await _answer(request, service, name, asked)
    if not isinstance(answered, Refusal):
        return answered
    cause = answered.advice or answered.error
    service.told(RouteRefused(request.method, request.rel_url.raw_path, answered.status, cause))
    return refused(answered, SERVICES[name].handshake)


async def _answer(
    request: web.Request, service: MockService, name: str, asked: OfferRequest
) -> web.StreamResponse | Refusal:
    control, handshake = SERVICES[name].calls, SERVICES[name].handshake
    credential = bearer(authorization_of(request, name)) or None
    secret = service.accounts.session_of(credential)
    if secret is None and is_foreign(request.headers.get(hdrs.ORIGIN), request.host, service.options.allow_origins):
        return CROSS_SITE
    service.watcher.browser_call(browser_call(request.headers.items()), service.clock.now())
    team = await service.admit_offer(name, credential)
    if isinstance(team, Refusal):
        return team
    if ("key" if secret is None else "secret") not in control.offers_by:
        return control.wrong_credential()
    session = secret or {"type": "realtime"} if asked.session is None else control.session(asked.session)
    if isinstance(session, Refusal):
        return session
    if "model" in request.query and "model" not in session:
        asked_model = control.session(orjson.dumps({"type": "realtime", "model": request.query["model"]}))
        if isinstance(asked_model, Refusal):
            return asked_model
        session = {**asked_model, **session}
    for found in trimmed_offer(asked.sdp):
        service.watcher.remark(TRIMMED_OFFER, found)
    for found in no_event_channel(asked.sdp) if hdrs.ORIGIN in request.headers else ():
        service.watcher.remark(NO_EVENT_CHANNEL, found)
    try:
        offer = read_offer(asked.sdp)
    except InvalidOffer as invalid:
        return control.invalid_offer(str(invalid), invalid.advice)
    if (problem := await _impossible(service)) is not None:
        return Refusal(501, "", problem, kind="invalid_request_error")
    faults = await counted_faults.triggered(service.faults, service.state, WEBRTC, service.clock.now())
    network = Network([each for each in faults if isinstance(each, NetworkFault)], service.faults.seed)
    connection = webrtc.WebRtcConnection(offer, network)
    try:
        answer = await connection.answer(_addresses(request), service.clock.unix())
        check_open(service)
        running = await _begun(service, name, team, session)
    except OSError as problem:  # there are no more file descriptors
        await connection.abandon()
        return replace(handshake.outage(503, RETRY_S), advice=f"{problem}.")
    except BaseException:
        await connection.abandon()
        raise
    if isinstance(running, Denied):
        await connection.abandon()
        return handshake.refuse(running, credential)
    serving = service.open_sessions[running.log.id].task = connection.start(running)
    serving.add_done_callback(partial(_served, service, running.id))
    headers = {
        hdrs.LOCATION: f"/v1/realtime/calls/{running.id}",
        hdrs.ACCESS_CONTROL_ALLOW_ORIGIN: "*",
        hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: _EXPOSED,
        "Timing-Allow-Origin": "*",
    }
    return web.Response(status=201, text=answer, content_type="text/plain", charset="utf-8", headers=headers)


async def _begun(service: MockService, dialect: str, team: Team, session: Mapping[str, object]) -> RunningCall | Denied:
    """The call that an offer opens. Raises StateLost."""
    number = await service.state.number("calls")
    try:
        entry = service.calls.announce(dialect, "webrtc", service.clock.unix(), NoEvents(), team=team, number=number)
    except TooManyCalls:
        return Denied("crowded", 1)
    try:
        return await accepted(service, entry.id, team, session)
    except NoSuchCall:  # the control plane ended it while the store was asked for a seat
        return Denied("crowded", 1)
    finally:
        if entry.state == "ringing":  # it was not accepted
            service.calls.end(entry)


def _served(service: MockService, call_id: str, serving: asyncio.Task[None]) -> None:
    """Keep the error with which a connection failed inside the mock."""
    if not serving.cancelled() and isinstance(error := serving.exception(), Exception):
        _LOG.error("call %s: error inside the mock", call_id, exc_info=error)
        service.failed(error)


async def refuse_beta_offer(request: web.Request, service: MockService) -> web.StreamResponse:
    """POST /v1/realtime, where the beta took offers until May 2026. Raises HTTPMethodNotAllowed for a service that
    never had it."""
    name = dialect_asked(request, service)
    handshake = SERVICES[name].handshake
    if not SERVICES[name].calls.offers_by:
        raise web.HTTPMethodNotAllowed(request.method, [hdrs.METH_GET])
    beta = handshake.read(None, None, (), "realtime=v1")
    assert isinstance(beta, Refusal)
    service.told(RouteRefused(request.method, request.rel_url.raw_path, beta.status, BETA))
    return refused(beta, handshake)


BETA = "Offers of the beta's form are refused by the service too; post them to /v1/realtime/calls."


async def _read(request: web.Request) -> OfferRequest:
    """The two forms: parts `sdp` and `session`, or the offer alone. Raises HTTPRequestTimeout, HTTPBadRequest."""
    if request.content_type != "multipart/form-data":
        return OfferRequest((await body_of(request)).decode(errors="replace"))
    try:
        form = await asyncio.wait_for(request.post(), BODY_S)
    except asyncio.TimeoutError as slow:  # asyncio's own name for it until Python 3.11
        raise web.HTTPRequestTimeout(text=f"The request's body did not come within {BODY_S:g} s.") from slow
    except _BROKEN as broken:
        raise web.HTTPBadRequest(text="The multipart body cannot be read.") from broken
    parts = {name: _bytes(form.get(name)) for name in ("sdp", "session")}
    return OfferRequest((parts["sdp"] or b"").decode(errors="replace"), parts["session"])


def _bytes(part: object) -> bytes | None:
    match part:
        case str():
            return part.encode()
        case bytes() | bytearray():
            return bytes(part)
        case web.FileField():
            return part.file.read()
        case _:
            return None


async def _impossible(service: MockService) -> str | None:
    """Why this server cannot open a call over WebRTC. Loading aiortc takes a moment, so others are served meanwhile."""
    loop = asyncio.get_running_loop()
    if service.clock.rate != 1 or isinstance(loop, AutoJumpLoop):
        return (
            "WebRTC runs in real time, and this server's clock does not: start it without --clock, or without"
            " virtual_time in Python."
        )
    missing = await loop.run_in_executor(None, webrtc.unavailable)
    return None if missing is None else f"{missing}."


def _addresses(request: web.Request) -> list[str]:
    """Where the client can reach a UDP socket: this machine itself, and the address to which it sent the offer."""
    sockname = request.transport.get_extra_info("sockname") if request.transport is not None else None
    here = sockname[0] if isinstance(sockname, tuple) else webrtc.LOOPBACK
    return [webrtc.LOOPBACK] if is_loopback_address(here) else [here, webrtc.LOOPBACK]
