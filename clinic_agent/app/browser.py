"""Calls that a browser makes by itself: the short-lived secret it dials with, and the token that lets it use the tools.

The service's key stays here. The secret comes from the service and opens one socket there; the token comes from here
and runs this clinic's tools for one call, so many times and so long. A page that has neither can do nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from threading import Lock
from typing import Any

import aiohttp

from clinic_agent.app.problems import Problem, upstream_refused
from clinic_agent.clinic.tools import Tools
from clinic_agent.config import Config

SECRET_S = 300
"""How long a secret may be used for dialling; the call itself may last longer."""
CALL_S = 1800.0
"""How long a call may use the tools."""
MAX_CALLS = 100
"""Calls that are on at once."""
MAX_TOOL_CALLS = 60
"""Of one call."""
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """What a browser may dial with; `expires_at` is in Unix seconds."""

    value: str = field(repr=False)
    expires_at: int


async def mint(config: Config) -> ClientSecret:
    """A secret from the service, asked for with this server's key. Raises Problem when there is none to be had."""
    url = f"{config.http_url}/realtime/client_secrets"
    asked = {"expires_after": {"seconds": SECRET_S}}
    key = {"Authorization": f"Bearer {config.key}"}
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(trust_env=True, timeout=timeout) as http,
            http.post(url, json=asked, headers=key, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise upstream_refused(answer.status, answer.headers.get("Retry-After"))
            told = await answer.json(content_type=None)
            return ClientSecret(str(told["value"]), int(told["expires_at"]))
    except asyncio.TimeoutError as error:
        raise Problem(504, f"the voice service gave no secret within {_TIMEOUT_S:g} s; try again") from error
    except aiohttp.ClientError as error:
        kind = type(error).__name__
        raise Problem(
            502, f"the voice service cannot be reached ({kind}); check XAI_HTTP_URL and the network"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Problem(502, "the voice service's answer holds no secret; check XAI_HTTP_URL") from error


@dataclass(slots=True)
class BrowserCall:
    """One call that is on in some browser."""

    tools: Tools
    until_s: float
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By call id: a page that asks again because an answer was lost gets the same one."""
    lock: Lock = field(default_factory=Lock)


class BrowserCalls:
    """All of them, by token. `clock` gives seconds that never run backwards. Any number of threads may use it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[bytes, BrowserCall] = {}
        self._lock = Lock()

    def begin(self, tools: Tools) -> str:
        """A new call's token. Raises Problem when too many are on."""
        token = secrets.token_urlsafe(32)
        now_s = self._clock()
        with self._lock:
            self._calls = {name: call for name, call in self._calls.items() if call.until_s > now_s}
            if len(self._calls) >= MAX_CALLS:
                wait_s = ceil(min(call.until_s for call in self._calls.values()) - now_s)
                raise Problem(429, f"{MAX_CALLS} calls are on; hang up one, or try later", retry_after=str(wait_s))
            self._calls[_digest(token)] = BrowserCall(tools, now_s + CALL_S)
        return token

    def run(self, token: str, call_id: str, name: str, arguments: str) -> dict[str, Any]:
        """The result of one tool call. Raises Problem for an unknown token and for too many calls."""
        call = self._find(token)
        with call.lock:
            if call_id not in call.results:
                if len(call.results) >= MAX_TOOL_CALLS:
                    raise Problem(429, f"this call has used its {MAX_TOOL_CALLS} tool calls; hang up and call again")
                call.results[call_id] = call.tools.call(name, arguments)
            return call.results[call_id]

    def end(self, token: str) -> list[dict[str, Any]]:
        """The call is over; the results of its tools, in order. Raises Problem for an unknown token."""
        call = self._find(token)
        with self._lock:
            self._calls.pop(_digest(token), None)
        return list(call.results.values())

    def _find(self, token: str) -> BrowserCall:
        # Looked up by its hash: how long that takes says nothing about a token that is nearly right.
        call = self._calls.get(_digest(token))
        if call is None or call.until_s <= self._clock():
            raise Problem(401, "this call is not known or is over; call again")
        return call


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
