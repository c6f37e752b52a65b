"""The plugin as a user's suite meets it: pytest, run in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mockserver.suites import LOADED, Suite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


def test_a_run_that_never_asks_for_the_mock_loads_nothing_of_it(pytester: pytest.Pytester, suite: Suite):
    heavy = {"aiohttp", "numpy", "orjson", "pydantic", "websockets", "yaml", "mockserver.testing.mock_server", "replay"}
    pytester.makepyfile(test_plain=f"import sys\n\ndef test_plain():\n    assert not {heavy!r} & set(sys.modules)\n")
    pytester.path.joinpath("client.py").unlink()
    pytester.runpytest_subprocess(*LOADED, timeout=180).assert_outcomes(passed=1)


def test_a_sync_test_gets_a_server_that_plays_the_marker_s_scenario(suite: Suite):
    run = suite(
        """
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(realtime_mock):
    assert ask(realtime_mock, "A dental cleaning, please.") == "Let me see."
    realtime_mock.assert_order("response.create", "response.done")
"""
    )
    run.assert_outcomes(passed=1)


STAND_IN = """
import base64

class Writes:
    def __init__(self, text):
        self.text = text

    def transcribe(self, samples, rate, language, keyterms, prompt=""):
        return self.text

def speak(mock):
    from mockserver.audio.tts import synthesizer_named
    from mockserver.audio.codecs import resample
    sound = synthesizer_named("tone").speak("One, two and three.")
    data = resample(sound.samples, sound.rate, 24000).astype("<i2").tobytes()
    bearer = {"Authorization": f"Bearer {mock.api_key}"}
    with connect(mock.ws_url, additional_headers=bearer, compression=None) as service:
        send = lambda **event: service.send(json.dumps(event))
        send(type="session.update", session={"turn_detection": None})
        send(type="input_audio_buffer.append", audio=base64.b64encode(data).decode())
        send(type="input_audio_buffer.commit")
        send(type="response.create")
        said = ""
        while (event := json.loads(service.recv()))["type"] != "response.done":
            said += event["delta"] if event["type"].endswith("transcript.delta") else ""
        return said
"""
INSTALLED = """
import mockserver.server.equipment as factory
from client import Writes

named = factory.transcriber_named
factory.transcriber_named = lambda name: Writes("A dental cleaning.") if name == "auto" else named(name)
"""


def test_the_marker_chooses_a_transcriber(pytester: pytest.Pytester, suite: Suite):
    with pytester.path.joinpath("client.py").open("a", encoding="utf-8") as client:
        client.write(STAND_IN)
    pytester.makeconftest(INSTALLED)
    run = suite(
        """
from client import Writes, speak

@pytest.mark.realtime("clinic.yaml", transcriber=Writes("I have pain."), pacing="burst", unused="off")
def test_one_of_the_tests_own(realtime_mock):
    assert speak(realtime_mock) == "Call an ambulance."
    assert [turn["heard_by"] for turn in realtime_mock.sessions[0].summary()["heard"]] == ["transcriber"]

@pytest.mark.realtime("clinic.yaml", transcriber="auto", pacing="burst", unused="off")
def test_the_installed_one(realtime_mock):
    assert speak(realtime_mock) == "Let me see."

@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_none_by_itself(realtime_mock):
    assert speak(realtime_mock) == "Pardon?"
"""
    )
    run.assert_outcomes(passed=3)


def test_an_unknown_transcriber_fails_the_test_and_says_why(suite: Suite):
    run = suite(
        """
@pytest.mark.realtime("clinic.yaml", transcriber="huge")
def test_call(realtime_mock):
    pass
"""
    )
    run.assert_outcomes(errors=1)
    assert "@pytest.mark.realtime: the transcriber needs faster_whisper; install it" in run.stdout.str() or (
        "@pytest.mark.realtime: no speech model 'huge'" in run.stdout.str()
    )


@pytest.mark.parametrize("plugin", ["auto", "anyio"])
def test_an_async_test_gets_one_as_well(suite: Suite, plugin: str):
    mark = "@pytest.mark.anyio\n" if plugin == "anyio" else ""
    run = suite(
        f"""
