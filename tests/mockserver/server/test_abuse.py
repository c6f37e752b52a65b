"""Clients that mean no good, beside one that does: it gets the same frames at the same instants as if it were alone."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import struct
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit
from weakref import ref

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from mockserver.protocol import conversation
from mockserver.server import connection
from mockserver.server import virtual_time as autojump
from mockserver.server.journal import JournalEntry
from mockserver.testing.mock_server import MockServer
from replay import connections

T = TypeVar("T")
KEY = {"Authorization": "Bearer k"}
Abuse = Callable[[MockServer, ClientSession], Awaitable[None]]


class Raw:
    """A client that writes WebSocket frames by hand, and reads only when told to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        Raw.made.append(self)

    made: ClassVar[list[Raw]] = []

    @classmethod
    async def connected(cls, mock: MockServer, *headers: str) -> Raw:
        raw = await cls.dialled(mock)
        raw._writer.write("\r\n".join((*UPGRADE, *headers, "", "")).encode())
        raw.handshake = await raw._reader.readuntil(b"\r\n\r\n")
        assert raw.handshake.startswith(b"HTTP/1.1 101")
        return raw

    @classmethod
    async def dialled(cls, mock: MockServer) -> Raw:
        port = urlsplit(mock.http_url).port
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 16))

    handshake = b""

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    def frame(self, opcode: int, payload: bytes) -> None:
        """`opcode` with the bits FIN (0x80) and RSV1 (0x40)."""
        size = len(payload)
        length = bytes((0x80 | size,)) if size < 126 else struct.pack(">BH", 0xFE, size)
        if size > 0xFFFF:
            length = struct.pack(">BQ", 0xFF, size)
        self._writer.write(bytes((opcode,)) + length + bytes(4) + payload)  # a mask of zeros leaves it as it is

    def text(self, event: object) -> None:
        self.frame(0x81, json.dumps(event).encode())

    async def rest(self) -> bytes:
        """All that comes until the server hangs up."""
        try:
            return await self._reader.read(-1)
        except ConnectionError:
            return b""

    async def closed_with(self) -> int:
        """The code of the close frame at the end."""
        rest = await self.rest()
        size = rest[-1] if rest[-2:-1] == b"\x88" else 0
        at = rest.rindex(b"\x88") if not size else len(rest) - 2
        return int(struct.unpack(">H", rest[at + 2 : at + 4])[0])

    def hang_up(self) -> None:
        self._writer.transport.abort()
        self._writer.close()


UPGRADE = (
    "GET /v1/realtime?model=grok-voice-latest HTTP/1.1",
    "Host: 127.0.0.1",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "Sec-WebSocket-Version: 13",
    "Authorization: Bearer abuser",
)


async def good_call(ws: ClientWebSocketResponse[bool]) -> None:
    """Three turns over a minute, the abuse in the middle of them."""
    for number in range(3):
        text = [{"type": "input_text", "text": f"number {number}"}]
        await ws.send_json(
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": text}}
        )
        await ws.send_json({"type": "response.create"})
        while '"response.done"' not in await ws.receive_str():
            pass
        await asyncio.sleep(15)


def neighbour(abuse: Abuse | None, **settings: Any) -> list[JournalEntry]:
    """What crosses the wire of a good call while that happens beside it."""

    async def main() -> list[JournalEntry]:
        async with MockServer(voice="tone", **settings) as mock, ClientSession() as http:
            async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                calling = asyncio.get_running_loop().create_task(good_call(ws))
                await asyncio.sleep(1)
                if abuse is not None:
                    await abuse(mock, http)
                await calling
            return mock.sessions[0].entries

    return story(main())


ALONE: list[JournalEntry] = []


@pytest.fixture
def undisturbed() -> Callable[[Abuse], None]:
    """Holds the good call beside an abuse against the good call alone."""
    if not ALONE:
        ALONE.extend(neighbour(None))

    def check(abuse: Abuse) -> None:
        assert neighbour(abuse) == ALONE
        assert len(ALONE) > 50

    return check


Check = Callable[[Abuse], None]


