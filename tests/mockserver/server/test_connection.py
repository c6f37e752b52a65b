from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from itertools import pairwise

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from mockserver.billing.ledger import Ledger
from mockserver.protocol.peer import QUIET, Peer, Quiet, Rest, Trackless
from mockserver.protocol.requests import Request, Result, Transcribed
from mockserver.server import connection, websocket
from mockserver.server import virtual_time as autojump
from mockserver.server.clock import Clock
from mockserver.server.connection import Connection
from mockserver.server.journal import Journal, SessionLog
from replay.billing.prices import PriceTable
from replay.cassette.frames import Binary, Close, Frame, Outgoing, Reset, Text, header

FREE = PriceTable("xai", date(2026, 7, 1), "nowhere")


class Script(Trackless):
    """A peer that says prepared frames at prepared times, and answers each message with the frames of `answers`."""

    def __init__(self, *beats: tuple[float, Frame], answers: tuple[Frame, ...] = ()) -> None:
        self.beats = list(beats)
        self.answers = answers
        self.heard: list[tuple[float, str | bytes]] = []
        self.lost_at: float | None = None
        self.out: list[Outgoing] = []

    def receive(self, data: str | bytes, now: float) -> Rest | Quiet | None:
        self.heard.append((now, data))
        self.out += [Outgoing(now, frame) for frame in self.answers]
        return None

    def lost(self, now: float) -> None:
        self.lost_at = now

    def next_due(self) -> float | None:
        return self.beats[0][0] if self.beats else None

    def take_output(self, now: float) -> list[Outgoing]:
        due = [Outgoing(at, frame) for at, frame in self.beats if at <= now]
        self.beats = self.beats[len(due) :]
        out, self.out = due + self.out, []
        return out

    def take_requests(self) -> list[Request]:
        return []

    def deliver(self, result: Result, now: float) -> None:
        """It asks for nothing."""


class Broken(Script):
    def receive(self, data: str | bytes, now: float) -> None:
        raise ZeroDivisionError("a secret of the implementation")


class Stuck(Script):
    def next_due(self) -> float | None:
        return 0.0

    def take_output(self, now: float) -> list[Outgoing]:
        return []


class Slow(Script):
    """It answers each message in three steps."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps

    def receive(self, data: str | bytes, now: float) -> Rest | None:
        return self._work(str(data), now)

    def _work(self, data: str, now: float) -> Rest:
        for number in range(3):
            self.steps.append(f"{data}{number}")
            yield
        self.out.append(Outgoing(now, Text(data.encode())))


class Hosted:
    """A peer behind a real socket: the client's end, and what the server knows."""

    def __init__(self) -> None:
        self.client: ClientWebSocketResponse[bool]
        self.connection: Connection
        self.log: SessionLog
        self.task: asyncio.Task[None] | None = None
        """What serves the connection."""
        self.over = asyncio.Event()
        self.writes: list[bytes] = []

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()


@asynccontextmanager
async def hosting(peer: Peer, count_writes: bool = False) -> AsyncIterator[Hosted]:
    hosted = Hosted()

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = await websocket.accept(request, None, 4 << 20)
        transport = socket.transport
        assert transport is not None
        if count_writes:
            _count_writes(transport, hosted.writes)
        hosted.log = Journal().open("session", "conversation", 0.0, Ledger(FREE, "free"))
        hosted.connection = Connection(peer, socket, transport, Clock(), hosted.log)
        hosted.task = asyncio.current_task()
        try:
            await hosted.connection.pump()
        finally:
            hosted.over.set()
        return socket.response

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    async with ClientSession() as http, http.ws_connect(url, autoclose=False) as hosted.client:
        yield hosted
    await asyncio.wait_for(hosted.over.wait(), 30)
    await runner.cleanup()


def _count_writes(transport: asyncio.Transport, writes: list[bytes]) -> None:
    write = transport.write

    def counting(data: bytes | bytearray | memoryview) -> None:
        writes.append(bytes(data))
        write(data)

    transport.write = counting  # type: ignore[method-assign]


def story(peer: Peer, tell: Callable[[Hosted], Awaitable[None]], count_writes: bool = False) -> Hosted:
    async def main() -> Hosted:
        async with hosting(peer, count_writes) as hosted:
            await tell(hosted)
        return hosted

    return autojump.run(main())


def texts(*words: str) -> list[Text]:
    return [Text(word.encode()) for word in words]


def test_each_beat_leaves_at_its_instant():
    async def tell(hosted: Hosted) -> None:
        for word, at in [("now", 0.0), ("soon", 0.25), ("much later", 600.0)]:
            assert await hosted.client.receive_str() == word
            assert hosted.now == pytest.approx(at)

    story(Script((0.0, Text(b"now")), (0.25, Text(b"soon")), (600.0, Text(b"much later"))), tell)


