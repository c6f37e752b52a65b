"""A conversation as a chat completions endpoint takes it, and its answer as sentences. Sockets: server/chat.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mockserver.protocol.commands import ToolChoice
from mockserver.protocol.conversation import Item
from mockserver.responders.base import UNINTELLIGIBLE
from mockserver.session.tool_servers import Offered

Json = dict[str, object]
_BORDER = re.compile(r"[.!?…。！？][\"'”’)]*\s+(?=\S)|\n+\s*(?=\S)")
"""Between two sentences. What follows must have begun: `3.` may go on as `3.50`."""


def sentences(text: str) -> tuple[list[str], str]:
    """The sentences of a text that are complete because another one follows, and the rest."""
    complete: list[str] = []
    start = 0
    for border in _BORDER.finditer(text):
        complete.append(text[start : border.end()])
        start = border.end()
    return complete, text[start:]


def messages(items: Iterable[Item], instructions: str, words: Mapping[str, str]) -> list[Json]:
    """The items as messages, after the instructions. `words` are those of spoken turns, by item id."""
    found: list[Json] = [{"role": "system", "content": instructions}] if instructions else []
    for item in items:
        match item.kind:
            case "message":
                if text := item.text or words.get(item.id, ""):
                    found.append({"role": item.role, "content": _readable(text)})
            case "call" | "hosted":
                if item.name and item.call_id:
                    _add_call(found, item)
                if item.kind == "hosted" and item.call_id and item.status != "in_progress":
                    found.append(_result(item.call_id, item.error.message if item.error else item.output))
            case "result":
                found.append(_result(item.call_id, item.output))
            case "listing" | "request" | "approval":
                pass
    return found


def _readable(text: str) -> str:
    return "(The user said something that could not be understood.)" if text == UNINTELLIGIBLE else text


def _add_call(found: list[Json], item: Item) -> None:
    """Calls in a row belong to one message of the assistant."""
    call = {
        "id": item.call_id,
        "type": "function",
        "function": {"name": item.name, "arguments": item.arguments or "{}"},
    }
    last = found[-1] if found else {}
    if last.get("role") == "assistant" and isinstance(calls := last.setdefault("tool_calls", []), list):
        calls.append(call)
    else:
        found.append({"role": "assistant", "content": "", "tool_calls": [call]})


def _result(call_id: str, output: str) -> Json:
    return {"role": "tool", "tool_call_id": call_id, "content": output}


def functions(declared: Iterable[Mapping[str, object]]) -> list[Json]:
    """The functions among the tools that a client declared, flat or nested as chat completions have them."""
    found: list[Json] = []
    for tool in declared:
        if tool.get("type") != "function":
            continue
        nested = tool.get("function")
        function = nested if isinstance(nested, Mapping) else tool
        kept = {name: function[name] for name in ("name", "description", "parameters") if function.get(name)}
        if "name" in kept:
            found.append({"type": "function", "function": kept})
    return found


def with_servers(own: list[Json], offered: Mapping[str, Offered], allowed: ToolChoice) -> list[Json]:
    """The client's functions and the tools of MCP servers as functions; these alone if the client requires them."""
    described = (
        {"name": name, "description": each.tool.description, "parameters": each.tool.schema}
        for name, each in offered.items()
    )
    tools: list[Json] = [{"type": "function", "function": each} for each in described]
    return tools if tools and allowed.kind == "server" else [*own, *tools]


def choice(allowed: ToolChoice, offered: Mapping[str, Offered], number: int) -> object:
    """Which functions the model may call in its answer of that number, from 1, to a response. None leaves it to the
    model: so does a call to an MCP server that is required, once it was made."""
    match allowed.kind:
        case "none":
            return "none"
        case "function":
            return {"type": "function", "function": {"name": allowed.name}}
        case "server":
            return "required" if offered and number == 1 else None
        case "any":
            return None
