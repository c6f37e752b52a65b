"""The whole call on the mock, over loopback: the agent on one side, the scenario it comes with on the other."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from clinic_agent.call.pcm import read_wav, write_wav
from clinic_agent.call.report import CallReport
from clinic_agent.cli import clinic
from clinic_agent.clinic.assistant import clinic_assistant, run_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import OPENAI_MODEL, OPENAI_VOICE, Config
from mockserver.server import virtual_time as autojump
from mockserver.server.journal import JournalEntry
from realtape import MockServer, Scenario

CASSETTES = Path(__file__).parents[3] / "cassettes"
SCENARIO = Scenario.load(CASSETTES / "scenarios" / "clinic.yaml")
TODAY = date(2026, 7, 1)
WORDS = ["I would like a dental cleaning on July sixth.", "The nine thirty slot, please. My name is Maria Lopez."]
SPEECH = [read_wav(CASSETTES / "voices" / f"booking-{number}.wav") for number in (1, 2)]
BOOKED = {
    "reference": "DC-0706-0930",
    "service": "dental cleaning",
    "date": "2026-07-06",
    "time": "09:30",
    "name": "Maria Lopez",
}


def clinic_mock(pacing="burst", **settings) -> MockServer:
    return MockServer(SCENARIO, pacing=pacing, voice="tone", **settings)


async def call(
    mock: MockServer, words: list[str] | list[bytes], schedule: Clinic | None = None, openai: bool = False
) -> CallReport:
    config = Config(mock.ws_url, mock.http_url, mock.api_key)
    if openai:
        config = replace(config, dialect="openai", model=OPENAI_MODEL, voice=OPENAI_VOICE)
    assistant = clinic_assistant(schedule or Clinic(TODAY))
    report = await run_call(config, words, assistant, priced_on=TODAY, plays=False)
    assert report.failure is None
    return report


@pytest.mark.parametrize(
    ("words", "dialect"),
    [
        (WORDS, "xai@2026-07"),
        (SPEECH, "xai@2026-07"),
        (WORDS, "xai@2026-09"),
        (SPEECH, "xai@2026-09"),
        (WORDS, "openai"),
    ],
)
async def test_the_agent_and_the_mock_count_the_same_money_apart(words, dialect):
    async with clinic_mock(dialect=dialect) as mock:
        report = await call(mock, words, openai=dialect == "openai")
        charged = mock.ledger.total_usd
    assert report.cost.usd is not None
    assert report.cost.usd.quantize(Decimal("0.000001")) == charged
    assert charged > Decimal("0.01")


async def test_the_wire_carries_one_response_create_for_each_answer():
    async with clinic_mock() as mock:
        await call(mock, SPEECH)
        session = mock.sessions[0]
        requested, answered = len(session.received("response.create")), len(session.sent("response.done"))
    assert (requested, answered) == (4, 4)


def test_the_time_to_the_first_sound_is_the_service_s_own_and_not_the_machine_s():
    async def main() -> list[float | None]:
        async with clinic_mock(pacing="live") as mock:
            report = await call(mock, WORDS)
        return [turn.first_audio_ms for turn in report.turns]

    first, second = autojump.run(main())
    assert first is not None and 400 <= first <= 1200
    assert second is not None and 400 <= second <= 1200


@pytest.mark.parametrize("words", [WORDS, SPEECH], ids=["typed", "spoken"])
@pytest.mark.parametrize("plays", [True, False], ids=["played", "fast"])
def test_a_turn_given_in_advance_waits_until_the_answer_has_been_heard_unless_nothing_is_played(words, plays: bool):
    async def main() -> tuple[list[JournalEntry], float]:
        async with clinic_mock(pacing="live") as mock:
            config = Config(mock.ws_url, mock.http_url, mock.api_key)
            await run_call(config, words, clinic_assistant(Clinic(TODAY)), priced_on=TODAY, plays=plays)
            ended_s = mock.sessions[0].closed_s or 0.0
        return list(mock.sessions[0].entries), ended_s

    entries, ended_s = autojump.run(main())
    heard_s, waited = 0.0, []
    for entry in entries:
        match entry.event:
            case {"type": "response.output_audio.delta", "delta": delta}:
                heard_s = max(heard_s, entry.at) + len(b64decode(delta)) / 48_000
            case {"type": "conversation.item.create", "item": {"type": "message"}} if entry.way == "in" and heard_s:
                waited.append(entry.at - heard_s)
            case {"type": "input_audio_buffer.append"} if entry.way == "in" and heard_s and not waited:
                waited.append(entry.at - heard_s)
    waited.append(ended_s - heard_s)
    assert len(waited) == 2  # before the second turn, and before the end of the call
    if plays:
        assert all(-0.001 <= wait_s < 0.1 for wait_s in waited)
    else:
        assert all(wait_s < -1 for wait_s in waited)


async def test_the_command_makes_the_call_and_leaves_its_sound_in_files(tmp_path):
    speech = []
    for number, pcm in enumerate(SPEECH):
        write_wav(tmp_path / f"{number}.wav", pcm)
        speech += ["--wav", str(tmp_path / f"{number}.wav")]
    async with clinic_mock() as mock:
        environ = {"XAI_API_KEY": mock.api_key, "XAI_REALTIME_URL": mock.ws_url, "CLINIC_MODEL": ""}
        command = ["call", "--today", "2026-07-01", "--fast", "--json", "--out", str(tmp_path), *speech]
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
