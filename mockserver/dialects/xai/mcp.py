"""xAI's events about tools that the service runs itself: types and fields, in wire order.

The fields are documented by the vendor; none of these events is recorded. Their order is a guess, and so is the null
link that recorded events have. Searches and code have no events, and no approval is documented.
"""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import assert_never

from mockserver.protocol.facts import HostedEnded, HostedStarted, ListingStarted, ToolsListed

Event = tuple[str, dict[str, object]]


def hosted_events(fact: HostedStarted | HostedEnded | ListingStarted | ToolsListed) -> Iterator[Event]:
    """Types and fields of events. A tool that is not on an MCP server has none."""
    item = fact.item
    match fact:
        case ListingStarted():
            yield "mcp_list_tools.in_progress", {"item_id": item.id}
        case ToolsListed():
            if item.error:
                error = {"type": item.error.type, "message": item.error.message}
                yield "mcp_list_tools.failed", {"item_id": item.id, "error": error}
            else:
                yield "mcp_list_tools.completed", {"item_id": item.id}
        case HostedStarted():
            if not item.server:
                return
            ids = {"response_id": fact.response.id, "item_id": item.id, "call_id": item.call_id}
            whole = {"name": item.name, "arguments": fact.arguments}
            yield "response.mcp_call_arguments.delta", {**ids, "delta": fact.arguments}
            yield "response.mcp_call_arguments.done", {**ids, **whole}
            yield "response.mcp_call.in_progress", {"item_id": item.id, "output_index": 0}
        case HostedEnded():
            if not item.server:
                return
            place: dict[str, object] = {"item_id": item.id, "output_index": 0}
            if item.error:
                error = {"type": item.error.type, "message": item.error.message}
                yield "response.mcp_call.failed", {**place, "error": error}
            else:
                yield "response.mcp_call.completed", place
        case _:
            assert_never(fact)
