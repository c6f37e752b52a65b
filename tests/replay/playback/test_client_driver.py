"""A tape's client driven at the mock: what comes back is what was recorded, and what differs is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date, datetime, timezone
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

import realtape
from clinic_agent.call.open_mic import microphone
from clinic_agent.call.pcm import read_wav
from clinic_agent.call.playback import Playback
from clinic_agent.call.scripted_caller import After, Cue, During, ScriptedCaller
from clinic_agent.clinic.assistant import clinic_assistant, run_open_call
from clinic_agent.clinic.clinic import Clinic
from clinic_agent.config import Config
from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer
from replay.billing.prices import price_table
from replay.cassette.file import Cassette
from replay.cassette.frames import Close
from replay.cassette.recording import Recording
from replay.cassette.records import Content
from replay.cli.replay import _key
from replay.cli.usage import Unusable
from replay.playback.client_driver import ClientDriver, Limits, Outcome
from replay.playback.id_map import IdMap
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream
from replay.report.transcript import transcript_of

CASSETTES = Path(__file__).parents[3] / "cassettes"
NAMES = ["booking", "fully-booked", "medical-escalation", "resumed-booking", "tool-failure", "unclear-audio"]


@pytest.mark.parametrize(
    ("until_s", "max_s", "told"),
    [(0.0, None, "standard input was closed"), (4.0, 8.0, "standard input was closed"), (9.0, 4.0, "the limit of 4 s")],
)
def test_a_replay_ends_when_its_caller_says_so_or_at_a_limit_and_closes_the_connection(until_s, max_s, told):
    mock = MockServer(CASSETTES / "scenarios" / "booking.yaml", voice="tone", seed=5, dialect="xai@2026-07")
    tape = Recording.read(CASSETTES / "booking.tape")

    async def main() -> Outcome:
        async with mock:
            until = asyncio.get_running_loop().create_task(asyncio.sleep(until_s, "standard input was closed"))
            limits = Limits(max_seconds=max_s)
            driver = ClientDriver(tape, mock.ws_url, "any", limits=limits, note=note, until=until)
            outcome = await driver.run()
            until.cancel()
            return outcome

    noted: list[tuple[str, Content]] = []

    def note(connection: int, way: str, content: Content) -> None:
        noted.append((way, content))

    outcome = autojump.run(main())
    after_s = until_s if max_s is None else min(until_s, max_s)
    assert outcome.stopped is not None and outcome.stopped.startswith(told) and not outcome.same
    assert after_s <= outcome.seconds < after_s + 0.5
    assert bool(outcome.received) == bool(after_s)
    assert not after_s or noted[-1] == ("sent", Close(1000))


def drive(name: str, scenario=None, **settings) -> tuple[Outcome, MockServer, float]:
    """What came of it, the mock that was called, and how many virtual seconds it took."""
    mock = MockServer(scenario or CASSETTES / "scenarios" / f"{name}.yaml", voice="tone", seed=5, dialect="xai@2026-07")

    async def main() -> tuple[Outcome, float]:
        async with mock:
            outcome = await ClientDriver(
                Recording.read(CASSETTES / f"{name}.tape"), mock.ws_url, "any", **settings
            ).run()
            return outcome, asyncio.get_running_loop().time()

    outcome, seconds = autojump.run(main())
    return outcome, mock, seconds


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_conversation_of_the_suite_comes_back_without_drift(name):
    outcome, _, _ = drive(name)
    assert (outcome.drift(), outcome.overdue, outcome.stopped) == ([], [], None)


@pytest.mark.slow
def test_a_tool_s_result_carries_the_fresh_call_id():
    _, mock, _ = drive("booking")
    called = [frame["call_id"] for frame in mock.sessions[0].sent("response.function_call_arguments.done")]
    results = [
        frame["item"]["call_id"]
        for frame in mock.sessions[0].received("conversation.item.create")
        if frame["item"]["type"] == "function_call_output"
    ]
    assert results == called
    assert len(results) == 2
    assert not set(called) & {
        event["call_id"] for event in Recording.read(CASSETTES / "booking.tape").received() if "call_id" in event
    }


@pytest.mark.slow
def test_a_lost_connection_is_lost_again_and_the_fresh_conversation_taken_up():
    outcome, mock, _ = drive("resumed-booking")
    first, second = mock.sessions
    assert (
        first.sent("conversation.created")[0]["conversation"] == second.sent("conversation.created")[0]["conversation"]
    )
    assert outcome.same


@pytest.mark.slow
def test_twice_the_speed_shortens_the_client_s_part_and_not_the_service_s():
    _, _, slow = drive("unclear-audio", speed=0.5)
    _, _, plain = drive("unclear-audio")
    assert plain <= slow < plain + 12


@pytest.mark.slow
def test_another_answer_is_drift_and_a_call_that_does_not_come_leaves_its_result_out():
    silent = Scenario([Rule(Say("No."))])
    outcome, mock, _ = drive("booking", silent, patience_s=2.0)
    assert not outcome.same
    assert outcome.drift()
    assert any("its call did not arrive" in told for told in outcome.overdue)
    assert mock.sessions[0].received("conversation.item.create") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(max_seconds=1.0), "the limit of 1 s"),
        (Limits(None, Fraction("0.005"), price_table("xai", date(2026, 7, 1))), "the limit of 0.005 USD"),
    ],
)
def test_a_limit_stops_the_call_and_says_so(limits, told):
    outcome, _, seconds = drive("booking", limits=limits)
    assert told in str(outcome.stopped)
    assert seconds < 5


@pytest.mark.slow
def test_an_open_microphone_goes_on_at_its_pace_and_interrupts_where_it_did(tmp_path):
    scenario, tape = CASSETTES / "scenarios" / "booking.yaml", tmp_path / "open.tape"
    said = [read_wav(CASSETTES / "voices" / f"booking-{number}.wav") for number in (1, 2)]
    cues = [Cue(After(0, 0.5), said[0]), Cue(During(2, 2.0), said[1]), Cue(After(4, 1.0))]

    async def record() -> None:
        async with MockServer(scenario, voice="tone") as mock:
            at = datetime(2026, 7, 1, tzinfo=timezone.utc)
            relay = Relay(await Upstream.find(mock.ws_url), Settings(tape, at, "test"))
            await relay.start()
            origin = f"127.0.0.1:{relay.port}"
            config = Config(f"ws://{origin}/v1/realtime", f"http://{origin}/v1", "any-text")

            def person(hearing: Playback) -> AsyncIterator[bytes]:
                return microphone(ScriptedCaller(cues, hearing).speak)

            report, _ = await run_open_call(config, person, clinic_assistant(Clinic(at.date())), priced_on=at.date())
            await relay.stop()
            assert report.turns[0].heard_ms is not None

    async def again() -> Outcome:
        async with MockServer(scenario, voice="tone", seed=9) as mock:
            return await ClientDriver(Recording.read(tape), mock.ws_url, "any").run()

    autojump.run(record())
    outcome = autojump.run(again())
    assert (outcome.drift(), outcome.overdue) == ([], [])
    assert "conversation.item.truncated" in [event["type"] for event in outcome.received]
    assert [said.cut for said in transcript_of(Recording.read(tape)).utterances].count(True) == 1


def test_calls_are_matched_by_name_whatever_is_called_in_between():
    ids = IdMap()
    ids.next_recorded_connection()
    ids.next_connection()
    done = "response.function_call_arguments.done"
    for name, call_id in (("look", "tape-1"), ("book", "tape-2")):
        ids.recorded({"type": done, "name": name, "call_id": call_id})
    for name, call_id in (("book", "here-1"), ("look", "here-2")):
        ids.received({"type": done, "name": name, "call_id": call_id})
    sent = b'{"type":"conversation.item.create","item":{"call_id":"tape-1","output":"tape-1"}}'
    assert ids.rewritten(sent) == sent.replace(b'"call_id":"tape-1"', b'"call_id":"here-2"')


def test_an_id_that_the_client_made_up_is_left_alone():
    assert IdMap().rewritten(b'{"event_id":"mine"}') == b'{"event_id":"mine"}'


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1/", "not a WebSocket address"),
        ("ws://api.x.ai/v1/realtime", "sends no key unencrypted"),
        ("wss://api.x.ai/v1/realtime", "XAI_API_KEY is not set"),
        ("wss://example.com/v1/realtime", "there is no key for example.com"),
    ],
)
def test_a_key_goes_nowhere_but_to_its_service(url, told, monkeypatch):
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    result = CliRunner().invoke(realtape.main, ["replay", str(CASSETTES / "booking.tape"), "--to", url])
    assert result.exit_code == 2
    assert told in result.output


@pytest.mark.parametrize(
    ("environment", "named", "url", "service", "sent"),
    [
        ({}, None, "ws://127.0.0.1:1/v1/realtime", "xai@2026-09", "any-text"),
        ({"XAI_API_KEY": "x"}, None, "ws://localhost:1/v1/realtime", "xai@2026-09", "x"),
        ({"XAI_API_KEY": "x", "OPENAI_API_KEY": "o"}, None, "ws://127.0.0.1:1/", "openai@2026-10", "o"),
        ({"XAI_API_KEY": "x", "REALTAPE_API_KEY": "r"}, None, "ws://127.0.0.1:1/", None, "r"),
        ({"XAI_API_KEY": "x", "MINE": "m"}, "MINE", "ws://127.0.0.1:1/", "xai@2026-09", "m"),
        ({"XAI_API_KEY": "x", "MINE": "m"}, "MINE", "wss://voice.example/v1/realtime", "xai@2026-09", "m"),
        ({"XAI_API_KEY": "x"}, None, "wss://api.x.ai/v1/realtime", "openai@2026-10", "x"),
    ],
)
def test_the_key_of_the_environment_is_sent_where_it_is_meant(environment, named, url, service, sent, monkeypatch):
    for name in ("XAI_API_KEY", "OPENAI_API_KEY", "REALTAPE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _key(url, named, service) == sent


def test_no_key_leaves_this_machine_unencrypted(monkeypatch):
    monkeypatch.setenv("MINE", "m")
    with pytest.raises(Unusable, match="unencrypted"):
        _key("ws://voice.example/v1/realtime", "MINE", None)


@pytest.mark.slow
def test_the_command_writes_a_new_cassette_without_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("REALTAPE_API_KEY", "planted-key-planted")
    out = tmp_path / "again.tape"
    scenario = CASSETTES / "scenarios" / "medical-escalation.yaml"
    with MockServer(scenario, voice="tone", pacing="burst", dialect="xai@2026-07") as mock:
        command = ["replay", str(CASSETTES / "medical-escalation.tape"), "--to", mock.ws_url, "--speed", "100"]
        result = CliRunner().invoke(realtape.main, [*command, "--out", str(out), "--json"])
    told = json.loads(result.output)
    assert told["received_events"] > 20
    assert result.exit_code == (0 if told["same"] else 1)
    with Cassette.open(out) as cassette:
        assert cassette.header.origin == "mock"
        assert len(cassette) > 40
    assert b"planted-key-planted" not in out.read_bytes()
