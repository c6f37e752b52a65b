"""The MCP servers among a session's tools, which both services declare alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mockserver.protocol.commands import ToolServer


def tool_servers(tools: Iterable[Mapping[str, object]], *, asks: bool = False) -> tuple[ToolServer, ...]:
    """One for each tool of type `mcp`; what is missing, or is no text, is empty. `asks`: the service asks for approval
    unless the client tells otherwise."""
    return tuple(
        ToolServer(
            _text(tool.get("server_label")),
            _text(tool.get("server_url")),
            _names(tool.get("allowed_tools")),
            *(_approval(tool.get("require_approval")) if asks else ()),
        )
        for tool in tools
        if tool.get("type") == "mcp"
    )


def _approval(asked: object) -> tuple[bool, tuple[str, ...]]:
    """For which tools: for each unless told otherwise (documented). With filters: of two, the one for `never` counts;
    with one for `always` alone only its tools are asked for (a guess)."""
    if not isinstance(asked, Mapping):
        return asked != "never", ()
    if asked.get("never") is None and asked.get("always") is not None:
        return False, _names(asked["always"])
    return True, _names(asked.get("never"))


def _names(asked: object) -> tuple[str, ...]:
    """Names as a list, or as `tool_names` of an object."""
    names = asked.get("tool_names") if isinstance(asked, Mapping) else asked
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
