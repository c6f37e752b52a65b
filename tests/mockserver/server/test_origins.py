from __future__ import annotations

import asyncio
import socket
import sys

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin, Subprotocol

from mockserver.server.origins import is_foreign
from mockserver.testing.mock_server import MockServer
from replay import connections

EVIL = Origin("https://shop.example")


@pytest.mark.parametrize(
    ("origin", "host", "allowed", "foreign"),
    [
        (None, "127.0.0.1:8765", (), False),
        ("http://localhost:3000", "127.0.0.1:8765", (), False),
        ("http://[::1]:3000", "127.0.0.1:8765", (), False),
        ("https://shop.example", "127.0.0.1:8765", (), True),
        ("https://shop.example", "127.0.0.1:8765", ("https://shop.example",), False),
        ("https://SHOP.example", "127.0.0.1:8765", ("https://shop.example",), False),
        ("https://shop.example", "127.0.0.1:8765", ("*",), False),
        ("https://shop.example:444", "127.0.0.1:8765", ("https://shop.example",), True),
        ("null", "127.0.0.1:8765", (), True),
        ("null", "127.0.0.1:8765", ("null",), False),
        ("http://192.0.2.7", "192.0.2.7:8765", (), False),
        ("http://shop.example:8765", "shop.example:8765", (), True),
        ("http://localhost.shop.example", "127.0.0.1:8765", (), True),
        ("http://[", "127.0.0.1:8765", (), True),
    ],
)
def test_which_pages_are_of_another_origin(origin: str | None, host: str, allowed: tuple[str, ...], foreign: bool):
    assert is_foreign(origin, host, allowed) is foreign


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_a_page_of_another_origin_opens_sessions_with_a_secret_in_the_subprotocol_only(dialect: str):
    key = {"Authorization": "Bearer any-key-123456"}
    secret = "xai-client-secret.abcdef123456" if dialect == "xai" else "openai-insecure-api-key.ek_abcdef123456"
    model = "?model=" + ("grok-voice-latest" if dialect == "xai" else "gpt-realtime-2.1")
    offered = [Subprotocol("realtime"), Subprotocol(secret)]

    async def tell() -> None:
        async with MockServer(dialect=dialect, findings="off") as mock:
            with pytest.raises(InvalidStatus, match="403"):
                await connect(mock.ws_url + model, additional_headers=key, origin=EVIL)
            async with connect(mock.ws_url + model, subprotocols=offered, origin=EVIL) as ws:
                while "session.created" not in str(await ws.recv()):
                    pass  # xAI's conversation comes first
            async with connect(
                mock.ws_url + model, additional_headers=key, origin=Origin("http://localhost:3000")
            ) as ws:
                await ws.recv()
        async with MockServer(dialect=dialect, findings="off", allow_origins=["https://shop.example"]) as mock:
            async with connect(mock.ws_url + model, additional_headers=key, origin=EVIL) as ws:
                await ws.recv()

    asyncio.run(tell())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_silent_connections_are_bounded_by_the_descriptors_of_the_process(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, 1024))
    assert connections.most_idle() == 256
    monkeypatch.setattr("resource.getrlimit", lambda _: (1 << 20, 1 << 20))
    assert connections.most_idle() == 1000


def test_a_server_takes_sessions_beside_a_crowd_of_silent_connections(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connections, "most_idle", lambda: 20)

    async def tell() -> None:
        async with MockServer() as mock:
            port = int(mock.http_url.rpartition(":")[2].partition("/")[0])
            crowd = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
            async with connect(mock.ws_url, additional_headers={"Authorization": "Bearer k"}) as ws:
                await ws.recv()
            for each in crowd:
                each.close()

    asyncio.run(tell())
