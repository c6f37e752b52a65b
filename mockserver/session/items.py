"""What a client does with items: add, truncate, delete, retrieve, approve. Whether it may: item_requests.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import orjson
from typing_extensions import assert_never

from mockserver.protocol.commands import (
    AddCall,
    AddMessage,
    AddResult,
    Approve,
    DeleteItem,
    RetrieveItem,
    TruncateItem,
)
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import ItemAdded, ItemDeleted, ItemRetrieved, ItemTruncated, Refused
from mockserver.session.context import SessionContext
from mockserver.session.item_requests import refusal_to_add, refusal_to_truncate
from mockserver.session.pending_input import PendingInput
from mockserver.session.transcription import Heard

Addition = AddMessage | AddCall | AddResult | Approve
ItemCommand = Addition | TruncateItem | DeleteItem | RetrieveItem


class Items:
    """Meets a connection's requests about items, or reports why it cannot."""

    def __init__(
        self, session: SessionContext, pending: PendingInput, heard: Callable[[str, bytes, float], Heard]
    ) -> None:
        """`heard` returns what the audio of the item of that id says."""
        self._session = session
        self._pending = pending
        self._heard = heard

    def obey(self, command: ItemCommand, now: float) -> bool:
        """Meet a request; returns whether it added an item to the conversation."""
        match command:
            case AddMessage():
                return self._add_message(command, now)
            case AddResult():
                item = Item(self._id(command, now), "result", call_id=command.call_id, output=command.output)
                if not self._add(item, command, now):
                    return False
                self._pending.result(command.call_id, command.output)
                return True
            case AddCall():
                return self._add_call(command, now)
            case Approve():
                return self._approve(command, now)
            case TruncateItem():
                self._truncate(command, now)
            case DeleteItem():
                if self._session.conversation.remove(command.item_id) is None:
                    self._session.emit(Refused("delete_unknown", command.item_id, command.event_id), now)
                else:
                    self._session.emit(ItemDeleted(command.item_id), now)
            case RetrieveItem():
                found = self._session.conversation.get(command.item_id)
                if found is None:
                    self._session.emit(Refused("retrieve_unknown", command.item_id, command.event_id), now)
                else:
                    self._session.emit(ItemRetrieved(found), now)
            case _:
                assert_never(command)
        return False

    def _id(self, command: Addition, now: float) -> str:
        return command.item_id or self._session.dialect.ids.item(now)

    def _add(self, item: Item, command: Addition, now: float) -> bool:
        conversation, traits = self._session.conversation, self._session.dialect.traits.items
        if (refused := refusal_to_add(item, command.after, command.event_id, conversation, traits)) is not None:
            self._session.emit(refused, now)
            return False
        conversation.add(item, command.after)
        self._session.emit(ItemAdded(item), now)
        return True

    def _add_message(self, command: AddMessage, now: float) -> bool:
        item = Item(self._id(command, now), "message", command.role, parts=list(command.parts))
        if not self._add(item, command, now):
            return False
        spoken = any(part.is_audio for part in command.parts)
        if not spoken:
            self._session.ledger.text_items += 1
        if command.role == "assistant":
            self._pending.answered()
        elif command.role == "user" and item.text:
            self._pending.typed(item.text)
        elif command.role == "user" and spoken:
            sound = b"".join(part.audio for part in command.parts if part.is_audio)
            self._pending.heard(self._heard(item.id, sound, now))
        return True

    def _add_call(self, command: AddCall, now: float) -> bool:
        call_id = command.call_id or self._session.dialect.ids.call(0)
        item = Item(self._id(command, now), "call", call_id=call_id, name=command.name, arguments=command.arguments)
        if not self._add(item, command, now):
            return False
        self._session.ledger.text_items += 1
        self._pending.called(call_id, command.name)
        return True

    def _approve(self, command: Approve, now: float) -> bool:
        """An approved call is made by the next response; for a refused one that response is given a result instead."""
        session, request_id = self._session, command.request_id
        if request_id not in session.awaiting_approval:
            session.emit(Refused("approval_unknown", request_id, command.event_id), now)
            return False
        item = Item(self._id(command, now), "approval", output=command.reason)
        item.request_id, item.approved = request_id, command.approve
        if not self._add(item, command, now):
            return False
        call, then = session.awaiting_approval.pop(request_id)
        if command.approve:
            session.unfinished.append(chain([replace(call, request_id=request_id)], then))
        else:
            refusal = {"approved": False, "reason": command.reason}
            self._pending.declined(call.name, orjson.dumps(refusal).decode())
        return True

    def _truncate(self, command: TruncateItem, now: float) -> None:
        item, traits = self._session.conversation.get(command.item_id), self._session.dialect.traits.items
        if (refused := refusal_to_truncate(item, command, traits)) is not None:
            self._session.emit(refused, now)
            return
        assert item is not None
        item.keep(command.audio_end_ms, erase=traits.truncation == "all")
        self._session.emit(ItemTruncated(item, command.content_index, command.audio_end_ms), now)
