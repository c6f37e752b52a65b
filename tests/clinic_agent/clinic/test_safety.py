"""The lock on the calendar: emergencies, and what counts as the caller's confirmation."""

from __future__ import annotations

import threading
from datetime import date, time
from typing import Any

import pytest

from clinic_agent.clinic.safety import CallLock, Line
from clinic_agent.clinic.spoken import (
    agrees,
    names_date,
    names_person,
    names_reference,
    names_service,
    names_time,
)
from clinic_agent.clinic.tools import (
    BookAppointment,
    CancelAppointment,
    CheckAvailability,
    EndCall,
    RescheduleAppointment,
    TransferToHuman,
)

TODAY = date(2026, 7, 1)
DAY = date(2026, 7, 6)
BOOK = BookAppointment(service="dental cleaning", date=DAY, time="09:30", name="Maria Lopez")
BOOKED = {
    "reference": "DC-0706-0930",
    "service": "dental cleaning",
    "date": "2026-07-06",
    "time": "09:30",
    "name": "Maria Lopez",
}
CANCEL = CancelAppointment(reference="DC-0706-0930", name="Maria Lopez")


def lock_after(*lines: str) -> CallLock:
    """A call in which the assistant (`A: …`) and the caller (`C: …`) said these lines."""
    lock = CallLock(TODAY)
    for line in lines:
        who, _, text = line.partition(": ")
        lock.hear("assistant" if who == "A" else "caller", text)
    return lock


CONFIRMED = {
    "the caller says it all at once": ["C: A dental cleaning on July sixth at nine thirty. My name is Maria Lopez."],
    "in two turns": [
        "C: I would like a dental cleaning on July sixth.",
        "A: I have 09:30, 11:00, 14:30. Which one suits you, and what is your name?",
        "C: The nine thirty slot, please. My name is Maria Lopez.",
    ],
    "asked, and yes": [
        "C: Dental cleaning on July sixth, half past nine, for Maria Lopez.",
        "A: Shall I book it?",
        "C: Yes, please.",
    ],
    "the assistant reads it out, and yes": [
        "C: My teeth could do with it, soon.",
        "A: Shall I book a dental cleaning on Monday, July 6 at 09:30 for Maria Lopez?",
        "C: Yes, go ahead.",
    ],
    "the first of three": [
        "C: I need a cleaning next week.",
        "A: On Monday, July the sixth I have nine thirty, eleven or two thirty. Which one, and what is your full name?",
        "C: The first one. Maria Lopez.",
    ],
    "a name spelled out": [
        "C: A teeth cleaning on Monday the sixth at 9:30.",
        "A: What is your name?",
        "C: Maria, and then L, O, P, E, Z.",
    ],
    "a correction of the time": [
        "C: A cleaning on July sixth at eleven. Maria Lopez.",
        "A: Shall I book a dental cleaning on Monday, July 6 at 11:00 for Maria Lopez?",
        "C: No, nine thirty, please.",
    ],
    "tomorrow's weekday": [
        "C: A cleaning on Monday at 9.30 am for Maria Lopez, please.".replace("9.30", "9:30"),
    ],
}


@pytest.mark.parametrize("lines", CONFIRMED.values(), ids=CONFIRMED)
def test_what_the_caller_named_or_accepted_may_be_booked(lines: list[str]):
    assert lock_after(*lines).refusal(BOOK) is None


REFUSED = {
    "nobody said anything": [],
    "the name is made up": ["C: A dental cleaning on July sixth at nine thirty."],
    "the time is made up": ["C: A dental cleaning on July sixth. My name is Maria Lopez."],
    "the day is another": ["C: A dental cleaning on July seventh at nine thirty, Maria Lopez."],
    "the service is another": ["C: A vaccination on July sixth at nine thirty, Maria Lopez."],
    "the caller changed the time": [
        "C: A dental cleaning on July sixth at nine thirty, Maria Lopez.",
        "A: Shall I book it?",
        "C: No, eleven o'clock, please.",
    ],
    "only offered": [
        "C: A dental cleaning on July sixth. I am Maria Lopez.",
        "A: I have 09:30, 11:00, 14:30.",
        "C: Thank you.",
    ],
    "read out and refused": [
        "C: Hello.",
        "A: Shall I book a dental cleaning on Monday, July 6 at 09:30 for Maria Lopez?",
        "C: No.",
    ],
    "not yet": [
        "C: A dental cleaning on July sixth at nine thirty. My name is Maria Lopez. But don't book it yet.",
    ],
    "only a question": [
        "C: I am Maria Lopez. A dental cleaning.",
        "A: On which day?",
        "C: Is July sixth at nine thirty free?",
    ],
    "yes to two times": [
        "C: A dental cleaning on July sixth, I am Maria Lopez.",
        "A: I have nine thirty or eleven on July sixth.",
        "C: Yes.",
    ],
}


