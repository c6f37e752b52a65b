"""The state of one server alone: its own accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from mockserver.dialects.handshake import Denied, Secret
from mockserver.server.accounts import Accounts, Team
from mockserver.server.state.port import Copies, Member, Numbered, Seat, Shared
from mockserver.session.resumption import Memory


class MemoryState:
    """Implements `State` without a store. Nothing waits."""

    server = ""
    shared: Shared = "no"

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def start(self, member: Member) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def look(self, credentials: Iterable[str], namespace: str | None = None) -> None:
        """Nothing to do: the accounts know all."""

    async def place(self, names: Iterable[str], address: str | None, seconds: int | None = None) -> None:
        """Nothing to do: there is no other server."""

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
        return self._accounts.mint(team, prefix, seconds, now, digits=digits, session=session)

    async def count_request(self, team: Team, now: float, per_minute: int | None) -> Denied | None:
        return self._accounts.count_request(team, now, per_minute)

    async def take_seat(self, team: Team, most: int | None) -> Seat | Denied:
        return self._accounts.begin_session(team, most) or Seat(team)

    def leave(self, seat: Seat) -> None:
        self._accounts.end_session(seat.team)

    async def own_host(self) -> str:
        raise AssertionError("a server alone has nobody to reach it")

    async def number(self, what: Numbered) -> int | None:
        return None

    async def open_sessions(self, team: Team) -> int:
        return team.sessions

    def remember(self, team: Team, memory: Memory, now: float, kept_s: float) -> None:
        self._accounts.remember(team, memory, now, kept_s)

    async def recall(
        self, team: Team, conversation_id: str, own: Memory | None, now: float, kept_s: float
    ) -> Memory | None:
        return own

    async def ask_others(
        self, question: Mapping[str, Any], copies: Copies = "none", *, slow_s: float = 0.0, one: bool = False
    ) -> list[Any]:
        return []

    async def forget_past(self) -> None:
        """Nothing to do."""

    async def count(self, names: Sequence[str]) -> list[int]:
        raise AssertionError("a server alone counts for itself")

    async def put(self, part: str, text: str | None) -> None:
        """Nothing to do: there is no other server."""

    async def change(self, part: str, changed: Callable[[str | None], str]) -> None:
        """Nothing to do."""

    async def advance(self, ms: float) -> None:
        """Nothing to do."""

    async def forget_put(self) -> None:
        """Nothing to do."""

    async def restart_numbers(self) -> None:
        """Nothing to do: `MockService.reset` does it."""
