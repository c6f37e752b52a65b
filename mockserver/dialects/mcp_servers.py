"""The MCP servers among a session's tools, which both services declare in the same form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mockserver.protocol.commands import ToolServer


def tool_servers(tools: Iterable[Mapping[str, object]], *, approvals: bool = False) -> tuple[ToolServer, ...]:
    """A server for each tool of type `mcp`; a member that is missing, or no text, is empty. `approvals`: whether the
    service requests approvals, unless the client configures otherwise."""
    return tuple(
        ToolServer(
            _text(tool.get("server_label")),
            _text(tool.get("server_url")),
            _names(tool.get("allowed_tools")),
            *(_approval(tool.get("require_approval")) if approvals else (False, ())),
            authorization=_text(tool.get("authorization")),
            headers=_headers(tool.get("headers")),
        )
        for tool in tools
        if tool.get("type") == "mcp"
    )


def _approval(required: object) -> tuple[bool, tuple[str, ...]]:
    """Whether calls need approval, and for which tools the opposite holds. They need it by default (documented). Of two
    filters the one for `never` counts; with one for `always` alone, only its tools need approval (a guess)."""
    if not isinstance(required, Mapping):
        return required != "never", ()
    if required.get("never") is None and required.get("always") is not None:
        return False, _names(required["always"])
    return True, _names(required.get("never"))


def _names(listed: object) -> tuple[str, ...]:
    """Names as a list, or as `tool_names` of an object."""
    names = listed.get("tool_names") if isinstance(listed, Mapping) else listed
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list) else ()


def _headers(named: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(named, Mapping):
        return ()
    return tuple((str(name), value) for name, value in named.items() if isinstance(value, str))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
