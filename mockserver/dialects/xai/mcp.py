"""What xAI tells of the tools that it runs itself: event types and fields, in wire order.

The fields are the vendor's; nothing here is recorded. The order of events is a guess, and so is the null link that
every recorded event has. Searches and code have no events of their own, and no approval is documented.
"""

from __future__ import annotations

from collections.abc import Iterator

from mockserver.protocol.facts import HostedEnded, HostedStarted, ToolsListed

Event = tuple[str, dict[str, object]]


def hosted_events(fact: HostedStarted | HostedEnded | ToolsListed) -> Iterator[Event]:
    """Types and fields; nothing of a tool that is not on an MCP server."""
    item = fact.item
    match fact:
        case ToolsListed():
            yield "mcp_list_tools.in_progress", {"item_id": item.id}
            if item.error:
                error = {"type": "connection_error", "message": item.error}
                yield "mcp_list_tools.failed", {"item_id": item.id, "error": error}
            else:
                yield "mcp_list_tools.completed", {"item_id": item.id}
        case HostedStarted() if item.server:
            ids = {"response_id": fact.response.id, "item_id": item.id, "call_id": item.call_id}
            whole = {"name": item.name, "arguments": fact.arguments}
            yield "response.mcp_call_arguments.delta", {**ids, "delta": fact.arguments}
            yield "response.mcp_call_arguments.done", {**ids, **whole}
            yield "response.mcp_call.in_progress", {"item_id": item.id, "output_index": 0}
        case HostedEnded() if item.server:
            place: dict[str, object] = {"item_id": item.id, "output_index": 0}
            if item.error:
                error = {"type": "tool_execution_error", "message": item.error}
                yield "response.mcp_call.failed", {**place, "error": error}
            else:
                yield "response.mcp_call.completed", place
