"""What remains of a connection for one that resumes its conversation. Accounts keep it, and decide for how long."""

from __future__ import annotations

from dataclasses import dataclass

from mockserver.protocol.conversation import Conversation, Item
from mockserver.responders.base import Responder


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
