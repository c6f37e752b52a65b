"""JSON in and out over HTTP, with bounds on size and time."""

from __future__ import annotations

import asyncio

import orjson
from aiohttp import web

BODY_S = 10.0
"""Seconds in which the body of a request must arrive."""


async def body_of(request: web.Request) -> bytes:
    """The whole body. Raises HTTPRequestTimeout if it does not arrive in BODY_S seconds."""
    try:
        return await asyncio.wait_for(request.read(), BODY_S)
    except asyncio.TimeoutError as slow:  # asyncio's own name for it until Python 3.11
        raise web.HTTPRequestTimeout(text=f"The request's body did not come within {BODY_S:g} s.") from slow


def as_json(value: object, status: int = 200) -> web.Response:
    """A response with a JSON body."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
