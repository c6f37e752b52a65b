from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from mockserver.server import virtual_time as autojump


def test_an_hour_of_sleep_passes_at_once_and_is_counted_in_full():
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert autojump.run(main()) == pytest.approx(3600)
    assert time.perf_counter() - began < 1


def test_timers_are_due_after_years_too():
    async def main() -> int:
        for _ in range(100):
            await asyncio.sleep(30 * 24 * 3600)
        for _ in range(50):
            await asyncio.sleep(0.1)
        return 50

    assert autojump.run(main()) == 50


def test_timers_fire_in_the_order_of_their_times():
    async def main() -> list[str]:
        order: list[str] = []

        async def note(delay: float, name: str) -> None:
            await asyncio.sleep(delay)
            order.append(name)

        await asyncio.gather(note(3, "third"), note(1, "first"), note(2, "second"))
        return order

    assert autojump.run(main()) == ["first", "second", "third"]


def test_bytes_on_their_way_through_a_socket_arrive_before_time_moves():
    async def main() -> set[float]:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(65536):
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        loop = asyncio.get_running_loop()
        times = set()
        for size in [1, 200, 60_000] * 50:
            await asyncio.sleep(1)
            sent = loop.time()
            writer.write(b"x" * size)
            await reader.readexactly(size)
            times.add(loop.time() - sent)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return times

    assert autojump.run(main()) == {0.0}


def test_time_stands_still_while_a_thread_works():
    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        release = asyncio.Event()
        loop.call_later(10, release.set)
        began = loop.time()
        answer = await loop.run_in_executor(None, lambda: sum(range(200_000)) and "done")
        return str(answer), loop.time() - began

    assert autojump.run(main()) == ("done", 0.0)


def test_a_wait_that_nothing_can_end_is_reported(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(autojump, "_STALL_S", 0.01)

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(autojump.Stalled, match="no timer is left"):
        autojump.run(main())


def test_tasks_left_behind_are_cancelled_at_the_end():
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.sleep(1e6)
        finally:
            ended.append("cancelled")

    async def main() -> None:
        task = asyncio.get_running_loop().create_task(forever())
        await asyncio.sleep(0)
        assert not task.done()

    autojump.run(main())
    assert ended == ["cancelled"]


def test_no_time_passes_while_the_kernel_holds_bytes_back(monkeypatch: pytest.MonkeyPatch):
    """A thread plays the kernel: it hands over after real milliseconds what it was said to have kept."""
    near, far = socket.socketpair()
    near.setblocking(False)
    kept = {near.fileno(): 1}
    monkeypatch.setattr(autojump, "_unsent", kept.get)

    def hand_over() -> None:
        kept.clear()
        far.send(b"x")

    async def main() -> float:
        loop = asyncio.get_running_loop()
        kernel = threading.Timer(0.02, hand_over)
        kernel.start()
        assert await asyncio.wait_for(loop.sock_recv(near, 1), 20) == b"x"
        kernel.join()
        return loop.time()

    assert autojump.run(main()) == 0
    near.close()
    far.close()


def test_time_passes_while_a_receiver_does_not_read():
    async def main() -> None:
        ends: list[asyncio.StreamWriter] = []

        async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ends.append(writer)
            writer.write(bytes(9_000_000))

        server = await asyncio.start_server(send, "127.0.0.1", 0)
        ends.append((await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1000))[1])
        for _ in range(1000):
            await asyncio.sleep(60)
        for each in ends:
            each.transport.abort()
        await asyncio.sleep(1)
        server.close()

    autojump.run(main())