def story(main: Coroutine[Any, Any, T]) -> T:
    """Run it in virtual time; nobody is left on the line."""

    async def told() -> T:
        try:
            return await main
        finally:
            for raw in Raw.made:
                raw.hang_up()
            Raw.made.clear()

    return autojump.run(told())


def test_a_flood_is_served_and_told_in_one_line(
    undisturbed: Check, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "FLOOD", 1000)

    async def flood(mock: MockServer, http: ClientSession) -> None:
        raw = await Raw.connected(mock)
        for _ in range(3000):
            raw.text({"type": "input_audio_buffer.append", "audio": "AAAA"})
        await raw.drain()
        await asyncio.sleep(0.1)
        raw.hang_up()

    undisturbed(flood)
    assert caplog.text.count("flood, 1024 messages within a second") == 1


def test_a_request_that_is_no_http_is_one_line_without_its_bytes(undisturbed: Check, caplog: pytest.LogCaptureFixture):
    async def send(mock: MockServer, _: ClientSession) -> None:
        raw = await Raw.dialled(mock)
        raw._writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization Bearer unusual-key\r\n\r\n")
        assert (await raw._reader.readline()).split()[1] == b"400"

    undisturbed(send)
    assert caplog.text.count("\n") == caplog.text.count("a request that is not HTTP/1.1 was answered with 400") == 1
    assert "unusual-key" not in caplog.text


@pytest.mark.slow
def test_a_reader_that_never_reads_is_reset_and_costs_no_more_than_the_bound(
    undisturbed: Check, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(connection, "UNSENT_CAP", 4 << 20)

    async def stuff(mock: MockServer, http: ClientSession) -> None:
        raw = await Raw.connected(mock)
        for _ in range(400):  # each is answered with its own 40 kB, as unknown types are not
            raw.text({"type": "conversation.item.create", "item": message("x" * 40_000)})
            await raw.drain()
            await asyncio.sleep(0.01)
            if mock.sessions[-1].close_code is not None:
                break
        assert mock.sessions[-1].close_reason.startswith("slow consumer")

    undisturbed(stuff)
    assert "slow consumer" in caplog.text


def message(text: str) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


@pytest.mark.slow
def test_a_reader_that_stops_reading_in_mid_answer_is_not_waited_for_for_ever(caplog: pytest.LogCaptureFixture):
    async def main() -> None:
        async with MockServer(voice="tone", pacing="burst") as mock:
            raw = await Raw.connected(mock)
            raw.text({"type": "conversation.item.create", "item": message("so it goes on. " * 200)})
            raw.text({"type": "response.create"})
            await asyncio.sleep(connection.STALL_S - 1)
            assert mock.sessions[0].close_code is None
            await asyncio.sleep(2)
            assert mock.sessions[0].close_reason == f"slow consumer: nothing read for {connection.STALL_S:g} s"

    story(main())
    assert "nothing read for 300 s" in caplog.text


@pytest.mark.slow
def test_a_frame_of_twenty_megabytes_is_refused_and_the_session_goes_on(
    undisturbed: Check, caplog: pytest.LogCaptureFixture
):
    async def large(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await ws.send_str(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 20_000_000}))
            while (event := json.loads(await ws.receive_str()))["type"] != "error":
                pass
            assert "16777216 are allowed" in event["error"]["message"]
            await ws.send_json({"type": "input_audio_buffer.clear"})
            assert "cleared" in await ws.receive_str()

    undisturbed(large)
    assert "a message of 20000050 bytes" in caplog.text


def test_a_frame_beyond_all_bounds_is_not_even_taken(undisturbed: Check, caplog: pytest.LogCaptureFixture):
    async def huge(mock: MockServer, http: ClientSession) -> None:
        raw = await Raw.connected(mock)
        raw.write(b"\x81" + struct.pack(">BQ", 0xFF, 1 << 40) + bytes(4))
        assert await raw.closed_with() == 1009

    undisturbed(huge)
    assert "closed with 1009" in caplog.text


