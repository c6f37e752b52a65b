"""The service behind the proxy: its address, its dialect, and the origin label that a recording of it may have."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp
import orjson

from replay.cassette.records import Origin, provable_origin

PATH = "/v1/realtime"
PROBE_TIMEOUT_S = 2.0
_RANK: tuple[Origin, ...] = ("hand", "mock", "live")


class BadUpstream(ValueError):
    """The upstream address cannot be used. The message says what to give instead."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """The service behind the proxy: `wss://HOST/v1/realtime`, or another address that is used instead of that path."""

    url: str
    dialect: str = "unknown"
    origin: Origin = "mock"
    unreachable: str | None = None
    """Why the address did not report its dialect, or None."""

    @classmethod
    async def find(cls, url: str) -> Upstream:
        """The dialect and origin of an address, by its host or by asking whether it is a mock. Raises BadUpstream."""
        url = checked(url)
        if (origin := provable_origin(url)) == "live":
            return cls(url, "xai" if (urlsplit(url).hostname or "").endswith("x.ai") else "openai", origin)
        try:
            return cls(url, await _mock_dialect(url), origin)
        except aiohttp.ClientConnectorError as problem:
            return cls(url, "unknown", origin, problem.os_error.strerror or str(problem.os_error))
        except asyncio.TimeoutError:
            return cls(url, "unknown", origin, f"no answer within {PROBE_TIMEOUT_S:g} s")
        except (aiohttp.ClientConnectionError, OSError) as problem:
            return cls(url, "unknown", origin, str(problem) or type(problem).__name__)

    def target(self, raw_path: str) -> str:
        """The WebSocket address for a request to the proxy, whose path begins with PATH. Keeps the client's path and
        query.
        """
        return self.url + raw_path[len(PATH) :]

    def lowered(self, wanted: Origin | None) -> Origin:
        """The origin, or a weaker one if that is wanted. A mock's recording cannot become `live`."""
        return self.origin if wanted is None else min(self.origin, wanted, key=_RANK.index)


def checked(url: str) -> str:
    """The address in the form in which it is used. Raises BadUpstream."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable:
        raise BadUpstream("the upstream is not a WebSocket address; give one like wss://api.x.ai/v1/realtime")
    if parts.username is not None or parts.query or parts.fragment:
        raise BadUpstream("leave user, query and fragment out of the upstream; the client's own query is passed on")
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or PATH}"


async def _mock_dialect(url: str) -> str:
    """The dialect that a mock reports, `unknown` for any other server. Raises if no server can be reached."""
    parts = urlsplit(url)
    address = f"{parts.scheme.replace('ws', 'http')}://{parts.netloc}/_mock/health"
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    with contextlib.suppress(aiohttp.ClientResponseError, aiohttp.ClientPayloadError, ValueError):
        async with aiohttp.ClientSession(timeout=timeout) as http, http.get(address, allow_redirects=False) as response:
            health = orjson.loads(await response.content.read(4096))
            if isinstance(health, dict) and health.get("status") == "ok" and isinstance(health.get("dialect"), str):
                return str(health["dialect"])[:64]
    return "unknown"
