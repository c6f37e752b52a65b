"""The three ways to have no waiting, as a user has them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.sync.client import ClientConnection, connect

from realtape import MockServer, virtual_time


@virtual_time
async def test_an_async_test_that_sleeps_for_hours_is_a_plain_one_with_fixtures(tmp_path: Path):
    await asyncio.sleep(3 * 3600)
    assert asyncio.get_running_loop().time() == 3 * 3600
    assert tmp_path.name.startswith("test_an_async_test")


@virtual_time
async def test_a_call_of_two_hours_is_ended():
    """As in docs/time.md, with the websockets client and its own timers."""
    async with MockServer(dialect="xai@2026-07") as mock:
        key = {"Authorization": f"Bearer {mock.api_key}"}
        async with connect_async(mock.ws_url, additional_headers=key) as service:
            await asyncio.sleep(2 * 60 * 60)
            *_, error = [event async for event in service]
        assert '"max_duration"' in str(error)


async def test_a_mock_in_a_thread_may_be_used_from_an_async_test_as_well():
    with MockServer(dialect="xai@2026-07", voice="tone", clock="manual") as mock:
        mock.advance(minutes=1)


def test_a_coroutine_gives_its_result_and_its_errors():
    async def slow(fails: bool) -> str:
        await asyncio.sleep(60)
        if fails:
            raise LookupError("not there")
        return "there"

    assert virtual_time(slow(False)) == "there"
    with pytest.raises(LookupError):
        virtual_time(slow(True))


def calling(mock: MockServer) -> ClientConnection:
    return connect(mock.ws_url, additional_headers={"Authorization": "Bearer k"}, compression=None)


def until(service: ClientConnection, type: str) -> dict[str, object]:
    while (event := json.loads(service.recv(timeout=5)))["type"] != type:
        pass
    return dict(event)


def test_a_plain_test_moves_the_mock_by_hand():
    with MockServer(dialect="xai@2026-07", voice="tone", clock="manual") as mock, calling(mock) as service:
        until(service, "ping")
        service.send('{"type": "response.create"}')
        until(service, "response.created")  # in time that stands still
        mock.advance(seconds=30)
        until(service, "response.done")
        mock.advance(minutes=119, seconds=30)
        assert until(service, "error")["error"]["type"] == "max_duration"  # type: ignore[index]


def test_any_other_client_moves_it_over_http():
    with MockServer(dialect="xai@2026-07", voice="tone", clock="manual") as mock, calling(mock) as service:
        request = Request(mock.control_url + "/clock/advance", b'{"ms": 7200000}', method="POST")
        with urlopen(request, timeout=5) as response:
            assert json.load(response) == {"now": 7200.0, "unix": 1_767_225_600.0 + 7200}
        assert until(service, "error")["error"]["type"] == "max_duration"  # type: ignore[index]