def test_text_that_is_not_utf_8_closes_with_1007(undisturbed: Check, caplog: pytest.LogCaptureFixture):
    async def garbled(mock: MockServer, http: ClientSession) -> None:
        raw = await Raw.connected(mock)
        raw.frame(0x81, b'{"type": "\xff\xfe"}')
        assert await raw.closed_with() == 1007
        assert mock.sessions[-1].close_code == 1007

    undisturbed(garbled)
    assert "closed with 1007" in caplog.text


def test_an_event_in_ten_thousand_fragments_with_pings_between_is_one_event(undisturbed: Check):
    async def torn(mock: MockServer, http: ClientSession) -> None:
        raw = await Raw.connected(mock)
        whole = json.dumps({"type": "conversation.item.create", "item": message("x" * 9_900)}).encode()
        raw.frame(0x01, whole[:1])
        for at in range(1, len(whole) - 1):
            raw.frame(0x00, whole[at : at + 1])
            if at % 100 == 0:
                raw.frame(0x89, b"still there?")
        raw.frame(0x80, whole[-1:])
        await asyncio.sleep(0.1)
        assert [event["type"] for event in mock.sessions[-1].received()] == ["conversation.item.create"]
        raw.hang_up()

    undisturbed(torn)


def test_fragments_that_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr("mockserver.server.app.MAX_MESSAGE", 1 << 20)

    async def main() -> None:
        async with MockServer(voice="tone") as mock:
            raw = await Raw.connected(mock)
            raw.frame(0x01, bytes(60_000))
            for _ in range(17):
                raw.frame(0x00, bytes(60_000))
            assert await raw.closed_with() == 1009

    story(main())
    assert "closed with 1009" in caplog.text


def test_compression_is_not_agreed_to_and_a_compressed_frame_is_a_mistake(
    undisturbed: Check, caplog: pytest.LogCaptureFixture
):
    async def bomb(mock: MockServer, http: ClientSession) -> None:
        raw = await Raw.connected(mock, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits")
        assert b"sec-websocket-extensions" not in raw.handshake.lower()
        packer = zlib.compressobj(wbits=-15)
        raw.frame(0xC1, packer.compress(bytes(10_000_000)) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4])
        assert await raw.closed_with() == 1002

    undisturbed(bomb)
    assert "closed with 1002" in caplog.text


def test_a_body_that_inflates_is_refused_before_it_has():
    async def main() -> int:
        async with MockServer(voice="tone") as mock, ClientSession() as http:
            headers = {**KEY, "Content-Encoding": "deflate", "Content-Type": "application/json"}
            body = zlib.compress(b" " * 10_000_000)
            async with http.post(mock.http_url + "/realtime/client_secrets", data=body, headers=headers) as response:
                return response.status

    assert story(main()) in (400, 413)


