"""The namespaces of one server: tests, or programs, that share a process and see nothing of each other.

Each has its own scenario, faults, accounts, sessions, journal, findings, ledger and clock. A client is in a namespace
by its key, by a client secret that was made with that key, or by the path of its address. Any other is in the root.
"""

from __future__ import annotations

import asyncio
import string
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from mockserver.dialects.handshake import Secret
from mockserver.faults.files import FaultFile
from mockserver.protocol.ids import stream
from mockserver.protocol.limits import Limits
from mockserver.server.accounts import Accounts, Team, digest
from mockserver.server.clock import rate_named
from mockserver.server.options import Options
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay
from mockserver.server.service import MockService
from mockserver.server.session_factory import Content, afresh
from mockserver.server.state.memory import MemoryState
from mockserver.server.state.port import StateLost
from replay.findings import Setting

MOST = 100
"""Namespaces besides the root at a time."""
IDLE_S = 1800.0
"""Seconds without a session or a request after which a namespace that a client made ends, when another one is made."""
JOURNAL_BYTES = 16 << 20
"""Bytes of a namespace's journal, at most."""
RESUMABLE_BYTES = 4 << 20
"""Text and audio of the conversations that a namespace keeps to be resumed."""
MOST_ENDED = 20_000
"""Keys, client secrets and ids of ended namespaces that are remembered, so that late clients do not reach the root."""
ID = "ns-[0-9]+"
"""A namespace's id, as a regular expression."""

KEY_ENDED = "The namespace of this key has ended. POST /_mock/namespaces makes one."
"""What a client hears whose namespace has ended."""
_KEY_DIGITS = string.ascii_letters + string.digits


class TooManyNamespaces(Exception):
    """There are as many namespaces as there may be."""


class NamespaceEnded(Exception):
    """A client asks for a namespace that has ended, or that never was."""


@dataclass(frozen=True, slots=True)
class Isolated:
    """What a namespace has of its own, as MockServer describes it. What is None is as at the server's start."""

    content: Content = None
    faults: FaultFile | None = None
    dialect: str | None = None
    pacing: str | None = None
    seed: str | None = None
    clock: str | None = None
    findings: Setting = None
    write_tools: tuple[str, ...] | None = None
    limits: Limits | None = None

    def over(self, options: Options) -> Options:
        """The options of the namespace, in a server of these options. Raises ValueError for an unknown value."""
        recorded = self.content.dialect if isinstance(self.content, AdaptiveReplay | VerbatimReplay) else None
        given: dict[str, Any] = {
            "dialect": self.dialect or recorded,
            "pacing": self.pacing,
            "seed": self.seed,
            "findings": self.findings,
            "write_tools": self.write_tools,
            "clock_rate": None if self.clock is None else rate_named(self.clock),
            "limits": None if self.limits is None else self.limits.over(options.limits),
            "journal_bytes": min(JOURNAL_BYTES, options.journal_bytes),
        }
        return replace(options, **{name: value for name, value in given.items() if value is not None})


@dataclass(slots=True, eq=False)
class Namespace:
    """One namespace besides the root.

    keys: by service, a key in the form of that service's; either puts a client here. held: a program holds it, so that
    it never ends for being idle. used: when it was used last, in seconds of the loop.
    """

    id: str
    service: MockService
    keys: Mapping[str, str]
    held: bool
    used: float

    @property
    def api_key(self) -> str:
        """The key for the namespace's dialect."""
        service = self.service.options.dialect.partition("@")[0]
        return self.keys["xai" if service in ("xai", "auto") else "openai"]


class _Placed(MemoryState):
    """The state of a namespace in a fleet: the other servers know which server has its client secrets."""

    def __init__(self, accounts: Accounts, root: MockService) -> None:
        super().__init__(accounts)
        self._root = root

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
        secret = await super().mint(team, prefix, seconds, now, digits=digits, session=session)
        await self._root.state.place([digest(secret.value).hex()], self._root.address, seconds)
        return secret