import asyncio

@pytest.fixture
def anyio_backend():
    return "asyncio"

{mark}@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
async def test_call(realtime_mock):
    assert await asyncio.to_thread(ask, realtime_mock, "dental") == "Let me see."
    realtime_mock.assert_count("response.done", 1)
""",
        *(["-o", "asyncio_mode=strict"] if plugin == "anyio" else []),
    )
    run.assert_outcomes(passed=1)


def test_in_virtual_time_a_call_of_two_hours_takes_no_time(suite: Suite):
    run = suite(
        """
import asyncio, os, time
from websockets.asyncio.client import connect

@pytest.mark.realtime(dialect="xai@2026-07", time="virtual", env=True)
class TestLong:
    async def test_call(self, realtime_mock):
        began = time.monotonic()
        assert os.environ["XAI_REALTIME_URL"] == realtime_mock.ws_url
        bearer = {"Authorization": f"Bearer {realtime_mock.api_key}"}
        async with connect(realtime_mock.ws_url, additional_headers=bearer, ping_interval=None) as service:
            await service.recv()
            await asyncio.sleep(7200)
        assert realtime_mock.sessions[0].closed_s == pytest.approx(7200, abs=1)
        assert time.monotonic() - began < 3600
"""
    )
    run.assert_outcomes(passed=1)


@pytest.mark.parametrize("mark", ["asyncio", "anyio"])
def test_virtual_time_goes_before_the_loops_of_other_plugins(suite: Suite, mark: str):
    run = suite(
        f"""
import asyncio

@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.fixture
def word():
    return "hello"

@pytest.mark.{mark}
@pytest.mark.realtime(time="virtual", unused="off")
async def test_call(realtime_mock, word):
    assert word == "hello"
    await asyncio.sleep(7200)
""",
        "-o",
        "asyncio_mode=strict",
    )
    run.assert_outcomes(passed=1)


def test_another_program_finds_the_mock_by_its_environment(suite: Suite):
    run = suite(
        """
import os, subprocess, sys

PROGRAM = '''
import os
from client import ask
print(ask(None, "dental", os.environ["XAI_REALTIME_URL"], os.environ["XAI_API_KEY"]))
'''

@pytest.mark.realtime("clinic.yaml", unused="off", pacing="burst")
def test_program(realtime_env):
    assert "XAI_REALTIME_URL" not in os.environ
    environment = {**os.environ, **realtime_env}
    assert subprocess.check_output([sys.executable, "-c", PROGRAM], env=environment, text=True) == "Let me see.\\n"

@pytest.mark.realtime("clinic.yaml", unused="off", pacing="burst", env=True)
def test_here(realtime_mock):
    assert os.environ["OPENAI_BASE_URL"] == realtime_mock.http_url
    assert ask(None, "pain", os.environ["XAI_REALTIME_URL"], os.environ["XAI_API_KEY"]) == "Call an ambulance."

def test_it_is_gone_afterwards():
    assert "OPENAI_BASE_URL" not in os.environ
"""
    )
    run.assert_outcomes(passed=3)


def test_the_nearest_marker_counts_and_its_file_is_looked_for_beside_the_test_and_at_the_root(
    pytester: pytest.Pytester, suite: Suite
):
    folder = pytester.mkdir("calls")
    folder.joinpath("beside.yaml").write_text("sequence: [[{say: Beside.}]]", encoding="utf-8")
    folder.joinpath("test_beside.py").write_text(
        """
import pytest
from client import ask

pytestmark = pytest.mark.realtime("beside.yaml", pacing="burst", unused="off")

def test_of_the_module(realtime_mock):
    assert ask(realtime_mock, "dental") == "Beside."

