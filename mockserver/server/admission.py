"""Who may make a request over HTTP, and accept a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import hdrs, web

from mockserver.dialects.handshake import Denied, Refusal, bearer
from mockserver.server import causes
from mockserver.server.accounts import Team
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.client_requests import authorization_of
from mockserver.server.notices import RouteRefused
from mockserver.server.origins import is_foreign
from mockserver.server.refusals import CROSS_SITE
from mockserver.server.service import MockService
from replay.findings.handshake import browser_call


async def admitted(request: web.Request, service: MockService, dialect: str) -> Team | Refusal:
    """The team of a request that only an API key may make, from a program or a page that may ask."""
    if is_foreign(request.headers.get(hdrs.ORIGIN), request.host, service.options.allow_origins):
        service.told(RouteRefused(request.method, request.rel_url.raw_path, CROSS_SITE.status, causes.CROSS_SITE))
        return CROSS_SITE
    service.watcher.browser_call(browser_call(request.headers.items()), service.clock.now())
    return await service.admit_request(dialect, bearer(authorization_of(request, dialect)) or None)


async def accepted(
    service: MockService, call_id: str, team: Team, session: Mapping[str, Any] | None = None
) -> RunningCall | Denied:
    """Accept a call that rings, if its team may have one more session. Raises NoSuchCall and StateLost."""
    dialect = service.calls.find(call_id, team, "ringing").dialect
    seat = await service.state.take_seat(team, service.limits(team, dialect).max_sessions)
    if isinstance(seat, Denied):
        return seat
    try:
        return service.calls.accept(call_id, seat, session)  # another request may have accepted it meanwhile
    except BaseException:
        service.state.leave(seat)
        raise
