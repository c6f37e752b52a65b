"""The whole call on the mock, over loopback: the agent on one side, the scenario it comes with on the other."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from clinic_agent.assistant import clinic_assistant, run_call
from clinic_agent.cli import clinic
from clinic_agent.clinic import Clinic
from clinic_agent.config import Config
from clinic_agent.report import CallReport
from clinic_agent.speech import read_wav, write_wav
from mockserver import autojump
from mockserver.voices.tone import Tone
from realtape import MockServer, Scenario

SCENARIO = Scenario.load(Path(__file__).parents[2] / "cassettes" / "scenarios" / "clinic.yaml")
TODAY = date(2026, 7, 1)
WORDS = ["I would like a dental cleaning on July sixth.", "The nine thirty slot, please. My name is Maria Lopez."]
SPEECH = [Tone().speak(words).samples.tobytes() for words in WORDS]
BOOKED = {
    "reference": "DC-0706-0930",
    "service": "dental cleaning",
    "date": "2026-07-06",
    "time": "09:30",
    "name": "Maria Lopez",
}


def clinic_mock(pacing="burst", **settings) -> MockServer:
    return MockServer(SCENARIO, pacing=pacing, voice="tone", **settings)


async def call(mock: MockServer, words: list[str] | list[bytes], schedule: Clinic | None = None) -> CallReport:
    config = Config(mock.ws_url, mock.http_url, mock.api_key)
    report = await run_call(config, words, clinic_assistant(schedule or Clinic(TODAY)), priced_on=TODAY)
    assert report.failure is None
    return report


@pytest.mark.parametrize("words", [WORDS, SPEECH], ids=["typed", "spoken"])
async def test_a_booking_over_two_turns_comes_out_the_same_typed_or_spoken(words):
    async with clinic_mock() as mock:
        report = await call(mock, words)
    assert [turn.heard for turn in report.turns] == WORDS
    assert [(run.name, run.result) for turn in report.turns for run in turn.tools] == [
        (
            "check_availability",
            {"service": "dental cleaning", "date": "2026-07-06", "slots": ["09:30", "11:00", "14:30"]},
        ),
        ("book_appointment", BOOKED),
    ]
    assert report.turns[1].said.endswith("Your reference is DC-0706-0930. See you then!")


@pytest.mark.parametrize("words", [WORDS, SPEECH], ids=["typed", "spoken"])
@pytest.mark.parametrize("dialect", ["xai@2026-07", "xai@2026-09"])
async def test_the_agent_and_the_mock_count_the_same_money_apart(words, dialect):
    async with clinic_mock(dialect=dialect) as mock:
        report = await call(mock, words)
        charged = mock.ledger.total_usd
    assert report.cost.usd is not None
    assert report.cost.usd.quantize(Decimal("0.000001")) == charged
    assert charged > Decimal("0.01")


async def test_the_wire_carries_one_response_create_for_each_answer():
    async with clinic_mock() as mock:
        await call(mock, SPEECH)
        session = mock.sessions[0]
        asked, answered = len(session.received("response.create")), len(session.sent("response.done"))
    assert (asked, answered) == (4, 4)


def test_the_time_to_the_first_sound_is_the_service_s_own_and_not_the_machine_s():
    async def main() -> list[float | None]:
        async with clinic_mock(pacing="live") as mock:
            report = await call(mock, WORDS)
        return [turn.first_audio_ms for turn in report.turns]

    first, second = autojump.run(main())
    assert first is not None and 400 <= first <= 1200
    assert second is not None and 400 <= second <= 1200


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("A dental cleaning on July fifth, please.", "The next free day is 2026-07-06. Shall I look there?"),
        ("A dental cleaning on July first, please.", "Which other day would suit you?"),
        ("I have chest pain!", "I am putting you through to the nurse on duty. Please stay on the line."),
        ("Hello, we were cut off.", "I have 09:30, 11:00, 14:30. Which one suits you, and what is your name?"),
        ("Brabbel.", "I am sorry, I did not understand that. Could you say it again, please?"),
    ],
)
async def test_what_else_callers_say_has_an_answer(words, answer):
    async with clinic_mock() as mock:
        report = await call(mock, [words])
    assert report.turns[0].said.endswith(answer)


async def test_a_time_somebody_else_has_taken_is_not_booked_twice():
    schedule = Clinic(TODAY)
    async with clinic_mock() as mock:
        await call(mock, WORDS, schedule)
        report = await call(mock, [WORDS[0], "Nine thirty. My name is John Smith."], schedule)
    assert "free that day: 11:00, 14:30" in report.turns[1].said
    assert [booking.name for booking in schedule.schedule.bookings()] == ["Maria Lopez"]


async def test_the_command_makes_the_call_and_leaves_its_sound_in_files(tmp_path):
    speech = []
    for number, pcm in enumerate(SPEECH):
        write_wav(tmp_path / f"{number}.wav", pcm)
        speech += ["--wav", str(tmp_path / f"{number}.wav")]
    async with clinic_mock() as mock:
        environ = {"XAI_API_KEY": mock.api_key, "XAI_REALTIME_URL": mock.ws_url, "CLINIC_MODEL": ""}
        command = ["call", "--today", "2026-07-01", "--json", "--out", str(tmp_path), *speech]
        result = await asyncio.to_thread(CliRunner().invoke, clinic, command, env=environ)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["turns"][1]["tools"][0]["result"] == BOOKED
    seconds = [len(read_wav(tmp_path / f"turn-{number}.wav")) / 48_000 for number in (1, 2)]
    assert seconds == pytest.approx([turn["audio_out_s"] for turn in report["turns"]])


@pytest.mark.parametrize(
    ("dialect", "advice"), [("xai@2026-07", "HTTP 401: the key is"), ("xai@2026-09", "HTTP 400: the key is wrong")]
)
async def test_a_wrong_key_is_said_to_be_one(dialect, advice):
    async with clinic_mock(dialect=dialect, api_keys=["right"]) as mock:
        environ = {"XAI_API_KEY": "wrong", "XAI_REALTIME_URL": mock.ws_url}
        result = await asyncio.to_thread(CliRunner().invoke, clinic, ["call", "--text", "Hi"], env=environ)
    assert result.exit_code == 2
    assert advice in result.output
