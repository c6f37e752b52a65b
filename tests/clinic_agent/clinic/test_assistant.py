"""The assistant's call and the command that makes it, on a service scripted by hand."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from http import HTTPStatus
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from clinic_agent.app.call_store import CallRecord, CallStore, utc_now
from clinic_agent.call.pcm import read_wav, write_wav
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.cli import clinic
from clinic_agent.clinic.assistant import clinic_assistant, instructions, run_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config

TODAY = date(2026, 7, 1)
ONCE = RetryPolicy(attempts=1, resumptions=0)
CHECK = '{"service":"dental cleaning","date":"2026-07-06"}'
BOOK = '{"service":"dental cleaning","date":"2026-07-06","time":"09:30","name":"Maria Lopez"}'


async def booking(side):
    """A service that checks in the first turn and books in the second."""
    await side.greet()
    for tool, arguments, words in [("check_availability", CHECK, "I have 09:30."), ("book_appointment", BOOK, "Done.")]:
        await side.until("response.create")
        await side.calls(tool, arguments)
        await side.done()
        await side.until("response.create")
        await side.speaks(words, samples=24_000, item=tool)
        await side.done()
    await side.hung_up()


async def run_command(config: Config, *arguments: str) -> Result:
    environ = {"XAI_API_KEY": config.key, "XAI_REALTIME_URL": config.url, "XAI_HTTP_URL": "", "CLINIC_MODEL": ""}
    command = ["call", "--fast", "--today", "2026-07-01", *arguments]
    return await asyncio.to_thread(CliRunner().invoke, clinic, command, env=environ)


def test_the_prompt_names_the_day_and_the_way_out_in_an_emergency():
    prompt = instructions(Clinic(TODAY))
    assert "Wednesday, 2026-07-01" in prompt
    assert "transfer_to_human" in prompt


async def test_the_session_is_manual_pcm_with_transcription_and_all_tools(serving):
    updates = []

    async def service(side):
        updates.append(await side.greet())
        await side.hung_up()

    async with serving(service) as config:
        await run_call(config, [], clinic_assistant(Clinic(TODAY)), priced_on=TODAY)
    session = updates[0]["session"]
    pcm = {"type": "audio/pcm", "rate": 24_000}
    assert session["turn_detection"] is None
    assert session["audio"] == {
        "input": {"format": pcm, "transcription": {"model": "grok-transcribe"}},
        "output": {"format": pcm},
    }
    assert [tool["name"] for tool in session["tools"]] == [
        "check_availability",
        "book_appointment",
        "reschedule_appointment",
        "cancel_appointment",
        "find_information",
        "transfer_to_human",
        "end_call",
    ]


async def test_two_turns_leave_a_booking_and_a_report(serving):
    schedule = Clinic(TODAY)
    async with serving(booking) as config:
        report = await run_call(
            config,
            ["Cleaning on July sixth?", "Nine thirty. Maria Lopez."],
            clinic_assistant(schedule),
            priced_on=TODAY,
        )
    assert [booked.reference for booked in schedule.schedule.bookings()] == ["DC-0706-0930"]
    assert [run.name for turn in report.turns for run in turn.tools] == ["check_availability", "book_appointment"]
    assert report.failure is None
    assert report.cost.shown == "$0.0097"  # 2 s of 60 at $0.05, two typed messages at $0.004


async def test_a_call_that_breaks_off_is_reported_with_the_turns_so_far(serving):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.speaks("Hello.")
        await side.done()
        await side.until("response.create")
        await side.speaks("I was just")
        await side.socket.close(1011)

    async with serving(service) as config:
        report = await run_call(
            config, ["Hello", "And now?"], clinic_assistant(Clinic(TODAY)), priced_on=TODAY, retry=ONCE
        )
    assert [turn.said for turn in report.turns] == ["Hello.", "I was just"]
    assert "closed the connection (1011)" in str(report.failure)


async def test_the_command_prints_both_turns_and_the_sum(serving):
    async with serving(booking) as config:
        result = await run_command(config, "--text", "Cleaning on July sixth?", "--text", "Nine thirty. Maria Lopez.")
    assert result.exit_code == 0, result.output
    assert "heard         Cleaning on July sixth?" in result.output
    assert 'tool          check_availability({"service": "dental cleaning", "date": "2026-07-06"}) ->' in result.output
    assert "said          Done." in result.output
    assert "call  0.00 s    2.00 s                  $0.0097" in result.output


async def test_the_command_leaves_a_record_as_a_server_does(serving, data):
    old = CallStore(made(data), now=lambda: utc_now() - timedelta(days=40))
    began = old.now()
    old.add(CallRecord("old", "old", began, began, "api", "m", None, None, None, []))
    async with serving(booking) as config:
        await run_command(config, "--text", "Cleaning on July sixth?", "--text", "Nine thirty. Maria Lopez.")
    store = CallStore(data)
    (record,) = store.calls()  # the old one is deleted after 30 days
    assert (record.front, record.usd, record.failure) == ("command", "0.009667", None)
    assert [turn["heard"] for turn in record.turns] == ["Cleaning on July sixth?", "Nine thirty. Maria Lopez."]
    assert [tool["name"] for turn in record.turns for tool in turn["tools"]] == [
        "check_availability",
        "book_appointment",
    ]
    assert "response.done" in [event["type"] for _, _, event in store.frames(record.id)]
    assert "AAAA" not in json.dumps(store.frames(record.id))  # no sound, unless it was asked for


async def test_a_call_of_the_command_that_breaks_off_leaves_a_record_too(serving, tmp_path):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.socket.close(1001, "bye")

    async with serving(service) as config:
        result = await run_command(config, "--text", "I have chest pain.", "--data", str(tmp_path / "else"))
    (record,) = CallStore(tmp_path / "else").calls()
    assert record.failure is not None and record.failure in result.output
    assert record.emergency == "chest pain"


async def test_a_record_that_cannot_be_written_costs_no_more_than_a_warning(serving, data):
    (made(data) / "calls.sqlite3").write_text("this is no database, but a text of more than a few bytes" * 20)
    async with serving(booking) as config:
        result = await run_command(config, "--text", "Cleaning on July sixth?", "--text", "Nine thirty. Maria Lopez.")
    assert result.exit_code == 0
    assert "warning: the call could not be written to" in result.stderr


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_the_command_sends_speech_writes_the_answers_and_prints_json(serving, tmp_path):
    write_wav(tmp_path / "hello.wav", b"\1\0" * 12_000)
    speech = ["--wav", str(tmp_path / "hello.wav")]
    async with serving(booking) as config:
        result = await run_command(config, *speech, *speech, "--json", "--out", str(tmp_path / "answers"))
    report = json.loads(result.stdout)
    assert [turn["tools"][0]["name"] for turn in report["turns"]] == ["check_availability", "book_appointment"]
    assert (report["audio_in_s"], report["audio_out_s"], report["usd"]) == (1.0, 2.0, "0.0025")
    assert read_wav(tmp_path / "answers" / "turn-2.wav") == b"\1\0" * 24_000


async def test_the_command_ends_with_1_when_the_call_breaks_off(serving):
    async def service(side):
        await side.greet()
        await side.until("response.create")
        await side.socket.close(1001, "bye")

    async with serving(service) as config:
        result = await run_command(config, "--text", "Hello")
    assert result.exit_code == 1
    assert result.output.endswith("Error: the service closed the connection (1001 bye) in mid-call; call again\n")


@pytest.mark.parametrize(("status", "advice"), [(401, "XAI_API_KEY"), (403, "billing"), (429, "call again")])
async def test_the_command_ends_with_2_and_one_line_when_the_service_refuses(serving, status, advice):
    async with serving(booking, refuse=(HTTPStatus(status), {"Retry-After": "60"})) as config:
        result = await run_command(config, "--text", "Hello")
    assert result.exit_code == 2
    assert result.output.count("\n") == 1
    assert advice in result.output


@pytest.mark.parametrize(
    ("environ", "arguments", "says"),
    [
        ({"XAI_API_KEY": ""}, ["--text", "Hi"], "XAI_API_KEY is not set"),
        pytest.param(
            {"XAI_API_KEY": "k"},
            ["--text", "Hi", "--url", "ws://127.0.0.1:1/v1/realtime"],
            "cannot reach ws://127.0.0.1:1",
            marks=pytest.mark.slow,  # it dials again
        ),
        ({"XAI_API_KEY": "k"}, ["--text", "Hi", "--url", "localhost"], "not a ws or wss address"),
        ({"XAI_API_KEY": "k"}, [], "no turn given"),
        ({"XAI_API_KEY": "k"}, ["--wav", __file__], "not a PCM WAV file"),
    ],
)
def test_what_prevents_a_call_is_said_and_ends_with_2(environ, arguments, says):
    result = CliRunner().invoke(clinic, ["call", *arguments], env=environ)
    assert result.exit_code == 2
    assert says in result.output