def test_frames_that_are_due_together_leave_in_one_write():
    async def tell(hosted: Hosted) -> None:
        for n in range(40):
            assert await hosted.client.receive_str() == f"{n}"
        await hosted.client.send_str("and you?")
        assert [await hosted.client.receive_str() for _ in range(2)] == ["a", "b"]

    beats = [(1.0, frame) for frame in texts(*(f"{n}" for n in range(40)))]
    hosted = story(Script(*beats, answers=tuple(texts("a", "b"))), tell, count_writes=True)
    assert hosted.writes[0].count(b"\x81") == 40
    assert hosted.writes[1] == b"\x81\x01a\x81\x01b"


def test_messages_that_arrive_together_are_answered_in_one_write():
    async def tell(hosted: Hosted) -> None:
        for _ in range(3):
            await hosted.client.send_str("?")
        assert [await hosted.client.receive_str() for _ in range(3)] == ["!", "!", "!"]

    hosted = story(Script(answers=(Text(b"!"),)), tell, count_writes=True)
    assert hosted.writes[0] == b"\x81\x01!" * 3


def test_nothing_is_written_to_a_connection_that_was_lost_just_before_its_close():
    async def tell(hosted: Hosted) -> None:
        await hosted.client.send_str("?")
        assert await hosted.client.receive_str() == "!"
        connection.tear_down(hosted.connection._transport)
        hosted.connection.close(1001, "the server is stopping")

    hosted = story(Script(answers=(Text(b"!"),)), tell, count_writes=True)
    assert hosted.writes == [b"\x81\x01!"]


def test_a_close_frame_that_is_read_after_the_connection_was_lost_is_not_answered():
    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        connection.tear_down(hosted.connection._transport)
        hosted.connection.feed_data(b"\x88\x02" + (4321).to_bytes(2, "big"))

    hosted = story(Script(), tell, count_writes=True)
    assert (hosted.writes, hosted.log.close_code) == ([], 4321)


def test_a_reader_that_caught_up_is_not_taken_for_one_that_reads_nothing():
    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        served, lagging = hosted.connection, iter([True])
        served._lagging = lambda: next(lagging, False)  # type: ignore[method-assign]
        served._unanswered = websocket.Ping(b"?")
        served._wait_for_reader()
        await asyncio.sleep(3 * connection.STALL_S)
        await hosted.client.close()

    hosted = story(Script(), tell, count_writes=True)
    assert (hosted.writes[0], hosted.log.close_code) == (b"\x8a\x01?", 1000)


def test_after_some_pings_in_a_row_others_have_their_turn():
    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        hosted.connection.feed_data(b"\x89\x80mask" * 100)
        assert len(hosted.writes) == connection.BATCH
        await asyncio.sleep(1)
        await hosted.client.close()

    hosted = story(Script(), tell, count_writes=True)
    assert hosted.writes[:-1] == [b"\x8a\x00"] * 100


@pytest.mark.parametrize("empty", [b"\x8a\x80mask", b"\x01\x80mask" + b"\x00\x80mask" * 99], ids=["pongs", "fragments"])
def test_frames_that_bring_nothing_are_read_in_turns_too(empty: bytes):
    peer = Script()

    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        hosted.connection.feed_data((empty * 100)[: 100 * 6] + b"\x80\x80mask" * (empty[0] == 1) + b"\x81\x80mask")
        assert peer.heard == []
        await asyncio.sleep(1)
        await hosted.client.close()

    story(peer, tell)
    assert peer.heard[-1][1] == ""


def test_a_half_open_connection_does_not_answer_a_close_frame_that_had_come():
    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        hosted.connection._fall_silent()
        hosted.connection.feed_data(b"\x88\x80mask" + b"\xff")
        hosted.connection.feed_eof()

    hosted = story(Script(), tell, count_writes=True)
    assert (hosted.writes, hosted.log.close_code) == ([], 1006)


def test_a_client_that_leaves_the_end_unread_is_cut_off():
    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        transport = hosted.connection._transport
        transport.get_write_buffer_size = lambda: 5  # type: ignore[method-assign]
        transport.abort = lambda: cut.append(hosted.now)  # type: ignore[method-assign]
        hosted.connection.feed_eof()
        await asyncio.sleep(connection.CLOSE_WAIT_S + 1)

    cut: list[float] = []
    story(Script(), tell)
    assert cut == [pytest.approx(1 + connection.CLOSE_WAIT_S)]


