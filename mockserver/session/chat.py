"""A conversation as a chat completions endpoint takes it, and its answer as sentences. Sockets: server/chat.py."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from mockserver.protocol.commands import ToolChoice
from mockserver.protocol.conversation import Item
from mockserver.responders.base import UNINTELLIGIBLE

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
                    found.append(_result(item.call_id, item.error or item.output))
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


def choice(allowed: ToolChoice) -> object:
    """Which functions the model may call; None leaves it to the model."""
    match allowed.kind:
        case "none":
            return "none"
        case "function":
            return {"type": "function", "function": {"name": allowed.name}}
        case "any" | "server":
            return None
