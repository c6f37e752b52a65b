"""The tools as the model sees and calls them."""

from __future__ import annotations

import json
import logging
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinic_agent.call.tool import MAX_ARGUMENTS_CHARS, READ_ATTEMPTS, Tool, Tools, Unavailable
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.clinic.schedule import MemorySchedule
from clinic_agent.clinic.tools import CheckAvailability, clinic_tools

TODAY = date(2026, 7, 1)
CHECK = {"service": "dental cleaning", "date": "2026-07-06"}
BOOK = {**CHECK, "time": "09:30", "name": "Maria Lopez"}


@pytest.fixture
def tools() -> Tools:
    return clinic_tools(Clinic(TODAY))


def test_free_times_come_back_as_the_model_reads_them_out(tools):
    assert tools.call("check_availability", json.dumps(CHECK)) == {**CHECK, "slots": ["09:30", "11:00", "14:30"]}


def test_a_closed_day_names_the_next_free_one(tools):
    answer = tools.call("check_availability", json.dumps({**CHECK, "date": "2026-07-05"}))
    assert answer["slots"] == []
    assert answer["next_free_date"] == "2026-07-06"


def test_a_booking_comes_back_with_its_reference_and_its_slot_is_gone(tools):
    assert tools.call("book_appointment", json.dumps(BOOK)) == {"reference": "DC-0706-0930", **BOOK}
    assert tools.call("check_availability", json.dumps(CHECK))["slots"] == ["11:00", "14:30"]


def test_a_taken_time_is_an_error_that_offers_the_others(tools):
    tools.call("book_appointment", json.dumps(BOOK))
    answer = tools.call("book_appointment", json.dumps({**BOOK, "name": "John Smith"}))
    assert answer == {"error": "09:30 on 2026-07-06 is not free; free that day: 11:00, 14:30"}


def test_a_transfer_is_noted_with_its_reason():
    clinic = Clinic(TODAY)
    answer = clinic_tools(clinic).call("transfer_to_human", '{"reason": "chest pain"}')
    assert answer == {"transferred_to": "the nurse on duty"}
    assert clinic.schedule.transfers() == ["chest pain"]


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("order_pizza", "{}", "there is no tool 'order_pizza'"),
        ("check_availability", "{", "check_availability: Invalid JSON"),
        ("check_availability", "[]", "check_availability: "),
        ("check_availability", json.dumps({**CHECK, "date": "July 6"}), "check_availability: date: "),
        (
            "check_availability",
            json.dumps({**CHECK, "service": "surgery"}),
            "service: Input should be 'dental cleaning'",
        ),
        ("check_availability", json.dumps({**CHECK, "datum": 1}), "datum: Extra inputs are not permitted"),
        ("book_appointment", json.dumps(CHECK), "book_appointment: time: Field required"),
        ("book_appointment", json.dumps({**BOOK, "time": "24:00"}), "book_appointment: time: "),
        ("book_appointment", json.dumps({**BOOK, "name": " "}), "book_appointment: name: "),
        ("transfer_to_human", json.dumps({"reason": "x" * MAX_ARGUMENTS_CHARS}), "arguments are longer"),
    ],
)
def test_a_wrong_call_is_answered_with_what_is_wrong(tools, name, arguments, says):
    answer = tools.call(name, arguments)
    assert list(answer) == ["error"]
    assert says in answer["error"]


def test_a_tool_that_breaks_tells_the_log_and_not_the_caller(caplog):
    def broken(requested, key):
        raise RuntimeError("database password is swordfish")

    answer = Tool("check_availability", CheckAvailability, broken).call(json.dumps(CHECK))
    assert "out of order" in answer["error"]
    assert "swordfish" not in answer["error"]
    assert "swordfish" in caplog.text


@pytest.mark.parametrize("schema", clinic_tools(Clinic(TODAY)).schemas(), ids=lambda schema: schema["name"])
def test_schemas_are_flat_functions_that_refuse_foreign_arguments_and_carry_no_titles(schema):
    assert list(schema) == ["type", "name", "description", "parameters"]
    assert schema["parameters"]["additionalProperties"] is False
    assert set(schema["parameters"].get("required", ())) == set(schema["parameters"]["properties"])
    assert '"title"' not in json.dumps(schema)


