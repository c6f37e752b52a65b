"""Booking: the clean way, over a lost line, on a full day, with a broken calendar, and against somebody else."""

from __future__ import annotations

from datetime import date

import pytest

from tests.clinic.phone import ASK, CHOOSE, MARIA, behaviour, clip, said, tools, wholly

MONDAY = date(2026, 7, 6)


@behaviour("booking", live=True)
async def test_a_booking_takes_two_spoken_turns(phone):
    report = await phone.call(clip("booking-1"), clip("booking-2"))
    wholly(report, 2)
    assert tools(report)[-1] == "book_appointment"
    assert report.turns[1].tools[-1].result == MARIA
    assert [booking.reference for booking in phone.booked] == ["DC-0706-0930"]


@behaviour("clinic", tape=False)
async def test_a_booking_in_writing_costs_its_words_and_comes_out_the_same(phone):
    report = await phone.call(ASK, CHOOSE)
    wholly(report, 2)
    assert report.turns[1].tools[0].result == MARIA
    assert report.cost.text_items == 2


@behaviour("resumed-booking", live=True)
@pytest.mark.slow
async def test_a_lost_line_between_two_turns_is_taken_up_again_with_the_conversation(phone):
    phone.lost_after = 1
    report = await phone.call(clip("booking-1"), clip("booking-2"))
    wholly(report, 2)
    assert [booking.name for booking in phone.booked] == ["Maria Lopez"]
    named = [session.sent("conversation.created")[0]["conversation"]["id"] for session in phone.mock.sessions]
    assert named == [report.conversation_id] * 2


@behaviour("fully-booked", live=True)
async def test_a_day_without_a_free_time_is_said_to_be_full_and_another_offered(phone):
    for start in phone.clinic.free("dental cleaning", MONDAY):
        phone.clinic.book("dental cleaning", MONDAY, start, "Somebody Else")
    report = await phone.call(clip("booking-1"), "No, thank you. Goodbye.")
    wholly(report, 2)
    assert report.turns[0].tools[0].result["next_free_date"] == "2026-07-07"
    assert "book_appointment" not in tools(report)
    assert {booking.name for booking in phone.booked} == {"Somebody Else"}


@behaviour("tool-failure")
async def test_a_calendar_out_of_order_is_apologised_for_and_nothing_is_booked(phone):
    phone.broken = ("book_appointment",)
    report = await phone.call(clip("booking-1"), clip("booking-2"))
    wholly(report, 2)
    assert "out of order" in report.turns[1].tools[0].result["error"]
    assert "call you back" in report.turns[1].said
    assert phone.booked == []


@behaviour("clinic", tape=False)
async def test_a_calendar_that_comes_back_takes_the_booking_it_refused(phone):
    phone.broken = ("book_appointment",)
    first = await phone.call(ASK, CHOOSE)
    assert "could not book" in first.turns[1].said
    phone.broken = ()
    second = await phone.call(ASK, CHOOSE)
    assert second.turns[1].tools[0].result == MARIA


@behaviour("clinic", tape=False)
async def test_two_callers_who_want_one_time_get_one_appointment_and_another_offer(phone):
    await phone.call(ASK, CHOOSE)
    report = await phone.call(ASK, "Nine thirty. My name is John Smith.")
    assert tools(report) == ["check_availability", "book_appointment", "check_availability"]
    assert "half past nine is not free" in said(report)
    assert report.turns[1].said.endswith("I have eleven o'clock or half past two. Which one suits you?")
    assert [booking.name for booking in phone.booked] == ["Maria Lopez"]


@behaviour("clinic", tape=False)
async def test_a_caller_who_says_it_twice_has_one_appointment(phone):
    report = await phone.call(ASK, CHOOSE, CHOOSE)
    assert tools(report) == ["check_availability", "book_appointment", "book_appointment"]
    assert report.turns[2].tools[0].result == report.turns[1].tools[0].result == MARIA
    assert len(phone.booked) == 1


@behaviour("clinic", tape=False, live=True)
async def test_a_change_of_mind_moves_the_appointment_and_then_cancels_it(phone):
    report = await phone.call(ASK, CHOOSE, "Could you move it to eleven instead?", "Please cancel it after all.")
    wholly(report, 4)
    run = {run.name: run.result for turn in report.turns for run in turn.tools}
    assert run["reschedule_appointment"]["reference"] == "DC-0706-1100"
    assert run["cancel_appointment"]["cancelled"]["time"] == "11:00"
    assert phone.booked == []


@behaviour("clinic", tape=False)
async def test_an_appointment_of_somebody_else_is_not_cancelled(phone):
    await phone.call(ASK, CHOOSE)
    report = await phone.call("Please cancel DC-0706-0930. My name is John Smith.")
    assert "cannot find an appointment under that name and reference" in said(report)
    assert [booking.name for booking in phone.booked] == ["Maria Lopez"]


@behaviour("clinic", tape=False)
async def test_the_assistant_hangs_up_when_all_is_done_and_nothing_is_said_after_that(phone):
    report = await phone.call(ASK, CHOOSE, "Thank you, goodbye!")
    assert tools(report)[-1] == "end_call"
    assert report.turns[-1].hung_up
    assert report.turns[-1].said == "You are welcome. Goodbye!"


@pytest.mark.parametrize("day", ["first", "fifth"])
@behaviour("clinic", tape=False)
async def test_a_day_that_cannot_be_had_leads_to_another(phone, day):
    report = await phone.call(f"A dental cleaning on July {day}, please.")
    assert "Which other day" in said(report) or "next free day is Monday, July sixth" in said(report)
