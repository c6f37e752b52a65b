"""What outlives a connection, for one that resumes its conversation. Who keeps it, and how long, is accounts.py."""

from __future__ import annotations

from dataclasses import dataclass

from mockserver.protocol.conversation import Conversation, Item
from mockserver.responders.base import Responder


@dataclass(frozen=True, slots=True)
class Memory:
    """A conversation, who answered in it, and how many spoken turns it has."""

    conversation: Conversation
    responder: Responder
    turns_heard: int
    opened: float | None = None
    """Unix second from which its instants count; None when nobody counts."""

    def history(self, now: float | None) -> list[Item]:
        """What is remembered of it at that Unix second. Somebody who is back too soon gets a stale snapshot: the last
        turn is not in it yet."""
        return self.conversation.history(None if now is None or self.opened is None else now - self.opened)
