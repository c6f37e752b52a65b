"""Runs of beats: lazy, cuttable, in the order of their instants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockserver.session.scheduler import Run, Scheduler


def beats(log: list[str], name: str, *instants: float) -> Run:
    try:
        for at in instants:
            yield at
            log.append(f"{name}@{at:g}")
    finally:
        log.append(f"{name} over")


def test_a_run_starts_at_once_and_goes_on_when_it_is_due():
    log: list[str] = []
    scheduler = Scheduler()
    scheduler.start("a", beats(log, "a", 1.0, 2.0))
    assert (log, scheduler.next_due()) == ([], 1.0)
    scheduler.advance(0.999)
    assert log == []
    scheduler.advance(1.0)
    assert (log, scheduler.next_due()) == (["a@1"], 2.0)
    scheduler.advance(10.0)
    assert log == ["a@1", "a@2", "a over"]
    assert scheduler.next_due() is None


def test_runs_interleave_by_their_instants():
    log: list[str] = []
    scheduler = Scheduler()
    scheduler.start("a", beats(log, "a", 1.0, 3.0))
    scheduler.start("b", beats(log, "b", 2.0, 4.0))
    scheduler.advance(5.0)
    assert [entry for entry in log if "@" in entry] == ["a@1", "b@2", "a@3", "b@4"]


def test_of_two_due_at_one_instant_the_one_that_started_first_goes_first():
    log: list[str] = []
    scheduler = Scheduler()
    scheduler.start("a", beats(log, "a", 1.0, 2.0))
    scheduler.start("b", beats(log, "b", 2.0))
    scheduler.advance(5.0)
    assert [entry for entry in log if "@" in entry] == ["a@1", "a@2", "b@2"]


def test_a_dropped_run_is_closed_and_never_goes_on():
    log: list[str] = []
    scheduler = Scheduler()
    scheduler.start("a", beats(log, "a", 1.0))
    assert scheduler.drop("a") is True
    assert scheduler.drop("a") is False
    scheduler.advance(5.0)
    assert log == ["a over"]


def test_a_new_run_of_a_name_replaces_the_old_one():
    log: list[str] = []
    scheduler = Scheduler()
    scheduler.start("a", beats(log, "old", 1.0))
    scheduler.start("a", beats(log, "new", 1.0))
    scheduler.advance(5.0)
    assert log == ["old over", "new@1", "new over"]


def test_clearing_cuts_everything():
    log: list[str] = []
    scheduler = Scheduler()
    for name in "ab":
        scheduler.start(name, beats(log, name, 1.0))
    scheduler.clear()
    assert (sorted(log), scheduler.next_due(), "a" in scheduler) == (["a over", "b over"], None, False)


def test_a_run_may_start_its_successor_under_its_own_name():
    log: list[str] = []
    scheduler = Scheduler()

    def first() -> Run:
        yield 1.0
        log.append("first")
        scheduler.start("a", beats(log, "next", 2.0))

    scheduler.start("a", first())
    scheduler.advance(5.0)
    assert log == ["first", "next@2", "next over"]


def test_a_run_cannot_go_back_in_time():
    log: list[str] = []
    scheduler = Scheduler()
    scheduler.start("a", beats(log, "a", 5.0, 1.0))
    scheduler.advance(5.0)
    assert log == ["a@5", "a@1", "a over"]


def test_an_endless_run_costs_one_beat():
    def endless() -> Run:
        at = 0.0
        while True:
            at += 1
            yield at

    scheduler = Scheduler()
    scheduler.start("a", endless())
    scheduler.advance(1000.0)
    assert scheduler.next_due() == 1001.0


def test_what_a_run_raises_is_not_swallowed():
    def broken() -> Run:
        yield 1.0
        raise ZeroDivisionError

    scheduler = Scheduler()
    scheduler.start("a", broken())
    with pytest.raises(ZeroDivisionError):
        scheduler.advance(1.0)
    assert scheduler.next_due() is None


@given(
    st.lists(st.lists(st.integers(0, 20), max_size=6).map(sorted), max_size=4),
    st.lists(st.integers(0, 25), max_size=10).map(sorted),
)
def test_looking_more_often_changes_nothing(runs: list[list[int]], looks: list[int]):
    logs: tuple[list[str], list[str]] = ([], [])
    for log, instants in zip(logs, ([30], [*looks, 30]), strict=True):
        scheduler = Scheduler()
        for number, run in enumerate(runs):
            scheduler.start(str(number), beats(log, str(number), *map(float, run)))
        for now in instants:
            scheduler.advance(float(now))
    assert logs[0] == logs[1]
