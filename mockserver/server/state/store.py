"""The state of a fleet, in Redis or Valkey. It needs the extra `fleet`."""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import socket
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

import orjson
from redis import Redis as Store
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as TimedOut

from mockserver.dialects.handshake import Denied, Secret
from mockserver.server.accounts import MAX_REMEMBERED, RESUMABLE_BYTES, Accounts, Team, digest
from mockserver.server.state import conversations, scripts
from mockserver.server.state.copies import DAY_S, PREFIX, CopyStore
from mockserver.server.state.port import Copied, Copies, Elsewhere, Member, Numbered, Seat, Shared, StateLost
from mockserver.server.state.questions import Questions
from mockserver.session.resumption import Memory
from replay.outlets import logger

TIMEOUT_S = 1.0
"""Seconds that the store may take to connect or to answer."""
LEASE_MS = 3000
"""How long a server counts as alive after it renewed its lease, in ms."""
PORT = 6379
"""The port of a store whose address names none."""
RENEW_S = 1.0
"""Seconds between two renewals."""
STATE_EVERY = 10
"""Renewals after which a server states all of its seats again, in case that an answer was lost."""
FOLLOW_S = 60.0
"""Seconds that other servers may take to follow; a manual clock stops at each wake-up on its way."""
CLOCK = "clock"
"""What follows the sum of all advances, in ms."""
COPY_S = 0.25
"""Seconds between two updates of the copy of this server."""
CONNECTIONS, FOR_CLIENTS = 16, 10
"""Connections to the store, at most; and how many of them requests of clients use at a time. Others wait for these, so
that a crowd of them holds up neither the lease nor the answers to other servers."""
_SECRETS, _SECRETS_ORDER = f"{PREFIX}secrets", f"{PREFIX}secrets-order"
_SESSION_NUMBER, _SECRET_NUMBER = f"{PREFIX}sessions", f"{PREFIX}secrets-made"
_NUMBERS: Mapping[Numbered, str] = {"calls": f"{PREFIX}calls", "namespaces": f"{PREFIX}namespaces"}
_PLACE = f"{PREFIX}place:"
PLACED_S = 30 * DAY_S
"""How long a namespace is found at its server, in s."""
_CONVERSATIONS = tuple(f"{PREFIX}conversations{part}" for part in ("", "-order", "-size", "-opened"))
_ALIVE = f"{PREFIX}alive:"
_FLEET = f"{PREFIX}fleet"
_PUT, _VERSION, _COUNTS = f"{PREFIX}put", f"{PREFIX}version", f"{PREFIX}counts"
_FAILURES = (RedisError, OSError, RuntimeError, AttributeError)
"""What the client raises if the store is gone. The last two: uvloop and asyncio do not write to a connection that was
reset."""
_LOG = logger(__name__)

T = TypeVar("T")


