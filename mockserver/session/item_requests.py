"""Whether what a client asks about items can be done, and what it means by naming some. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Sequence

from mockserver.dialects.base import Traits
from mockserver.protocol.commands import AddCall, AddMessage, AddResult, Truncate
from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.facts import Problem, Refused
from mockserver.protocol.ids import Ids


def misfit(
    item: Item, after: str | None, event_id: str | None, conversation: Conversation, traits: Traits
) -> Refused | None:
    """Why an item cannot be put behind `after`."""
    if conversation.full(item):
        return Refused("conversation_full", item.id, event_id)
    if traits.unique_item_ids and conversation.get(item.id) is not None:
        return Refused("item_exists", item.id, event_id)
    if not traits.checks_references:
        return None
    if after is not None and after != "root" and conversation.get(after) is None:
        return Refused("previous_unknown", after, event_id)
    if item.kind == "result" and not conversation.called(item.call_id):
        return Refused("call_unknown", item.call_id, event_id)
    return None


def taken(item_id: str | None, conversation: Conversation) -> bool:
    """Whether a client chose an id that an item has already."""
    return item_id is not None and conversation.get(item_id) is not None


def untruncatable(item: Item | None, command: Truncate, traits: Traits) -> Refused | None:
    """Why an item cannot be cut."""
    about = command.item_id, command.event_id
    if item is None or not (item.spoken or traits.checks_references):
        return Refused("truncate_unknown", *about)
    if not traits.checks_references or item.spoken_ms >= max(1, command.audio_end_ms):
        return None
    problem: Problem = "truncate_beyond" if item.spoken_ms else "truncate_unspoken"
    return Refused(problem, *about, has_ms=item.spoken_ms, asked_ms=command.audio_end_ms)


Given = Sequence[AddMessage | AddCall | AddResult | str]


def misreferred(given: Given | None, event_id: str | None, conversation: Conversation) -> Refused | None:
    """Why a response cannot be about these items: one of the ids is of none."""
    unknown = (entry for entry in given or () if isinstance(entry, str) and conversation.get(entry) is None)
    missing = next(unknown, None)
    return None if missing is None else Refused("reference_unknown", missing, event_id)


def items_given(given: Given, conversation: Conversation, ids: Ids, now: float) -> list[Item]:
    """What a response is asked to answer instead of the conversation."""
    found: list[Item | None] = []
    for entry in given:
        match entry:
            case str():
                found.append(conversation.get(entry))
            case AddMessage():
                found.append(Item(ids.item(now), "message", entry.role, parts=list(entry.parts)))
            case AddResult():
                found.append(Item(ids.item(now), "result", call_id=entry.call_id, output=entry.output))
            case AddCall():
                found.append(Item(ids.item(now), "call", name=entry.name, arguments=entry.arguments))
    return [item for item in found if item is not None]
