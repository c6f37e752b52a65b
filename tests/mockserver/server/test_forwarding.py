"""Requests that are sent on to another server: what that gets, what the client gets, and what happens if one of the two
stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from mockserver.server import forwarding

UPGRADE = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
JOINED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Owner:
    """The server that has the call; `answers` says what it does with a connection once it has read a head."""

    def __init__(self, answers: Callable[[Owner, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._answers = answers
        self.head = b""
        self.over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.head = await reader.readuntil(b"\r\n\r\n")
        try:
            await self._answers(self, reader, writer)
        finally:
            writer.close()
            self.over.set()


def says(data: bytes) -> Owner:
    async def answers(owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return Owner(answers)


@dataclass(frozen=True)
class Between:
    """A server that sends requests on, and how clients connect to it."""

    app: web.Application
    connect: Callable[[], Awaitable[Streams]]


@asynccontextmanager
async def forwarding_to(owner: Owner) -> AsyncIterator[Between]:
    """A server that sends all requests on to the owner."""
    listening = await asyncio.start_server(owner.serve, "127.0.0.1", 0)
    host, port = listening.sockets[0].getsockname()

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await forwarding.forward(request, f"{host}:{port}")
        except forwarding.OwnerUnreachable:
            return web.Response(status=503)

    app = web.Application()
    app[forwarding.FORWARDED] = set()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    opened: list[asyncio.StreamWriter] = []

    async def connect() -> Streams:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        opened.append(writer)
        return reader, writer

    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield Between(app, connect)
        await forwarding.stop(app, 0.0)
        assert not app[forwarding.FORWARDED]
    finally:
        for each in opened:
            each.close()
        await runner.cleanup()
        listening.close()


async def asked(owner: Owner, request: bytes) -> tuple[bytes, bytes]:
    """The head and the rest of the answer to a request whose connection is closed after it."""
    async with forwarding_to(owner) as between:
        reader, writer = await between.connect()
        writer.write(request)
        answer = await reader.read()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return head, rest


def lines(head: bytes) -> list[bytes]:
    return head.lower().removesuffix(b"\r\n\r\n").split(b"\r\n")


async def test_a_request_comes_as_it_was_sent_but_for_how_its_body_was_framed() -> None:
    owner = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: 7\r\nVary: Origin\r\n\r\nok")
    head, rest = await asked(
        owner,
        b"POST /v1/realtime/calls/c/hangup?a=1 HTTP/1.1\r\nHost: name\r\nAuthorization: Bearer k\r\n"
        b"X-A: 1\r\nX-A: 2\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    )
    assert lines(owner.head) == [
        b"post /v1/realtime/calls/c/hangup?a=1 http/1.1",
        *(b"host: name", b"authorization: bearer k", b"x-a: 1", b"x-a: 2", b"connection: close", b"content-length: 3"),
    ]
    assert (lines(head)[0], rest) == (b"http/1.1 200 ok", b"ok")
    assert b"x-request-id: 7" in lines(head)
    assert b"vary: origin" not in lines(head)  # each server adds its own


@pytest.mark.parametrize(
    ("request_head", "answer", "status"),
    [
        (
            b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 405 No\r\nContent-Length: 9\r\n\r\n",
            405,
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"SSH-2.0-other\r\n\r\n", 503),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"x" * 200_000, 503),
        (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            503,
        ),
    ],
    ids=["no body after HEAD", "another protocol", "an endless head", "a length that is none"],
)
async def test_answers_of_every_kind_end(request_head: bytes, answer: bytes, status: int) -> None:
    head, _ = await asked(says(answer), request_head)
    assert head.startswith(b"HTTP/1.1 %d " % status)


async def test_a_socket_has_no_body_and_no_interim_answer() -> None:
    owner = says(JOINED + b"\x81\x02hi")
    _, rest = await asked(
        owner, b"GET / HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc"
    )
    assert lines(owner.head) == [b"get / http/1.1", b"host: a", b"connection: upgrade", b"upgrade: websocket"]
    assert rest.endswith(b"\x81\x02hi")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na"], ids=["none", "a half"])
async def test_a_connection_that_ends_without_an_answer_is_reset_for_the_client(answer: bytes) -> None:
    with pytest.raises(ConnectionResetError):
        await asked(says(answer), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


async def test_an_owner_that_does_not_answer_in_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(forwarding, "ANSWER_S", 0.05)
    owner = Owner(hangs)
    head, _ = await asked(owner, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    await owner.over.wait()  # its connection is closed, too


async def test_an_owner_that_cannot_be_connected_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", never)
    monkeypatch.setattr(forwarding, "CONNECT_S", 0.05)
    with pytest.raises(forwarding.OwnerUnreachable):
        app = web.Application()
        app[forwarding.FORWARDED] = set()
        await forwarding.forward(make_mocked_request("GET", "/", {"Upgrade": "websocket"}, app=app), "192.0.2.1:9")


async def test_a_client_that_reads_nothing_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pours(owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JOINED)
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()

    monkeypatch.setattr(forwarding, "STALLED_S", 0.1)
    owner = Owner(pours)
    async with forwarding_to(owner) as between:
        reader, writer = await between.connect()
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await owner.over.wait()


async def test_a_client_sends_no_faster_than_the_owner_reads() -> None:
    many = 32 << 20
    reads = asyncio.Event()

    async def waits(owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JOINED)
        await reads.wait()
        await reader.readexactly(many)
        writer.write(b"all")

    async with forwarding_to(Owner(waits)) as between:
        reader, writer = await between.connect()
        # Before the answer, so that aiohttp keeps some of it for the socket.
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n" + bytes(many))
        await reader.readuntil(b"\r\n\r\n")
        left = -1
        while left != (left := writer.transport.get_write_buffer_size()):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.1)
        assert left > many // 2
        reads.set()
        assert await reader.readexactly(3) == b"all"


async def test_sockets_end_with_the_server_between_unless_the_owner_ends_them_before() -> None:
    stops = asyncio.Event()

    async def closes(owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JOINED)
        await stops.wait()
        writer.write(b"bye")

    async def stays(owner: Owner, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(JOINED)
        await reader.read()

    for answers, seconds, last in ((closes, 60.0, b"bye"), (stays, 0.0, b"")):
        owner = Owner(answers)
        async with forwarding_to(owner) as between:
            reader, writer = await between.connect()
            writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + UPGRADE + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            stops.set()
            await forwarding.stop(between.app, seconds)
            assert await reader.read() == last
            await owner.over.wait()
