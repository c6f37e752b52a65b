"""The MCP servers among a session's tools, which both services declare alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mockserver.commands import ToolServer


def tool_servers(tools: Iterable[Mapping[str, object]]) -> tuple[ToolServer, ...]:
    """One for each tool of type `mcp`; what is missing, or is no text, is empty."""
    return tuple(
        ToolServer(_text(tool.get("server_label")), _text(tool.get("server_url")), _allowed(tool.get("allowed_tools")))
        for tool in tools
        if tool.get("type") == "mcp"
    )


def _allowed(asked: object) -> tuple[str, ...]:
    """Names as a list, or as `tool_names` of an object."""
    names = asked.get("tool_names") if isinstance(asked, Mapping) else asked
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
