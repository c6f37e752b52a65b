"""Checks before each request: host name, origin, size and number; and the security headers of each answer.

There is no CORS: pages of other sites can neither read answers nor make requests that change something. A site whose
host name points to this machine (DNS rebinding) is refused by its host name.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clinic_agent.app.problems import Problem

MAX_REQUESTS = 100
"""Largest number of requests at the same time; others are asked to come again."""
MAX_BODY_BYTES = 32 << 20
"""Enough for ten minutes of speech."""

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Headers of each answer that does not set its own."""


class Guard:
    """ASGI middleware. `hosts` are the host names that requests may use."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = frozenset(host.casefold() for host in hosts)
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._refusal(scope["method"], headers) or _too_large(headers.get("content-length", ""))
        if problem is not None:
            await problem.response()(scope, receive, _with_headers(send))
            return
        if self._in_progress >= MAX_REQUESTS:
            busy = Problem(429, f"{MAX_REQUESTS} requests are in progress; try again in a second", retry_after="1")
            await busy.response()(scope, receive, _with_headers(send))
            return
        self._in_progress += 1
        try:
            await self._app(scope, _limited(receive), _with_headers(send))
        finally:
            self._in_progress -= 1

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if _name(f"//{host}") not in self._hosts:
            names = ", ".join(sorted(self._hosts))
            return Problem(421, f"this server answers to {names}; use one of these names, or add yours to CLINIC_HOSTS")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.casefold() != host.casefold()
        if foreign or (method != "GET" and headers.get("sec-fetch-site") in ("cross-site", "same-site")):
            return Problem(403, "pages of other sites may not use this server; open its own page")
        return None


def _name(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").casefold()
    except ValueError:
        return ""


def _too_large(length: str) -> Problem | None:
    if not length or (length.isdecimal() and len(length) < 12 and int(length) <= MAX_BODY_BYTES):
        return None
    return Problem(413, f"send at most {MAX_BODY_BYTES >> 20} MiB; cut the audio into shorter turns")


def _limited(receive: Receive) -> Receive:
    """Limit a body without a Content-Length as it arrives."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if (problem := _too_large(str(received))) is not None:
            raise problem
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers
