"""Conversations off the book: the clinic's rules and the agent, turn by turn, whatever the caller comes up with."""

from __future__ import annotations

import re
from datetime import date

import pytest

from clinic_agent.call.report import CallReport
from tests.clinic.phone import ASK, CHOOSE, Phone, said, tools

pytestmark = pytest.mark.realtime(
    "../../cassettes/scenarios/clinic.yaml", time="virtual", voice="tone", pacing="burst", unused="off"
)
MONDAY, TUESDAY = date(2026, 7, 6), date(2026, 7, 7)


async def held(phone: Phone, *words: str) -> CallReport:
    """A call, all of whose answers were whole and fit to be spoken."""
    report = await phone.call(*words)
    assert report.failure is None
    assert [turn.status for turn in report.turns] == ["completed"] * len(report.turns)
    assert re.search(r"\d|call it once more|ask for both|out of order|apologise", said(report)) is None
    return report


def booked(phone: Phone) -> list[tuple[str, str, str, str]]:
    return [(each.service, each.date.isoformat(), f"{each.time:%H:%M}", each.name) for each in phone.booked]


BOOKINGS: list[tuple[tuple[str, ...], tuple[str, str, str, str]]] = [
    (
        ("Hi!", "I need to get my teeth cleaned", "next Monday", "half past nine", "maria lopez"),
        ("dental cleaning", "2026-07-06", "09:30", "Maria Lopez"),
    ),
    (
        ("A flu shot on the tenth of July at ten o'clock for John Smith, please.", "yes"),
        ("vaccination", "2026-07-10", "10:00", "John Smith"),
    ),
    (
        ("My name is Anna Schmidt.", "Tomorrow", "a check-up", "three in the afternoon"),
        ("dental check-up", "2026-07-02", "15:00", "Anna Schmidt"),
    ),
    (
        (ASK, "Actually, make that July seventh", "eleven, no, sorry, two thirty. This is Maria Lopez."),
        ("dental cleaning", "2026-07-07", "14:30", "Maria Lopez"),
    ),
    (
        (ASK, "In the afternoon, please", "yes", "It's Li Wei"),
        ("dental cleaning", "2026-07-06", "14:30", "Li Wei"),
    ),
    (
        (ASK, "the first one", "Siobhan O'Neill"),
        ("dental cleaning", "2026-07-06", "09:30", "Siobhan O'Neill"),
    ),
    (
        (ASK, "What was that?", "ten o'clock", "eleven then", "Tom Baker"),
        ("dental cleaning", "2026-07-06", "11:00", "Tom Baker"),
    ),
    (
        ("A dental cleaning on July fifth", "yes, please", "the last one. My name is Maria Lopez"),
        ("dental cleaning", "2026-07-06", "14:30", "Maria Lopez"),
    ),
    (
        ("A dental cleaning on January 30th", "on July 6th then", "9:30, Maria Lopez"),
        ("dental cleaning", "2026-07-06", "09:30", "Maria Lopez"),
    ),
    (
        ("What are your opening hours?", "What do you offer?", ASK, "tell me a joke", CHOOSE),
        ("dental cleaning", "2026-07-06", "09:30", "Maria Lopez"),
    ),
    (
        ("I would like a consultation on July 8 at 9", "nine twenty", "Maria Lopez"),
        ("general consultation", "2026-07-08", "09:20", "Maria Lopez"),
    ),
    (
        ("Hi, I'd like the next available appointment for a teeth cleaning", "the first one is fine", "Carl Jensen"),
        ("dental cleaning", "2026-07-02", "09:30", "Carl Jensen"),
    ),
    (
        ("I need to see someone as soon as possible", "a doctor", "the earliest you have", "Rosa Diaz"),
        ("general consultation", "2026-07-02", "09:20", "Rosa Diaz"),
    ),
    (
        ("Book me a cleaning for Friday at 11, name's Carl Jensen", "no, 2:30"),
        ("dental cleaning", "2026-07-03", "14:30", "Carl Jensen"),
    ),
    (
        ("A check-up tomorrow at nine am for Ana Silva", "no", "make it ten thirty"),
        ("dental check-up", "2026-07-02", "10:30", "Ana Silva"),
    ),
    (
        ("A check-up on the 8th at 4pm under Dana White?", "then three o'clock"),
        ("dental check-up", "2026-07-08", "15:00", "Dana White"),
    ),
    (
        ("Book a dental cleaning on July 6 at 9:30 for Maria Lopez", "hold on, make it the 7th", "yes"),
        ("dental cleaning", "2026-07-07", "09:30", "Maria Lopez"),
    ),
    (
        ("Book a dental cleaning on July 6 at 9:30 for Maria Lopez", "no, for Mario Lopez", "yes"),
        ("dental cleaning", "2026-07-06", "09:30", "Mario Lopez"),
    ),
    (
        ("cleaning, july 6th, nine-thirty, maria lopez", "yes"),
        ("dental cleaning", "2026-07-06", "09:30", "Maria Lopez"),
    ),
    (
        ("I have a terrible toothache", "tomorrow", "9", "Noel Park"),
        ("dental check-up", "2026-07-02", "09:00", "Noel Park"),
    ),
    (
        ("A cleaning next Tuesday in the morning", "the later one", "Greg Moss"),
        ("dental cleaning", "2026-07-07", "11:00", "Greg Moss"),
    ),
    (
        ("What services do you have?", "the second one", "can i come on sunday", "yes", "nine, Pat Kim"),
        ("dental check-up", "2026-07-06", "09:00", "Pat Kim"),
    ),
    (
        ("My gums bleed a little and I have no chest pain, a cleaning on Monday", "9:30 Tom Baker"),
        ("dental cleaning", "2026-07-06", "09:30", "Tom Baker"),
    ),
    (
        ("a cleaning on Monday at 11", "Pat Kim", "Actually could we do Wednesday?", "yes"),
        ("dental cleaning", "2026-07-08", "11:00", "Pat Kim"),
    ),
]


