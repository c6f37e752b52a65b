"""What every calendar has to do, whatever it is kept in."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, suppress
from datetime import date, time
from itertools import compress
from pathlib import Path

import pytest

from clinic_agent.call.tool import Unavailable
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.schedule import Booking, Change, MemorySchedule, NotBooked, Schedule, SlotTaken
from clinic_agent.clinic.schedule_sqlite import BadDatabase, SqliteSchedule

MONDAY = date(2026, 7, 6)
MARIA = Booking("DC-0706-0930", "dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
JOHN = Booking("DC-0706-0930", "dental cleaning", MONDAY, time(9, 30), "John Smith")
LATER = Booking("DC-0706-1100", "dental cleaning", MONDAY, time(11), "Maria Lopez")


@pytest.fixture(params=["memory", "sqlite"])
def schedule(request, tmp_path: Path) -> Iterator[Schedule]:
    if request.param == "memory":
        yield MemorySchedule()
        return
    with SqliteSchedule(tmp_path / "clinic.sqlite3") as kept:
        yield kept


def test_what_is_booked_is_taken_and_can_be_found(schedule):
    schedule.change("", add=MARIA)
    assert schedule.taken("dental cleaning", MONDAY) == {time(9, 30)}
    assert schedule.taken("vaccination", MONDAY) == frozenset()
    assert schedule.find("DC-0706-0930") == MARIA
    assert schedule.bookings() == [MARIA]


def test_a_slot_has_one_booking_and_names_who_has_it(schedule):
    schedule.change("", add=MARIA)
    with pytest.raises(SlotTaken) as taken:
        schedule.change("", add=JOHN)
    assert taken.value.booking == MARIA
    assert schedule.bookings() == [MARIA]


def test_a_move_to_a_taken_slot_leaves_the_old_appointment(schedule):
    schedule.change("", add=LATER)
    schedule.change("", add=JOHN)
    with pytest.raises(SlotTaken):
        schedule.change("", remove=LATER, add=MARIA)
    assert schedule.bookings() == [JOHN, LATER]


def test_what_is_not_booked_cannot_be_given_up_and_nothing_comes_in_its_place(schedule):
    schedule.change("", add=JOHN)
    with pytest.raises(NotBooked):
        schedule.change("", remove=MARIA, add=LATER)
    assert schedule.bookings() == [JOHN]


def test_the_same_key_again_changes_nothing_and_tells_what_was_done(schedule):
    first = schedule.change("book", add=MARIA)
    assert schedule.change("book", add=MARIA) == first == Change(added=MARIA)
    assert schedule.done("book") == first
    assert schedule.done("another") is None


def test_a_key_counts_until_something_else_happens_to_the_appointment(schedule):
    schedule.change("book", add=MARIA)
    schedule.change("cancel", remove=MARIA)
    assert schedule.change("cancel", remove=MARIA) == Change(removed=MARIA)
    schedule.change("book", add=MARIA)
    assert schedule.bookings() == [MARIA]
    assert schedule.done("cancel") is None


def test_a_failed_write_is_not_remembered(schedule):
    schedule.change("", add=JOHN)
    with pytest.raises(SlotTaken):
        schedule.change("book", add=MARIA)
    schedule.change("", remove=JOHN)
    assert schedule.change("book", add=MARIA).added == MARIA


def test_a_transfer_is_noted_once_for_each_key(schedule):
    for key in ("a", "a", "b", "", ""):
        schedule.transfer(key, f"reason {key}")
    assert schedule.transfers() == ["reason a", "reason b", "reason ", "reason "]


def test_of_two_years_bookings_with_one_reference_the_later_is_found(schedule):
    old = Booking("DC-0706-0930", "dental cleaning", date(2025, 7, 6), time(9, 30), "Maria Lopez")
    schedule.change("", add=MARIA)
    schedule.change("", add=old)
    assert schedule.find("DC-0706-0930") == MARIA


def _rush(schedule: Schedule, name: str, start: threading.Barrier) -> None:
    start.wait()
    for hour in range(8, 18):
        with suppress(SlotTaken):
            schedule.change("", add=Booking(f"R-{hour}", "vaccination", MONDAY, time(hour), name))


def test_threads_that_want_the_same_slots_share_them_without_overlap(schedule):
    start = threading.Barrier(4)
    threads = [threading.Thread(target=_rush, args=(schedule, f"Caller {n}", start)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [booking.time.hour for booking in schedule.bookings()] == [*range(8, 18)]


def _claim(path: str, name: str) -> bool:
    with SqliteSchedule(path) as schedule, suppress(SlotTaken):
        schedule.change("", add=Booking("DC-0706-0930", "dental cleaning", MONDAY, time(9, 30), name))
        return True
    return False


@pytest.mark.slow
def test_processes_that_want_the_same_slot_leave_one_booking(tmp_path: Path):
    path = str(tmp_path / "clinic.sqlite3")
    names = [f"Caller {n}" for n in range(4)]
    with ProcessPoolExecutor(len(names), mp_context=multiprocessing.get_context("spawn")) as pool:
        # A child that raises or dies fails the test through its future.
        got = list(pool.map(_claim, [path] * len(names), names, timeout=60))
    with SqliteSchedule(path) as schedule:
        assert [booking.name for booking in schedule.bookings()] == [*compress(names, got)]


def test_opening_waits_for_another_process_that_holds_a_new_file(tmp_path: Path):
    path = tmp_path / "clinic.sqlite3"
    tried, opened = threading.Event(), threading.Event()
    failures: list[Exception] = []

    def open_it() -> None:
        tried.set()
        try:
            SqliteSchedule(path).close()
        except Exception as error:  # handed to the thread that asserts
            failures.append(error)
        opened.set()

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        thread = threading.Thread(target=open_it)
        thread.start()
        assert tried.wait(10)
        assert not opened.wait(0.05)
        other.execute("ROLLBACK")
        assert opened.wait(10)
    thread.join()
    assert failures == []


def test_opening_a_file_that_stays_held_is_refused_in_time_and_by_name(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("clinic_agent.clinic.schedule_sqlite.BUSY_S", 0.0)
    path = tmp_path / "clinic.sqlite3"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match=r"clinic\.sqlite3: another program .* try again"):
            SqliteSchedule(path)


def test_bookings_keys_and_transfers_survive_a_restart(tmp_path: Path):
    path = tmp_path / "clinic.sqlite3"
    with SqliteSchedule(path) as schedule:
        schedule.change("book", add=MARIA)
        schedule.transfer("t", "chest pain")
    with SqliteSchedule(path) as schedule:
        assert schedule.bookings() == [MARIA]
        assert schedule.done("book") == Change(added=MARIA)
        assert schedule.transfers() == ["chest pain"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_a_new_file_is_for_its_owner_s_eyes(tmp_path: Path):
    with SqliteSchedule(tmp_path / "clinic.sqlite3") as schedule:
        schedule.change("book", add=MARIA)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_a_calendar_that_another_program_holds_is_unavailable_and_then_unchanged(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("clinic_agent.clinic.schedule_sqlite.BUSY_S", 0.0)
    path = tmp_path / "clinic.sqlite3"
    with SqliteSchedule(path) as schedule, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable):
            schedule.change("book", add=MARIA)
        assert schedule.bookings() == []  # readers do not wait
        other.execute("ROLLBACK")
        schedule.change("book", add=MARIA)
        assert schedule.bookings() == [MARIA]


def test_a_path_that_is_no_calendar_is_refused_by_name(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("these are not bookings, and long enough to be read as a header" * 4)
    with closing(sqlite3.connect(tmp_path / "newer.sqlite3")) as newer:
        newer.execute("PRAGMA user_version = 99")
    for name, says in {"nowhere/clinic.sqlite3": "unable to open", ".": "unable to open"}.items():
        with pytest.raises(BadDatabase, match=says):
            SqliteSchedule(tmp_path / name)
    with pytest.raises(BadDatabase, match=r"notes\.txt: file is not a database"):
        SqliteSchedule(tmp_path / "notes.txt")
    with pytest.raises(BadDatabase, match=r"newer\.sqlite3: made by a newer version"):
        SqliteSchedule(tmp_path / "newer.sqlite3")


def test_the_clinic_s_rules_hold_over_a_file_as_over_memory(schedule):
    clinic = Clinic(date(2026, 7, 1), schedule)
    clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    assert clinic.free("dental cleaning", MONDAY) == [time(11), time(14, 30)]
