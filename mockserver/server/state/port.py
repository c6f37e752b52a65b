"""The port: what a server asks of the state that it may share with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mockserver.dialects.handshake import Denied, Secret
from mockserver.server.accounts import Team

Shared = Literal["no", "yes", "port"]
Answer = Callable[[Mapping[str, Any]], object]
Follow = Callable[[str, str | None], None]


class StateLost(Exception):
    """The state cannot be asked: its store does not answer."""


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """An open session of a team, as the state counts it. `number`: that of the session among all of the fleet, from 0;
    None if the server numbers its sessions itself."""

    team: Team
    id: str = ""
    number: int | None = None


class State(Protocol):
    """Everything that must be true on each server at once. Each method that waits raises StateLost."""

    shared: Shared
    """Whether other servers use it, too, and whether these have the same port."""

    async def start(self, answer: Answer, follow: Follow) -> None:
        """Begin, on the loop that serves. `answer`: of this server to a question of another. `follow`: plays what a
        client put on another server."""

    async def stop(self) -> None:
        """Give back all seats."""

    async def look(self, credentials: Iterable[str]) -> None:
        """Learn what other servers know of these credentials, before a request is answered."""

    async def mint(
        self,
        team: Team,
        prefix: str,
        seconds: int,
        now: float,
        *,
        digits: tuple[int, str],
        session: Mapping[str, Any] | None,
    ) -> Secret:
        """A new client secret, as `Accounts.mint` makes it."""

    async def count_request(self, team: Team, now: float, per_minute: int | None) -> Denied | None:
        """Count a request of a team, as `Accounts.count_request` does."""

    async def take_seat(self, team: Team, most: int | None) -> Seat | Denied:
        """Count a session of a team until `leave`. Denied if `most` are open; None is no limit."""

    def leave(self, seat: Seat) -> None:
        """The session of a seat is over."""

    async def open_sessions(self, team: Team) -> int:
        """How many sessions of a team are open, on all servers."""

    async def ask_others(self, question: Mapping[str, Any]) -> list[Any]:
        """The answers of all other servers, each as JSON has it."""

    async def put(self, part: str, text: str | None) -> None:
        """Have all servers, also those that start later, follow what a client put on this one."""

    async def forget_put(self) -> None:
        """Have servers that start later play what they start with."""

    async def restart_numbers(self) -> None:
        """Number sessions from 0 again: none is open."""