def test_after_a_message_that_caused_nothing_the_peer_is_left_alone():
    class Calm(Script):
        taken = 0

        def receive(self, data: str | bytes, now: float) -> Quiet | None:
            super().receive(data, now)
            return QUIET if data == "quiet" else None

        def take_output(self, now: float) -> list[Outgoing]:
            self.taken += 1
            return super().take_output(now)

    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        before = peer.taken
        await hosted.client.send_str("quiet")
        await asyncio.sleep(1)
        assert (peer.taken, len(peer.heard)) == (before, 1)
        await hosted.client.send_str("loud")
        await asyncio.sleep(1)
        assert peer.taken == before + 1

    peer = Calm()
    story(peer, tell)


def test_messages_are_timed_from_the_opening_and_keep_their_kind():
    peer = Script()

    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(2)
        await hosted.client.send_str("text")
        await asyncio.sleep(1)
        await hosted.client.send_bytes(b"\x00\xff")

    story(peer, tell)
    assert [data for _, data in peer.heard] == ["text", b"\x00\xff"]
    assert [at for at, _ in peer.heard] == pytest.approx([2, 3])


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 300_000])
def test_frames_of_every_size_arrive_whole(size: int):
    async def tell(hosted: Hosted) -> None:
        assert await hosted.client.receive_str() == "x" * size
        assert await hosted.client.receive_bytes() == b"\x00" * size

    story(Script((0.0, Text(b"x" * size)), (0.0, Binary(b"\x00" * size))), tell)


def test_a_close_of_the_peer_reaches_the_client_after_what_was_said_before():
    async def tell(hosted: Hosted) -> None:
        assert await hosted.client.receive_str() == "last words"
        message = await hosted.client.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4000, "enough")
        await hosted.client.close()

    hosted = story(Script((1.0, Text(b"last words")), (1.0, Close(4000, "enough")), (1.0, Text(b"unsaid"))), tell)
    assert (hosted.log.close_code, hosted.log.close_reason) == (4000, "enough")
    assert len(hosted.log.entries) == 3  # the client's own close frame is the third


def test_what_a_client_sends_after_our_close_frame_is_not_heard():
    peer = Script((1.0, Close(1000)))

    async def tell(hosted: Hosted) -> None:
        assert (await hosted.client.receive()).type is WSMsgType.CLOSE
        writer = hosted.client._writer
        assert writer is not None
        await writer.send_frame(b"too late", WSMsgType.TEXT)
        await hosted.client.close()

    story(peer, tell)
    assert peer.heard == []


def test_a_client_that_never_answers_a_close_frame_is_cut_off():
    async def tell(hosted: Hosted) -> None:
        await hosted.over.wait()
        assert hosted.now == pytest.approx(1 + connection.CLOSE_WAIT_S)

    story(Script((1.0, Close(1000))), tell)


def test_a_reset_ends_the_connection_without_a_close_frame():
    async def tell(hosted: Hosted) -> None:
        assert await hosted.client.receive_str() == "hm"
        message = await hosted.client.receive()
        assert message.type in (WSMsgType.ERROR, WSMsgType.CLOSED)
        assert hosted.client.close_code == 1006

    hosted = story(Script((1.0, Text(b"hm")), (1.0, Reset())), tell)
    assert hosted.log.close_code == 1006


def test_the_client_s_close_code_is_kept_and_the_peer_told():
    peer = Script((100.0, Text(b"never")))

    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(3)
        await hosted.client.close(code=4321, message=b"bye")
        assert hosted.client.close_code == 4321

    hosted = story(peer, tell)
    assert (hosted.log.close_code, hosted.log.close_reason) == (4321, "bye")
    assert peer.lost_at == pytest.approx(3)


def test_a_client_that_vanishes_is_lost_once_and_told_as_1006():
    peer = Script((100.0, Text(b"never")))

    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(3)
        transport = hosted.client.get_extra_info("socket")
        assert transport is not None
        connection_ = hosted.client._conn
        assert connection_ is not None and connection_.transport is not None
        connection_.transport.abort()
        await hosted.over.wait()

    hosted = story(peer, tell)
    assert hosted.log.close_code == 1006
    assert peer.lost_at == pytest.approx(3)


@pytest.mark.parametrize("peer", [Broken(), Stuck()])
def test_an_error_inside_the_peer_closes_with_1011_says_nothing_and_is_kept(peer: Script):
    async def tell(hosted: Hosted) -> None:
        await hosted.client.send_str("hello")
        message = await hosted.client.receive()
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1011, "")
        await hosted.client.close()

    hosted = story(peer, tell)
    assert type(hosted.connection.error) in (ZeroDivisionError, RuntimeError)


