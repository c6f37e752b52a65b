"""Requests about phone numbers, in xAI's form: `POST` and `GET /v2/phone-numbers`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import orjson
from aiohttp import web

from mockserver.dialects.handshake import Refusal
from mockserver.dialects.registry import SERVICES
from mockserver.server import fleet
from mockserver.server.admission import admitted
from mockserver.server.client_requests import dialect_asked
from mockserver.server.http import as_json, body_of
from mockserver.server.refusals import check_open, refused
from mockserver.server.service import MockService

PATH = "/v2/phone-numbers"
ServiceOf = Callable[[web.Request], MockService]
"""The namespace that serves a request. Raises NamespaceEnded."""


def routes(service_of: ServiceOf, roots: Iterable[str]) -> Iterator[web.RouteDef]:
    """The routes under each root: the server's, and those of namespaces."""
    for root in roots:
        yield web.post(f"{root}{PATH}", partial(_register, service_of))
        yield web.get(f"{root}{PATH}", partial(_list, service_of))


async def _register(service_of: ServiceOf, request: web.Request) -> web.StreamResponse:
    service = service_of(request)
    name = _xai(request, service)
    team = await admitted(request, service, name)
    if isinstance(team, Refusal):
        return refused(team, SERVICES[name].handshake)
    body = await body_of(request)
    check_open(service)
    made = await fleet.register_number(service, team, _asked(body))
    if isinstance(made, Refusal):
        return refused(made, SERVICES[name].handshake)
    return as_json({**made.as_json(), "dispatch_signing_secret": made.secret})


async def _list(service_of: ServiceOf, request: web.Request) -> web.StreamResponse:
    service = service_of(request)
    name = _xai(request, service)
    team = await admitted(request, service, name)
    if isinstance(team, Refusal):
        return refused(team, SERVICES[name].handshake)
    return as_json({"phone_numbers": [each.as_json() for each in service.numbers.of(team)]})


def _xai(request: web.Request, service: MockService) -> str:
    """The dialect of a request. Only xAI has the route; raises HTTPNotFound for another."""
    name = dialect_asked(request, service)
    if not name.startswith("xai@"):
        raise web.HTTPNotFound
    return name


def _asked(body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
