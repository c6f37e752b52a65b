"""Requests about calls: `POST /v1/realtime/calls/ID/accept`, and `reject`, `refer`, `hangup`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import get_args

from aiohttp import web
from typing_extensions import assert_never

from mockserver.dialects.call_control import CallAction
from mockserver.dialects.handshake import Denied, Refusal
from mockserver.dialects.registry import SERVICES
from mockserver.server import causes
from mockserver.server.accounts import Team
from mockserver.server.admission import accepted, admitted
from mockserver.server.calls.registry import NoSuchCall, TooManyCalls
from mockserver.server.client_requests import dialect_asked
from mockserver.server.http import body_of
from mockserver.server.notices import RouteRefused
from mockserver.server.refusals import check_open, refused
from mockserver.server.service import MockService

ServiceOf = Callable[[web.Request], MockService]
"""The namespace that serves a request. Raises NamespaceEnded."""


def routes(service_of: ServiceOf, roots: Iterable[str]) -> Iterator[web.RouteDef]:
    """The routes under each root, such as `/v1`."""
    for root in roots:
        for action in get_args(CallAction):
            yield web.post(f"{root}/realtime/calls/{{call_id}}/{action}", partial(_answer, service_of, action))


async def _answer(service_of: ServiceOf, action: CallAction, request: web.Request) -> web.StreamResponse:
    service, id = service_of(request), request.match_info["call_id"]
    name = dialect_asked(request, service)
    control, handshake = SERVICES[name].calls, SERVICES[name].handshake
    if action not in control.actions:
        raise web.HTTPNotFound
    team = await admitted(request, service, name)
    if isinstance(team, Refusal):
        return refused(team, handshake)
    body = await body_of(request)
    check_open(service)
    try:
        refusal, cause = await _obeyed(service, name, action, id, team, body), causes.CALL_BODY
    except (NoSuchCall, TooManyCalls):
        refusal, cause = control.no_call(id), causes.NO_CALL
    if refusal is not None:
        service.told(RouteRefused(request.method, request.rel_url.raw_path, refusal.status, cause))
        return refused(refusal, handshake)
    return web.Response(body=control.done, content_type="application/json" if control.done else None)


async def _obeyed(
    service: MockService, name: str, action: CallAction, id: str, team: Team, body: bytes
) -> Refusal | None:
    """Do what is requested; or why not. Raises NoSuchCall."""
    control, calls = SERVICES[name].calls, service.calls
    match action:
        case "accept":
            if service.factory.recordings is not None:
                calls.stage(id, name, service.clock.unix())
            calls.find(id, team, "ringing")
            session = control.session(body)
            if isinstance(session, Refusal):
                return session
            running = await accepted(service, id, team, session)
            return SERVICES[name].handshake.refuse(running) if isinstance(running, Denied) else None
        case "reject":
            calls.find(id, team, "ringing")
            status = control.reject_status(body)
            if isinstance(status, Refusal):
                return status
            calls.reject(id, team, status)
            return None
        case "refer":
            calls.find(id, team, "open")
            uri = control.target(body)
            if isinstance(uri, Refusal):
                return uri
            refused_with = await calls.refer(id, team, uri)
            return None if refused_with is None else control.not_transferred(refused_with)
        case "hangup":
            if "reject" not in control.actions and calls.find(id, team, "ringing", "open").state == "ringing":
                calls.reject(id, team)  # a guess: without `reject`, it declines a call that rings
            else:
                calls.hang_up(id, team)
            return None
        case _:
            assert_never(action)