@pytest.mark.realtime(scenario="clinic.yaml")
def test_of_its_own(realtime_mock):
    assert ask(realtime_mock, "dental") == "Let me see."
""",
        encoding="utf-8",
    )
    suite("").assert_outcomes(passed=2)


def test_tests_run_beside_each_other_and_each_has_its_own_server_and_seed(suite: Suite):
    run = suite(
        """
@pytest.mark.parametrize("number", range(8))
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(realtime_mock, number, record_property):
    assert ask(realtime_mock, "dental") == "Let me see."
    (log,) = realtime_mock.sessions
    print("session", log.id)
""",
        "-n2",
        "-rP",
    )
    run.assert_outcomes(passed=8)
    assert len({line for line in run.outlines if line.startswith("session ")}) == 8


def test_a_failing_test_shows_the_conversation_both_ways_and_no_key(suite: Suite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XAI_API_KEY", "a-key-of-no-known-form")
    run = suite(
        """
@pytest.mark.realtime("clinic.yaml", pacing="burst")
def test_call(realtime_mock):
    ask(realtime_mock, "dental, and my keys are xai-abcdefghijklmnop123456 a-key-of-no-known-form")
    pytest.fail("so it is")
"""
    )
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(
        [
            "*- realtime conversation -*",
            "session 1 (*): closed with 1000 after * s",
            "* s  client  conversation.item.create *dental, and my keys are*",
            "* s  client  response.create",
            "* s  server  response.output_audio.delta * s of audio",
            "* s  server  response.output_audio_transcript.done * Let me see.",
            "*- realtime: not used -*",
            "clinic.yaml:5: turns*1* never answered",
        ]
    )
    told = str(run.stdout).split("realtime conversation")[1]
    assert "abcdefghijklmnop123456" not in told
    assert "a-key-of-no-known-form" not in told


def test_what_no_client_used_fails_the_test_where_that_was_asked_for(suite: Suite):
    run = suite(
        """
pytestmark = pytest.mark.realtime("clinic.yaml", pacing="burst", unused="error")

def test_strict(realtime_mock):
    ask(realtime_mock, "dental")

def test_all_used(realtime_mock):
    ask(realtime_mock, "dental")
    ask(realtime_mock, "pain")

@pytest.mark.realtime(unused="off")
def test_quiet(realtime_mock):
    ask(realtime_mock, "dental")
"""
    )
    run.assert_outcomes(passed=2, failed=1)
    run.stdout.fnmatch_lines(["*_ test_strict _*", "not used: clinic.yaml:5: turns*1* never answered"])
    assert "= realtime: not used =" not in str(run.stdout)


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "two workers"])
def test_rules_that_no_test_at_all_used_are_told_once_and_single_misses_by_test(suite: Suite, workers: list[str]):
    run = suite(
        """
pytestmark = pytest.mark.realtime("clinic.yaml", pacing="burst")

def test_one(realtime_mock):
    ask(realtime_mock, "dental")

def test_other(realtime_mock):
    ask(realtime_mock, "something else")

@pytest.mark.realtime(faults=[{"at": "error", "do": "drop"}])
def test_fault(realtime_mock):
    ask(realtime_mock, "dental")

@pytest.mark.realtime(faults=[{"at": "error", "do": "drop"}], unused="off")
def test_quiet(realtime_mock):
    ask(realtime_mock, "dental")
""",
        *workers,
    )
    run.assert_outcomes(passed=4)
    run.stdout.fnmatch_lines(
        [
            "*= realtime: not used =*",
            "clinic.yaml, in 4 tests",
            "  clinic.yaml:5: turns*1* never answered",
            "test_calls.py::test_fault",
            "  never triggered: *",
        ]
    )
    told = str(run.stdout).split("= realtime: not used =")[1]
    assert "test_quiet" not in told
    assert "turns[0]" not in told


def test_a_marker_that_cannot_be_understood_is_one_line_that_says_what_to_do(suite: Suite):
    run = suite(
        """