def test_the_model_is_shown_the_services_there_are():
    check = clinic_tools(Clinic(TODAY)).schemas()[0]["parameters"]["properties"]
    assert "dental cleaning" in check["service"]["enum"]
    assert check["date"] == {"format": "date", "type": "string"}


ANY_TEXT = st.text(st.characters())  # lone surrogates too
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | ANY_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner),
    max_leaves=8,
)
NEARLY_RIGHT = st.fixed_dictionaries(
    {},
    optional={
        "service": st.sampled_from(["dental cleaning", "Vaccination"]) | ANY_JSON,
        "date": st.dates().map(str) | ANY_JSON,
        "time": st.times().map(str) | st.just("09:30") | ANY_JSON,
        "name": ANY_JSON,
        "reason": ANY_JSON,
    },
)


@settings(max_examples=40)
@given(
    name=st.sampled_from(["check_availability", "book_appointment", "transfer_to_human"]) | ANY_TEXT,
    arguments=ANY_TEXT | ANY_JSON.map(json.dumps) | NEARLY_RIGHT.map(json.dumps) | st.just("[" * 9_000),
)
@pytest.mark.slow
def test_whatever_the_model_asks_for_a_tool_answers_and_never_raises(name, arguments):
    logging.disable(logging.CRITICAL)
    try:
        answer = clinic_tools(Clinic(TODAY)).call(name, arguments)
    finally:
        logging.disable(logging.NOTSET)
    assert json.loads(json.dumps(answer)) == answer


class _Shaky(MemorySchedule):
    """Cannot answer the first `failures` times."""

    failures = 0

    def taken(self, service, day):
        self._shake()
        return super().taken(service, day)

    def transfer(self, key, reason):
        self._shake()
        super().transfer(key, reason)

    def _shake(self):
        if self.failures:
            self.failures -= 1
            raise Unavailable("busy")


@pytest.mark.parametrize(("failures", "answers"), [(READ_ATTEMPTS - 1, True), (READ_ATTEMPTS, False)])
def test_a_read_is_tried_again_while_the_calendar_is_busy(failures, answers):
    schedule = _Shaky()
    schedule.failures = failures
    answer = clinic_tools(Clinic(TODAY, schedule)).call("check_availability", json.dumps(CHECK))
    assert ("slots" in answer) is answers


def test_a_write_is_tried_once_and_may_be_asked_for_again():
    schedule = _Shaky()
    schedule.failures = 1
    tools = clinic_tools(Clinic(TODAY, schedule))
    first = tools.call("transfer_to_human", '{"reason": "chest pain"}')
    assert "it may be called once more" in first["error"]
    assert schedule.transfers() == []
    tools.call("transfer_to_human", '{"reason": "chest pain"}')
    assert schedule.transfers() == ["chest pain"]


def test_the_same_write_again_in_one_call_gives_the_first_result_however_it_is_spelt(tools):
    first = tools.call("book_appointment", json.dumps(BOOK))
    again = json.dumps(dict(reversed(BOOK.items())), indent=1)
    assert tools.call("book_appointment", again) == first
    moved = {"reference": first["reference"], "name": BOOK["name"], "date": BOOK["date"], "time": "11:00"}
    for _ in range(2):
        assert tools.call("reschedule_appointment", json.dumps(moved))["reference"] == "DC-0706-1100"
    cancelled = {"reference": "DC-0706-1100", "name": BOOK["name"]}
    for _ in range(2):
        assert tools.call("cancel_appointment", json.dumps(cancelled))["cancelled"]["time"] == "11:00"
    assert tools.call("check_availability", json.dumps(CHECK))["slots"] == ["09:30", "11:00", "14:30"]


def test_a_caller_who_is_transferred_twice_in_one_call_is_noted_once_and_in_another_call_again():
    clinic = Clinic(TODAY)
    one, other = clinic_tools(clinic), clinic_tools(clinic)
    for tools in (one, one, other):
        tools.call("transfer_to_human", '{"reason": "chest pain"}')
    assert clinic.schedule.transfers() == ["chest pain", "chest pain"]


def test_tools_can_be_put_out_of_order_by_name(tools):
    broken = tools.failing(["book_appointment"])
    assert "out of order" in broken.call("book_appointment", json.dumps(BOOK))["error"]
    assert "slots" in broken.call("check_availability", json.dumps(CHECK))
    with pytest.raises(ValueError, match="there is no tool 'fly'"):
        tools.failing(["fly"])
