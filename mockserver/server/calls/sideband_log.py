"""What the server remembers of a socket beside a call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mockserver.protocol.peer import FaultNote
from replay.cassette.frames import Close, Frame, Outgoing
from replay.findings.watch import Watch


class SidebandLog:
    """One socket on the session of a call: when it was open, and how many messages crossed it. The events themselves
    are in the session's own log."""

    def __init__(self, id: str, opened: float) -> None:
        self.id = id
        self.watch: Watch | None = None
        """The session's own log has it."""
        self.opened = opened
        """Unix time in seconds."""
        self.closed_s: float | None = None
        """Seconds after it opened; None while it is open."""
        self.close_code: int | None = None
        self.by_client = False
        """The client closed it."""
        self.messages_in = self.messages_out = 0

    def inbound(self, at: float, data: str | bytes | Close) -> None:
        """A message came in."""
        self.messages_in += not isinstance(data, Close)

    def outbound(self, at: float, frame: Frame) -> None:
        """It ends: that is told with `ended`."""

    def struck(self, at: float, note: FaultNote) -> None:
        """Faults are in the log of the session."""

    def written(self, messages: Sequence[Outgoing], wire: bytes) -> None:
        """Messages go out in one write."""
        self.messages_out += len(messages)

    def hung_up(self) -> None:
        """The client closes first."""
        self.by_client = True

    def ended(self, at: float, code: int, reason: str = "") -> None:
        """The socket is closed."""
        self.closed_s, self.close_code = at, code

    def as_json(self) -> dict[str, Any]:
        """As the control plane shows it."""
        return {
            "opened": self.opened,
            "open": self.closed_s is None,
            "closed_s": None if self.closed_s is None else round(self.closed_s, 6),
            "close_code": self.close_code,
            "messages_in": self.messages_in,
            "messages_out": self.messages_out,
        }
