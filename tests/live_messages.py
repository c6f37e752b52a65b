"""Single messages of a live connection, read as the server reads them, and told to who follows it."""

from __future__ import annotations

from replay.cassette.frames import Binary, Outgoing, Text
from replay.findings.messages import Follower, Messages


def sent(follower: Follower, at: float, data: str | bytes) -> None:
    """The client sends a message."""
    Messages(follower).sent(at, data)


def received(follower: Follower, at: float, frame: Text | Binary) -> None:
    """The server sends a message."""
    Messages(follower).received([Outgoing(at, frame)])
