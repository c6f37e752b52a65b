"""MCP servers, asked through the official package `mcp` (extra `mcp`). No other module imports that package.

Each listing and each call is a connection of its own, with the credential that the client gave for that server.
Redirects stay on the server's origin. An error names the server by its label, and no credential.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import urlsplit

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from pydantic import ValidationError

from mockserver.protocol.commands import ServerTool, ToolServer
from mockserver.protocol.conversation import ToolError
from mockserver.protocol.requests import CallTool, ListTools, ToolAnswered, ToolsFound
from replay.addresses import is_loopback_url

TIMEOUT_S, CONNECT_S = 30.0, 10.0
"""How long one listing or call may take in all, and a connection."""
MOST_TOOLS, MOST_PAGES = 128, 16
MOST_BYTES = 4 << 20
"""Bytes of one HTTP response."""
LARGEST = 256 << 10
"""Characters of all tools of a server together, as JSON, and of one result."""
SHOWN = 300
"""Characters of a server's error that are shown."""
MOST_HEADERS, LONGEST_HEADER = 32, 4096
SHORTEST_SECRET = 4
"""Characters; a shorter value would be found by chance."""
OWN_HEADERS = frozenset("accept content-length content-type connection host te transfer-encoding upgrade".split())
"""Headers that belong to HTTP and to the protocol: those of a client are left out."""

T = TypeVar("T")


class Unfit(Exception):
    """A server, or its answer, that is not taken; says why."""


class McpClient:
    """Asks MCP servers over streamable HTTP; at an address that ends in `/sse`, by the older transport."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    async def list(self, work: ListTools) -> ToolsFound:
        """The tools that the server offers, and the client allows."""
        found = await self._asked(work.server, lambda client: _tools(client, work.server.tools))
        return ToolsFound(work.id, error=found) if isinstance(found, ToolError) else ToolsFound(work.id, found)

    async def call(self, work: CallTool) -> ToolAnswered:
        """Call a tool."""
        found = await self._asked(work.server, lambda client: _answer(client, work))
        return ToolAnswered(work.id, error=found) if isinstance(found, ToolError) else found

    async def _asked(self, server: ToolServer, work: Callable[[Client], Awaitable[T]]) -> T | ToolError:
        watch = _Watch(server.url)
        error = ToolError(f"no answer within {self._timeout_s:g} s", "connection_error")
        try:
            url, headers = _address(server), _headers(server)
            with anyio.move_on_after(self._timeout_s) as watch.scope:
                async with AsyncExitStack() as stack:
                    if urlsplit(url).path.endswith("/sse"):
                        transport = sse_client(url, headers, httpx_client_factory=watch.client)
                    else:
                        http = await stack.enter_async_context(watch.client(headers))
                        transport = streamable_http_client(url, http_client=http)
                    client = await stack.enter_async_context(Client(transport, cache=None))
                    return await work(client)
            error = watch.too_large or error
        except Unfit as problem:
            error = ToolError(str(problem), "protocol_error")
        except Exception as problem:  # what the package raises, often as a group
            error = watch.too_large or _error(_leaf(problem), watch.refused)
        return replace(error, message=f"MCP server '{server.label}': {_shown(error.message, server)}")


class _Watch:
    """Sees the HTTP responses of one listing or call: how large they are, and whether the last one refused."""

    def __init__(self, url: str) -> None:
        self._local = is_loopback_url(url)
        self.scope = anyio.CancelScope()
        self.refused: int | None = None
        """The status, from 400 on."""
        self.too_large: ToolError | None = None

    def client(
        self,
        headers: dict[str, str] | None = None,
        timeout: httpx2.Timeout | None = None,
        auth: httpx2.Auth | None = None,
    ) -> httpx2.AsyncClient:
        """An HTTP client. It goes through a proxy that the environment names, but not to loopback."""

        async def seen(response: httpx2.Response) -> None:
            if response.request.method == "POST" or response.status_code == 401:
                self.refused = response.status_code if response.status_code >= 400 else None
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = _Bounded(response.stream, self._count)

        hooks: dict[str, list[Any]] = {"response": [seen]}
        limit = httpx2.Timeout(TIMEOUT_S, connect=CONNECT_S)
        headers, proxied = {**(headers or {}), "Accept-Encoding": "identity"}, not self._local
        return httpx2.AsyncClient(headers=headers, timeout=limit, auth=auth, event_hooks=hooks, trust_env=proxied)

    def _count(self, size: int) -> None:
        if size > MOST_BYTES:
            self.too_large = ToolError(f"it sent more than {MOST_BYTES} bytes", "protocol_error")
            self.scope.cancel()


class _Bounded(httpx2.AsyncByteStream):
    """A response's body, whose size so far is told to `count`."""

    def __init__(self, body: httpx2.AsyncByteStream, count: Callable[[int], None]) -> None:
        self._body = body
        self._count = count

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._body:
            size += len(piece)
            self._count(size)
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


