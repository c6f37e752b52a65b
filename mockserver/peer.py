"""The one seam: what the pump hosts, and what faults wrap. Nothing here knows sockets, clocks or JSON."""

from __future__ import annotations

from typing import Protocol

from replay.frames import Outgoing


class Peer(Protocol):
    """One end of one connection, driven from outside. `now` is seconds since the connection opened.

    A beat that is due at `now` happens before a message that arrives at `now`.
    """

    def receive(self, data: str | bytes, now: float) -> None:
        """A text (`str`) or binary (`bytes`) message arrived. Never raises for what a client sent."""

    def lost(self, now: float) -> None:
        """The client went away; nothing more will be taken."""

    def next_due(self) -> float | None:
        """When to call `take_output` next; None means only after input."""

    def take_output(self, now: float) -> list[Outgoing]:
        """Everything that happened up to and including `now`, oldest first, each frame once."""