@pytest.mark.parametrize(("words", "meant"), BOOKINGS, ids=lambda value: value[-1] if isinstance(value[0], str) else "")
async def test_a_booking_comes_about_in_whatever_order_it_is_told(phone, words, meant):
    await held(phone, *words)
    assert booked(phone) == [meant]


async def test_what_was_said_all_at_once_is_read_back_before_it_is_booked(phone):
    report = await held(phone, "A check-up on Jul 8 at 3 in the afternoon. Tom Baker is my name")
    assert report.turns[0].said.endswith("Shall I book the dental check-up for Tom Baker?")
    assert tools(report) == ["check_availability"]
    assert booked(phone) == []


async def test_what_the_agent_does_not_take_for_confirmed_is_asked_once_more(phone):
    report = await held(phone, ASK, "Twenty to twelve, no, half nine. My name is Tom Baker", "that's right")
    assert booked(phone) == [("dental cleaning", "2026-07-06", "09:30", "Tom Baker")]
    report = await held(phone, ASK, "eleven. Tom Baker", "I changed my mind, I don't want it anymore", "yes")
    assert report.turns[2].said.endswith(
        "Shall I cancel the appointment D, C; zero, seven, zero, six; one, one, zero, zero of Tom Baker?"
    )
    assert booked(phone) == [("dental cleaning", "2026-07-06", "09:30", "Tom Baker")]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("Are you open on Saturdays?", "on Saturday from nine to noon"),
        ("How much is it?", "What else can I do for you?"),
        ("Is it wheelchair accessible?", "Shall I get you a person who does?"),
        ("do you do root canals", "I can only book dental cleanings"),
        ("hablas español?", "I only speak English"),
        ("What's your name?", "This is the assistant of Maple Street Clinic"),
        ("I can't make it on Monday", "Shall I move your appointment or cancel it?"),
        ("Who won the game?", "I can only help you with appointments"),
        ("asdf", "I did not understand that"),
    ],
)
async def test_a_question_off_the_book_has_an_answer_and_a_way_on(phone, words, answer):
    assert answer in said(await held(phone, words))


async def test_who_has_no_reference_is_put_through(phone):
    report = await held(phone, "I want to cancel my appointment", "I don't have the reference", "yes please")
    assert tools(report) == ["transfer_to_human"]


