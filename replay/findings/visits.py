"""One connection among others: when it came and went, whether it was let in, and what it got done."""

from __future__ import annotations

from dataclasses import dataclass

from replay.findings.call import Call, Handshake

LET_IN = 101


@dataclass(slots=True)
class Visit:
    """Times are seconds of the clock that all connections share."""

    handshake: Handshake
    at: float
    status: int = LET_IN
    retry_after_s: float | None = None
    conversation: str = ""
    closed_at: float | None = None
    turns: int = 0
    """Of the caller's that got a reply."""
    hung_up: bool = False
    """The client closed it, and waited for nothing: it was not lost."""

    @property
    def limited(self) -> bool:
        """Turned away for coming too often."""
        return self.status == 429

    def end(self, at: float, call: Call) -> None:
        """It is over, `at` seconds after it opened."""
        self.closed_at, self.turns = self.at + at, call.turns
        self.hung_up = self.hung_up and call.active is None and call.asked is None
        self.conversation = call.conversation or self.conversation
        if not call.responses and call.last_error.get("code") == "rate_limit_exceeded":
            self.status = 429  # OpenAI opens the socket to say so
