"""The MCP servers that a client declares: their listings, and the calls to them that a session makes.

Scripted, no server is asked: a listing names the tools that the client allows, and a call has the scenario's result.
Live, each listing and each call is a request (protocol/requests.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import ServerTool, ToolChoice, ToolServer
from mockserver.protocol.conversation import Conversation, Item, ToolError
from mockserver.protocol.facts import Fact, ListingStarted, ToolsListed
from mockserver.protocol.requests import CallTool, ListTools, ToolAnswered, ToolsFound, Work
from mockserver.session.asking import Requests
from mockserver.session.scheduler import NEVER, Run, Scheduler

MOST_ASKED = 16
"""Listings and calls of one session that go on at once."""
MOST_KEPT = 64
"""Calls without an item in the conversation that a language model is shown again, the newest."""
_UNREACHABLE = re.compile(r"://[^/?#]*\.invalid(?=[:/?#]|$)", re.IGNORECASE)
"""Names under `.invalid` do not resolve (RFC 2606): such an address stands for a server that is down."""
_UNFIT = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Offered:
    """A tool of a server as a language model may call it."""

    server: str
    tool: ServerTool


@dataclass(slots=True, eq=False)
class _Listing:
    """The listing of a server. `over_s`: when it was over; None while it goes on."""

    item: Item
    over_s: float | None = None


class ToolServers:
    """What the MCP servers of one session offer, and the calls to them that go on."""

    def __init__(
        self,
        dialect: Dialect,
        conversation: Conversation,
        requests: Requests,
        scheduler: Scheduler,
        emit: Callable[[Fact, float], None],
        live: bool,
    ) -> None:
        self.live = live
        """Whether servers are really asked."""
        self._dialect = dialect
        self._conversation = conversation
        self._requests = requests
        self._scheduler = scheduler
        self._emit = emit
        self._listings: dict[str, _Listing] = {}
        """The latest listing of each server, by its label."""
        self._asking = 0
        self._late: set[str] = set()
        """Ids of calls that go on after their response."""
        self._late_s = 0.0
        """When the last of them was over."""
        self._apart: dict[str, list[Item]] = {}
        """Calls without an item in the conversation, by the id of the item before them."""

    def list(self, servers: Iterable[ToolServer], known: Iterable[ToolServer], now: float) -> None:
        """List the tools of each server that was not `known` before."""
        before = set(known)
        for server in servers:
            if server in before:
                continue
            item = Item(self._dialect.ids.item(now), "listing", status="in_progress", server=server.label)
            listing = self._listings[server.label] = _Listing(item)
            if self._dialect.traits.items.mcp == "items":
                self._conversation.add(item)
            self._emit(ListingStarted(item), now)
            self._scheduler.start(f"listing {item.id}", self._list(listing, server, now))

    def _list(self, listing: _Listing, server: ToolServer, now: float) -> Run:
        if not self.live:
            down = ToolError(f"MCP server '{server.label}' cannot be reached", "connection_error")
            error = down if _UNREACHABLE.search(server.url) else None
            tools = () if error else tuple(ServerTool(name) for name in server.tools)
        else:
            now, found = yield from self._ask(partial(ListTools, server=server), server.label, now)
            assert not isinstance(found, ToolAnswered)
            tools, error = (found.tools, found.error) if isinstance(found, ToolsFound) else ((), found)
        item, allowed = listing.item, server.tools
        item.tools = tuple(tool for tool in tools if not allowed or tool.name in allowed)
        item.error, item.status = error, "incomplete" if error else "completed"
        listing.over_s = now
        self._emit(ToolsListed(item), now)
        if self.live:
            self._scheduler.wake(now)  # the result came to this run: others wait for its end

    def call(
        self, item: Item, servers: Iterable[ToolServer], now: float
    ) -> Generator[float, None, tuple[float, ToolAnswered]]:
        """Make the call that `item` is, once its server has listed its tools; returns the instant and the answer."""
        server = next((each for each in servers if each.label == item.server), None)
        if server is None:
            return now, _not_made(f"the session declares no MCP server '{item.server}'")
        listing = self._listings[item.server]
        while listing.over_s is None:
            yield NEVER
        now = max(now, listing.over_s)
        if listing.item.error is not None:
            return now, ToolAnswered("", error=listing.item.error)
        if not any(tool.name == item.name for tool in listing.item.tools):
            return now, _not_made(
                f"MCP server '{item.server}' has no tool '{item.name}', or the client does not allow it"
            )
        work = partial(CallTool, server=server, name=item.name, arguments=item.arguments)
        now, found = yield from self._ask(work, item.server, now)
        assert not isinstance(found, ToolsFound)
        return now, found if isinstance(found, ToolAnswered) else ToolAnswered("", error=found)

    def finish_later(self, item: Item, call: Generator[float, None, float]) -> None:
        """Let a call go on after its response. Later responses wait for it."""

        def ends() -> Run:
            self._late.add(item.id)
            try:
                self._late_s = yield from call
            finally:
                self._late.discard(item.id)
            if self.live:
                self._scheduler.wake(self._late_s)

        self._scheduler.start(f"tool {item.id}", ends())

    def settled(self, now: float) -> Generator[float, None, float]:
        """Wait until no call of an earlier response goes on; returns that instant."""
        while self._late:
            yield NEVER
        return max(now, self._late_s)

    def offered(
        self, servers: Iterable[ToolServer], choice: ToolChoice, own: Iterable[Mapping[str, Any]]
    ) -> Mapping[str, Offered]:
        """The tools that a language model may call, by the names of functions: a tool's own name, unless it is taken,
        such as by the client's `own` functions. Scripted servers offer none."""
        found: dict[str, Offered] = {}
        taken = {each["function"]["name"] for each in own}
        if not self.live or choice.kind in ("none", "function"):
            return found
        for server in servers:
            if choice.kind == "server" and choice.server != server.label:
                continue
            for tool in self._listings[server.label].item.tools:
                if choice.kind == "server" and choice.name not in ("", tool.name):
                    continue
                name = f"{server.label}_{tool.name}" if tool.name in taken else tool.name
                taken.add(tool.name)
                found.setdefault(_UNFIT.sub("_", name)[:64], Offered(server.label, tool))
        return found

    def keep(self, item: Item) -> None:
        """Keep a call that has no item in the conversation, for a language model."""
        last = self._conversation.last_id or ""
        self._apart.setdefault(last, []).append(item)
        while sum(map(len, self._apart.values())) > MOST_KEPT:
            oldest = next(iter(self._apart))
            self._apart[oldest].pop(0)
            if not self._apart[oldest]:
                del self._apart[oldest]

    def with_calls(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, each followed by the calls that came after it and have no item in the conversation."""
        for item in items:
            yield item
            yield from self._apart.get(item.id, ())

    def _ask(
        self, work: Callable[[str], Work], label: str, now: float
    ) -> Generator[float, None, tuple[float, ToolsFound | ToolAnswered | ToolError]]:
        if self._asking >= MOST_ASKED:
            return now, ToolError(f"more than {MOST_ASKED} requests to MCP servers at once", "connection_error")
        asked = self._requests.ask(work)
        self._asking += 1
        try:
            now, result = yield from asked.next(now)
        finally:
            self._asking -= 1
            self._requests.withdraw(asked)
        if isinstance(result, ToolsFound | ToolAnswered):
            return now, result
        return now, ToolError(f"MCP server '{label}' could not be asked", "connection_error")


def _not_made(message: str) -> ToolAnswered:
    return ToolAnswered("", error=ToolError(message, "protocol_error"))
