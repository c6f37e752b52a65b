"""What remains of a connection for one that resumes its conversation. Accounts keep it, and decide for how long."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.ids import Ids
from mockserver.responders.base import Responder
from mockserver.session.pending_input import PendingInput


@dataclass(frozen=True, slots=True)
class Memory:
    """A conversation, its responder, and the number of its spoken turns."""

    conversation: Conversation
    responder: Responder
    turns_heard: int
    opened: float | None = None
    """Unix second at which its connection opened; None if that is unknown."""

    def history(self, now: float | None) -> list[Item]:
        """The items that a connection at that Unix second gets back. A client that reconnects too soon gets a stale
        snapshot, without the last turn."""
        return self.conversation.history(None if now is None or self.opened is None else now - self.opened)


def bring_back(
    history: list[Item], conversation: Conversation, pending: PendingInput, ids: Ids, now: float
) -> Iterator[Item]:
    """Bring back what a conversation had, but not the session's settings. Yields what shows as events: only the
    assistant's messages, under new ids (recordings). The responder goes on where it was, even if the last turns are
    missing."""
    conversation.earlier = history
    for item in history:
        if item.kind == "call":
            pending.called(item.call_id, item.name)
        elif item.kind == "message" and item.role == "assistant" and item.text:
            again = item.repeated(ids.item(now))
            conversation.add(again)
            yield again
