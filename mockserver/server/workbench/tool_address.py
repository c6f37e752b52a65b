"""The result of a tool that an HTTP address answers, as the page asks for it.

The server asks, because a page may ask no other server. Whoever may use the control plane can make it send such
requests, to any http or https address that this machine reaches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

MOST_S = 30.0
"""Seconds that an answer may take."""
MOST_BYTES = 256 << 10
"""Bytes of an answer."""


class NoResult(Exception):
    """The address gave no result; the message says why."""


async def result_of(asked: Mapping[str, object]) -> str:
    """Post the call to `url`, as JSON with `name`, `call_id` and `arguments`, and give the body of the answer.

    Raises NoResult. Redirects are not followed.
    """
    url, body = asked.get("url"), {name: asked.get(name) for name in ("name", "call_id", "arguments")}
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        raise NoResult("the tool's address must begin with http:// or https://")
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=MOST_S)) as http,
            http.post(url, json=body, allow_redirects=False) as answer,
        ):
            text = await answer.content.read(MOST_BYTES + 1)
            while len(text) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES + 1 - len(text))):
                text += more
    except (aiohttp.ClientError, asyncio.TimeoutError, ValueError, OSError) as problem:
        raise NoResult(f"{url} gave no answer: {type(problem).__name__}") from problem
    if len(text) > MOST_BYTES:
        raise NoResult(f"{url} answered more than {MOST_BYTES >> 10} KiB; return less")
    if answer.status >= 300:
        raise NoResult(f"{url} answered with status {answer.status}")
    return text.decode(errors="replace")