async def test_one_call_books_moves_books_again_and_cancels(phone):
    report = await held(
        phone,
        ASK,
        CHOOSE,
        "Can you move it to eleven?",
        "I also need a vaccination on July 8th",
        "ten o'clock",
        "Actually, make that the ninth",
        "yes please",
        "cancel it",
        "Thanks, bye!",
    )
    assert booked(phone) == [("dental cleaning", "2026-07-06", "11:00", "Maria Lopez")]
    assert report.turns[2].tools[0].result["reference"] == "DC-0706-1100"
    assert report.turns[6].tools[0].result["reference"] == "V-0709-1000"
    assert report.turns[-1].hung_up


async def test_an_appointment_of_another_call_is_moved_and_cancelled_by_its_reference(phone):
    await held(phone, ASK, CHOOSE)
    await held(
        phone,
        "I have to reschedule my appointment",
        "The reference is D C zero seven zero six zero nine three zero",
        "maria lopez",
        "to July seventh",
        "half past two",
    )
    assert booked(phone) == [("dental cleaning", "2026-07-07", "14:30", "Maria Lopez")]
    await held(phone, "Maria Lopez here, please move DC-0707-1430 to Thursday afternoon", "half past two")
    assert booked(phone) == [("dental cleaning", "2026-07-02", "14:30", "Maria Lopez")]
    report = await held(phone, "Please cancel DC-0702-1430", "My name is maria lopez.")
    assert tools(report) == ["cancel_appointment"]
    assert booked(phone) == []


@pytest.mark.parametrize(
    "words",
    [
        ("move it to eleven", "cancel it", "yes", "no thanks"),
        ("cancel it", "DC-0706-0930", "John Smith", "cancel it"),
        ("nine thirty", "the second one", "in the afternoon", "again"),
        ("reschedule", "DC-0706-0930. My name is John Smith", "Monday at nine", "Monday at ten"),
        ("yes", "no", "yes", "thanks"),
        (ASK, "no", "yes", "what", "move it", "cancel that", "why?"),
        ("I was cut off", "where were we", "(unintelligible)", "..."),
        ("a vaccination yesterday", "a vaccination in 400 days", "on Sunday", "no", "on Monday"),
    ],
)
@pytest.mark.slow
async def test_no_order_of_words_ends_in_an_error(phone, words):
    report = await held(phone, *words)
    assert all(turn.said for turn in report.turns)
    assert booked(phone) == []


@pytest.mark.parametrize("broken", ["check_availability", "book_appointment"])
async def test_what_a_broken_tool_says_to_the_model_is_never_read_out(phone, broken):
    phone.broken = (broken,)
    report = await held(phone, ASK, "half past nine", "Maria Lopez")
    assert "sorry" in said(report)


async def test_a_move_to_a_time_that_is_taken_offers_the_others(phone):
    phone.clinic.book("dental cleaning", MONDAY, phone.clinic.free("dental cleaning", MONDAY)[1], "Somebody Else")
    report = await held(phone, ASK, CHOOSE, "move it to eleven", "half past two")
    assert "eleven o'clock is not free" in said(report)
    assert ("dental cleaning", "2026-07-06", "14:30", "Maria Lopez") in booked(phone)


@pytest.mark.parametrize(
    "words",
    [
        "I have chest pain.",
        "There is a pain in my chest",
        "My chest hurts",
        "I can not breathe",
        "I cant breathe",
        "she has trouble to breathe",
        "my husband is having difficulty breathing",
        "He's not breathing",
        "I am bleeding heavily",
        "it's bleeding a lot",
        "the bleeding won't stop, there's so much bleeding everywhere",
        "my son passed out",
        "she is unconscious",
        "I think it is a stroke",
        "I think I'm having a heart attack",
        "this is an emergency",
        "my throat is swelling",
        "he is choking",
        "there's blood everywhere",
        "I took too many pills",
        "my face is numb and I can't move my arm",
        "no, no chest pain, but I can't breathe",
        "Actually, eleven, no wait, I'm short of breath",
    ],
)
async def test_an_emergency_goes_before_everything_at_any_point(phone, words):
    report = await held(phone, ASK, words)
    assert tools(report) == ["check_availability", "transfer_to_human"]
    assert "emergency number" in report.turns[1].said
    assert booked(phone) == []
