"""A real MCP server over streamable HTTP on loopback, made with the official package: for tests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread
import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

TOKEN = "token-of-the-billing-server"


@dataclass
class RunningServer:
    """Where it listens, and what it has seen."""

    url: str = ""
    calls: list[tuple[str, object]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of each request."""
    release: threading.Event = field(default_factory=threading.Event)
    """`wait` answers once it is set."""


def _tools(seen: RunningServer) -> MCPServer:
    server = MCPServer("billing")

    @server.tool(description="Finds an invoice.", annotations=ToolAnnotations(read_only_hint=True))
    async def find_invoice(number: int) -> dict[str, Any]:
        seen.calls.append(("find_invoice", number))
        return {"number": number, "usd": 12.5}

    @server.tool()
    async def fail(why: str) -> str:
        seen.calls.append(("fail", why))
        raise ToolError(f"{why} {TOKEN}")

    @server.tool()
    async def wait() -> str:
        seen.calls.append(("wait", None))
        await anyio.to_thread.run_sync(seen.release.wait, 5)
        return "done"

    @server.tool()
    async def large() -> str:
        return "x" * 300_000

    @server.tool()
    async def huge() -> str:
        return "x" * 5_000_000

    return server


@contextmanager
def mcp_server() -> Iterator[RunningServer]:
    """Serve from a thread. Every request needs TOKEN."""
    seen = RunningServer()
    server_of_tools = _tools(seen)
    newer, older = server_of_tools.streamable_http_app(), server_of_tools.sse_app()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            seen.headers.append(headers)
            if headers.get("authorization") != f"Bearer {TOKEN}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b""})
                return
        inner = older if scope.get("path", "").startswith(("/sse", "/messages")) else newer
        await inner(scope, receive, send)

    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        seen.url = f"http://127.0.0.1:{port}/mcp"
        yield seen
    finally:
        seen.release.set()
        server.should_exit = True
        thread.join(5)
