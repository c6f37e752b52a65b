"""The relay as tests use it: it writes nothing, tells a observer, and puts the real key in the place of a stand-in."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from replay.cassette.records import Record
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream
from tests.replay.relay.test_relay import AT, KEY, Tap, mock, story, tap, typed_turn


def test_without_a_file_a_witness_sees_what_crosses_and_what_it_cost(tmp_path: Path):
    async def tell() -> None:
        seen: list[Record] = []
        async with mock() as service:
            settings = Settings(None, AT, "test", max_usd=Fraction(1))
            relay = Relay(Upstream(service.ws_url, "xai"), settings, observer=seen.append)
            await relay.start()
            async with Tap(relay, []).dial() as ws:
                await typed_turn(ws)
            await relay.stop()
            kinds = [type(each.content).__name__ for each in seen]
            assert kinds[:3] == ["Request", "Response", "Text"]
            assert kinds[-1] == "Close"
            assert sum(each.way == "sent" for each in seen) == 4
            assert relay.spent_usd >= Fraction("0.004")

    story(tell)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("way", ["header", "subprotocol", "http"])
def test_a_stand_in_for_the_key_is_replaced_on_the_way_up(way: str, tmp_path: Path):
    async def tell() -> None:
        async with (
            mock(api_keys=[KEY]) as service,
            tap(service.ws_url, tmp_path / "a.tape", keys={"stand-in": KEY}) as through,
        ):
            if way == "http":
                bearer = {"Authorization": "Bearer stand-in"}
                async with (
                    aiohttp.ClientSession() as http,
                    http.post(f"{through.http}/client_secrets", headers=bearer) as answer,
                ):
                    assert answer.status == 200
                return
            subprotocols = [Subprotocol("xai-client-secret.stand-in")] if way == "subprotocol" else None
            headers = {} if subprotocols else {"Authorization": "Bearer stand-in"}
            async with connect(through.ws, additional_headers=headers, subprotocols=subprotocols) as ws:
                assert KEY not in str(ws.subprotocol)
                await typed_turn(ws)

    story(tell)
    assert KEY.encode() not in (tmp_path / "a.tape").read_bytes()