class StoreState:
    """Implements `State` over a store. `url` is such as `redis://127.0.0.1:6379/0`; the number names a database, and
    each fleet needs one of its own. `by_store_clock`: the last minute, in which requests are counted, is that of the
    store and not of the server that counts. Raises ValueError for an address that is none."""

    def __init__(self, url: str, accounts: Accounts, *, by_store_clock: bool = False) -> None:
        self._place = place = urlsplit(url)
        if place.scheme in ("redis", "rediss") and not re.fullmatch(r"/?|/\d+", place.path):
            raise ValueError("the number of a database has to follow the host: redis://HOST:6379/0")
        self._accounts = accounts
        self._by_store_clock = by_store_clock
        self.shared: Shared = "yes"
        self.server = secrets.token_hex(8)
        """The name of this server in the store."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1, (ConnectionLost,)),
        )
        self._redis: Any = Redis.from_pool(pool)  # its types name both of its clients, so that none fits
        register: Callable[[str], Any] = self._redis.register_script
        self._take, self._leave, self._open = map(register, (scripts.TAKE, scripts.LEAVE, scripts.OPEN))
        self._state_seats, self._raise = map(register, (scripts.STATE_SEATS, scripts.RAISE))
        self._count_request, self._keep_secret = map(register, (scripts.COUNT_REQUEST, scripts.KEEP_SECRET))
        self._copies = CopyStore(self._redis, self.server)
        self._keep_conversation, self._put_if = map(register, (scripts.KEEP_CONVERSATION, scripts.PUT_IF))
        self._held: defaultdict[bytes, set[str]] = defaultdict(set)
        """The ids of the seats that are taken, by team."""
        self._wanted: defaultdict[bytes, set[str]] = defaultdict(set)
        """Those that the store is asked for."""
        self._taken = self._asked = 0
        self._sessions = self._minted = 0
        """The least number that the next session and the next secret may have."""
        self._numbered: dict[Numbered, int] = {"calls": 0, "namespaces": 0}
        """The largest numbers that this server got."""
        self._room = asyncio.Semaphore(FOR_CLIENTS)
        self._questions = Questions(self._redis, self.server, self._others, self, self._room)
        self._there = True
        """Whether the store answered last time. While it does not, nobody waits for it."""
        self._running: list[asyncio.Task[None]] = []
        self._followed: dict[str, str] = {}
        """What this server plays of what clients put on any, as the store has it."""
        self._following = asyncio.Lock()
        self._version = 0
        """The version of it."""
        self._going_on: set[asyncio.Task[None]] = set()
        """What the store is told meanwhile."""

    async def start(self, member: Member) -> None:
        self._member = member
        try:
            await self._renewed(all_seats=True)
        except _FAILURES as problem:
            self._lost(problem)
        loop = asyncio.get_running_loop()
        self._running = [loop.create_task(each()) for each in (self._renew, self._listen, self._copy)]

    async def stop(self) -> None:
        self._questions.stop()
        while self._running:  # the client swallows a cancellation that comes as its connection is lost: cancel again
            for each in self._running:
                each.cancel()
            _, left = await asyncio.wait(self._running, timeout=RENEW_S)
            self._running = list(left)
        if self._going_on:
            await asyncio.wait(self._going_on, timeout=TIMEOUT_S)
        try:
            for held in self._held.values():
                held.clear()
            await self._stated()
            await self._copied()
            await self._redis.delete(_ALIVE + self.server)
            await self._redis.srem(_FLEET, self.server)
            if not await self._others():
                await self._copies.forget(await self._copies.names())
        except _FAILURES:
            pass  # the lease ends by itself
        await self._redis.aclose(close_connection_pool=True)

    async def look(self, credentials: Iterable[str], namespace: str | None = None) -> Elsewhere | None:
        known = self._accounts.secrets
        unknown = [kept for each in credentials if each and (kept := digest(each)) not in known]
        names = [_PLACE + name for name in ([namespace] if namespace else [kept.hex() for kept in unknown])]
        asked = self._redis.pipeline(transaction=False).get(_VERSION).mget(_VERSION, *names)
        version, places, *records = await self._asking((asked.hmget(_SECRETS, unknown) if unknown else asked).execute())
        await self._asking(self._follow_to(int(version or 0)))
        self._learn_secrets(unknown, records[0] if records else ())
        place = next((each.decode() for each in places[1:] if each is not None), None)
        if place is None:
            return None
        server, _, address = place.partition(" ")
        there = bool(address) and await self._asking(self._redis.exists(_ALIVE + server))
        return None if server == self.server and address else Elsewhere(address if there else None)

    async def place(self, names: Iterable[str], address: str | None, seconds: int | None = None) -> None:
        told, kept_s = self._redis.pipeline(transaction=False), DAY_S if address is None else seconds or PLACED_S
        for name in names:
            told.set(_PLACE + name, f"{self.server} {address or ''}", ex=kept_s)
        await self._asking(told.execute())

    def _learn_secrets(self, digests: Sequence[bytes], records: Iterable[bytes | None]) -> None:
        for kept, found in zip(digests, records, strict=True):
            if found is None:
                continue
            record = orjson.loads(found)
            if (team := self._accounts.team(bytes.fromhex(record["team"]))) is not None:
                self._accounts.keep_secret(kept, team, Secret("", record["expires_at"], record["session"]))

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
        number = await self._asking(self._redis.incr(_SECRET_NUMBER))
        self._minted = max(self._minted, number)
        secret = self._accounts.mint(team, prefix, seconds, now, digits=digits, session=session, number=number)
        record = orjson.dumps({"team": team.id.hex(), "expires_at": secret.expires_at, "session": secret.session})
        keys, kept = [_SECRETS, _SECRETS_ORDER], digest(secret.value)
        await self._asking(self._keep_secret(keys=keys, args=[kept, record, number, MAX_REMEMBERED]))
        return secret

    async def count_request(self, team: Team, now: float, per_minute: int | None) -> Denied | None:
        if per_minute is None:
            return None
        self._asked += 1
        args = ["" if self._by_store_clock else now, f"{self.server}/{self._asked}", per_minute]
        over, retry_s = await self._asking(self._count_request(keys=[f"{PREFIX}rate:{team.id.hex()}"], args=args))
        return Denied("rate", max(1, math.ceil(float(retry_s)))) if over else None

    async def take_seat(self, team: Team, most: int | None) -> Seat | Denied:
        self._taken += 1
        id = str(self._taken)
        self._wanted[team.id].add(id)  # so that a statement meanwhile does not drop it
        servers, seats = _of_team(team.id)
        keys, args = [servers, _SESSION_NUMBER, seats, _ALIVE], [self.server, id, -1 if most is None else most]
        try:
            number = await self._asking(self._take(keys=keys, args=args))
            if number == scripts.NO_LEASE:
                await self._asking(self._renewed(all_seats=True))
                number = await self._asking(self._take(keys=keys, args=args))
        except BaseException:  # also if the client does not wait
            self._give_back(Seat(team, id))
            raise
        finally:
            self._wanted[team.id].discard(id)
        if number == scripts.NO_SEAT:
            return Denied("crowded", 1)  # when a session will end is unknown
        self._held[team.id].add(id)
        self._sessions = max(self._sessions, number + 1)
        team.sessions += 1
        return Seat(team, id, number)

    def leave(self, seat: Seat) -> None:
        self._held[seat.team.id].discard(seat.id)
        seat.team.sessions -= 1
        self._give_back(seat)

    async def own_host(self) -> str:
        if self._place.hostname is None:  # a socket of this machine
            return "127.0.0.1"
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._place.hostname, self._place.port or PORT, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(address)  # sends nothing: the kernel picks the address from which it would
            return str(probe.getsockname()[0])

    async def number(self, what: Numbered) -> int | None:
        number = int(await self._asking(self._redis.incr(_NUMBERS[what])))
        self._numbered[what] = max(self._numbered[what], number)
        return number

    async def open_sessions(self, team: Team) -> int:
        return int(await self._asking(self._open(keys=[*_of_team(team.id), _ALIVE])))

    def remember(self, team: Team, memory: Memory, now: float, kept_s: float) -> None:
        self._accounts.remember(team, memory, now, kept_s)
        if self._there and kept_s > 0 and (data := conversations.packed(memory)) is not None:
            copied = Copied(team, memory.conversation.id, data, memory.opened or 0.0, now, kept_s)
            self._meanwhile(self._keep_conversation(**_kept_conversation(copied)))

    async def recall(
        self, team: Team, conversation_id: str, own: Memory | None, now: float, kept_s: float
    ) -> Memory | None:
        if kept_s <= 0:
            return own
        name = f"{team.id.hex()}/{conversation_id}"
        question = {"what": "conversation", "team": team.id.hex(), "id": conversation_id, "kept_s": kept_s}
        found = [each for each in await self.ask_others(question) if each is not None]
        expires = await self._asking(self._redis.zscore(_CONVERSATIONS[1], name))
        if expires is not None and now < expires:  # its server may be gone
            found.append(await self._asking(self._redis.hget(_CONVERSATIONS[0], name)))
        known = [conversations.unpacked(each, self._member.responder) for each in found if each is not None]
        return max([*([] if own is None else [own]), *known], key=lambda each: each.opened or 0.0, default=None)

    async def ask_others(
        self, question: Mapping[str, Any], copies: Copies = "none", *, slow_s: float = 0.0, one: bool = False
    ) -> list[Any]:
        if not self._there:
            raise StateLost
        try:
            found = await self._questions.ask(question, slow_s=slow_s, one=one)
        except _FAILURES as problem:
            await self._failed(problem)
            raise StateLost from problem
        if copies != "none":
            await self._asking(self._add_copies(found, question, rows=copies == "rows"))
        return list(found.values())

    async def _add_copies(self, found: dict[str, Any], question: Mapping[str, Any], *, rows: bool) -> None:
        for each in await self._gone():
            if each not in found:
                copy, version = await self._copies.read(each, rows=rows)
                current = version == self._version  # in a thread: 8 MiB of frames take 0.3 s, and calls go on meanwhile
                found[each] = await asyncio.to_thread(self._member.answer_of, copy, question, current=current)

    async def count(self, names: Sequence[str]) -> list[int]:
        told = self._redis.pipeline(transaction=False)
        for name in names:
            told.hincrby(_COUNTS, name)
        counts = await self._asking(told.expire(_COUNTS, DAY_S).execute())
        return [int(each) for each in counts[: len(names)]]

    async def forget_past(self) -> None:
        await self._asking(self._redis.delete(_COUNTS))
        await self._asking(self._copies.forget(await self._asking(self._gone())))

    async def _gone(self) -> list[str]:
        """The servers that are gone and left a copy, the one that lived last first."""
        return [each for each in await self._copies.names() if not await self._redis.exists(_ALIVE + each)]

    async def _others(self) -> set[str]:
        """The other servers that are alive."""
        names = {name.decode() for name in await self._redis.smembers(_FLEET)} - {self.server}
        for name in tuple(names):
            if not await self._redis.exists(_ALIVE + name):
                names.discard(name)
                await self._redis.srem(_FLEET, name)
        return names

    async def put(self, part: str, text: str | None) -> None:
        told = self._redis.pipeline().hset(_PUT, part, orjson.dumps(text)).incr(_VERSION)
        await self._changed((await self._asking(told.execute()))[-1])

    async def change(self, part: str, changed: Callable[[str | None], str]) -> None:
        version = 0
        while not version:
            known = await self._asking(self._redis.hget(_PUT, part)) or b""
            text = orjson.dumps(changed(orjson.loads(known) if known else None))
            version = await self._asking(self._put_if(keys=[_PUT, _VERSION], args=[part, known, text]))
        await self._changed(version)

    async def advance(self, ms: float) -> None:
        told = self._redis.pipeline().hincrbyfloat(_PUT, CLOCK, ms).incr(_VERSION)
        await self._changed((await self._asking(told.execute()))[-1])

    async def forget_put(self) -> None:
        told = self._redis.pipeline().hdel(_PUT, "scenario", "faults").incr(_VERSION)
        await self._changed((await self._asking(told.execute()))[-1])

    async def restart_numbers(self) -> None:
        await self._asking(self._redis.mset({_SESSION_NUMBER: 0, _NUMBERS["calls"]: 0}))
        self._sessions = self._numbered["calls"] = 0
        await self.ask_others({"what": "restart numbers"})

    async def _changed(self, version: int) -> None:
        """Let all servers follow, open sessions too, before the client has its answer."""
        await self._asking(self._follow_to(version))
        await self.ask_others({"what": "follow"}, slow_s=FOLLOW_S)

    async def _follow_to(self, version: int) -> None:
        if version != self._version:
            async with self._following:
                await self._followed_to(version)

    async def _followed_to(self, version: int) -> None:
        if version == self._version:  # another request did it meanwhile
            return
        if version < self._version:  # the store lost it
            if self._followed:
                await self._redis.hset(_PUT, mapping=self._followed)
            await self._redis.set(_VERSION, self._version)
            return
        put = {part.decode(): kept.decode() for part, kept in (await self._redis.hgetall(_PUT)).items()}
        for part, kept in put.items():
            if self._followed.get(part) != kept:
                try:
                    await self._member.follow(part, orjson.loads(kept))
                except ValueError as problem:
                    _LOG.error("this server cannot play what a client put on another: %s", problem)
        self._followed, self._version = put, version

    async def _listen(self) -> None:
        """Answer the questions of other servers."""
        while True:
            try:
                await self._questions.hear()
            except _FAILURES:
                await asyncio.sleep(RENEW_S)
            except Exception as error:  # the server that asks gets no answer, and says so
                _LOG.error("error inside the mock at a question of another server", exc_info=error)

    async def reply(self, question: Mapping[str, Any]) -> object:
        """The answer to a question of another server."""
        match question["what"]:
            case "restart numbers":
                self._sessions = self._numbered["calls"] = 0
            case "follow":
                await self._follow_to(int(await self._redis.get(_VERSION) or 0))
            case _:
                return await self._member.answer(question)
        return None

    async def _copy(self) -> None:
        """Keep the copy of this server up to date."""
        while True:
            await asyncio.sleep(COPY_S)
            if self._there:
                try:
                    await self._copied()
                except _FAILURES:
                    self._copies.lost = True  # what the store has of it is unknown

    async def _copied(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            try:
                update = self._member.update(now(), anew=self._copies.lost)
            except Exception as error:
                self._copies.lost = True
                _LOG.error("error inside the mock while sessions are copied to the store", exc_info=error)
                return
            await self._copies.write(update, self._version)
            for each in update.conversations:
                await self._keep_conversation(**_kept_conversation(each))
            if update.done:
                return

    def _give_back(self, seat: Seat) -> None:
        """Tell the store meanwhile. If it does not hear it, the next statement says so."""
        if self._there:
            self._meanwhile(self._leave(keys=_of_team(seat.team.id), args=[self.server, seat.id]))

    def _meanwhile(self, told: Coroutine[Any, Any, object]) -> None:
        """Tell the store something that nobody waits for."""

        async def tell() -> None:
            try:
                async with self._room:
                    await told
            except _FAILURES:
                pass

        task = asyncio.get_running_loop().create_task(tell())
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)

    async def _asking(self, question: Awaitable[T]) -> T:
        """The answer of the store. Raises StateLost."""
        try:
            async with self._room:
                if self._there:  # it may be lost since this began to wait
                    return await question
        except _FAILURES as problem:
            await self._failed(problem)
            raise StateLost from problem
        if asyncio.iscoroutine(question):
            question.close()
        raise StateLost

    async def _failed(self, problem: Exception) -> None:
        """A question was not answered. Where this server had no processor for a second, an answer waits unread, and the
        time was over before it was looked at. So the store is asked once more before it counts as lost."""
        if self._there and isinstance(problem, TimedOut):
            try:
                await self._redis.ping()
            except _FAILURES as again:
                problem = again
            else:
                return
        self._lost(problem)

    def _lost(self, problem: Exception) -> None:
        if self._there:
            _LOG.error("the store of --state does not answer: new sessions are refused until it does (%s)", problem)
        self._there = False

    async def _renew(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(RENEW_S)
            count += 1
            try:
                await self._renewed(all_seats=count % STATE_EVERY == 0 or not self._there)
            except Exception as problem:  # whatever it is, a server that stops to renew loses its seats
                await self._failed(problem)
                continue
            if not self._there:
                _LOG.warning("the store of --state answers again")
            self._there = True

    async def _renewed(self, *, all_seats: bool) -> None:
        """Renew the lease; state all seats if the store has lost it."""
        key = _ALIVE + self.server
        known = await self._redis.set(key, "", px=LEASE_MS, xx=True)
        self._copies.lost |= not known
        if all_seats or not known:
            least = [self._sessions, self._minted, *(self._numbered[what] for what in _NUMBERS)]
            await self._raise(keys=[_SESSION_NUMBER, _SECRET_NUMBER, *_NUMBERS.values()], args=least)
            await self._redis.set(key, "", px=LEASE_MS)
            await self._redis.sadd(_FLEET, self.server)
            await self._stated()
            await self._follow_to(int(await self._redis.get(_VERSION) or 0))
            await self._copies.bound(await self._gone())

    async def _stated(self) -> None:
        for team in {*self._held, *self._wanted}:
            held, wanted = self._held[team], self._wanted[team]  # as they are now: they change while others are stated
            stated = [*held, *wanted]
            await self._state_seats(keys=_of_team(team), args=[self.server, len(held), *stated])
            for seats in (self._held, self._wanted):
                if not stated and not seats[team]:  # a seat that was left meanwhile may be stated as held: state again
                    del seats[team]


def refusal_of(url: str) -> str | None:
    """Why a store cannot be used; None if it answers. It waits for at most a second."""
    try:
        with Store.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S) as client:
            client.ping()
    except (RedisError, OSError) as problem:
        return str(problem)
    return None


def _kept_conversation(copied: Copied) -> dict[str, list[Any]]:
    """What `KEEP_CONVERSATION` gets."""
    name = f"{copied.team.id.hex()}/{copied.id}"
    limits = [copied.now + copied.kept_s, copied.now, RESUMABLE_BYTES, MAX_REMEMBERED, copied.opened]
    return {"keys": list(_CONVERSATIONS), "args": [name, copied.data, *limits]}


def _of_team(id: bytes) -> list[str]:
    """The keys of a team: the servers that it has seats at, and the beginning of the keys with these."""
    return [f"{PREFIX}servers:{id.hex()}", f"{PREFIX}seats:{id.hex()}:"]
