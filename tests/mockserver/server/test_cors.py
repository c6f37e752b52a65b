"""What a browser's page reads of the answers: the headers that decide it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest
from aiohttp import ClientSession

from mockserver.server import virtual_time
from mockserver.testing.mock_server import MockServer

OWN, OTHER = "http://localhost:5173", "https://shop.example"
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
KEY = {"Authorization": "Bearer any"}


def story(tell: Callable[[MockServer, ClientSession], Awaitable[Any]], **settings: Any) -> None:
    async def main() -> None:
        async with MockServer(**{"dialect": "openai", **settings}) as mock, ClientSession() as http:
            await tell(mock, http)

    virtual_time.run(main())


async def ask(http: ClientSession, method: str, url: str, **headers: str) -> tuple[int, Mapping[str, str]]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with http.request(method, url, headers=sent, json=None if method == "OPTIONS" else {}) as response:
        return response.status, response.headers


@pytest.mark.parametrize("path", ["/realtime/client_secrets", "/realtime/calls", "/chat/completions", "/realtime"])
@pytest.mark.parametrize("origin", [OWN, OTHER])
def test_a_preflight_is_answered_also_where_the_request_is_refused(path: str, origin: str):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, headers = await ask(http, "OPTIONS", mock.http_url + path, Origin=origin, **ASKS)
        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == origin
        assert headers["Access-Control-Allow-Methods"] == "POST"
        assert headers["Access-Control-Allow-Headers"] == "authorization,content-type"
        assert "Origin" in headers["Vary"]

    story(tell)


def test_a_page_of_this_machine_reads_every_answer_and_another_one_refusals_alone():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        secrets = mock.http_url + "/realtime/client_secrets"
        for origin, expected in ((OWN, 200), (OTHER, 403)):
            status, headers = await ask(http, "POST", secrets, Origin=origin, **KEY)
            assert (status, headers["Access-Control-Allow-Origin"]) == (expected, origin)
        for path, expected in (("/realtime/calls", 403), ("/chat/completions", 404)):
            status, headers = await ask(http, "POST", mock.http_url + path, Origin=OTHER, **KEY)
            assert (status, headers["Access-Control-Allow-Origin"]) == (expected, OTHER)
        assert mock._service.accounts.counts["secrets"] == 1
        refusals = [(each.status, each.cause) for _, each in mock._service.refusals]
        assert "--allow-origin" in refusals[0][1]

    story(tell)


def test_an_allowed_origin_counts_as_own():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, headers = await ask(http, "POST", mock.http_url + "/realtime/client_secrets", Origin=OTHER, **KEY)
        assert (status, headers["Access-Control-Allow-Origin"]) == (200, OTHER)

    story(tell, allow_origins=[OTHER])


@pytest.mark.parametrize(
    ("token", "origin", "may_read"), [(None, OWN, True), (None, OTHER, False), ("t", OTHER, True), ("t", OWN, True)]
)
def test_the_control_plane_is_read_by_pages_of_this_machine_or_with_the_token(
    token: str | None, origin: str, may_read: bool
):
    async def tell(mock: MockServer, http: ClientSession) -> None:
        _, asked = await ask(http, "OPTIONS", f"{mock.control_url}/reset", Origin=origin, **ASKS)
        status, headers = await ask(http, "POST", f"{mock.control_url}/reset", Origin=origin, Authorization="Bearer t")
        assert [each.get("Access-Control-Allow-Origin") for each in (asked, headers)] == [
            origin if may_read else None
        ] * 2
        assert status == (200 if may_read else 403)

    story(tell, admin_token=token)


def test_without_an_origin_nothing_is_added():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        status, headers = await ask(http, "POST", mock.http_url + "/realtime/client_secrets", **KEY)
        assert status == 200
        assert not [name for name in headers if name.startswith("Access-Control")]
        status, _ = await ask(http, "OPTIONS", mock.http_url + "/realtime/client_secrets")
        assert status == 405

    story(tell)
