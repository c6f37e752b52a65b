"""What a client does with items: add, cut, delete, look at, approve. Whether it may is item_requests.py's affair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson

from mockserver.protocol.commands import AddCall, AddMessage, AddResult, Approve, Delete, Retrieve, Truncate
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import ItemAdded, ItemDeleted, ItemRetrieved, ItemTruncated, Refused
from mockserver.responders.base import UNINTELLIGIBLE, Hosted
from mockserver.session.item_requests import misfit, untruncatable
from mockserver.session.pending_input import Inputs
from mockserver.session.response import Stage

Addition = AddMessage | AddCall | AddResult | Approve
Request = Addition | Truncate | Delete | Retrieve


class Items:
    """Meets a connection's requests about items, or states why not."""

    def __init__(self, stage: Stage, inputs: Inputs, hear: Callable[[int], str | None]) -> None:
        """`hear` tells what the caller said in the spoken turn of that number."""
        self._stage = stage
        self._inputs = inputs
        self._hear = hear

    def obey(self, command: Request, now: float) -> bool:
        """Meet a request; whether the conversation has a new item from it."""
        match command:
            case AddMessage():
                return self._add_message(command, now)
            case AddResult():
                return self._add_result(command, now)
            case AddCall():
                return self._add_call(command, now)
            case Approve():
                return self._approve(command, now)
            case Truncate():
                self._truncate(command, now)
            case Delete():
                self._delete(command, now)
            case Retrieve():
                self._retrieve(command, now)
        return False

    def _id(self, command: Addition, now: float) -> str:
        return command.item_id or self._stage.dialect.ids.item(now)

    def _add(self, item: Item, command: Addition, now: float) -> bool:
        conversation, traits = self._stage.conversation, self._stage.dialect.traits
        if (refused := misfit(item, command.after, command.event_id, conversation, traits)) is not None:
            self._stage.emit(refused, now)
            return False
        conversation.add(item, command.after)
        self._stage.emit(ItemAdded(item), now)
        return True

    def _add_message(self, command: AddMessage, now: float) -> bool:
        item = Item(self._id(command, now), "message", command.role, parts=list(command.parts))
        if not self._add(item, command, now):
            return False
        spoken = any(part.is_audio for part in command.parts)
        if not spoken:
            self._stage.ledger.text_items += 1
        if command.role == "assistant":
            self._inputs.answered()
        elif command.role == "user" and item.text:
            self._inputs.typed(item.text)
        elif command.role == "user" and spoken:
            self._inputs.heard(self._hear(self._inputs.turns_heard) or UNINTELLIGIBLE, 0)
        return True

    def _add_call(self, command: AddCall, now: float) -> bool:
        call_id = command.call_id or self._stage.dialect.ids.call(0)
        item = Item(self._id(command, now), "call", call_id=call_id, name=command.name, arguments=command.arguments)
        if not self._add(item, command, now):
            return False
        self._stage.ledger.text_items += 1
        self._inputs.called(call_id, command.name)
        return True

    def _add_result(self, command: AddResult, now: float) -> bool:
        item = Item(self._id(command, now), "result", call_id=command.call_id, output=command.output)
        if not self._add(item, command, now):
            return False
        self._inputs.result(command.call_id, command.output)
        return True

    def _approve(self, command: Approve, now: float) -> bool:
        """What was to be done is done with the next response; refused, it is a result that says so."""
        stage, request_id = self._stage, command.request_id
        if request_id not in stage.asked:
            stage.emit(Refused("approval_unknown", request_id, command.event_id), now)
            return False
        item = Item(self._id(command, now), "approval", output=command.reason)
        item.request_id, item.approved = request_id, command.approve
        if not self._add(item, command, now):
            return False
        call, *then = stage.asked.pop(request_id)
        assert isinstance(call, Hosted)
        if command.approve:
            stage.left.extend([replace(call, request_id=request_id), *then])
        else:
            told = {"approved": False, "reason": command.reason}
            self._inputs.declined(call.name, orjson.dumps(told).decode())
        return True

    def _delete(self, command: Delete, now: float) -> None:
        if self._stage.conversation.remove(command.item_id) is None:
            self._stage.emit(Refused("delete_unknown", command.item_id, command.event_id), now)
        else:
            self._stage.emit(ItemDeleted(command.item_id), now)

    def _retrieve(self, command: Retrieve, now: float) -> None:
        item = self._stage.conversation.get(command.item_id)
        if item is None:
            self._stage.emit(Refused("retrieve_unknown", command.item_id, command.event_id), now)
        else:
            self._stage.emit(ItemRetrieved(item), now)

    def _truncate(self, command: Truncate, now: float) -> None:
        item, traits = self._stage.conversation.get(command.item_id), self._stage.dialect.traits
        if (refused := untruncatable(item, command, traits)) is not None:
            self._stage.emit(refused, now)
            return
        assert item is not None
        item.keep(command.audio_end_ms, erase=traits.truncation_erases_text)
        self._stage.emit(ItemTruncated(item, command.content_index, command.audio_end_ms), now)
