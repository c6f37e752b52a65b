"""One suite for each way to serve: one process, three workers with a store, two servers behind HAProxy.

The servers start once for all of its tests. Each test begins with a reset, and most have a team of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSServerHandshakeError

from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.state.fleets import (
    KINDS,
    RESUMED,
    Fleet,
    fleet_of,
    opted_in,
    refused,
    seated,
    session_of,
    until_closed,
    words,
)

pytestmark = pytest.mark.slow
OPTIONS = ("--voice", "tone", "--transcriber", "off", "--pacing", "burst")
ACCOUNTS = """
limits: {max_sessions: 100}
teams:
  - {name: any, keys: [k]}
  - {name: few, keys: [few-1, few-2], limits: {max_sessions: 3}}
  - {name: rare, keys: [rare], limits: {requests_per_minute: 4}}
  - {name: short, keys: [short]}
"""
MANY = 12
"""Connections at once, or one after another: so many that each of three servers has some."""


@pytest.fixture(scope="module", params=KINDS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    file: Path = tmp_path_factory.mktemp("fleet") / "accounts.yaml"
    file.write_text(ACCOUNTS)
    with fleet_of(request.param, *OPTIONS, "--accounts", str(file)) as found:
        yield found


@pytest.fixture
async def fleet(port: int) -> AsyncIterator[Fleet]:
    """As after its start."""
    async with ClientSession(connector=TCPConnector(force_close=True, limit=0)) as http:
        fleet = Fleet(port, http)
        await until_closed(fleet)
        assert (await fleet.ask("POST", "/_mock/reset", json={"to": "start"}))[0] == 200
        yield fleet


async def connected(fleet: Fleet, count: int, credential: str = "k") -> list[ClientWebSocketResponse[bool]]:
    return [await fleet.connect(credential) for _ in range(count)]


async def hang_up(sockets: list[ClientWebSocketResponse[bool]]) -> None:
    await asyncio.gather(*(each.close() for each in sockets))


async def everywhere(fleet: Fleet, path: str) -> Any:
    """What all servers answer. Lists of rows of several sessions begin with those of the server that is asked."""
    found = []
    for _ in range(MANY):
        status, answer = await fleet.ask("GET", path)
        assert status == 200
        if isinstance(answer, list):
            answer.sort(key=lambda row: str(row.get("session", "")))
        found.append(answer)
    assert found == found[:1] * MANY
    return found[0]


async def test_ids_are_those_of_one_server(fleet: Fleet):
    sockets = await connected(fleet, MANY)
    ids = [await session_of(each) for each in sockets]
    async with MockServer(voice="tone", pacing="burst") as mock, ClientSession() as http:
        for id in ids:
            async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as alone:
                assert await session_of(alone) == id
    await hang_up(sockets)


async def test_a_team_has_no_more_open_sessions_than_its_limit(fleet: Fleet):
    secret = await fleet.secret("few-2")

    async def admitted(credential: str) -> ClientWebSocketResponse[bool] | int:
        try:
            return await fleet.connect(credential)
        except WSServerHandshakeError as refusal:
            return refusal.status

    found = await asyncio.gather(*map(admitted, ["few-1", "few-2", secret] * 4))
    sockets = [each for each in found if not isinstance(each, int)]
    assert [each for each in found if isinstance(each, int)] == [429] * (MANY - 3)
    assert await refused(fleet, "few-1") == 429
    await sockets.pop().close()
    sockets.append(await seated(fleet, "few-1"))
    assert await refused(fleet, secret) == 429
    await hang_up(sockets)


async def test_requests_of_a_team_are_counted_over_all_servers(fleet: Fleet):
    path = "/v1/realtime/client_secrets"
    found = await asyncio.gather(*(fleet.ask("POST", path, "rare", json={}) for _ in range(MANY)))
    assert sorted(status for status, _ in found) == [200] * 4 + [429] * (MANY - 4)
    assert await refused(fleet, "rare") == 429


async def test_a_client_secret_opens_sessions_everywhere_until_it_expires(fleet: Fleet):
    secrets = [await fleet.secret() for _ in range(3)]
    assert len(set(secrets)) == 3
    for secret in secrets:
        await hang_up(await connected(fleet, MANY // 2, secret))
    assert [await refused(fleet, secrets[0] + "x") for _ in range(MANY // 2)] == [400] * (MANY // 2)
    short = await fleet.secret("short", expires_after={"seconds": 1})
    while True:
        try:
            await (await fleet.connect(short)).close()
        except WSServerHandshakeError as refusal:
            assert refusal.status == 400
            break
    assert [await refused(fleet, short) for _ in range(MANY)] == [400] * MANY


async def test_a_conversation_is_resumed_wherever_the_client_comes_back(fleet: Fleet):
    assert (await fleet.ask("PUT", "/_mock/scenario", data=RESUMED))[0] == 200
    ws = await fleet.connect()
    known = await session_of(ws)
    await opted_in(ws)
    assert await words(ws, "my name is ada") == "Hello ada."
    for _ in range(MANY):
        await ws.close()
        ws = await seated(fleet, query=f"?conversation_id={known}")
        assert await session_of(ws) == known
        assert await opted_in(ws) == ["Hello ada."]
    assert await words(ws) == "Once."
    await ws.close()
    stranger = await fleet.connect("short", query=f"?conversation_id={known}")
    assert await session_of(stranger) != known
    await stranger.close()


async def test_the_ledger_is_that_of_all_servers(fleet: Fleet):
    sockets = await connected(fleet, MANY)
    for each in sockets:
        await words(each)
    await hang_up(sockets)
    await until_closed(fleet)
    total = await everywhere(fleet, "/_mock/ledger")
    assert (total["sessions"], total["text_items"]) == (MANY, MANY)
    known = (await fleet.ask("GET", "/_mock/sessions"))[1][-1]["id"]
    assert (await everywhere(fleet, f"/_mock/ledger?session={known}"))["text_items"] == 1


async def test_the_journal_is_that_of_all_servers(fleet: Fleet):
    sockets = await connected(fleet, MANY)
    ids = [await session_of(each) for each in sockets]
    for each in sockets:
        await words(each)
    await hang_up(sockets)
    await until_closed(fleet)
    sessions = await everywhere(fleet, "/_mock/sessions")
    assert [each["conversation_id"] for each in sessions] == ids
    rows = await everywhere(fleet, "/_mock/journal")
    for each in sessions:
        own = [row for row in rows if row["session"] == each["id"]]
        assert [row["type"] for row in own].count("response.done") == 1
        alone = await everywhere(fleet, f"/_mock/journal?session={each['id']}")
        assert [{"session": each["id"], **row} for row in alone] == own


async def test_findings_are_those_of_all_servers(fleet: Fleet):
    sockets = [await fleet.connect(query="?model=no-such-model") for _ in range(MANY // 2)]
    found = await everywhere(fleet, "/_mock/findings")
    assert len({each["session"] for each in found}) == len(sockets)
    await hang_up(sockets)


async def test_a_scenario_and_faults_reach_all_servers(fleet: Fleet):
    scenario = "turns: [{reply: [{say: Put on one of them.}]}]"
    assert (await fleet.ask("PUT", "/_mock/scenario", data=scenario))[0] == 200
    sockets = await connected(fleet, MANY)
    assert [await words(each) for each in sockets] == ["Put on one of them."] * MANY
    outage = "faults: [{at: handshake, do: {status: 503}}]"
    assert (await fleet.ask("PUT", "/_mock/faults", data=outage))[0] == 200
    assert [await refused(fleet) for _ in range(MANY)] == [503] * MANY
    assert len(await everywhere(fleet, "/_mock/refusals")) == MANY
    assert (await fleet.ask("PUT", "/_mock/faults", data="faults: []"))[0] == 200
    sockets += await connected(fleet, MANY)
    await hang_up(sockets)


async def test_a_reset_reaches_all_servers(fleet: Fleet):
    assert (await fleet.ask("PUT", "/_mock/scenario", data="turns: [{reply: [{say: Not for long.}]}]"))[0] == 200
    sockets = await connected(fleet, MANY)
    ids = [await session_of(each) for each in sockets]
    await hang_up(sockets)
    await until_closed(fleet)
    assert (await fleet.ask("POST", "/_mock/reset", json={"to": "start"}))[0] == 200
    for part in ("sessions", "journal", "findings", "refusals"):
        assert await everywhere(fleet, f"/_mock/{part}") == []
    assert (await everywhere(fleet, "/_mock/ledger"))["sessions"] == 0
    sockets = await connected(fleet, MANY)
    assert [await session_of(each) for each in sockets] == ids
    assert [await words(each) for each in sockets] == ["You said: hello"] * MANY
    await hang_up(sockets)


async def test_a_namespace_is_the_same_at_each_server(fleet: Fleet):
    scenario = "turns: [{reply: [{say: Apart.}]}]"
    made = [(await fleet.ask("POST", "/_mock/namespaces", json={"scenario": scenario}))[1] for _ in range(3)]
    listed = await everywhere(fleet, "/_mock/namespaces")
    assert [each["id"] for each in listed] == [each["id"] for each in made]
    apart = made[1]
    secret = await fleet.secret(apart["api_key"])
    plane = f"/_mock/namespaces/{apart['id']}"
    for credential in (apart["api_key"], secret) * 3:
        ws = await fleet.connect(credential)
        assert await words(ws) == "Apart."
        await ws.close()
    for _ in range(3):
        url = f"ws://127.0.0.1:{fleet.port}/{apart['id']}/v1/realtime"
        by_path = await fleet.http.ws_connect(url, headers={"Authorization": "Bearer k"})
        assert await words(by_path) == "Apart."
        await by_path.close()
    assert len(await everywhere(fleet, f"{plane}/sessions")) == 9
    assert await everywhere(fleet, "/_mock/sessions") == []
    alone = await fleet.connect()
    assert await words(alone) == "You said: hello"
    await alone.close()
    for each in made:
        assert (await fleet.ask("DELETE", f"/_mock/namespaces/{each['id']}"))[0] == 200
    assert await everywhere(fleet, "/_mock/namespaces") == []
    assert [await refused(fleet, each) for each in (apart["api_key"], secret) * 3] == [404] * 6
    assert {(await fleet.ask("GET", f"{plane}/sessions"))[0] for _ in range(MANY)} == {404}
