"""POST /v1/realtime/calls: what is refused and how, and a call from its offer to its end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession

from mockserver.server import virtual_time
from mockserver.server.calls.running_call import RunningCall
from mockserver.server.calls.sdp import EOF, NOT_WHIP
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.calls.test_sdp import OFFER

KEY = {"Authorization": "Bearer sk-key"}
SDP = {**KEY, "Content-Type": "application/sdp"}
SESSION = {"type": "realtime", "model": "gpt-realtime", "instructions": "Be brief."}


def story(tell: Callable[[MockServer, ClientSession], Awaitable[Any]], **settings: Any) -> None:
    async def main() -> None:
        async with MockServer(**{"dialect": "openai", **settings}) as mock, ClientSession() as http:
            await tell(mock, http)

    virtual_time.run(main())


def parts(sdp: str, session: object = None) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("sdp", sdp, content_type="application/sdp")
    if session is not None:
        form.add_field("session", json.dumps(session), content_type="application/json")
    return form


async def posted(http: ClientSession, url: str, data: Any, headers: dict[str, str]) -> tuple[int, Any]:
    async with http.post(url, data=data, headers=headers) as response:
        return response.status, await response.json()


ODD_PART = b'--x\r\nContent-Disposition: form-data; name="\x08"\r\n\r\nv=0\r\n--x--\r\n'
"""A part whose header has a control character, which the library refuses with an error of its own."""


@pytest.mark.parametrize(
    ("data", "headers", "status", "code", "message"),
    [
        ("", SDP, 400, "invalid_offer", EOF),
        ("v=0", SDP, 400, "invalid_offer", EOF),
        (OFFER.strip(), SDP, 400, "invalid_offer", EOF),
        (OFFER.replace("m=audio", "m=video"), SDP, 400, "invalid_offer", NOT_WHIP),
        (parts(OFFER.strip(), SESSION), KEY, 400, "invalid_offer", EOF),
        (parts(OFFER, {"type": "realtime", "sounds": 1}), KEY, 400, "unknown_parameter", "'sounds'"),
        (parts(OFFER, ["none"]), KEY, 400, "invalid_json", "JSON body"),
        (OFFER, {"Content-Type": "application/sdp"}, 401, None, "Missing bearer"),
        (OFFER, {**SDP, "Authorization": "Bearer ek_unknown"}, 401, "invalid_api_key", "Incorrect API key"),
        (OFFER, {**SDP, "Authorization": "Bearer sk-broke"}, 429, "insufficient_quota", "exceeded your current quota"),
        (OFFER, {**SDP, "Origin": "https://shop.example"}, 403, None, "another origin"),
        (b"--", {**KEY, "Content-Type": "multipart/form-data"}, 400, None, "multipart"),
        (ODD_PART, {**KEY, "Content-Type": "multipart/form-data; boundary=x"}, 400, None, "multipart"),
        (OFFER, SDP, 501, None, "start it without --clock"),
    ],
)
def test_a_refused_offer_has_the_services_form(data: Any, headers: Any, status: int, code: str | None, message: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        got, body = await posted(http, f"{mock.http_url}/realtime/calls", data, headers)
        error = body["error"]
        assert (got, error["type"], error["code"]) == (status, error["type"], code)
        assert message in error["message"]
        assert not mock.sessions
        assert mock._service.calls.going_on == 0

    story(tell, api_keys=["sk-key"], blocked_keys=["sk-broke"])


def test_a_page_with_an_api_key_and_no_channel_is_found():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        page = {**SDP, "Origin": "http://localhost:5173"}
        without = OFFER[: OFFER.index("m=application")]
        assert (await posted(http, f"{mock.http_url}/realtime/calls", without, page))[0] == 501
        assert [finding.rule for finding in mock.findings] == ["key-in-browser", "no-event-channel"]

    story(tell)


@pytest.mark.parametrize(
    ("ends", "status", "sockets"),
    [("server", 404, ["open", "closed"]), ("call", 500, ["open", "closed"]), ("connection", 201, ["open"])],
)
def test_an_offer_that_comes_to_nothing_leaves_no_socket_and_hides_no_error(
    ends: str, status: int, sockets: list[str], monkeypatch: pytest.MonkeyPatch
):
    gathered: list[str] = []

    class Connection:
        """Gathers addresses, and fails once it is started."""

        def __init__(self, offer: object, network: object) -> None:
            """Both are of no interest."""

        async def answer(self, addresses: object, unix: float) -> str:
            gathered.append("open")
            if ends == "server":
                services[0].over = True
            return "v=0"

        async def abandon(self) -> None:
            gathered.append("closed")

        def start(self, call: RunningCall) -> asyncio.Task[None]:
            async def serve() -> None:
                call.hang_up("caller")
                raise RuntimeError("the transport failed")

            return asyncio.get_running_loop().create_task(serve())

    async def possible(service: object) -> None:
        """In virtual time too."""

    def broken(*given: object, **named: object) -> None:
        raise RuntimeError("no session can be opened")

    services: list[Any] = []
    monkeypatch.setattr("mockserver.server.calls.webrtc.WebRtcConnection", Connection)
    monkeypatch.setattr("mockserver.server.calls.offers._impossible", possible)

    async def tell(mock: MockServer, http: ClientSession) -> None:
        services.append(mock._service)
        if ends == "call":
            monkeypatch.setattr(mock._service.factory, "open", broken)
        async with http.post(f"{mock.http_url}/realtime/calls", data=OFFER, headers=SDP) as response:
            assert response.status == status
        await asyncio.sleep(0.1)
        assert gathered == sockets
        assert len(mock._service.errors) == (ends != "server")
        assert mock._service.calls.going_on == 0
        mock._service.over = False
        mock._service.errors.clear()

    story(tell)


def test_the_betas_address_takes_no_offers_any_more():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, body = await posted(http, f"{mock.http_url}/realtime?model=gpt-realtime", OFFER, SDP)
        assert (status, body["error"]["code"]) == (400, "beta_api_shape_disabled")

    story(tell)


def test_a_model_in_the_address_is_checked():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, body = await posted(http, f"{mock.http_url}/realtime/calls?model=gpt-4o", OFFER, SDP)
        assert (status, body["error"]["code"]) == (400, "invalid_model")

    story(tell)


def test_xai_has_no_webrtc():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, body = await posted(http, f"{mock.http_url}/realtime/calls", OFFER, SDP)
        assert status == 404 and "code" in body
        async with http.post(f"{mock.http_url}/realtime", data=OFFER, headers=SDP) as response:
            assert response.status == 405

    story(tell, dialect="xai")


def test_azure_takes_offers_with_a_secret_alone():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        url = mock.http_url.replace("/v1", "/openai/v1")
        status, body = await posted(http, f"{url}/realtime/calls", OFFER, {"api-key": "key", **SDP})
        assert (status, body["error"]["message"]) == (401, "This operation requires ephemeral tokens")

    story(tell, dialect="azure")


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="aiortc can be installed")
def test_an_old_python_is_told_so():
    async def tell() -> None:
        async with MockServer(dialect="openai") as mock, ClientSession() as http:
            status, body = await posted(http, f"{mock.http_url}/realtime/calls", OFFER, SDP)
            assert (status, body["error"]["type"]) == (501, "invalid_request_error")
            assert "Python 3.11" in body["error"]["message"]

    asyncio.run(tell())
