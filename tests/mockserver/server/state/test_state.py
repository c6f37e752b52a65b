"""One suite for each backend of the port, and what only servers that share a store do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest

from mockserver.dialects.handshake import Denied, Secret
from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Conversation, Item
from mockserver.responders.base import Responder, Say, Turn
from mockserver.responders.compiler import Rule
from mockserver.responders.conditions import When
from mockserver.responders.echo import EchoResponder
from mockserver.responders.scenario import Scenario
from mockserver.server.accounts import Accounts, Team
from mockserver.server.state.copies import CopyStore
from mockserver.server.state.memory import MemoryState
from mockserver.server.state.port import Copy, CopyUpdate, Seat, State, StateLost
from mockserver.session.resumption import Memory
from tests.mockserver.own_store import OwnStore, own_store

NOON = 1_767_268_800.0
DIGITS = (20, "abcdef")
T = TypeVar("T")
Server = tuple[Accounts, State]


class Nobody:
    """A member of the fleet that serves nothing."""

    def __init__(self) -> None:
        self.followed: list[tuple[str, str | float | None]] = []

    async def answer(self, question: Mapping[str, Any]) -> object:
        return None

    async def follow(self, part: str, text: str | float | None) -> None:
        self.followed.append((part, text))

    def answer_of(self, copy: Copy, question: Mapping[str, Any], *, current: bool) -> object:
        return [threading.current_thread() is threading.main_thread(), *copy.rows]

    def update(self, now: float, *, anew: bool) -> CopyUpdate:
        return CopyUpdate(anew, {}, (), b"", (), done=True)

    def responder(self, scenario: str) -> Responder:
        return EchoResponder() if scenario != SCRIPT.digest else SCRIPT.responder()


SCRIPT = Scenario([Rule(Say("Once."), When(says="a"), times=1), Rule(Say("Then."))])


@asynccontextmanager
async def servers(url: str | None, count: int) -> AsyncIterator[list[Server]]:
    """Servers of one fleet, or one server in memory."""
    async with AsyncExitStack() as stack:
        made: list[Server] = []
        for _ in range(count):
            accounts = Accounts(seed="0")
            state = MemoryState(accounts) if url is None else of_store(url, accounts)
            await state.start(Nobody())
            stack.push_async_callback(state.stop)
            made.append((accounts, state))
        yield made


def of_store(url: str, accounts: Accounts) -> State:
    from mockserver.server.state.store import StoreState  # an extra

    return StoreState(url, accounts)


@pytest.fixture(scope="module")
def one_store() -> Iterator[OwnStore]:
    with own_store() as started:
        yield started


@pytest.fixture
def store(one_store: OwnStore) -> OwnStore:
    """Empty."""
    one_store.empty()
    return one_store


@pytest.fixture(params=["memory", "store"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    url = request.getfixturevalue("store").url if request.param == "store" else None
    async with servers(url, 1) as made:
        yield made[0]


def team_of(server: Server, key: str = "k") -> Team:
    team = server[0].owner(key)
    assert isinstance(team, Team)
    return team


async def minted(server: Server, key: str = "k", session: Any = None) -> Secret:
    return await server[1].mint(team_of(server, key), "ek_", 600, NOON, digits=DIGITS, session=session)


async def seated(server: Server, most: int | None, key: str = "k") -> Seat:
    seat = await server[1].take_seat(team_of(server, key), most)
    assert isinstance(seat, Seat)
    return seat


async def until(ask: Callable[[], Awaitable[T]], wanted: T) -> None:
    """Wait for what the state does meanwhile, such as giving a seat back."""
    while await ask() != wanted:  # noqa: ASYNC110 - a store tells nobody
        await asyncio.sleep(0.01)


async def test_a_secret_opens_the_door_of_its_team_until_it_expires(server: Server):
    secret = await minted(server)
    await server[1].look([secret.value])
    assert server[0].bearer(secret.value, NOON + 599) is team_of(server)
    assert server[0].bearer(secret.value, NOON + 600) == Denied("wrong")
    assert server[0].owner(secret.value) == Denied("wrong")
    assert (await minted(server)).value != secret.value


async def test_requests_of_a_team_are_limited_to_some_in_a_minute(server: Server):
    state = server[1]
    team, other = team_of(server), team_of(server, "other")
    answers = [await state.count_request(team, NOON + at, 2) for at in (0, 10, 20, 59.5, 60)]
    assert answers == [None, None, Denied("rate", 40), Denied("rate", 1), None]
    assert await state.count_request(other, NOON + 20, 2) is None
    assert await state.count_request(team, NOON + 20, None) is None
    assert isinstance(await state.count_request(other, NOON, 0), Denied)


async def test_a_team_has_no_more_sessions_than_its_limit(server: Server):
    state = server[1]
    team = team_of(server)
    seats = [await seated(server, 2) for _ in range(2)]
    assert await state.take_seat(team, 2) == Denied("crowded", 1)
    assert (await seated(server, 1, "other")).team is not team
    state.leave(seats[0])
    await until(lambda: state.open_sessions(team), 1)
    await seated(server, 2)
    await seated(server, None)
    assert await state.open_sessions(team) == team.sessions == 3


def held(opened: float, *texts: str) -> Memory:
    """A conversation of one turn for each text, by the scenario."""
    conversation, responder = Conversation("conv_1"), SCRIPT.responder()
    for number, text in enumerate(texts):
        conversation.add(Item(f"item_{number}", "message", parts=[Part("input_text", text)]))
        (answer,) = responder.reply(Turn(number, text))
        assert isinstance(answer, Say)
        conversation.add(Item(f"answer_{number}", "message", "assistant", parts=[Part("text", answer.text)]))
        conversation.save(number)
    return Memory(conversation, responder, len(texts), opened)


def said(memory: Memory | None, at: float | None = None) -> list[str] | None:
    return None if memory is None else [each.text for each in memory.history(at)]


async def recalled(server: Server, key: str = "k", now: float = NOON + 10, kept_s: float = 60) -> Memory | None:
    own = server[0].recall(team_of(server, key), "conv_1", now, kept_s)
    return await server[1].recall(team_of(server, key), "conv_1", own, now, kept_s)


async def test_a_conversation_is_recalled_by_its_team_until_it_expires(server: Server):
    assert await recalled(server) is None
    server[1].remember(team_of(server), held(NOON, "a"), NOON + 10, 60)
    assert said(await recalled(server, now=NOON + 69)) == ["a", "Once."]
    assert await recalled(server, "other") is None
    assert await recalled(server, now=NOON + 70) is None
    assert await recalled(server, kept_s=0) is None


async def test_a_conversation_goes_on_at_another_server_where_it_was(store: OwnStore):
    async with servers(store.url, 2) as (one, two):
        one[1].remember(team_of(one), held(NOON, "a", "b"), NOON + 10, 60)
        await until(lambda: given(two), ["a", "Once.", "b", "Then."])
        memory = await recalled(two)
        assert memory is not None
        assert said(memory, NOON + 0.5) == ["a", "Once."]  # a stale snapshot, as on its own server
        assert list(memory.responder.reply(Turn(2, "a"))) == [Say("Then.")]
        # What the client did last counts, wherever that was.
        two[1].remember(team_of(two), held(NOON + 20, "a"), NOON + 30, 60)
        await until(lambda: given(one), ["a", "Once."])


async def test_a_connection_that_is_lost_late_leaves_what_a_later_one_said(store: OwnStore):
    async with servers(store.url, 3) as (one, two, three):
        one[1].remember(team_of(one), held(NOON + 5, "a", "b"), NOON + 8, 60)
        await until(lambda: given(three), ["a", "Once.", "b", "Then."])
        for server in (one, two):  # where the first connection was, too
            server[1].remember(team_of(server), held(NOON, "a"), NOON + 9, 60)
        assert said(one[0].recall(team_of(one), "conv_1", NOON + 10, 60)) == ["a", "Once.", "b", "Then."]
        await one[1].stop()
        await two[1].stop()
        assert await given(three) == ["a", "Once.", "b", "Then."]


async def given(server: Server) -> list[str]:
    return said(await recalled(server)) or []


async def test_copies_of_servers_that_are_gone_are_read_beside_the_loop(store: OwnStore):
    from mockserver.server.state import store as module

    async with servers(store.url, 1) as (one,):
        state = one[1]
        assert isinstance(state, module.StoreState)
        rows = CopyUpdate(True, {"s": b"{}"}, (), b'["row"]', (), done=True)
        await CopyStore(state._redis, "gone").write(rows, 0)
        assert await state.ask_others({"what": "journal"}, "rows") == [[False, "row"]]


async def test_conversations_in_the_store_are_bounded(store: OwnStore):
    from mockserver.server.state import store as module

    async with servers(store.url, 1) as (one,):
        state = one[1]
        assert isinstance(state, module.StoreState)

        async def keep(name: str, expires: float, now: float, most_bytes: int, most: int) -> list[bytes]:
            args = [name, "12345", expires, now, most_bytes, most, 0]
            await state._keep_conversation(keys=list(module._CONVERSATIONS), args=args)
            names: list[bytes] = await state._redis.zrange(module._CONVERSATIONS[1], 0, -1)
            assert int(await state._redis.get(module._CONVERSATIONS[2])) == 5 * len(names)
            assert sorted(await state._redis.hkeys(module._CONVERSATIONS[0])) == sorted(names)
            return names

        assert await keep("a", 10, 0, 100, 9) == [b"a"]
        assert await keep("b", 11, 0, 100, 9) == [b"a", b"b"]
        assert await keep("a", 12, 0, 10, 9) == [b"b", b"a"]
        assert await keep("c", 13, 0, 10, 9) == [b"a", b"c"]
        assert await keep("d", 14, 0, 100, 2) == [b"c", b"d"]
        assert await keep("e", 15, 13, 100, 9) == [b"d", b"e"]


async def test_the_last_minute_is_that_of_the_store_where_servers_have_other_clocks(store: OwnStore):
    async with servers(store.url, 2) as (one, two):
        for state in (one[1], two[1]):
            state._by_store_clock = True  # type: ignore[attr-defined]
        assert await one[1].count_request(team_of(one), NOON, 2) is None
        assert await two[1].count_request(team_of(two), NOON + 3600, 2) is None
        refused = await one[1].count_request(team_of(one), NOON, 2)
        assert isinstance(refused, Denied) and refused.retry_after_s in (59, 60)


async def test_each_server_accepts_the_secrets_of_the_others(store: OwnStore):
    async with servers(store.url, 3) as (one, two, three):
        secret = await minted(one, session={"model": "m"})
        assert isinstance(two[0].bearer(secret.value, NOON), Team)
        await two[1].look(["", "another", secret.value])
        assert two[0].bearer(secret.value, NOON) is team_of(two)
        assert two[0].bearer(secret.value, NOON + 600) == Denied("wrong")
        assert two[0].session_of(secret.value) == {"model": "m"}
        await three[1].look([secret.value])
        assert three[0].owner(secret.value) == Denied("wrong")
        assert len({(await minted(each)).value for each in (one, two, three)}) == 3


async def test_servers_admit_no_more_than_the_limit_between_them(store: OwnStore):
    async with servers(store.url, 3) as fleet:
        asked = [each[1].take_seat(team_of(each), 10) for each in fleet for _ in range(8)]
        seats = [each for each in await asyncio.gather(*asked) if isinstance(each, Seat)]
        assert sorted(each.number or 0 for each in seats) == list(range(10))
        assert [await each[1].open_sessions(team_of(each)) for each in fleet] == [10, 10, 10]
        rates = await asyncio.gather(*(each[1].count_request(team_of(each), NOON, 5) for each in fleet for _ in "123"))
        assert rates.count(None) == 5


async def test_the_seats_of_a_server_without_a_lease_are_free(store: OwnStore):
    from mockserver.server.state import store as module

    async with servers(store.url, 2) as (killed, other):
        lost = killed[1]
        assert isinstance(lost, module.StoreState)
        await seated(killed, 1)
        assert await other[1].take_seat(team_of(other), 1) == Denied("crowded", 1)
        await lost._redis.delete(module._ALIVE + lost.server)
        assert await other[1].open_sessions(team_of(other)) == 0
        await seated(other, 1)
        # It was not killed, only cut off: its session goes on, and counts again.
        assert await lost.take_seat(team_of(killed), 2) == Denied("crowded", 1)
        assert await other[1].open_sessions(team_of(other)) == 2


async def test_without_its_store_a_server_refuses_new_sessions_and_counts_come_back(store: OwnStore):
    async with servers(store.url, 2) as (one, two):
        first = await seated(one, 3)
        gone = await seated(two, 3)
        await minted(one)
        await one[1].put("scenario", "turns: []")
        store.kill()
        try:
            for refused in (one[1].take_seat(team_of(one), 3), two[1].look(["some key"]), minted(two)):
                with pytest.raises(StateLost):
                    await refused
            two[1].leave(gone)  # a session ends meanwhile
        finally:
            store.start()
        await until(lambda: answers(two[1]), True)
        await until(lambda: answers(one[1]), True)
        assert await two[1].open_sessions(team_of(two)) == one[0].owner("k").sessions == 1  # type: ignore[union-attr]
        again = await seated(two, 3)
        assert again.number is not None and again.number >= 1_000_000  # no number is given twice
        late, member = of_store(store.url, Accounts(seed="0")), Nobody()
        await late.start(member)
        await late.stop()
        assert member.followed == [("scenario", "turns: []")]
        one[1].leave(first)
        await until(lambda: two[1].open_sessions(team_of(two)), 1)


async def answers(state: State) -> bool:
    try:
        await state.open_sessions(Team(id=b"any"))
    except StateLost:
        return False
    return True


async def test_a_seat_that_is_left_while_it_is_stated_is_stated_as_free_later():
    module = pytest.importorskip("mockserver.server.state.store")
    state, stated = module.StoreState("unix:///nowhere", Accounts(seed="0")), []

    async def overtaken(keys: list[str], args: list[Any]) -> None:
        stated.append(args[1:])
        state._held[b"team"].discard("1")

    state._state_seats, state._held[b"team"] = overtaken, {"1"}
    for _ in range(3):
        await state._stated()
    assert stated == [[1, "1"], [0]]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/abc", "redis://127.0.0.1:1/0/1", "rediss://127.0.0.1:1/-1"])
def test_an_address_without_the_number_of_a_database_is_refused(url: str):
    module = pytest.importorskip("mockserver.server.state.store", reason="the extra fleet is not installed")
    with pytest.raises(ValueError, match="redis://HOST:6379/0"):
        module.StoreState(url, Accounts(seed="0"))


async def test_a_crowd_that_asks_at_once_waits_for_connections_and_is_no_outage(store: OwnStore):
    async with servers(store.url, 1) as (server,):
        seats = await asyncio.gather(*(seated(server, None) for _ in range(1_000)))
        assert sorted(each.number or 0 for each in seats) == list(range(1_000))
        for each in seats:
            server[1].leave(each)
        assert await answers(server[1])
        await until(lambda: server[1].open_sessions(team_of(server)), 0)


async def test_a_crowd_that_waits_hears_of_a_store_that_hangs_within_a_second_or_two(store: OwnStore):
    async with servers(store.url, 1) as (server,):
        await seated(server, None)
        store.hang()
        try:
            began = asyncio.get_running_loop().time()
            found = await asyncio.gather(*(seated(server, None) for _ in range(200)), return_exceptions=True)
            assert {type(each) for each in found} == {StateLost}
            assert asyncio.get_running_loop().time() - began < 4
        finally:
            store.go_on()
        await until(lambda: answers(server[1]), True)


class Unlucky(Nobody):
    """A member whose connection to the store is lost at the moment at which its task is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def answer(self, question: Mapping[str, Any]) -> object:
        self.asked.set()
        try:
            return await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            raise ConnectionError from None