class Namespaces:
    """The root of a server, and its other namespaces. All but the constructor is for the loop that serves."""

    def __init__(self, root: MockService) -> None:
        self.root = root
        self._made = 0
        self._by_id: dict[str, Namespace] = {}
        self._by_key: dict[bytes, Namespace] = {}
        self._ended: OrderedDict[bytes, None] = OrderedDict()

    def __iter__(self) -> Iterator[Namespace]:
        return iter(list(self._by_id.values()))

    @property
    def busy(self) -> bool:
        """Whether a session is open."""
        return any(each.open_sessions for each in self.services)

    @property
    def services(self) -> list[MockService]:
        """Those of all namespaces, the root's first."""
        return [self.root, *(each.service for each in self)]

    async def open(self, isolated: Isolated, *, held: bool = False) -> Namespace:
        """Make a namespace. Raises ValueError for an unknown value, ScenarioError for a known clip that cannot be used,
        TooManyNamespaces, StateLost, and NamespaceEnded if the server is stopping."""
        root = self.root
        options = isolated.over(root.options)
        await self._end_idle()
        number = await root.state.number("namespaces")
        # Nothing below waits, so concurrent calls cannot make more than MOST.
        if root.over:
            raise NamespaceEnded("The server is stopping.")
        if len(self._by_id) >= MOST:
            raise TooManyNamespaces(f"{MOST} namespaces are open; end one with DELETE /_mock/namespaces/ID")
        self._made = self._made + 1 if number is None else number
        id = f"ns-{self._made}"
        random = stream(root.options.seed, f"namespaces/{id}")
        keys = {
            service: prefix + "".join(random.choices(_KEY_DIGITS, k=count))
            for service, prefix, count in (("xai", "xai-", 80), ("openai", "sk-", 48))
        }
        if not root.accounts.open:
            options = replace(options, api_keys=(*options.api_keys, *keys.values()))
        service = MockService(options, root.journal.log_type, root=root, name=id, resumable_bytes=RESUMABLE_BYTES)
        service.play(afresh(root.at_start.content) if isolated.content is None else isolated.content)
        if isolated.faults is None:
            service.set_faults(root.at_start.faults, root.at_start.faults_seed)
        else:
            service.set_faults(isolated.faults.faults, isolated.faults.seed)
        service.start()
        namespace = self._by_id[id] = Namespace(id, service, keys, held, _now())
        self._by_key.update((digest(key), namespace) for key in keys.values())
        if root.state.shared != "no":
            service.state = _Placed(service.accounts, root)
            await root.state.place([id, *(digest(key).hex() for key in keys.values())], root.address)
        return namespace

    def find(self, id: str) -> Namespace | None:
        """The namespace of that id, which counts as used now."""
        if (found := self._by_id.get(id)) is not None:
            found.used = _now()
        return found

    def of(self, id: str | None, credentials: Iterable[str]) -> MockService:
        """What serves a client, by the id in its address, or by what it sent that may be a key or a client secret.
        Raises NamespaceEnded."""
        if id is not None:
            if (found := self.find(id)) is None:
                raise NamespaceEnded(gone(id))
            return found.service
        if not self._made:
            return self.root
        for kept in map(digest, credentials):
            found = self._by_key.get(kept) or next(
                (each for each in self if kept in each.service.accounts.secrets), None
            )
            if found is not None:
                found.used = _now()
                return found.service
            if kept in self._ended:
                raise NamespaceEnded(KEY_ENDED)
        return self.root

    async def end(self, namespace: Namespace, closing_s: float) -> None:
        """End a namespace: its connections are closed (1001), and its keys and client secrets are refused."""
        if self._by_id.pop(namespace.id, None) is None:
            return
        keys = [digest(key) for key in namespace.keys.values()]
        for key in keys:
            del self._by_key[key]
        self._ended.update(dict.fromkeys((*keys, *namespace.service.accounts.secrets)))
        while len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        await namespace.service.stop("the namespace has ended", closing_s)
        with suppress(StateLost):  # then the store forgets it in time
            names = [namespace.id, *(each.hex() for each in (*keys, *namespace.service.accounts.secrets))]
            await self.root.state.place(names, None)

    async def _end_idle(self) -> None:
        before = _now() - IDLE_S
        for each in self:
            used = max(each.used, each.service.last_end)
            if used <= before and not each.held and not each.service.open_sessions:
                await self.end(each, 0.0)


def gone(id: str) -> str:
    """What a client hears of a namespace that has ended, or that never was."""
    return f"There is no namespace {id} (any more). POST /_mock/namespaces makes one."


def _now() -> float:
    return asyncio.get_running_loop().time()
