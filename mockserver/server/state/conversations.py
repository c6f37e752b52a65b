"""A conversation that can be resumed, as bytes for another server: items, and where the scenario was.

The audio of items is left out: a connection that resumes gets none of it. A responder comes back as one of the same
scenario in the same place. A server that does not have the scenario answers from the beginning of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

import orjson

from mockserver.protocol.commands import Part, ServerTool
from mockserver.protocol.conversation import Conversation, Item, SpokenSegment, ToolError
from mockserver.responders.base import Responder
from mockserver.responders.scripted import ScenarioResponder
from mockserver.session.resumption import Memory

MOST_BYTES = 1 << 20
"""Bytes of a packed conversation; a larger one is known to its own server alone."""
_KEPT = [each.name for each in fields(Item) if each.name not in ("audio_parts", "parts")]
_PART = [each.name for each in fields(Part) if each.name != "audio"]

Responders = Callable[[str], Responder]
"""A responder for the digest of a scenario, or for an empty one."""


def packed(memory: Memory) -> bytes | None:
    """The conversation as bytes; None for one that is too large."""
    conversation, responder = memory.conversation, memory.responder
    scripted = responder if isinstance(responder, ScenarioResponder) else None
    earlier = conversation.earlier
    own = [each for each in conversation.history(None)[len(earlier) :]]
    document = {
        "id": conversation.id,
        "opened": memory.opened,
        "turns_heard": memory.turns_heard,
        "scenario": "" if scripted is None else scripted.scenario,
        "state": None if scripted is None else scripted.state(),
        "earlier": [_of_item(each) for each in earlier],
        "items": [_of_item(each) for each in own],
    }
    made = orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS)
    return made if len(made) <= MOST_BYTES else None


def unpacked(data: bytes | str, responders: Responders) -> Memory:
    """The conversation that `packed` made these bytes of."""
    document = orjson.loads(data)
    conversation = Conversation(document["id"])
    conversation.earlier = [_item(each) for each in document["earlier"]]
    for each in map(_item, document["items"]):
        conversation.add(each)
    responder = responders(document["scenario"])
    if isinstance(responder, ScenarioResponder) and responder.scenario == document["scenario"]:
        responder.restore(document["state"])
    return Memory(conversation, responder, document["turns_heard"], document["opened"])


def _of_item(item: Item) -> dict[str, Any]:
    kept = {name: getattr(item, name) for name in _KEPT}
    kept["parts"] = [{name: getattr(part, name) for name in _PART} for part in item.parts]
    kept["error"] = None if item.error is None else asdict(item.error)
    kept["tools"] = [asdict(each) for each in item.tools]
    kept["spoken"] = [asdict(each) for each in item.spoken]  # orjson must not read the fields of a compiled value
    return kept


def _item(kept: dict[str, Any]) -> Item:
    return Item(
        **{
            **kept,
            "parts": [Part(**each) for each in kept["parts"]],
            "error": None if kept["error"] is None else ToolError(**kept["error"]),
            "tools": tuple(ServerTool(**each) for each in kept["tools"]),
            "spoken": tuple(SpokenSegment(**each) for each in kept["spoken"]),
        }
    )