@pytest.mark.parametrize("lines", REFUSED.values(), ids=REFUSED)
def test_what_the_caller_did_not_confirm_is_refused_with_the_words_to_ask(lines: list[str]):
    why = lock_after(*lines).refusal(BOOK)
    assert why is not None and "Shall I book a dental cleaning on Monday, July 6 at 09:30 for Maria Lopez?" in why


def test_the_words_of_a_refusal_with_a_yes_confirm():
    lock = lock_after("C: Hello.")
    question = (lock.refusal(BOOK) or "").split("'")[1]
    lock.hear("assistant", question)
    lock.hear("caller", "Yes.")
    assert lock.refusal(BOOK) is None


def test_an_appointment_of_this_call_is_moved_by_its_time_alone_and_cancelled_by_it():
    move = RescheduleAppointment(reference="DC-0706-0930", name="Maria Lopez", date=DAY, time="11:00")
    lock = lock_after("C: A cleaning on July sixth at nine thirty, Maria Lopez.")
    lock.ran(BOOK, BOOKED)
    lock.hear("assistant", "You are booked.")
    assert lock.refusal(move) is not None
    assert lock.refusal(CANCEL) is not None
    lock.hear("caller", "Could you move it to eleven instead?")
    assert lock.refusal(move) is None
    elsewhere = move.model_copy(update={"date": date(2026, 7, 7)})
    assert lock.refusal(elsewhere) is not None
    lock.hear("caller", "Please cancel it after all.")
    assert lock.refusal(CANCEL) is None
    assert lock.refusal(CANCEL.model_copy(update={"name": "John Smith"})) is not None


@pytest.mark.parametrize(
    ("words", "confirmed"),
    [
        ("Please cancel DC-0706-0930. My name is Maria Lopez.", True),
        ("Cancel D C zero seven zero six dash zero nine thirty, Maria Lopez.", True),
        ("Cancel my appointment. My name is Maria Lopez.", False),
        ("Please cancel DC-0706-0930.", False),
        ("DC-0706-0930, Maria Lopez. When is it?", False),
    ],
)
def test_an_appointment_of_before_is_cancelled_by_reference_and_name(words: str, confirmed: bool):
    assert (lock_after(f"C: {words}").refusal(CANCEL) is None) is confirmed


WRITES: list[Any] = [
    BOOK,
    CANCEL,
    RescheduleAppointment(reference="DC-0706-0930", name="Maria Lopez", date=DAY, time="11:00"),
]


@pytest.mark.parametrize("write", WRITES, ids=["book", "cancel", "move"])
def test_after_an_emergency_nothing_is_written_until_a_person_releases_it(write: Any):
    said = "C: A cleaning on July sixth at nine thirty, or eleven. Cancel DC-0706-0930, move it. Maria Lopez. Yes."
    lock = lock_after("C: My father has chest pain.", "A: Please dial the emergency number.", said)
    assert "until a person releases it" in (lock.refusal(write) or "")
    assert lock.refusal(CheckAvailability(service="dental cleaning", date=DAY)) is None
    assert lock.refusal(TransferToHuman(reason="chest pain")) is None
    assert lock.refusal(EndCall()) is None
    lock.release()
    assert "until a person releases it" not in (lock.refusal(write) or "")
    lock.hear("caller", "Now he can't breathe.")
    assert "until a person releases it" in (lock.refusal(write) or "")


def test_an_emergency_that_only_the_model_understood_locks_too_and_a_wish_for_a_person_does_not():
    said = "C: A dental cleaning on July sixth at nine thirty, Maria Lopez."
    for reason, locked in (("possible medical emergency", True), ("the caller asks for a person", False)):
        lock = lock_after(said)
        lock.ran(TransferToHuman(reason=reason), {"transferred_to": "the nurse on duty"})
        assert (lock.refusal(BOOK) is not None) is locked


