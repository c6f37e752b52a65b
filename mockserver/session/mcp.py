"""The tools of the MCP servers that a client declares. No server is contacted: the listings are made up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import ToolServer
from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.facts import ToolsListed

_UNREACHABLE = re.compile(r"://[^/?#]*\.invalid(?=[:/?#]|$)", re.IGNORECASE)
"""Names under `.invalid` do not resolve (RFC 2606): such an address stands for a server that is down."""


def listings(
    servers: Iterable[ToolServer], known: Iterable[ToolServer], conversation: Conversation, dialect: Dialect, now: float
) -> Iterator[ToolsListed]:
    """A listing of each server that was not `known` before. It offers the tools that the client allows by name."""
    before = set(known)
    for server in servers:
        if server in before:
            continue
        item = Item(dialect.ids.item(now), "listing", server=server.label, tools=server.tools)
        if _UNREACHABLE.search(server.url):
            item.tools, item.status, item.error = (), "incomplete", f"MCP server '{server.label}' cannot be reached"
        if dialect.traits.items.mcp == "items":
            conversation.add(item)
        yield ToolsListed(item)