async def _tools(client: Client, allowed: tuple[str, ...]) -> tuple[ServerTool, ...]:
    found: list[ServerTool] = []
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            if not allowed or tool.name in allowed:
                hints = tool.model_dump(include={"annotations"}, by_alias=True, exclude_none=True).get("annotations")
                found.append(ServerTool(tool.name, tool.description or "", tool.input_schema, hints))
        size = len(json.dumps([(each.name, each.description, each.schema, each.annotations) for each in found]))
        if len(found) > MOST_TOOLS or size > LARGEST:
            raise Unfit(f"its tools are more than {MOST_TOOLS}, or {LARGEST} characters; use allowed_tools")
        if (cursor := page.next_cursor) is None:
            return tuple(found)
    raise Unfit(f"its list of tools has more than {MOST_PAGES} pages")


async def _answer(client: Client, work: CallTool) -> ToolAnswered:
    try:
        arguments = json.loads(work.arguments or "{}")
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise Unfit(f"the arguments of '{work.name}' are no JSON object")
    result = await client.call_tool(work.name, arguments)
    texts = [block.text for block in result.content if block.type == "text"]
    if len(texts) != 1 and result.structured_content is not None:
        texts = [json.dumps(result.structured_content)]
    output = "\n".join(texts)
    if len(output) > LARGEST:
        raise Unfit(f"the result of '{work.name}' has more than {LARGEST} characters")
    if result.is_error:
        told = _shown(output, work.server) or f"the tool '{work.name}' failed"
        return ToolAnswered(work.id, error=ToolError(told, "tool_execution_error"))
    return ToolAnswered(work.id, output)


def _address(server: ToolServer) -> str:
    if not server.url:
        raise Unfit("it has no server_url; connectors and tunnels are not asked")
    parts = urlsplit(server.url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Unfit("its server_url is no http or https address")
    if parts.username or parts.password:
        raise Unfit("its server_url has a credential; use `authorization`")
    return server.url


def _headers(server: ToolServer) -> dict[str, str]:
    """The client's headers. That a bare token is sent as a bearer token is a guess."""
    headers = {name: value for name, value in server.headers if name.lower() not in OWN_HEADERS}
    if server.authorization:
        scheme = "" if " " in server.authorization.strip() else "Bearer "
        headers["Authorization"] = f"{scheme}{server.authorization.strip()}"
    if len(headers) > MOST_HEADERS or any(len(name) + len(value) > LONGEST_HEADER for name, value in headers.items()):
        raise Unfit(f"it has more than {MOST_HEADERS} headers, or one of more than {LONGEST_HEADER} characters")
    if not all(f"{name}{value}".isascii() and f"{name}{value}".isprintable() for name, value in headers.items()):
        raise Unfit("a header has a character that HTTP does not allow")
    return headers


def _leaf(problem: BaseException) -> BaseException:
    """The first error of a group."""
    while inner := getattr(problem, "exceptions", ()):
        problem = inner[0]
    return problem


def _error(problem: BaseException, refused: int | None) -> ToolError:
    match problem:
        case _ if refused is not None:
            return ToolError(f"it answered {refused}", "http_error", refused)
        case MCPError():
            return ToolError(problem.message, "protocol_error", problem.code)
        case ValidationError():
            return ToolError("its answer is not what the protocol says", "protocol_error")
        case httpx2.HTTPStatusError():
            return ToolError(f"it answered {problem.response.status_code}", "http_error", problem.response.status_code)
        case httpx2.TransportError():
            return ToolError(f"it cannot be reached: {str(problem) or type(problem).__name__}", "connection_error")
        case Unfit():
            return ToolError(str(problem), "protocol_error")
        case _:
            return ToolError(f"{type(problem).__name__}: {problem}", "connection_error")


def _shown(text: str, server: ToolServer) -> str:
    """A server's text in one line, without the client's credentials for it."""
    given = server.authorization.strip()
    for secret in (given, given.partition(" ")[2], *(value for _, value in server.headers)):
        if len(secret) >= SHORTEST_SECRET:
            text = text.replace(secret, "(secret)")
    return " ".join(text.split())[:SHOWN]
