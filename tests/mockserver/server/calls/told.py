"""A caller's side that writes down what it learns of its call."""

from __future__ import annotations

from mockserver.server.calls.running_call import RunningCall


class Told:
    """`refuses`: the SIP status with which every destination refuses the caller; None if it answers."""

    def __init__(self, refuses: int | None = None) -> None:
        self.learned: list[str] = []
        self.refuses = refuses

    def on_accepted(self, call: RunningCall) -> None:
        self.learned.append("accepted")

    def on_rejected(self, status: int) -> None:
        self.learned.append(f"rejected {status}")

    async def on_referred(self, uri: str) -> int | None:
        self.learned.append(f"referred {uri}")
        return self.refuses

    def on_ended(self, reason: str) -> None:
        self.learned.append(f"ended: {reason}")

    def as_json(self) -> None:
        """Nothing to show."""
