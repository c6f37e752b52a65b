"""The accounts of one namespace: API keys and their teams, client secrets, limits, conversations that can be resumed.

In memory and bounded. There is no clock: `now` is an argument, in Unix seconds. How a refusal looks is up to the
dialect's handshake.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections import OrderedDict, deque
from collections.abc import Iterable, KeysView, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mockserver.dialects.handshake import Denied, Secret
from mockserver.protocol.ids import stream
from mockserver.protocol.limits import NO_LIMITS, Limits
from mockserver.server.options import Account, AccountsFile
from mockserver.session.resumption import Memory

MAX_REMEMBERED = 10_000
"""Teams, client secrets, and conversations of all teams that are kept; the oldest are dropped first."""
RESUMABLE_BYTES = 64 << 20
"""Text and audio of the conversations that the root keeps, of all teams together. The newest is kept in any case."""
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(slots=True, eq=False)
class Team:
    """The state of one team: of one API key, or of all keys of an account. It does not hold a key."""

    name: str = ""
    blocked: bool = False
    limits: Limits = NO_LIMITS
    """The limits of this team alone."""
    sessions: int = 0
    """Sessions that are open now."""
    recent: deque[float] = field(default_factory=deque)
    """Unix times of the requests in the last minute."""
    id: bytes = b""
    """The digest of its first key."""


@dataclass(frozen=True, slots=True)
class _Resumable:
    """A conversation that can be resumed: the Unix times of its last use and of its end, and its size in bytes."""

    memory: Memory
    used: float
    expires: float
    size: int


class Accounts:
    """The accounts of one namespace. If no key is known, or only blocked ones, every non-empty key has its own team.

    Credentials are kept as SHA-256 digests, so that looking one up tells nothing about another by its timing.
    """

    def __init__(
        self,
        *,
        keys: Iterable[str] = (),
        blocked: Iterable[str] = (),
        file: AccountsFile | None = None,
        seed: str,
        resumable_bytes: int = RESUMABLE_BYTES,
    ) -> None:
        single = [Account((key,)) for key in keys] + [Account((key,), blocked=True) for key in blocked]
        self._known = [
            (digest(key), team)
            for account in [*(file.accounts if file else ()), *single]
            for team in [Team(account.name, account.blocked, account.limits, id=digest(account.keys[0]))]
            for key in account.keys
        ]
        self.open = all(team.blocked for _, team in self._known)
        """Whether every non-empty key is accepted."""
        self._teams: OrderedDict[bytes, Team] = OrderedDict()
        self._secrets: OrderedDict[bytes, tuple[Team, Secret]] = OrderedDict()
        self._resumable: OrderedDict[tuple[Team, str], _Resumable] = OrderedDict()
        """By team and id, in the order of their last use."""
        self.most_resumable_bytes = resumable_bytes
        self.resumable_bytes = 0
        """Text and audio of the conversations that are kept."""
        self._seed = seed
        self._rng = stream(seed, "client secrets")

    def owner(self, key: str | None) -> Team | Denied:
        """The team of an API key. A client secret is none."""
        if not key:
            return Denied("missing")
        kept = digest(key)
        return Denied("wrong") if kept in self._secrets else self._owner(kept)

    def _owner(self, kept: bytes) -> Team | Denied:
        if (team := self._known_by(kept)) is not None:
            return Denied("blocked") if team.blocked else team
        return self._team(kept) if self.open else Denied("wrong")

    def bearer(self, credential: str | None, now: float) -> Team | Denied:
        """The team of an API key, or of a client secret that has not expired."""
        if not credential:
            return Denied("missing")
        kept = digest(credential)
        if (known := self._secrets.get(kept)) is not None:
            team, secret = known
            return team if now < secret.expires_at else Denied("wrong")
        return self._owner(kept)

    def mint(
        self,
        team: Team,
        prefix: str,
        seconds: int,
        now: float,
        *,
        digits: tuple[int, str] = (80, _ALPHABET),
        session: Mapping[str, Any] | None = None,
        number: int | None = None,
    ) -> Secret:
        """A new client secret of the team, valid for `seconds`. `digits` is how many characters follow the prefix, and
        from which alphabet. `session` is the configuration that the request for the secret named. `number`: that of
        the secret, where several servers share one seed."""
        count, alphabet = digits
        rng = self._rng if number is None else stream(self._seed, f"client secrets/{number}")
        value = prefix + "".join(rng.choices(alphabet, k=count))
        secret = Secret(value, int(now) + seconds, session)
        self.keep_secret(digest(value), team, secret)
        return secret

    def keep_secret(self, kept: bytes, team: Team, secret: Secret) -> None:
        """Accept a client secret, by its digest."""
        self._secrets[kept] = (team, replace(secret, value=""))
        while len(self._secrets) > MAX_REMEMBERED:
            self._secrets.popitem(last=False)

    def team(self, id: bytes) -> Team | None:
        """The team of that id; None if these accounts have no such team."""
        return next((team for _, team in self._known if team.id == id), self._team(id) if self.open else None)

    @property
    def secrets(self) -> KeysView[bytes]:
        """The digests of the client secrets that are kept."""
        return self._secrets.keys()

    def session_of(self, credential: str | None) -> Mapping[str, Any] | None:
        """The session configuration that a client secret was made for."""
        if not credential or not self._secrets:
            return None
        _, secret = self._secrets.get(digest(credential), (None, None))
        return secret.session if secret is not None else None

    def count_request(self, team: Team, now: float, per_minute: int | None) -> Denied | None:
        """Count a request. Denied if there were `per_minute` in the last minute; None is no limit."""
        if per_minute is None:
            return None
        while team.recent and team.recent[0] <= now - 60:
            team.recent.popleft()
        if len(team.recent) >= per_minute:
            return Denied("rate", math.ceil(team.recent[0] + 60 - now) if team.recent else 60)
        team.recent.append(now)
        return None

    def begin_session(self, team: Team, most: int | None) -> Denied | None:
        """Count a session of the team until `end_session`. Denied if `most` are open; None is no limit."""
        if most is not None and team.sessions >= most:
            return Denied("crowded", 1)  # when a session will end is unknown
        team.sessions += 1
        return None

    def end_session(self, team: Team) -> None:
        """A session of the team is over."""
        team.sessions -= 1

    @property
    def counts(self) -> Mapping[str, int]:
        """How many conversations, client secrets and teams are kept."""
        return {"resumable": len(self._resumable), "secrets": len(self._secrets), "teams": len(self._teams)}

    def remember(self, team: Team, memory: Memory, now: float, kept_s: float) -> None:
        """Keep a conversation for its team to resume, for `kept_s` seconds at most. A connection that opened
        later may have gone on with it meanwhile: then that one's is kept."""
        key = team, memory.conversation.id
        before = self._resumable.get(key)
        if before is not None and (before.memory.opened or 0.0) > (memory.opened or 0.0) and before.expires > now:
            return
        if (known := self._resumable.pop(key, None)) is not None:
            self.resumable_bytes -= known.size
        kept = _Resumable(memory, now, now + kept_s, memory.conversation.size)
        self._resumable[key] = kept
        self.resumable_bytes += kept.size
        while len(self._resumable) > 1:
            oldest = next(iter(self._resumable))
            full = self.resumable_bytes > self.most_resumable_bytes or len(self._resumable) > MAX_REMEMBERED
            if not full and self._resumable[oldest].expires > now:
                break
            self._forget(oldest)

    def recall(self, team: Team, conversation_id: str, now: float, kept_s: float) -> Memory | None:
        """The conversation of that id; None for another team's, or if its last use is `kept_s` seconds ago."""
        kept = self._resumable.get((team, conversation_id))
        if kept is not None and now - kept.used >= kept_s:
            self._forget((team, conversation_id))
            return None
        return None if kept is None else kept.memory

    def _forget(self, key: tuple[Team, str]) -> None:
        if (kept := self._resumable.pop(key, None)) is not None:
            self.resumable_bytes -= kept.size
            kept.memory.conversation.release()

    def _known_by(self, kept: bytes) -> Team | None:
        """Compares with every known key, so that the time does not depend on which one it is. The last match counts."""
        found = [team for known, team in self._known if hmac.compare_digest(kept, known)]
        return found[-1] if found else None

    def _team(self, kept: bytes) -> Team:
        if (team := self._teams.get(kept)) is None:
            team = self._teams[kept] = Team(id=kept)
            if len(self._teams) > MAX_REMEMBERED:
                self._teams.popitem(last=False)
        else:
            self._teams.move_to_end(kept)
        return team


def digest(credential: str) -> bytes:
    """What is kept of a credential."""
    return hashlib.sha256(credential.encode(errors="surrogateescape")).digest()  # headers may hold any byte
