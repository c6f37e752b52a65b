"""Requests about a call, or of a namespace, that another server of the fleet has: they are sent on to that server.

Each server listens on a port of its own for that, besides the one that clients use. A request comes there as its client
sent it, so the server that has it admits, refuses, counts and records it as any other. A socket beside a call is
joined byte for byte, and ends with whichever of its three ends is lost first. A connection that the other server ends
without an answer is reset for the client, too: a fault or a kill does that.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import hdrs, web

from mockserver.server.connection import tear_down
from mockserver.server.http import body_of
from mockserver.server.service import MockService
from replay.addresses import is_loopback_address

LOOPBACK = "127.0.0.1"
CHUNK = 64 << 10
"""Bytes that are read at once; of what one side does not take yet, twice as many are kept."""
CONNECT_S = 3.0
"""Seconds that the connection to the other server may take."""
ANSWER_S = 660.0
"""Seconds that the other server may take to answer: more than a request that a fault hangs."""
STALLED_S = 600.0
"""Seconds that a client may take to read what waits for it."""
FORWARDED: web.AppKey[set[asyncio.Task[Any]]] = web.AppKey("forwarded", set)
"""What sends requests of an application on now."""
_END = b"\r\n\r\n"


class OwnerUnreachable(Exception):
    """The server that has the call or the namespace cannot be reached."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The beginning of the other server's answer."""

    status: int
    headers: Sequence[tuple[str, str]]


async def own_port(clients: Iterable[socket.socket], service: MockService) -> socket.socket:
    """A listening socket for the other servers of the fleet: where this machine reaches their store from, or on
    loopback if clients come from there alone. Raises OSError."""
    only_loopback = all(is_loopback_address(each.getsockname()[0]) for each in clients)
    host = LOOPBACK if only_loopback else await service.state.own_host()
    listening = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setblocking(False)
    return listening


async def owner(service: MockService, call_id: str) -> str | None:
    """The address of the server that has a call; None if that is this one, or if none has it. Raises StateLost."""
    if service.state.shared == "no" or service.calls.get(call_id) is not None:
        return None
    addresses = await service.state.ask_others({"what": "owner", "call": call_id}, one=True)
    return next((each for each in addresses if each is not None), None)


async def stop(app: web.Application, closing_s: float) -> None:
    """End what is sent on. The other servers may end it before, as they do if a whole fleet stops."""
    if tasks := app[FORWARDED].copy():
        _, left = await asyncio.wait(tasks, timeout=closing_s)
        for task in left:
            task.cancel()
        await asyncio.wait(tasks)


async def forward(request: web.Request, address: str) -> web.StreamResponse:
    """Have the server at this address answer. Raises OwnerUnreachable, and what `body_of` does."""
    task = asyncio.current_task()
    assert task is not None
    request.app[FORWARDED].add(task)
    try:
        return await _forwarded(request, address)
    finally:
        request.app[FORWARDED].discard(task)


async def _forwarded(request: web.Request, address: str) -> web.StreamResponse:
    upgrades = request.method == hdrs.METH_GET and "websocket" in request.headers.get(hdrs.UPGRADE, "").lower()
    body = b"" if upgrades else await body_of(request)
    host, _, port = address.rpartition(":")
    try:
        connected = asyncio.open_connection(host.strip("[]"), int(port), limit=CHUNK)
        reader, writer = await asyncio.wait_for(connected, CONNECT_S)
    except (OSError, asyncio.TimeoutError) as problem:
        raise OwnerUnreachable(address) from problem
    try:
        writer.write(_head(request, body, upgrades) + body)
        answer = await asyncio.wait_for(_answer(reader), ANSWER_S)
        if answer.status == 101 and upgrades:
            return await _join(request, answer, reader, writer)
        length = 0 if request.method == hdrs.METH_HEAD else int(dict(answer.headers).get(hdrs.CONTENT_LENGTH, "0"))
        content = await asyncio.wait_for(reader.readexactly(length), ANSWER_S)
        return web.Response(status=answer.status, headers=_passed_on(answer), body=content)
    except (ValueError, asyncio.LimitOverrunError, asyncio.TimeoutError) as problem:
        raise OwnerUnreachable(address) from problem
    except (OSError, EOFError):
        if request.transport is not None:
            tear_down(request.transport)
        return web.Response()
    finally:
        writer.close()


def _head(request: web.Request, body: bytes, upgrades: bool) -> bytes:
    """The head of the request, with the headers as they came but for those of its transport."""
    own = {b"content-length", b"expect", b"transfer-encoding", *(() if upgrades else (b"connection", b"upgrade"))}
    headers = [(name, value) for name, value in request.raw_headers if name.lower() not in own]
    if not upgrades:
        headers += [(b"Connection", b"close"), (b"Content-Length", str(len(body)).encode())]
    first = f"{request.method} {request.raw_path} HTTP/1.1".encode(errors="surrogateescape")
    return b"\r\n".join([first, *(b": ".join(each) for each in headers)]) + _END


async def _answer(reader: asyncio.StreamReader) -> _Answer:
    """Raises OSError, EOFError, ValueError and LimitOverrunError."""
    first, *lines = (await reader.readuntil(_END)).decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    _, status, *_ = first.split(" ")
    pairs = [line.partition(": ") for line in lines]
    return _Answer(int(status), [(name.title(), value) for name, _, value in pairs])


def _passed_on(answer: _Answer) -> list[tuple[str, str]]:
    """The headers that this server's answer does not get by itself."""
    own = (hdrs.CONNECTION, hdrs.CONTENT_LENGTH, hdrs.DATE, hdrs.SERVER, hdrs.TRANSFER_ENCODING, hdrs.VARY)
    return [(name, value) for name, value in answer.headers if name not in own]


class _FromClient(asyncio.StreamReader):
    """What a client sends after its handshake, as aiohttp hands it on; it is read no faster than it is taken."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:  # type: ignore[override]
        super().feed_data(data)
        return False, b""


async def _join(
    request: web.Request, answer: _Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> web.StreamResponse:
    """Join the client's connection to that of the other server until one of them ends."""
    upgraded = (hdrs.UPGRADE, hdrs.CONNECTION, "Sec-Websocket-Accept", "Sec-Websocket-Protocol")
    response = web.StreamResponse(status=101, headers=[each for each in answer.headers if each[0] in upgraded])
    response.force_close()
    await response.prepare(request)
    if request.transport is None:  # the client is gone
        return response
    request.protocol.keep_alive(False)
    client = _FromClient(limit=CHUNK)
    request.protocol.set_parser(cast(Any, client))
    client.set_transport(request.transport)  # after aiohttp has resumed it, so that what is paused from here stays so

    async def to_client() -> None:
        while data := await reader.read(CHUNK):
            await asyncio.wait_for(response.write(data), STALLED_S)

    async def to_owner() -> None:
        while data := await client.read(CHUNK):
            writer.write(data)
            await writer.drain()

    loop = asyncio.get_running_loop()
    out, back = loop.create_task(to_owner()), loop.create_task(to_client())
    try:
        await asyncio.wait((out, back), return_when=asyncio.FIRST_COMPLETED)
        if not back.done() and out.exception() is not None:  # the owner is gone; what it sent last is on its way
            await asyncio.wait((back,))
    finally:
        for way in (out, back):
            way.cancel()
        await asyncio.gather(out, back, return_exceptions=True)
    if (back.cancelled() or back.exception() is not None) and request.transport is not None:
        tear_down(request.transport)
    return response
