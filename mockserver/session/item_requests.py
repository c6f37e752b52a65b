"""Whether a client's request about items can be met, and which items a response takes as input. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import assert_never

from mockserver.dialects.base import ItemTraits
from mockserver.protocol.commands import AddCall, AddMessage, AddResult, TruncateItem
from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.facts import Problem, Refused
from mockserver.protocol.ids import Ids

ResponseInput = Sequence[AddMessage | AddCall | AddResult | str]
"""What a response answers instead of the conversation; a text is the id of one of its items."""


def refusal_to_add(
    item: Item, after: str | None, event_id: str | None, conversation: Conversation, traits: ItemTraits
) -> Refused | None:
    """Why an item cannot be put behind `after`; None if it can."""
    if conversation.full(item):
        return Refused("conversation_full", item.id, event_id)
    if traits.checks != "references" and conversation.get(item.id) is not None:
        return Refused("item_exists", item.id, event_id)
    if traits.checks == "ids":
        return None
    if after is not None and after != "root" and conversation.get(after) is None:
        return Refused("previous_unknown", after, event_id)
    if item.kind == "result" and not conversation.called(item.call_id):
        return Refused("call_unknown", item.call_id, event_id)
    return None


def refusal_to_truncate(item: Item | None, command: TruncateItem, traits: ItemTraits) -> Refused | None:
    """Why an item cannot be truncated; None if it can."""
    about = command.item_id, command.event_id
    checked = traits.checks != "ids"
    if item is None or not (item.spoken or checked):
        return Refused("truncate_unknown", *about)
    if not checked or item.spoken_ms >= max(1, command.audio_end_ms):
        return None
    problem: Problem = "truncate_beyond" if item.spoken_ms else "truncate_unspoken"
    return Refused(problem, *about, has_ms=item.spoken_ms, requested_ms=command.audio_end_ms)


def refusal_of_input(entries: ResponseInput | None, event_id: str | None, conversation: Conversation) -> Refused | None:
    """Why a response cannot be about these items: one of the ids is unknown. None if it can."""
    unknown = (entry for entry in entries or () if isinstance(entry, str) and conversation.get(entry) is None)
    missing = next(unknown, None)
    return None if missing is None else Refused("reference_unknown", missing, event_id)


def input_items(entries: ResponseInput, conversation: Conversation, ids: Ids, now: float) -> list[Item]:
    """The items that a response answers instead of the conversation."""
    found: list[Item] = []
    for entry in entries:
        match entry:
            case str():
                if (item := conversation.get(entry)) is not None:
                    found.append(item)
            case AddMessage():
                found.append(Item(ids.item(now), "message", entry.role, parts=list(entry.parts)))
            case AddResult():
                found.append(Item(ids.item(now), "result", call_id=entry.call_id, output=entry.output))
            case AddCall():
                found.append(Item(ids.item(now), "call", name=entry.name, arguments=entry.arguments))
            case _:
                assert_never(entry)
    return found
