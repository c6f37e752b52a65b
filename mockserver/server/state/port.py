"""The port: what a server asks of the state that it may share with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from mockserver.dialects.handshake import Denied, Secret
from mockserver.responders.base import Responder
from mockserver.server.accounts import Team
from mockserver.session.resumption import Memory

Shared = Literal["no", "yes"]
Numbered = Literal["calls", "namespaces"]
"""What all servers of a fleet number together."""
Copies = Literal["none", "records", "rows"]
"""What an answer needs of the copies of servers that are gone: nothing, all but the frames, or all."""


class StateLost(Exception):
    """The state cannot be asked: its store does not answer."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Another server has the namespace of a request. address: where the others reach that server; None if the namespace
    has ended, or its server is gone."""

    address: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Seat:
    """An open session of a team, as the state counts it. `number`: that of the session among all of the fleet, from 0;
    None if the server numbers its sessions itself."""

    team: Team
    id: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Copied:
    """A conversation that is open and can be resumed, packed at the Unix second `now`; for `kept_s` seconds. Its
    connection opened at the Unix second `opened`."""

    team: Team
    id: str
    data: bytes
    opened: float
    now: float
    kept_s: float


@dataclass(frozen=True, slots=True)
class CopyUpdate:
    """What the copy of a server lacks, as JSON. begins: forget the copy that there is. records: by session id. dropped:
    ids of sessions that are no longer kept. rows: frames; empty without any. done: nothing more is known."""

    begins: bool
    records: Mapping[str, bytes]
    dropped: tuple[str, ...]
    rows: bytes
    conversations: tuple[Copied, ...]
    done: bool


@dataclass(frozen=True, slots=True)
class Copy:
    """What is left of a server that is gone: records by session id, and rows, as it packed them."""

    server: str
    records: Mapping[str, Any]
    rows: Sequence[Any]


class Member(Protocol):
    """What the state asks of its own server."""

    async def answer(self, question: Mapping[str, Any]) -> object:
        """The answer to a question of another server, as JSON has it."""

    async def follow(self, part: str, text: str | float | None) -> None:
        """Play what a client put on any server. `clock`: move a manual clock ahead to so many ms. Raises
        ValueError."""

    def answer_of(self, copy: Copy, question: Mapping[str, Any], *, current: bool) -> object:
        """The answer of a server that is gone. `current`: it played what clients put last."""

    def update(self, now: float, *, anew: bool) -> CopyUpdate:
        """What the copy of this server lacks at second `now` of a steady clock. `anew`: there is no copy."""

    def responder(self, scenario: str) -> Responder:
        """A responder for a conversation of another server, by the digest of its scenario."""


class State(Protocol):
    """Everything that must be true on each server at once. Each method that waits raises StateLost."""

    server: str
    """The name of this server among the others; empty for one alone."""
    shared: Shared
    """Whether other servers use it, too, and whether these have the same port."""

    async def start(self, member: Member) -> None:
        """Begin, on the loop that serves."""

    async def stop(self) -> None:
        """Give back all seats."""

    async def look(self, credentials: Iterable[str], namespace: str | None = None) -> Elsewhere | None:
        """Learn what other servers know of these credentials, before a request is answered. Returns who answers it, if
        they belong to a namespace of another server, or if the request names one."""

    async def place(self, names: Iterable[str], address: str | None, seconds: int | None = None) -> None:
        """Have the other servers find a namespace by these names, its id and digests of its credentials, at this
        server's address, for so many seconds; None once it has ended."""

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

    async def own_host(self) -> str:
        """The address of this machine in the network of the other servers."""

    async def number(self, what: Numbered) -> int | None:
        """The next number among all of the fleet, from 1; None if the server numbers them itself."""

    async def open_sessions(self, team: Team) -> int:
        """How many sessions of a team are open, on all servers."""

    def remember(self, team: Team, memory: Memory, now: float, kept_s: float) -> None:
        """Keep a conversation whose connection is over, for `kept_s` seconds, as `Accounts.remember` does."""

    async def recall(
        self, team: Team, conversation_id: str, own: Memory | None, now: float, kept_s: float
    ) -> Memory | None:
        """The conversation to resume, from the connection that had it last on any server. `own`: what this server
        knows of it."""

    async def ask_others(
        self, question: Mapping[str, Any], copies: Copies = "none", *, slow_s: float = 0.0, one: bool = False
    ) -> list[Any]:
        """The answers of all other servers, each as JSON has it; with those of servers that are gone, from their
        copies. `slow_s`: how long an answer may take, in s; 0 is at once. `one`: only until one answer is not None, and
        without those that do not come."""

    async def forget_past(self) -> None:
        """Forget the servers that are gone, and all counts."""

    async def count(self, names: Sequence[str]) -> list[int]:
        """Count one more under each name, over all servers; the counts, from 1."""

    async def put(self, part: str, text: str | None) -> None:
        """Have all servers, this one among them and those that start later, follow what a client put on this one.
        Nothing where there is one server."""

    async def change(self, part: str, changed: Callable[[str | None], str]) -> None:
        """As `put`, of what `changed` makes of what was put last, if anything was. No change of another server is
        lost."""

    async def advance(self, ms: float) -> None:
        """Have all servers, this one among them and those that start later, move their manual clocks ahead. Nothing
        where there is one server."""

    async def forget_put(self) -> None:
        """Have servers that start later play what they start with."""

    async def restart_numbers(self) -> None:
        """Number sessions and calls from the first again: none is open."""
