"""The clinic's document: it says what the tables say, and a caller's question finds its section."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from clinic_agent.clinic.clinic import OPENING_HOURS, SERVICES, Clinic
from clinic_agent.clinic.information import MOST, information
from clinic_agent.clinic.tools import clinic_tools

SPOKEN = {9: "nine", 10: "ten", 12: "noon", 17: "five", 20: "twenty", 30: "thirty", 45: "forty-five"}


def find(question: str) -> dict[str, Any]:
    return clinic_tools(Clinic(date(2026, 7, 1))).call("find_information", json.dumps({"question": question}))


def test_the_document_says_how_long_each_service_takes():
    told = information().text("Services")
    said = [
        f"{name} {'takes ' * (not number)}{SPOKEN[each.minutes]}"
        for number, (name, each) in enumerate(SERVICES.items())
    ]
    assert all(each in told for each in said), (told, said)


def test_the_document_says_when_the_clinic_is_open():
    weekday, saturday = OPENING_HOURS[0], OPENING_HOURS[5]
    assert {OPENING_HOURS[day] for day in range(5)} == {weekday}
    assert 6 not in OPENING_HOURS
    assert information().text("Opening hours") == (
        f"We are open Monday to Friday from {SPOKEN[weekday[0].hour]} to {SPOKEN[weekday[1].hour]}, and on Saturday "
        f"from {SPOKEN[saturday[0].hour]} to {SPOKEN[saturday[1].hour]}. On Sunday we are closed."
    )


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("How much is a dental cleaning?", "Prices"),
        ("what does a check-up cost", "Prices"),
        ("vaccination fee", "Prices"),
        ("Do you take my insurance?", "Payment and insurance"),
        ("Can I pay with a credit card?", "Payment and insurance"),
        ("Where are you located?", "Address"),
        ("Is there parking?", "Address"),
        ("directions by bus", "Address"),
        ("What do I have to bring for a vaccination?", "Preparation"),
        ("how do I prepare for a dental cleaning", "Preparation"),
        ("Do you accept new patients?", "First visit"),
        ("How long does a consultation take?", "Services"),
        ("Are you open on Saturdays?", "Opening hours"),
        ("What are your opening hours?", "Opening hours"),
        ("Until when can I cancel?", "Cancellation"),
    ],
)
def test_a_question_finds_its_section_first(question, title):
    found = find(question)["found"]
    assert found[0] == {"title": title, "text": information().text(title)}
    assert len(found) <= MOST


@pytest.mark.parametrize("title", information().titles)
def test_each_heading_finds_its_section(title):
    assert find(title)["found"][0]["title"] == title


def test_what_the_document_does_not_say_is_not_answered():
    assert find("Who won the football match?") == {"found": [], "titles": information().titles}


def test_an_empty_and_an_endless_question_are_refused():
    assert "question" in find(" ")["error"]
    assert "question" in find("x" * 201)["error"]
