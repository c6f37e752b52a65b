"""The clinic answers the telephone of the mock: what comes of the calls, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from clinic_agent.app import phone_calls
from clinic_agent.app.call_store import CallRecord, PhoneFacts
from clinic_agent.app.settings import settings_from
from clinic_agent.app.state import AppState
from clinic_agent.call.sound_sent import CHARS_PER_S
from mockserver.calls.caller import HangUp, Interrupt, Listen, Pause, Press
from mockserver.calls.script import Entry
from mockserver.testing.rung_call import RungCall
from realtape import MockServer, virtual_time
from realtape.clinic_rehearsal import serving
from tests.clinic_agent.app_server import ASK, CHOOSE, SCENARIO, TODAY

pytestmark = pytest.mark.slow
PERSON = "tel:+14155550123"
TOKEN = "a-login-token-for-tests"
DISOBEDIENT = Path(__file__).parents[2] / "clinic" / "disobedient.yaml"
ENDS = ("the caller hung up", "the assistant hung up", "handed to a person", "ended by this server")
PATIENT: tuple[Entry, ...] = (Listen(), Pause(8.0))
"""What a caller does who waits for the other side to end the call."""

Meanwhile = Callable[[MockServer, AppState], Coroutine[Any, Any, None]]


@dataclass
class Telephoned:
    """A call that is over, and its record."""

    call: RungCall
    known: CallRecord | None
    bookings: list[str]
    usd: float
    page: str
    """The record as the server shows it."""

    @property
    def record(self) -> CallRecord:
        assert self.known is not None
        return self.known

    @property
    def phone(self) -> PhoneFacts:
        assert self.record.phone is not None
        return self.record.phone

    @property
    def steps(self) -> list[str]:
        return [what for _, what in self.phone.steps]


def telephone(
    data: Path,
    *script: Entry,
    dialect: str = "openai",
    fault: dict[str, Any] | None = None,
    scenario: Any = SCENARIO,
    ring: dict[str, Any] | None = None,
    person: str = PERSON,
    secret: str | None = None,
    meanwhile: Meanwhile | None = None,
) -> Telephoned:
    """Telephone the clinic on a mock, in virtual time."""

    async def main() -> Telephoned:
        async with MockServer(scenario, dialect=dialect, voice="tone", faults=[fault] if fault else None) as service:
            there = {"XAI_API_KEY": service.api_key, "XAI_REALTIME_URL": service.ws_url, "CLINIC_DIALECT": dialect}
            there |= {"CLINIC_DATA": str(data), "CLINIC_TOKEN": TOKEN, "CLINIC_TODAY": TODAY.isoformat()}
            there |= {"CLINIC_HANDOVER_URI": person, "CLINIC_WEBHOOK_SECRET": secret or service.webhook_secret}
            async with serving(settings_from(there)) as (state, url):
                call = service.ring(script=script, webhook=f"{url}/calls/incoming", **(ring or {}))
                if meanwhile is not None:
                    await meanwhile(service, state)
                await call
                await state.phone_calls.join()
                # The routes run in threads, which virtual time does not wait for.
                async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=None) as http:
                    listed = (await http.get(f"{url}/calls")).json()
                    page = await http.get(f"{url}/calls/{call.id}", headers={"Accept": "text/html"})
                record = state.store.find(call.id)
                bookings = [booking.reference for booking in state.schedule.bookings()]
            assert [each["id"] for each in listed] == ([call.id] if record else [])
            assert any(f"<dd>{end}</dd>" in page.text for end in ENDS) is (record is not None)
            assert service.findings == []
            return Telephoned(call, record, bookings, float(service.ledger.total_usd), page.text)

    made = virtual_time(main())
    assert isinstance(made, Telephoned)
    return made


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_a_caller_books_and_the_clinic_hangs_up_when_its_goodbye_was_heard(dialect: str, tmp_path: Path):
    made = telephone(tmp_path, ASK, CHOOSE, "Thank you, goodbye.", *PATIENT, dialect=dialect)
    assert (made.call.status, made.call.hung_up_by, made.phone.ended) == ("over", "client", "assistant")
    assert made.bookings == ["DC-0706-0930"]
    assert made.steps == ["incoming call", *(["accepted"] if dialect == "openai" else []), "attached", "hung up"]
    assert [turn["heard"] for turn in made.record.turns] == ["", ASK, CHOOSE, "Thank you, goodbye."]
    greeting, *_, goodbye = [turn["said"] for turn in made.record.turns]
    assert greeting.startswith("Maple Street Clinic") and goodbye.endswith("Goodbye!")
    heard = made.call.agent_audio[-int(0.1 * 8000) :]
    assert max(map(abs, heard.tolist())) < 500  # the goodbye was over before
    agreed(made)
    assert (made.record.front, made.record.failure, made.record.emergency) == ("phone", None, None)
    assert "+14155550100" in made.phone.caller


def test_a_caller_who_interrupts_and_presses_zero_is_handed_to_a_person(tmp_path: Path):
    made = telephone(tmp_path, ASK, Interrupt(3.0), "Stop, please.", Press("0"), *PATIENT)
    assert (made.call.status, made.call.transferred_to, made.phone.ended) == ("referred", PERSON, "transfer")
    assert made.phone.keys == "0"
    assert [turn["heard"] for turn in made.record.turns][1:] == [ASK, "Stop, please."]
    assert made.record.turns[1]["heard_ms"] > 0


def agreed(made: Telephoned) -> None:
    """The clinic counted what the mock charged, to a millionth of a USD."""
    assert not made.phone.usd_is_estimate
    assert float(made.record.usd or 0) == pytest.approx(made.usd, abs=1.1e-6)


@pytest.mark.parametrize(
    "script",
    [
        ["I have chest pain and I can't breathe.", *PATIENT],
        [Interrupt(1.5), "Stop, please. Goodbye.", Press("0"), *PATIENT],
    ],
    ids=["handed over", "interrupted"],
)
def test_the_cost_of_a_call_on_xai_is_what_the_mock_charged(script: list[Entry], tmp_path: Path):
    agreed(telephone(tmp_path, *script, dialect="xai"))


def test_the_cost_of_an_answer_that_the_caller_hung_up_on_is_an_estimate(tmp_path: Path):
    made = telephone(tmp_path, ASK, Interrupt(0.2), HangUp(), dialect="xai")
    answer = made.record.turns[-1]["said"]
    assert made.phone.usd_is_estimate and answer
    assert abs(float(made.record.usd or 0) - made.usd) < len(answer) / CHARS_PER_S / 60 * 0.05
    assert "about $" in made.page


def test_an_emergency_goes_to_a_person_even_if_the_model_forgets_it(tmp_path: Path):
    made = telephone(tmp_path, "I have chest pain and I can't breathe.", *PATIENT, scenario=DISOBEDIENT)
    assert (made.call.status, made.phone.ended, made.bookings) == ("referred", "transfer", [])
    assert made.record.emergency == "can't breath"


def test_if_the_person_is_busy_the_caller_stays_with_the_assistant_and_hears_why(tmp_path: Path):
    made = telephone(tmp_path, "I want to speak to a person.", *PATIENT, dialect="xai", ring={"transfer_status": 486})
    assert (made.call.status, made.phone.ended) == ("over", "caller")
    assert "transfer failed: transfer rejected by downstream: SIP 486 Busy Here" in made.steps
    assert "nobody can take your call" in made.record.turns[-1]["said"]


def test_without_a_person_the_assistant_says_so(tmp_path: Path):
    made = telephone(tmp_path, "I want to speak to a person.", *PATIENT, person="")
    assert made.phone.ended == "caller"
    assert "I cannot reach anybody here" in made.record.turns[-1]["said"]


def test_a_caller_who_hangs_up_while_a_tool_runs_leaves_a_record_of_it(tmp_path: Path):
    hangs_up = {"at": "rate_limits.updated", "nth": 2, "do": "hang_up"}
    made = telephone(tmp_path, ASK, *PATIENT, fault=hangs_up)
    assert (made.call.hung_up_by, made.phone.ended, made.record.failure) == ("caller", "caller", None)
    assert [tool["name"] for tool in made.record.turns[-1]["tools"]] == ["check_availability"]


@pytest.mark.parametrize(
    ("fault", "delivered"),
    [("duplicate", [200]), ({"slow": "3s"}, [200]), ("forge", [401, 200])],
)
def test_a_webhook_that_comes_twice_late_or_forged(fault: Any, delivered: list[int], tmp_path: Path, caplog):
    with caplog.at_level(logging.WARNING):
        made = telephone(tmp_path, HangUp(), fault={"at": "webhook", "nth": 1, "do": fault})
    assert [attempt.status for attempt in made.call.webhooks] == delivered
    assert made.steps.count("accepted") == 1
    assert ("refused with 401" in caplog.text) is (fault == "forge")
    assert "whsec" not in caplog.text


@pytest.mark.parametrize(
    ("status", "call", "ended"),
    [(400, "rejected", "clinic"), (503, "rejected", "clinic"), (404, "unanswered", "caller")],
)
def test_an_accept_that_is_refused(status: int, call: str, ended: str, tmp_path: Path):
    refused = {"at": "POST /v1/realtime/calls/*/accept", "do": {"status": status}}
    made = telephone(tmp_path, HangUp(), fault=refused, ring={"answer_within": 20.0})
    assert (made.call.status, made.phone.ended, list(made.record.turns)) == (call, ended, [])


async def loses_the_sideband(mock: MockServer, state: AppState) -> None:
    await asyncio.sleep(8.0)  # the caller speaks
    for connection in list(mock._service.sidebands):
        connection.reset("lost")


def test_a_lost_sideband_is_attached_again_while_the_call_lives(tmp_path: Path):
    made = telephone(tmp_path, ASK, CHOOSE, "Thank you, goodbye.", *PATIENT, meanwhile=loses_the_sideband)
    assert made.steps == ["incoming call", "accepted", "attached", "sideband lost", "attached", "hung up"]
    assert made.bookings == ["DC-0706-0930"]


async def stops(mock: MockServer, state: AppState) -> None:
    await asyncio.sleep(8.0)
    await state.phone_calls.close()


@pytest.mark.parametrize(("person", "status"), [(PERSON, "referred"), ("", "over")])
def test_a_server_that_stops_hands_its_callers_to_a_person_or_hangs_up(person: str, status: str, tmp_path: Path):
    made = telephone(tmp_path, ASK, *PATIENT, person=person, meanwhile=stops)
    assert (made.call.status, made.record.failure) == (status, "the clinic's server stopped")


@pytest.mark.parametrize(("dialect", "status"), [("openai", "rejected"), ("xai", "rejected")])
def test_beyond_the_limit_the_line_is_busy(dialect: str, status: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(phone_calls, "MAX_CALLS", 0)
    made = telephone(tmp_path, HangUp(), dialect=dialect)
    assert (made.call.status, made.known) == (status, None)
