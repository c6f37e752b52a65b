"""What a session asks of the world around it, and has not got yet. Runs wait for it; see scheduler.py."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

from typing_extensions import assert_never

from mockserver.protocol.requests import (
    ChatCall,
    ChatEnded,
    ChatText,
    Failed,
    Request,
    Result,
    ToolAnswered,
    ToolsFound,
    Transcribed,
    Withdraw,
    Work,
)
from mockserver.session.scheduler import NEVER


@dataclass(slots=True, eq=False)
class Asked:
    """A request of the session, and its results that nobody has taken yet."""

    id: str
    over: bool = False
    """Its last result has arrived, or it is withdrawn."""
    arrived: deque[tuple[float, Result]] = field(default_factory=deque)

    def next(self, now: float) -> Generator[float, None, tuple[float, Result]]:
        """Wait for the next result. Returns it with the instant at which the waiting run goes on."""
        while not self.arrived:
            yield NEVER
        came, result = self.arrived.popleft()
        return max(now, came), result


class Requests:
    """The requests of one session."""

    def __init__(self) -> None:
        self._stated: list[Request] = []
        self._open: dict[str, Asked] = {}
        self._number = 0

    def ask(self, work: Callable[[str], Work]) -> Asked:
        """State a request; `work` makes it with the id that it gets."""
        self._number += 1
        asked = Asked(f"request_{self._number}")
        self._stated.append(work(asked.id))
        self._open[asked.id] = asked
        return asked

    def withdraw(self, asked: Asked) -> None:
        """Wait no longer. Nothing happens if the last result has come."""
        if self._open.pop(asked.id, None) is None:
            return
        asked.over = True
        before = len(self._stated)
        self._stated = [each for each in self._stated if each.id != asked.id]
        if len(self._stated) == before:
            self._stated.append(Withdraw(asked.id))

    @property
    def stated(self) -> bool:
        """Whether there is something to take."""
        return bool(self._stated)

    def take(self) -> list[Request]:
        """What was stated since the last call."""
        stated, self._stated = self._stated, []
        return stated

    def arrived(self, result: Result, now: float) -> bool:
        """A result came; returns whether somebody waits for it."""
        asked = self._open.get(result.id)
        if asked is None:
            return False
        match result:
            case ChatText() | ChatCall():
                pass
            case Transcribed() | ChatEnded() | ToolsFound() | ToolAnswered() | Failed():
                asked.over = True
                del self._open[result.id]
            case _:
                assert_never(result)
        asked.arrived.append((now, result))
        return True