@pytest.mark.realtime(scenaro="clinic.yaml")
def test_name(realtime_mock): ...

@pytest.mark.realtime(cassette="nowhere.tape")
def test_file(realtime_mock): ...

@pytest.mark.realtime(dialect="klingon")
def test_value(realtime_mock): ...

@pytest.mark.realtime(unused="maybe")
def test_level(realtime_mock): ...

@pytest.mark.realtime(time="virtual")
def test_sync_in_virtual_time(realtime_mock): ...
"""
    )
    run.assert_outcomes(errors=4, failed=1)
    run.stdout.fnmatch_lines(
        [
            "@pytest.mark.realtime has no option 'scenaro'; did you mean 'scenario'?",
            "@pytest.mark.realtime: there is no nowhere.tape; record it: *pytest --realtime-record=once *",
            "@pytest.mark.realtime: unknown dialect 'klingon'*",
            "@pytest.mark.realtime: unused is 'maybe'; use 'off' or 'warn' or 'error'",
            "time='virtual' is for `async def` tests*",
        ]
    )
    assert "During handling" not in str(run.stdout)


CARELESS = """
from client import careless

pytestmark = pytest.mark.realtime(pacing="burst", unused="off")

def test_told(realtime_mock):
    careless(realtime_mock)

@pytest.mark.realtime(findings="error")
def test_failed(realtime_mock):
    careless(realtime_mock)

@pytest.mark.realtime(findings={"tool-result-unknown": "warn"})
def test_tolerated(realtime_mock):
    careless(realtime_mock)

@pytest.mark.realtime(findings="off")
def test_quiet(realtime_mock):
    careless(realtime_mock)
    assert realtime_mock.findings == []
"""


@pytest.mark.parametrize("of_the_suite", [False, True])
def test_a_client_s_mistake_is_told_and_fails_the_test_where_that_was_asked_for(suite: Suite, of_the_suite: bool):
    run = suite(CARELESS, *(["-o", "realtime_findings=error"] if of_the_suite else []))
    failed = 2 if of_the_suite else 1
    run.assert_outcomes(passed=4 - failed, failed=failed)
    run.stdout.fnmatch_lines(
        [
            "*_ test_failed _*",
            "tool-result-unknown: * (at * s, frame *). Send the call_id *",
            "*- realtime conversation -*",
            "*conversation.item.create*<-- tool-result-unknown",
            "*= realtime: findings =*",
            "test_calls.py::test_tolerated",
            "  tool-result-unknown: *",
            "FAILED test_calls.py::test_failed - tool-result-unknown: *",
        ]
    )
    assert ("_ test_told _" in str(run.stdout)) is of_the_suite
    assert "_ test_quiet _" not in str(run.stdout)


def test_a_bug_in_the_mock_fails_the_test_that_met_it(suite: Suite):
    run = suite(
        """
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(realtime_mock, monkeypatch):
    from mockserver.session.session import Session

    def broken(self, data, now):
        raise ZeroDivisionError("inside the mock")

    monkeypatch.setattr(Session, "receive", broken)
    with pytest.raises(Exception, match="1011"):
        ask(realtime_mock, "dental")
"""
    )
    run.assert_outcomes(passed=1, errors=1)
    run.stdout.fnmatch_lines(["*ZeroDivisionError: inside the mock", "*realtime conversation*"])


def test_a_cassette_is_played_and_a_failure_tells_how_the_call_differs_from_it(pytester: pytest.Pytester, suite: Suite):
    pytester.path.joinpath("booking.tape").write_bytes((ROOT / "cassettes" / "booking.tape").read_bytes())
    run = suite(
        """
@pytest.mark.realtime(cassette="booking.tape", pacing="burst")
def test_call(realtime_mock):
    ask(realtime_mock, "dental")
    pytest.fail("so it is")
"""
    )
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(
        [
            "*booking: * of * recorded responses were never requested",
            "*- realtime conversation against booking.tape -*",
            "* differences",
        ]
    )
