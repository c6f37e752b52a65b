"""The clinic's schedule."""

from __future__ import annotations

from datetime import date, time, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_agent.clinic.clinic import BOOKABLE_DAYS, OPENING_HOURS, SERVICES, Clinic, ClinicError, ServiceName

TODAY = date(2026, 7, 1)
MONDAY = date(2026, 7, 6)
SATURDAY = date(2026, 7, 4)
SUNDAY = date(2026, 7, 5)


def test_a_weekday_offers_all_start_times_of_the_service():
    assert Clinic(TODAY).free("dental cleaning", MONDAY) == [time(9, 30), time(11), time(14, 30)]


def test_on_saturday_only_what_ends_before_closing_time_is_offered():
    assert Clinic(TODAY).free("dental cleaning", SATURDAY) == [time(9, 30), time(11)]


def test_a_closed_day_offers_nothing_and_the_next_free_day_is_monday():
    clinic = Clinic(TODAY)
    assert clinic.free("vaccination", SUNDAY) == []
    assert clinic.next_free_day("vaccination", SUNDAY) == MONDAY


def test_a_booked_slot_disappears_for_that_service_alone():
    clinic = Clinic(TODAY)
    clinic.book("dental check-up", MONDAY, time(9), "Maria Lopez")
    assert time(9) not in clinic.free("dental check-up", MONDAY)
    assert len(clinic.free("vaccination", MONDAY)) == 2


def test_asking_twice_for_the_same_appointment_books_it_once():
    clinic = Clinic(TODAY)
    first = clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    assert clinic.book("dental cleaning", MONDAY, time(9, 30), "maria lopez") is first
    assert first.reference == "DC-0706-0930"
    assert clinic.schedule.bookings() == [first]


def test_a_time_taken_by_somebody_else_is_refused_with_the_times_left():
    clinic = Clinic(TODAY)
    clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    with pytest.raises(ClinicError, match="free that day: 11:00, 14:30"):
        clinic.book("dental cleaning", MONDAY, time(9, 30), "John Smith")


def test_a_time_never_on_offer_is_refused():
    with pytest.raises(ClinicError, match="09:31 on 2026-07-06 is not free"):
        Clinic(TODAY).book("dental cleaning", MONDAY, time(9, 31), "Maria Lopez")


@pytest.mark.parametrize("day", [TODAY, TODAY - timedelta(1), TODAY + timedelta(BOOKABLE_DAYS + 1)])
def test_days_outside_the_bookable_ones_are_refused(day):
    with pytest.raises(ClinicError, match=str(day)):
        Clinic(TODAY).free("vaccination", day)


def test_the_last_bookable_day_has_no_next_one():
    clinic = Clinic(TODAY)
    assert clinic.next_free_day("vaccination", TODAY + timedelta(BOOKABLE_DAYS)) is None


def test_every_service_that_can_be_named_has_a_schedule():
    assert set(SERVICES) == set(get_args(ServiceName))


@given(
    service=st.sampled_from(sorted(SERVICES)),
    ahead=st.integers(1, BOOKABLE_DAYS),
    names=st.lists(st.sampled_from(["Ann Lee", "Bo Ek", "Cy Orr"]), max_size=12),
)
def test_booking_until_nothing_is_free_never_gives_one_slot_to_two_people(service, ahead, names):
    clinic = Clinic(TODAY)
    day = TODAY + timedelta(ahead)
    offered = clinic.free(service, day)
    booked = []
    for name in names:
        left = clinic.free(service, day)
        if left:
            booked.append(clinic.book(service, day, left[0], name))
    assert [booking.time for booking in booked] == offered[: len(booked)]
    assert len({booking.reference for booking in booked}) == len(booked)
    assert not booked or day.weekday() in OPENING_HOURS


def test_an_appointment_moves_to_a_free_time_and_its_old_one_is_free_again():
    clinic = Clinic(TODAY)
    booked = clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    moved = clinic.reschedule(booked.reference, "maria  LOPEZ", MONDAY, time(11))
    assert (moved.reference, moved.name) == ("DC-0706-1100", "Maria Lopez")
    assert clinic.free("dental cleaning", MONDAY) == [time(9, 30), time(14, 30)]


def test_a_move_to_a_taken_time_offers_the_others_and_keeps_the_appointment():
    clinic = Clinic(TODAY)
    clinic.book("dental cleaning", MONDAY, time(11), "Maria Lopez")
    booked = clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    with pytest.raises(ClinicError, match="11:00 on 2026-07-06 is not free; free that day: 14:30"):
        clinic.reschedule(booked.reference, "Maria Lopez", MONDAY, time(11))
    assert len(clinic.schedule.bookings()) == 2


def test_a_cancelled_time_is_free_again_and_can_be_booked_anew_in_the_same_call():
    clinic = Clinic(TODAY)
    for _ in range(2):
        booked = clinic.book("vaccination", MONDAY, time(10), "Maria Lopez", key="book")
        assert clinic.cancel(booked.reference, "Maria Lopez", key="cancel") == booked
        assert clinic.cancel(booked.reference, "Maria Lopez", key="cancel") == booked
        assert time(10) in clinic.free("vaccination", MONDAY)


@pytest.mark.parametrize(("reference", "name"), [("DC-0706-0930", "John Smith"), ("DC-0706-1100", "Maria Lopez")])
def test_an_appointment_is_changed_only_by_reference_and_name_together(reference, name):
    clinic = Clinic(TODAY)
    clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    with pytest.raises(ClinicError, match=f"there is no appointment {reference} under that name"):
        clinic.cancel(reference, name)
    assert len(clinic.schedule.bookings()) == 1


def test_an_appointment_that_is_over_can_no_longer_be_changed():
    clinic = Clinic(TODAY)
    booked = clinic.book("dental cleaning", MONDAY, time(9, 30), "Maria Lopez")
    with pytest.raises(ClinicError, match="can no longer be changed"):
        Clinic(MONDAY, clinic.schedule).cancel(booked.reference, "Maria Lopez")


def test_no_two_services_share_a_reference():
    clinic = Clinic(TODAY)
    offered = [(service, start) for service in SERVICES for start in clinic.free(service, MONDAY)]
    references = {clinic.book(service, MONDAY, start, "Maria Lopez").reference for service, start in offered}
    assert len(references) == len(offered)