async def test_a_server_stops_though_the_client_of_the_store_swallows_a_cancellation(store: OwnStore) -> None:
    asks, stops, unlucky = of_store(store.url, Accounts(seed="0")), of_store(store.url, Accounts(seed="0")), Unlucky()
    await asks.start(Nobody())
    await stops.start(unlucky)
    asking = asyncio.get_running_loop().create_task(asks.ask_others({"what": "something"}))
    await unlucky.asked.wait()
    await asyncio.wait_for(stops.stop(), 10)
    with suppress(StateLost):  # the one that it waited for is gone
        await asking
    await asks.stop()


async def test_an_answer_that_a_busy_server_reads_too_late_is_no_outage(
    store: OwnStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from redis.exceptions import TimeoutError as TimedOut  # an extra

    async def late(**_: object) -> object:
        raise TimedOut("Timeout reading from socket")

    async with servers(store.url, 1) as (server,):
        with monkeypatch.context() as busy:
            busy.setattr(server[1], "_take", late)
            with pytest.raises(StateLost):
                await seated(server, None)
        assert isinstance(await seated(server, None), Seat)
        store.hang()
        try:
            for _ in range(2):
                with pytest.raises(StateLost):
                    await seated(server, None)
        finally:
            store.go_on()
        await until(lambda: answers(server[1]), True)
