"""Calls that a browser makes itself, with a client secret of the service and a token of this server.

The API key stays on this server. The client secret opens a connection to the service. The token runs the clinic's tools
for one call, a limited number of times and for a limited time.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from math import ceil
from threading import Lock
from typing import Any

import aiohttp

from clinic_agent.app.problems import Problem, upstream_refused
from clinic_agent.call.turn import FunctionCall, ToolRun, tool_run
from clinic_agent.clinic.safety import CallLock, Line
from clinic_agent.clinic.tools import Tools
from clinic_agent.config import Config, is_loopback_url

SECRET_S = 300
"""Seconds for which a client secret can open a connection; the call itself may last longer."""
CALL_S = 1800.0
"""Seconds for which a call may use the tools."""
MAX_CALLS = 100
"""Largest number of calls at the same time."""
MAX_TOOL_CALLS = 60
"""Largest number of tool calls in one call."""
MAX_FRAME_BYTES = 64 << 20
"""Bytes of JSON of the frames that are kept of one call; later ones are left out, and the record says so."""
MAX_SECRETS = 5
"""Largest number of client secrets with which one call may be resumed."""
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret with which a browser can connect to the service; `expires_at` is in Unix seconds."""

    value: str = field(repr=False)
    expires_at: int


async def mint(config: Config) -> ClientSecret:
    """Request a client secret from the service with this server's key. Raises Problem if that fails."""
    url = f"{config.http_url}/realtime/client_secrets"
    body = {"expires_after": {"seconds": SECRET_S}}
    key = {"Authorization": f"Bearer {config.key}"}
    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(trust_env=not is_loopback_url(url), timeout=timeout) as http,
            http.post(url, json=body, headers=key, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise upstream_refused(answer.status, answer.headers.get("Retry-After"))
            secret = await answer.json(content_type=None)
            return ClientSecret(str(secret["value"]), int(secret["expires_at"]))
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
    """One call in progress in a browser."""

    tools: Tools
    lock: CallLock
    began_s: float
    until_s: float
    id: str = field(default_factory=lambda: f"page-{secrets.token_hex(8)}")
    """The id of its record; the token is no part of it."""
    tool_runs: list[tuple[int, ToolRun]] = field(default_factory=list)
    """The turn, counted from 0, and the tool."""
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By call id: a page that repeats a request, because the answer was lost, gets the same result."""
    frame_bytes: int = 0
    """Bytes of JSON of the frames that the page has reported."""
    secrets: int = 0
    """Number of client secrets after the first one."""
    running: Lock = field(default_factory=Lock)


class BrowserCalls:
    """The calls in progress, by token. `clock` gives monotonic seconds. The methods are thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[bytes, BrowserCall] = {}
        self._lock = Lock()

    def begin(self, tools: Tools, lock: CallLock) -> str:
        """Start a call; gives its token. `lock` gets the words of the call.

        Raises Problem if MAX_CALLS calls are in progress.
        """
        token = secrets.token_urlsafe(32)
        now_s = self._clock()
        with self._lock:
            self._calls = {name: call for name, call in self._calls.items() if call.until_s > now_s}
            if len(self._calls) >= MAX_CALLS:
                wait_s = ceil(min(call.until_s for call in self._calls.values()) - now_s)
                raise Problem(429, f"{MAX_CALLS} calls are in progress; end one, or try later", retry_after=str(wait_s))
            self._calls[_digest(token)] = BrowserCall(tools, lock, now_s, now_s + CALL_S)
        return token

    def check(self, token: str) -> None:
        """Count a request for another client secret. Raises Problem for an unknown token and for too many requests."""
        call = self.find(token)
        with call.running:
            if call.secrets >= MAX_SECRETS:
                raise Problem(429, f"this call has used its {MAX_SECRETS} further secrets; hang up and call again")
            call.secrets += 1

    def run(
        self, token: str, call_id: str, name: str, arguments: str, transcript: Iterable[Line] = ()
    ) -> dict[str, Any]:
        """The result of one tool call; `transcript` is that of the call so far.

        Raises Problem for an unknown token and for too many calls.
        """
        call = self.find(token)
        with call.running:
            if call_id not in call.results:
                if len(call.results) >= MAX_TOOL_CALLS:
                    raise Problem(429, f"this call has used its {MAX_TOOL_CALLS} tool calls; hang up and call again")
                lines = list(transcript)
                call.lock.read(lines)
                began_s = self._clock()
                result = call.results[call_id] = call.tools.call(name, arguments)
                run = tool_run(FunctionCall(call_id, name, arguments), result, (self._clock() - began_s) * 1000)
                turn = max(0, sum(line.role == "caller" for line in lines) - 1)
                call.tool_runs.append((turn, run))
            return call.results[call_id]

    def end(self, token: str) -> BrowserCall:
        """End a call; gives it. Raises Problem for an unknown token."""
        call = self.find(token)
        with self._lock:
            self._calls.pop(_digest(token), None)
        return call

    def find(self, token: str) -> BrowserCall:
        """The call of a token. Raises Problem for an unknown one."""
        # The lookup uses a hash, so its duration tells nothing about a nearly correct token.
        call = self._calls.get(_digest(token))
        if call is None or call.until_s <= self._clock():
            raise Problem(401, "this call is unknown or has ended; call again")
        return call


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