def test_a_cancel_is_heard_while_the_client_does_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "HIGH_WATER", 1 << 16)
    peer = Script(*((n / 100, Binary(bytes(1 << 18))) for n in range(100)))

    async def tell(hosted: Hosted) -> None:
        assert hosted.client._reader is not None
        await asyncio.sleep(0.5)
        assert len(peer.beats) > 60, "the socket should be full by now"
        await hosted.client.send_str("stop")
        await asyncio.sleep(0.01)
        assert [data for _, data in peer.heard] == ["stop"]
        for _ in range(100):
            assert len(await hosted.client.receive_bytes()) == 1 << 18

    story(peer, tell)


def test_an_answer_due_all_at_once_is_taken_only_as_fast_as_it_is_read():
    peer = Script(*((0.001 * n, Binary(bytes(1 << 20))) for n in range(48)))
    unsent: list[int] = []

    async def tell(hosted: Hosted) -> None:
        await asyncio.sleep(1)
        for _ in range(48):
            unsent.append(hosted.connection._transport.get_write_buffer_size())
            await hosted.client.receive_bytes()

    story(peer, tell)
    assert max(unsent) <= connection.HIGH_WATER + (1 << 20) + 100


def test_a_client_that_asks_for_ever_and_never_reads_is_reset(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "UNSENT_CAP", 8 << 20)
    peer = Script(answers=(Binary(bytes(1 << 20)),))

    async def tell(hosted: Hosted) -> None:
        for _ in range(40):
            if hosted.over.is_set():
                break
            await hosted.client.send_str("more")
            await asyncio.sleep(0.01)
        assert hosted.over.is_set()

    hosted = story(peer, tell)
    assert hosted.log.close_code == 1006
    assert hosted.log.close_reason.startswith("slow consumer")


@given(st.integers(0, 1 << 20))
def test_a_header_says_the_length_in_the_shortest_form(length: int):
    head = header(0x82, length)
    assert head[0] == 0x82
    form = head[1]
    if form < 126:
        assert (form, len(head)) == (length, 2)
    elif form == 126:
        assert length >= 126 and int.from_bytes(head[2:], "big") == length and len(head) == 4
    else:
        assert form == 127 and length >= 1 << 16 and int.from_bytes(head[2:], "big") == length and len(head) == 10


def test_a_reason_too_long_for_a_close_frame_is_cut_between_characters():
    frame = connection.closing(1000, "ä" * 100)
    assert frame[1] == len(frame) - 2 <= 125
    assert frame[4:].decode() == "ä" * 61


def test_others_have_their_turn_between_the_steps_of_a_long_message():
    steps: list[str] = []

    async def tell(hosted: Hosted) -> None:
        def other() -> None:
            steps.append("other")
            if len(steps) < 30:
                asyncio.get_running_loop().call_soon(other)

        await hosted.client.send_str("a")
        await hosted.client.send_str("b")
        other()
        assert [await hosted.client.receive_str() for _ in range(2)] == ["a", "b"]

    story(Slow(steps), tell)
    mine = [each for each in steps if each != "other"]
    assert mine == ["a0", "a1", "a2", "b0", "b1", "b2"]
    assert all("other" in steps[steps.index(one) : steps.index(two)] for one, two in pairwise(mine[:3]))


def test_a_long_message_whose_client_leaves_is_not_read_to_its_end():
    class Endless(Script):
        left = 0

        def receive(self, data: str | bytes, now: float) -> Rest | None:
            return self._work()

        def _work(self) -> Rest:
            begun.set()
            while True:
                yield

        def lost(self, now: float) -> None:
            self.left += 1

    begun, peer = asyncio.Event(), Endless()

    async def tell(hosted: Hosted) -> None:
        await hosted.client.send_str("a")
        await begun.wait()
        hosted.connection.reset("enough")

    story(peer, tell)
    assert peer.left == 1


def test_a_result_does_not_wait_for_a_long_message_that_was_given_up(monkeypatch: pytest.MonkeyPatch):
    class Endless(Script):
        def receive(self, data: str | bytes, now: float) -> Rest | None:
            return self._work()

        def _work(self) -> Rest:
            begun.set()
            while True:
                yield

    begun, tries = asyncio.Event(), list[bool]()

    def deliver(self: Connection, result: Result, last: bool) -> None:
        tries.append(self._rest is not None)
        original(self, result, last)

    async def tell(hosted: Hosted) -> None:
        await hosted.client.send_str("a")
        await begun.wait()
        hosted.connection._deliver(Transcribed("request", "words"), True)
        await asyncio.sleep(0)
        assert hosted.task is not None
        hosted.task.cancel()
        await hosted.over.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        assert tries[:2] == [True, True]
        assert tries.count(False) == 1
        assert not tries[-1]

    original = Connection._deliver
    monkeypatch.setattr(Connection, "_deliver", deliver)
    story(Endless(), tell)