@pytest.mark.slow
def test_ten_thousand_items_are_taken_in(undisturbed: Check):
    async def pile(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            for number in range(10_000):
                await ws.send_json({"type": "conversation.item.create", "item": {**message("hm"), "id": f"i{number}"}})
            added = 0
            while added < 10_000:
                added += '"conversation.item.added"' in await ws.receive_str()

    undisturbed(pile)


def test_a_conversation_has_an_end(monkeypatch: pytest.MonkeyPatch):
    from tests.mockserver.talk import Talk

    for dialect in ("xai", "openai"):
        monkeypatch.setattr(conversation, "MOST_ITEMS", 3)
        talk = Talk(dialect=dialect)
        for _ in range(3):
            talk.write("hello")
        talk.write("one too many")
        assert "conversation is full" in talk.error["message"]
        monkeypatch.setattr(conversation, "MOST_ITEMS", 100)
        monkeypatch.setattr(conversation, "MOST_BYTES", 20)
        talk.write("a few bytes too many")
        assert "conversation is full" in talk.error["message"]


def test_items_of_earlier_connections_count_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(conversation, "MOST_ITEMS", 2)
    resumed = conversation.Conversation("c")
    resumed.earlier = [conversation.Item("i0", "message")]
    assert not resumed.full(conversation.Item("i1", "message"))
    resumed.add(conversation.Item("i1", "message"))
    assert resumed.full(conversation.Item("i2", "message"))


def test_connections_that_ask_for_nothing_are_hung_up_on_after_a_while(
    undisturbed: Check, caplog: pytest.LogCaptureFixture
):
    async def loiter(mock: MockServer, http: ClientSession) -> None:
        silent = [await Raw.dialled(mock) for _ in range(50)]
        for raw in silent[:25]:
            raw.write(b"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        for _ in range(12):
            await asyncio.sleep(1)
            for raw in silent[:25]:
                raw.write(b"z")
        assert [await raw.rest() for raw in silent] == [b""] * 50

    undisturbed(loiter)
    assert "50 connections dropped: no complete request within 10 s" in caplog.text


def test_no_more_than_some_may_wait_to_ask(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(connections, "most_idle", lambda: 20)

    async def main() -> None:
        async with MockServer(voice="tone") as mock, ClientSession() as http:
            silent = [await Raw.dialled(mock) for _ in range(60)]
            async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                assert "session.created" in await ws.receive_str()
            assert [await raw.rest() for raw in silent[:40]] == [b""] * 40
            await asyncio.sleep(11)

    story(main())
    assert "41 connections dropped: more than 20 were idle" in caplog.text


def test_a_body_that_never_comes_is_not_waited_for():
    async def main() -> bytes:
        async with MockServer(voice="tone") as mock:
            raw = await Raw.dialled(mock)
            raw.write(b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\n")
            raw.write(b"Content-Length: 100\r\n\r\n{")
            return await raw.rest()

    assert story(main()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.slow
def test_thousands_of_sockets_come_and_go_and_leave_nothing_behind():
    async def main() -> None:
        async with MockServer(voice="tone") as mock:
            for _ in range(20):
                raws = [await Raw.dialled(mock) for _ in range(100)]
                for number, raw in enumerate(raws):
                    raw.write((b"", b"GET", os.urandom(50), b"\x81\x80", b"\r\n\r\n")[number % 5])
                await asyncio.sleep(0.01)
                for raw in raws:
                    raw.hang_up()
            await asyncio.sleep(20)
            assert len(mock._server._tcp) == 0
            assert mock.errors == []

    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # noqa: TID251  # not a logger of ours
    try:
        story(main())
    finally:
        logging.getLogger("aiohttp").setLevel(logging.NOTSET)  # noqa: TID251  # not a logger of ours


def test_the_message_that_ends_a_session_is_the_last_thing_on_its_wire():
    async def main() -> None:
        async with MockServer(voice="tone") as mock, ClientSession() as http:
            async with http.ws_connect(mock.ws_url, headers=KEY, autoclose=False) as ws:
                await ws.send_json({"type": "conversation.item.create", "item": message("so it goes on. " * 50)})
                await ws.send_json({"type": "response.create"})
                await asyncio.sleep(2)
                assert ws._writer is not None
                await ws._writer.send_frame(b"\xff", WSMsgType.TEXT)
                kinds = []
                while (got := await ws.receive()).type not in (WSMsgType.CLOSED, WSMsgType.ERROR):
                    kinds.append(got.type)
                    if got.type is WSMsgType.CLOSE:
                        await asyncio.sleep(5)
                        await ws.close()
                assert kinds.index(WSMsgType.CLOSE) == len(kinds) - 1

    story(main())


@pytest.mark.pure  # it has weak references
def test_a_session_that_is_over_is_freed_at_once_although_the_journal_keeps_its_frames(tmp_path: Path):
    async def main() -> None:
        over = []
        async with MockServer(voice="tone", record=tmp_path) as mock, ClientSession() as http:
            for _ in range(4):
                async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
                    await ws.send_str('{"type": "response.create"}')
                    while "response.done" not in await ws.receive_str():
                        pass
                    over += [ref(each.session) for each in mock._service.open_sessions.values()]
            assert len(mock.sessions) == len(over) == 4
            await asyncio.sleep(1)
            assert sum(each() is not None for each in over) == 0

    gc.disable()
    try:
        story(main())
    finally:
        gc.enable()