def test_a_call_that_is_known_keeps_its_lock_and_its_words():
    known = CallLock(TODAY, lines=[Line("caller", "It hurts in my chest.")], emergency="hurts in my chest")
    released = CallLock(TODAY, lines=[Line("caller", "It hurts in my chest.")])
    assert known.emergency == "hurts in my chest"
    assert released.emergency is None
    assert [line.text for line in released.lines] == ["It hurts in my chest."]


def test_a_page_s_transcript_is_read_as_a_whole_and_what_was_released_stays_so():
    lock = CallLock(TODAY)
    lines = [Line("caller", "I have chest pain.")]
    lock.read(lines)
    assert lock.emergency == "chest pain"
    lock.release()
    lines.append(Line("caller", CONFIRMED["the caller says it all at once"][0][3:]))
    lock.read(lines)
    assert lock.emergency is None
    assert lock.refusal(BOOK) is None


def test_a_draft_may_lock_and_only_a_final_transcript_confirms():
    kind = "conversation.item.input_audio_transcription.completed"
    lock = CallLock(TODAY)
    whole = CONFIRMED["the caller says it all at once"][0][3:]
    lock.see("received", {"type": kind, "item_id": "u", "transcript": whole, "status": "in_progress"})
    assert lock.refusal(BOOK) is not None
    lock.see("received", {"type": kind, "item_id": "u", "transcript": whole, "status": "completed"})
    assert lock.refusal(BOOK) is None
    lock.see("received", {"type": kind, "item_id": "v", "transcript": "I have chest pain", "status": "in_progress"})
    assert lock.emergency == "chest pain"


def test_a_write_waits_for_the_transcript_of_the_last_words():
    lock = CallLock(TODAY)
    lock.see("received", {"type": "input_audio_buffer.committed", "item_id": "u"})
    answers: list[str | None] = []
    asking = threading.Thread(target=lambda: answers.append(lock.refusal(BOOK)))
    asking.start()
    said = CONFIRMED["the caller says it all at once"][0][3:]
    kind = "conversation.item.input_audio_transcription.completed"
    lock.see("received", {"type": kind, "item_id": "u", "transcript": said})
    asking.join()
    assert answers == [None]


@pytest.mark.parametrize(
    ("text", "wanted", "named"),
    [
        ("nine thirty", "09:30", "only"),
        ("2:30 pm", "14:30", "only"),
        ("two thirty", "14:30", "only"),
        ("half past two", "14:30", "only"),
        ("a quarter to ten", "09:45", "only"),
        ("at 930", "09:30", "only"),
        ("noon", "12:00", "only"),
        ("eleven, please", "11:00", "only"),
        ("nine thirty or eleven fifteen", "11:15", "among"),
        ("nine thirty", "11:00", "other"),
        ("9:30 am", "21:30", "other"),
        ("the first one", "13:00", "none"),
        ("on 2026-07-06", "20:26", "none"),
        ("DC-0706-0930", "09:30", "none"),
    ],
)
def test_a_time_is_found_in_the_ways_it_is_said(text: str, wanted: str, named: str):
    assert names_time(text, time.fromisoformat(wanted)) == named


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("July sixth", "only"),
        ("the 6th of July", "only"),
        ("2026-07-06", "only"),
        ("Monday", "only"),
        ("on the sixth", "only"),
        ("Monday or Tuesday", "among"),
        ("July seventh", "other"),
        ("tomorrow", "other"),
        ("Tuesday", "other"),
        ("the second one", "none"),
        ("soon", "none"),
    ],
)
def test_a_date_is_found_in_the_ways_it_is_said(text: str, named: str):
    assert names_date(text, DAY, TODAY) == named


def test_names_services_and_references_are_found_in_the_ways_they_are_said():
    assert names_person("It's María LÓPEZ.", "Maria Lopez") == "only"
    assert names_person("Lopez", "Maria Lopez") == "none"
    assert names_service("I want my teeth cleaned", "dental cleaning") == "only"
    assert names_service("a cleaning or a flu shot", "vaccination") == "among"
    assert names_reference("d c, zero seven oh six, zero nine thirty", "DC-0706-0930") == "only"


@pytest.mark.parametrize("text", ["Yes.", "Nine thirty, please.", "Could you book it?", "No, the eleventh, please."])
def test_consent(text: str):
    assert agrees(text)


@pytest.mark.parametrize("text", ["", "No.", "Not yet.", "Is it free?", "Please don't book it.", "Never mind."])
def test_no_consent(text: str):
    assert not agrees(text)
