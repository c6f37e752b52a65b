"""Who may use the control plane and the workbench, and how their handlers answer.

Only loopback clients are served, and only under a loopback name, so that a web page which rebinds its own name to
127.0.0.1 is refused. With an admin token, every client needs it instead.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

from aiohttp import hdrs, web

from mockserver.server.http import as_json
from replay.addresses import is_loopback_address, is_loopback_url

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Problem(Exception):
    """An answer other than 200: its status, and a sentence that says what to do."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


def guarded(answer: Callable[[web.Request], Awaitable[object]], token: str | None) -> Handler:
    """The answer, as JSON unless it is a response already, for clients that may have it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if (refusal := _refusal(request, token)) is not None:
            return as_json({"error": refusal}, 403)
        try:
            answered = await answer(request)
        except Problem as problem:
            return as_json({"error": str(problem)}, problem.status)
        return answered if isinstance(answered, web.StreamResponse) else as_json(answered)

    return handle


def page_guarded(answer: Callable[[web.Request], web.StreamResponse], token: str | None) -> Handler:
    """A page, or a file of one, that holds no data and asks for the token itself. With a token, every client may load
    it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if token is None and (refusal := _refusal(request, None)) is not None:
            return as_json({"error": refusal}, 403)
        return answer(request)

    return handle


def _refusal(request: web.Request, token: str | None) -> str | None:
    """Why the client is refused; None if it is not."""
    if token is not None:
        given = request.headers.get(hdrs.AUTHORIZATION, "")
        if hmac.compare_digest(given.encode(errors="surrogateescape"), f"Bearer {token}".encode()):
            return None
        return "send the admin token: Authorization: Bearer <token>"
    if not is_loopback_address(request.remote or ""):
        return "the control plane serves this machine only; start the server with --admin-token to open it"
    origin = request.headers.get(hdrs.ORIGIN)
    if not is_loopback_url(f"//{request.host}") or (origin is not None and not is_loopback_url(origin)):
        return "use a loopback name: 127.0.0.1, localhost or [::1]"
    return None
