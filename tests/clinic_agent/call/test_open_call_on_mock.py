"""A call over an open microphone, on the mock, over loopback and in virtual time: half a minute takes no time."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from clinic_agent.call.connection import DEFAULT_RETRY, CallFailed
from clinic_agent.call.open_mic import microphone
from clinic_agent.call.pcm import read_wav
from clinic_agent.call.playback import Playback
from clinic_agent.call.recording import CallRecording
from clinic_agent.call.report import CallReport
from clinic_agent.call.retry import RetryPolicy
from clinic_agent.call.scripted_caller import After, Cue, During, ScriptedCaller
from clinic_agent.clinic.assistant import clinic_assistant, run_open_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config
from mockserver.server import virtual_time as autojump
from mockserver.server.journal import SessionLog
from realtape import MockServer, Say, Scenario

CASSETTES = Path(__file__).parents[3] / "cassettes"
SCENARIO = Scenario.load(CASSETTES / "scenarios" / "clinic.yaml")
ASK, CHOOSE = (read_wav(CASSETTES / "voices" / f"booking-{number}.wav") for number in (1, 2))
TODAY = date(2026, 7, 1)

Called = tuple[CallReport, CallRecording, MockServer]


def open_call(
    cues: list[Cue], scenario: Scenario = SCENARIO, clinic: Clinic | None = None, retry: RetryPolicy = DEFAULT_RETRY
) -> Called:
    async def main() -> Called:
        def caller(hearing: Playback) -> AsyncIterator[bytes]:
            return microphone(ScriptedCaller(cues, hearing).speak)

        async with MockServer(scenario, voice="tone") as mock:
            config = Config(mock.ws_url, mock.http_url, mock.api_key)
            assistant = clinic_assistant(clinic or Clinic(TODAY))
            report, recording = await run_open_call(config, caller, assistant, priced_on=TODAY, retry=retry)
        return report, recording, mock

    return autojump.run(main())


def interrupting(into_s: float) -> list[Cue]:
    return [Cue(After(0, 0.5), ASK), Cue(During(2, into_s), CHOOSE), Cue(After(4, 1.0))]


@pytest.fixture(scope="module", params=[2.4, 0.5], ids=["sent whole before", "still being sent"])
def call(request) -> Called:
    return open_call(interrupting(request.param))


def cut_response(log: SessionLog) -> str:
    (truncate,) = log.received("conversation.item.truncate")
    deltas = log.sent("response.output_audio.delta")
    return next(str(delta["response_id"]) for delta in deltas if delta["item_id"] == truncate["item_id"])


@pytest.mark.slow
def test_a_caller_who_interrupts_the_offer_gets_the_appointment(call: Called):
    report, _, mock = call
    assert report.failure is None
    assert [turn.heard for turn in report.turns] == [
        "I would like a dental cleaning on July sixth.",
        "The nine thirty slot, please. My name is Maria Lopez.",
    ]
    assert report.turns[1].said.endswith("zero, nine, three, zero. See you then!")
    assert len(mock.sessions) == 1


def test_after_the_interruption_nothing_of_the_cut_answer_is_heard(call: Called):
    report, recording, _ = call
    (cut,) = [moment for moment in recording.timeline if moment.alarm]
    first = report.turns[0]
    assert first.heard_ms is not None
    playing = [sound for sound in recording.heard if sound.start_s < cut.at_s]
    assert sum(len(sound.pcm) for sound in playing) // 48 == first.heard_ms
    assert all(sound.start_s + len(sound.pcm) / 48_000 <= cut.at_s + 0.001 for sound in playing)
    unheard = sum(len(sound.pcm) for sound in recording.dropped)
    assert len(first.audio) == sum(len(sound.pcm) for sound in playing) + unheard
    assert unheard > 24_000


def test_the_service_is_told_what_was_heard_and_asked_to_cancel_nothing(call: Called):
    report, _, mock = call
    log = mock.sessions[0]
    (truncated,) = log.sent("conversation.item.truncated")
    assert report.turns[0].said.startswith(f"Let me check that for you. {truncated['transcript']}".strip())
    assert truncated["audio_end_ms"] < report.turns[0].heard_ms
    assert log.received("response.cancel") == log.sent("error") == []
    assert len(log.received("response.create")) == 2


@pytest.mark.parametrize(("into_s", "status"), [(2.4, "completed"), (0.5, "cancelled")])
def test_an_answer_is_cut_at_the_service_only_while_it_is_still_sent(into_s: float, status: str):
    _, _, mock = open_call([*interrupting(into_s)[:2], Cue(After(2, 0.2))])
    log = mock.sessions[0]
    mine = [done for done in log.sent("response.done") if done["response_id"] == cut_response(log)]
    assert [done["response"]["status"] for done in mine] == [status]


def test_the_agent_and_the_mock_count_the_same_sound_and_the_same_money(call: Called):
    report, recording, mock = call
    spent = mock.ledger
    assert (report.cost.input_s, report.cost.output_s) == (spent.audio_in_s, spent.audio_out_s)
    assert report.cost.usd is not None
    assert report.cost.usd.quantize(Decimal("0.000001")) == spent.total_usd
    assert sum(turn.cost.input_samples for turn in report.turns) == report.cost.input_samples
    sent = [b64decode(event["audio"]) for event in mock.sessions[0].received("input_audio_buffer.append")]
    assert b"".join(sent) == recording.caller


def test_no_answer_begins_before_the_one_before_has_been_heard(call: Called):
    _, recording, _ = call
    ends = [sound.start_s + len(sound.pcm) / 48_000 for sound in recording.heard]
    requested = [moment.at_s for moment in recording.timeline if moment.label == "response.create"]
    starts = [sound.start_s for sound in recording.heard]
    for at_s in requested:
        assert max(end for end, start in zip(ends, starts, strict=True) if start < at_s) <= at_s + 0.001


def test_the_words_stand_at_the_sound_they_belong_to(call: Called):
    _, recording, _ = call
    said = [moment for moment in recording.timeline if moment.lane == "assistant"]
    assert [moment.at_s for moment in said] == [sound.start_s for sound in recording.heard]
    assert said[0].label == "Let me check that for you."


@pytest.mark.slow
def test_a_call_that_lasts_too_long_is_ended_and_reported_with_what_was_said():
    report, _, mock = open_call(interrupting(2.0), retry=RetryPolicy(call_s=6.0))
    assert report.failure == "the call lasted over 6 s and was ended; allow more time for longer calls"
    assert report.turns[0].said.startswith("Let me check")
    assert mock.sessions[0].close_code == 1000


def test_a_service_that_says_nothing_makes_the_caller_hang_up():
    report, recording, _ = open_call([Cue(After(1, 1.0))], Scenario(sequence=[Say("Never said.")]))
    assert report.failure is None
    assert len(recording.caller) / 48_000 == pytest.approx(15.1, abs=0.11)
    assert report.turns[0].said == ""


def test_a_lost_connection_is_a_report_and_not_a_traceback():
    async def main() -> CallReport:
        mock = MockServer(SCENARIO, voice="tone")

        async def silence(_: Playback) -> AsyncIterator[bytes]:
            yield bytes(4800)
            await mock.__aexit__(None, None, None)
            while True:
                await asyncio.sleep(0.1)
                yield bytes(4800)

        await mock.__aenter__()
        config = Config(mock.ws_url, mock.http_url, mock.api_key)
        report, _ = await run_open_call(config, silence, clinic_assistant(Clinic(TODAY)), priced_on=TODAY)
        return report

    assert str(autojump.run(main()).failure).startswith("the service closed the connection (1001")


async def test_a_refused_handshake_is_told_before_anybody_speaks():
    config = Config("ws://127.0.0.1:1/v1/realtime", "", "k")

    def nobody(_: Playback) -> AsyncIterator[bytes]:
        raise AssertionError("nobody should speak")

    assistant = clinic_assistant(Clinic(TODAY))
    with pytest.raises(CallFailed, match="cannot reach"):
        await run_open_call(config, nobody, assistant, priced_on=TODAY, retry=RetryPolicy(attempts=1))


def test_a_microphone_keeps_its_pace_behind_a_slow_listener():
    def chunks(count: int) -> Callable[[float], bytes | None]:
        left = iter([bytes(4800)] * count)
        return lambda now_s: next(left, None)

    async def main() -> list[float]:
        arrivals, loop = [], asyncio.get_running_loop()
        async for _ in microphone(chunks(100)):
            arrivals.append(loop.time())
            await asyncio.sleep(0.25 if len(arrivals) == 10 else 0.03)
        return arrivals

    arrivals = autojump.run(main())
    assert arrivals[0] == pytest.approx(0.1)
    assert arrivals[-1] == pytest.approx(10.0)
