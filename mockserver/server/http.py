"""JSON in and out over HTTP, with bounds on size and time."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web

BODY_S = 10.0
"""How long a request's body may take."""


async def body_of(request: web.Request) -> bytes:
    """The whole body, which must come in time. Raises HTTPRequestTimeout."""
    try:
        return await asyncio.wait_for(request.read(), BODY_S)
    except asyncio.TimeoutError as slow:  # asyncio's own name for it until Python 3.11
        raise web.HTTPRequestTimeout(text=f"The request's body did not come within {BODY_S:g} s.") from slow


def as_json(value: object, status: int = 200) -> web.Response:
    """An answer with a JSON body."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
