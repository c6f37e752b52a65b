"""Calls whose requests and sockets come to any server of a fleet, whichever has the call."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, TCPConnector, WSMsgType, web

from mockserver.calls.webhook import signature
from tests.mockserver.own_store import own_store
from tests.mockserver.server.state.fleets import KINDS, Fleet, children, fleet_of, refused, seated, served, until_closed

pytestmark = pytest.mark.slow
OPTIONS = ("--voice", "tone", "--transcriber", "off", "--pacing", "burst", "--dialect", "auto")
SECRET = "whsec_" + base64.b64encode(b"calls of a fleet, for its tests").decode()
SESSION = {"type": "realtime", "model": "gpt-realtime-2.1"}
SILENT = [{"pause": "60s"}]
ACCOUNTS = "teams: [{{name: few, keys: [few], limits: {{max_sessions: {most}}}}}, {{name: any, keys: [k, xai-k]}}]"
MANY = 6
"""Requests one after another: so many that each of three servers has some."""


class Phones:
    """Rings at any server, and hears of it where the call is announced."""

    def __init__(self, fleet: Fleet, url: str) -> None:
        self._fleet, self.url = fleet, url
        self.announced: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.ids: list[str] = []
        """Those of all webhooks and their events, by which a receiver leaves out what it has had."""
        self.genuine: list[bool] = []
        """Whether each was signed with SECRET."""

    async def ring(self, **asked: str) -> str:
        """The id of a call, once it is announced. `to`: a number that says itself where."""
        body = asked if "to" in asked else {"webhook": self.url, "webhook_secret": SECRET}
        status, call = await self._fleet.ask("POST", "/_mock/calls", json={"script": SILENT, **body})
        assert (status, call.get("state")) == (200, "ringing"), call
        assert (await self.announced.get())["data"]["call_id"] == call["id"]
        id: str = call["id"]
        return id

    async def act(self, id: str, action: str, body: Any = None, key: str | None = None) -> int:
        """The status with which a server answers."""
        return (await self._fleet.ask("POST", f"/v1/realtime/calls/{id}/{action}", key, json=body))[0]


@contextmanager
def killable(store: str, *options: str) -> Iterator[tuple[int, int]]:
    """The port of a server that shares a store, and its process."""
    before = children(os.getpid())
    with served("--state", store, *options) as port:
        (pid,) = set(children(os.getpid())) - set(before)
        yield port, pid


@asynccontextmanager
async def phones(fleet: Fleet) -> AsyncIterator[Phones]:
    async def announced(request: web.Request) -> web.Response:
        event = await request.json()
        id, unix = request.headers["webhook-id"], int(request.headers["webhook-timestamp"])
        found.ids += [id, event["id"]]
        found.genuine.append(signature(SECRET, id, unix, await request.read()) == request.headers["webhook-signature"])
        found.announced.put_nowait(event)
        return web.Response()

    app = web.Application()
    app.router.add_post("/calls/incoming", announced)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found = Phones(fleet, f"http://127.0.0.1:{runner.addresses[0][1]}/calls/incoming")
        yield found
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module", params=KINDS)
def port(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    accounts: Path = tmp_path_factory.mktemp("fleet") / "accounts.yaml"
    accounts.write_text(ACCOUNTS.format(most=2))
    with fleet_of(request.param, *OPTIONS, "--accounts", str(accounts)) as found:
        yield found


@pytest.fixture
async def fleet(port: int) -> AsyncIterator[Fleet]:
    async with ClientSession(connector=TCPConnector(force_close=True, limit=0)) as http:
        yield Fleet(port, http)


async def until_over(ws: ClientWebSocketResponse[bool]) -> int | None:
    """The code with which a socket is closed."""
    while (await ws.receive()).type == WSMsgType.TEXT:
        pass
    return ws.close_code


async def state_of(fleet: Fleet, id: str) -> str:
    state: str = (await fleet.ask("GET", f"/_mock/calls/{id}"))[1]["state"]
    return state


async def test_a_call_that_rings_is_accepted_driven_and_ended_at_any_server(fleet: Fleet):
    async with phones(fleet) as phone:
        for _ in range(MANY):
            id = await phone.ring()
            assert await phone.act(id, "accept", {"type": "wrong"}) == 400
            accepted = await asyncio.gather(*(phone.act(id, "accept", SESSION) for _ in range(MANY)))
            assert sorted(accepted) == [200] + [404] * (MANY - 1)
            beside = [await fleet.connect(query=f"?call_id={id}") for _ in range(3)]
            await beside[0].send_json({"type": "response.create"})
            for each in beside:
                while (await each.receive_json())["type"] != "response.done":
                    pass
            assert await phone.act(id, "hangup") == 200
            assert [await until_over(each) for each in beside] == [1000] * 3
            shown = [await fleet.ask("GET", f"/_mock/calls/{id}") for _ in range(MANY)]
            assert shown == shown[:1] * MANY
            assert shown[0][1]["state"] == "over"
            assert await phone.act(id, "hangup") == 404
        assert len(set(phone.ids)) == 2 * MANY
        assert await phone.act("rtc_nobody", "hangup") == 404
        assert await refused(fleet, query="?call_id=rtc_nobody") == 404
        lists = [(await fleet.ask("GET", "/_mock/calls"))[1] for _ in range(MANY)]
        assert lists == lists[:1] * MANY
        assert len({each["id"] for each in lists[0]}) == len(lists[0]) >= MANY


async def test_a_caller_hangs_up_at_any_server_and_is_heard_at_any(fleet: Fleet):
    async with phones(fleet) as phone:
        unheard, rejected, heard = [await phone.ring() for _ in range(3)]
        assert (await fleet.ask("DELETE", f"/_mock/calls/{unheard}"))[1]["state"] == "unanswered"
        assert await phone.act(rejected, "reject", {"status_code": 486}) == 200
        assert await state_of(fleet, rejected) == "rejected"
        assert await phone.act(heard, "accept", SESSION) == 200
        assert (await fleet.ask("DELETE", f"/_mock/calls/{heard}"))[1]["state"] == "over"
        for _ in range(3):
            async with fleet.http.get(f"http://127.0.0.1:{fleet.port}/_mock/calls/{heard}/audio") as answer:
                assert (answer.status, (await answer.read())[:4]) == (200, b"RIFF")


async def test_faults_of_webhooks_count_over_all_servers(fleet: Fleet):
    wrong = "faults: [{at: webhook, times: 2, do: forge}, {at: webhook, nth: 5, do: forge}]"
    assert (await fleet.ask("POST", "/_mock/reset"))[0] == 200
    assert (await fleet.ask("PUT", "/_mock/faults", data=wrong))[0] == 200
    async with phones(fleet) as phone:
        for _ in range(MANY):
            await fleet.ask("DELETE", f"/_mock/calls/{await phone.ring()}")
        assert phone.genuine == [False, False, True, True, False, True]
    assert (await fleet.ask("DELETE", "/_mock/faults"))[0] == 200


async def test_calls_take_the_seats_of_their_team(fleet: Fleet):
    async with phones(fleet) as phone:
        ids = [await phone.ring() for _ in range(3)]
        assert sorted([await phone.act(id, "accept", SESSION, "few") for id in ids]) == [200, 200, 429]
        assert await refused(fleet, "few") == 429
        for id in ids:
            await fleet.ask("DELETE", f"/_mock/calls/{id}")
        await until_closed(fleet)
        await (await fleet.connect("few")).close()


async def test_phone_numbers_are_those_of_all_servers(fleet: Fleet):
    async with phones(fleet) as phone:
        number = f"+1415555{fleet.port:05}"[:12]
        asked = {
            "origin": "byo_trunk",
            "phone_number": number,
            "webhook": {"url": phone.url},
            "sip_auth": {"auth_username": "pbx", "auth_password": "only once"},
        }
        registered = [await fleet.ask("POST", "/v2/phone-numbers", "xai-k", json=asked) for _ in range(MANY)]
        assert [status for status, _ in registered] == [200] + [409] * (MANY - 1)
        assert registered[0][1]["dispatch_signing_secret"].startswith("whsec_")
        for _ in range(MANY):
            (listed,) = (await fleet.ask("GET", "/v2/phone-numbers", "xai-k"))[1]["phone_numbers"]
            assert (listed["phone_number"], listed["sip_auth"]) == (number, {"auth_username": "pbx"})
            id = await phone.ring(to=number)
            # xAI has no `accept`: a socket answers, and others that come at that moment join.
            sockets = await asyncio.gather(*(fleet.connect("xai-k", f"?call_id={id}") for _ in range(3)))
            assert await phone.act(id, "hangup", key="xai-k") == 200
            assert [await until_over(each) for each in sockets] == [1000] * 3


async def test_the_sound_of_a_call_over_webrtc_stays_where_its_offer_came(fleet: Fleet):
    pytest.importorskip("aiortc")
    from tests.mockserver.server.calls.rtc_client import RtcClient

    headers = {"Authorization": "Bearer k", "Content-Type": "application/sdp"}
    for _ in range(2):
        client = RtcClient()
        url = f"http://127.0.0.1:{fleet.port}/v1/realtime/calls?model=gpt-realtime"
        async with fleet.http.post(url, data=await client.offer(), headers=headers) as answer:
            assert answer.status == 201
            id = answer.headers["Location"].rpartition("/")[2]
            await client.take(await answer.text())
        await client.got("session.created")
        beside = await fleet.connect(query=f"?call_id={id}")
        await beside.send_json({"type": "response.create"})
        await client.got("response.done")
        assert (await fleet.ask("POST", f"/v1/realtime/calls/{id}/hangup"))[0] == 200
        assert await until_over(beside) == 1000
        await client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_call_ends_with_the_server_that_has_it(tmp_path: Path):
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text(ACCOUNTS.format(most=1))
    options = (*OPTIONS, "--accounts", str(accounts))
    with own_store() as store, ExitStack() as stack:
        started = [await asyncio.to_thread(stack.enter_context, killable(store.url, *options)) for _ in range(3)]
        async with ClientSession(connector=TCPConnector(force_close=True)) as http:
            (has, pid), (other, *others), (third, *thirds) = [(Fleet(port, http), pid) for port, pid in started]
            async with phones(has) as phone:
                id = await phone.ring()
                assert (await other.ask("POST", f"/v1/realtime/calls/{id}/accept", "few", json=SESSION))[0] == 200
                assert await refused(other, "few") == 429
                beside = await other.connect("few", f"?call_id={id}")
                await beside.send_json({"type": "response.create"})
                await beside.receive()
                os.kill(pid, signal.SIGKILL)
                assert await until_over(beside) == 1006
                while (await other.ask("POST", f"/v1/realtime/calls/{id}/hangup", "few"))[0] == 503:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert (await other.ask("POST", f"/v1/realtime/calls/{id}/hangup", "few"))[0] == 404
                assert await refused(other, "few", f"?call_id={id}") == 404
                await (await seated(other, "few")).close()
                assert (await other.ask("GET", "/_mock/calls"))[1] == []
            async with phones(other) as phone:
                id = await phone.ring()
                assert (await third.ask("POST", f"/v1/realtime/calls/{id}/accept", json=SESSION))[0] == 200
                beside = await third.connect(query=f"?call_id={id}")
                for each in (*thirds, *others):
                    os.kill(each, signal.SIGTERM)
                assert await until_over(beside) == 1001  # the server between waits for what the other one says
