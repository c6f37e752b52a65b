from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from mockserver.server import virtual_time as autojump
from mockserver.server.clock import Clock, RealTime, rate_named, wall_clock


def test_a_manual_clock_stops_at_every_wake_up_on_the_way():
    async def main() -> tuple[list[tuple[str, float]], float]:
        clock = Clock(rate=0)
        rung: list[tuple[str, float]] = []

        def again() -> None:
            rung.append(("again", clock.now()))
            if clock.now() < 3:
                clock.call_at(clock.now() + 1, again)

        clock.call_at(1, again)
        clock.call_at(2.5, lambda: rung.append(("once", clock.now())))
        clock.call_at(100, lambda: rung.append(("too late", clock.now())))
        await clock.advance(seconds=10)
        return rung, clock.now()

    rung, now = autojump.run(main())
    assert rung == [("again", 1), ("again", 2), ("once", 2.5), ("again", 3)]
    assert now == 10


def test_a_manual_clock_stands_still_while_real_time_passes_and_begins_at_a_fixed_instant():
    async def main() -> tuple[float, float]:
        clock = Clock(rate=0)
        await asyncio.sleep(5)
        return clock.now(), clock.unix()

    assert autojump.run(main()) == (0, autojump.EPOCH)


def test_a_cancelled_wake_up_never_rings():
    async def main() -> list[str]:
        clock = Clock()
        rung: list[str] = []
        clock.call_at(1, lambda: rung.append("cancelled")).cancel()
        clock.call_at(2, lambda: rung.append("kept"))
        await asyncio.sleep(3)
        return rung

    assert autojump.run(main()) == ["kept"]


def test_a_clock_at_rate_ten_rings_after_a_tenth_of_the_time():
    async def main() -> tuple[float, float]:
        clock = Clock(rate=10)
        rung = asyncio.get_running_loop().create_future()
        clock.call_at(30, lambda: rung.set_result(clock.now()))
        return await rung, asyncio.get_running_loop().time()

    at, real = autojump.run(main())
    assert at == pytest.approx(30)
    assert real == pytest.approx(3)


def in_real_time(story: Callable[[Clock, Callable[[float], None]], list[object]], monkeypatch: pytest.MonkeyPatch):
    """What a story gives that moves the computer's clock while the loop reads sockets."""

    async def main() -> list[object]:
        clock, began = Clock(), RealTime.monotonic()

        def later(seconds: float) -> None:
            monkeypatch.setattr(RealTime, "monotonic", staticmethod(lambda: began + seconds))
            clock.catch_up()

        return story(clock, later)

    return asyncio.run(main())


def test_what_is_due_while_sockets_are_read_is_called_between_two_reads(monkeypatch: pytest.MonkeyPatch):
    def story(clock: Clock, later: Callable[[float], None]) -> list[object]:
        rung: list[object] = []

        def first() -> None:
            rung.append("first")
            clock.call_at(15, lambda: rung.append("armed meanwhile"))

        clock.call_at(20, lambda: rung.append("second"))
        clock.call_at(10, first)
        clock.call_at(12, lambda: rung.append("cancelled")).cancel()
        clock.call_at(1e6, lambda: rung.append("too late"))
        later(5)
        rung.append(5)
        later(25)
        rung.append(clock.now() >= 20)
        later(26)
        return rung

    assert in_real_time(story, monkeypatch) == [5, "first", "armed meanwhile", "second", True]


def test_an_error_in_a_wake_up_reaches_the_loop_and_not_the_reader(monkeypatch: pytest.MonkeyPatch):
    def story(clock: Clock, later: Callable[[float], None]) -> list[object]:
        rung: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: rung.append(context["exception"]))
        problem = RuntimeError("a bug")

        def fail() -> None:
            raise problem

        clock.call_at(1, fail)
        clock.call_at(2, lambda: rung.append("the next"))
        later(3)
        assert rung[0] is problem
        return rung[1:]

    assert in_real_time(story, monkeypatch) == ["the next"]


def test_cancelled_wake_ups_do_not_pile_up():
    async def main() -> int:
        clock = Clock()
        for _ in range(10_000):
            clock.call_at(1e6, print).cancel()
        return len(clock._queue)

    assert asyncio.run(main()) < 200


def test_in_virtual_time_a_read_calls_nothing_before_the_loop_does():
    async def main() -> list[str]:
        clock = Clock()
        rung: list[str] = []
        clock.call_at(0, lambda: rung.append("rung"))
        clock.catch_up()
        before = rung.copy()
        await asyncio.sleep(1)
        return before + rung

    assert autojump.run(main()) == ["rung"]


class OwnTime(asyncio.SelectorEventLoop):
    """A loop whose seconds are not the computer's, as tools make for tests."""

    seconds = -1e6

    def time(self) -> float:
        return self.seconds


def test_on_a_loop_with_a_time_of_its_own_a_read_calls_nothing_that_is_not_due_there():
    async def main() -> tuple[list[str], list[str]]:
        clock = Clock()
        rung: list[str] = []
        clock.call_at(5, lambda: rung.append("rung"))
        clock.catch_up()
        early = rung.copy()
        loop.seconds += 6
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return early, rung

    loop = OwnTime()
    try:
        assert loop.run_until_complete(main()) == ([], ["rung"])
    finally:
        loop.close()


def test_a_flowing_clock_can_be_pushed_past_its_wake_ups_too():
    async def main() -> list[float]:
        clock = Clock()
        rung: list[float] = []
        clock.call_at(60, lambda: rung.append(clock.now()))
        clock.call_at(90, lambda: rung.append(clock.now()))
        clock.call_at(1e6, lambda: rung.append(clock.now()))
        await clock.advance(minutes=1)
        await clock.advance(seconds=30)
        return rung

    assert asyncio.run(main()) == pytest.approx([60, 90], abs=0.2)


def test_in_virtual_time_the_client_goes_ahead_together_with_the_clock():
    async def main() -> tuple[bool, float]:
        clock = Clock()
        client = asyncio.get_running_loop().create_task(asyncio.sleep(119 * 60))
        await clock.advance(minutes=120)
        return client.done(), clock.now()

    assert autojump.run(main()) == (True, 7200)


@pytest.mark.parametrize("push", [{"seconds": -1}, {"minutes": 1e9}, {"ms": float("nan")}])
def test_a_clock_is_not_moved_backwards_nor_too_far(push: dict[str, float]):
    async def main() -> None:
        await Clock(rate=0).advance(**push)

    with pytest.raises(ValueError, match="moved ahead"):
        autojump.run(main())


@pytest.mark.parametrize(("name", "rate"), [("wall", 1), ("wall:10", 10), ("wall:0.5", 0.5), ("manual", 0)])
def test_clocks_go_by_name(name: str, rate: float):
    assert rate_named(name) == rate


@pytest.mark.parametrize("name", ["", "sundial", "wall:", "wall:x", "wall:0", "wall:-1", "wall:nan", "manual:2"])
def test_an_unknown_clock_is_refused_with_the_choices(name: str):
    with pytest.raises(ValueError, match="use wall, wall:RATE"):
        rate_named(name)


async def test_the_time_of_day_is_that_of_the_instant_that_the_loop_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    before, kept, after = wall_clock(), loop.time() - 0.5, wall_clock()  # its turn began half a second ago
    monkeypatch.setattr(loop, "time", lambda: kept)
    assert before - 0.51 < Clock().unix() < after - 0.49
    monkeypatch.setattr(loop, "time", lambda: kept + 3600.0)  # a loop that counts from another instant
    before = wall_clock()
    assert before <= Clock().unix() <= wall_clock()
