"""`--realtime-live`, with a mock as the service: the same tests, through the relay, with a budget."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockserver.testing.mock_server import MockServer
from tests.mockserver.suites import Suite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

KEY = "xai-the-one-real-key-of-this-test"
CALL = """
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(realtime_mock):
    said = ask(realtime_mock, "I would like a dental cleaning.")
    assert said
    realtime_mock.assert_order("client response.create", "response.created", "response.done")
    realtime_mock.assert_audio_out(at_least=0.3)
    realtime_mock.assert_cost_at_most("0.01")
    assert realtime_mock.ledger.total_usd > 0
"""


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[MockServer]:
    """What stands for the service: it takes one key, which the suite's environment has."""
    monkeypatch.setenv("XAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with MockServer(pacing="burst", api_keys=[KEY], voice="tone") as mock:
        yield mock


def test_the_same_test_runs_against_the_service_and_its_assertions_hold(upstream: MockServer, suite: Suite):
    suite(CALL).assert_outcomes(passed=1)
    assert upstream.sessions == []
    run = suite(CALL, "--realtime-upstream", upstream.ws_url)
    run.assert_outcomes(passed=1)
    (log,) = upstream.sessions
    log.assert_count("response.create", 1)
    run.stdout.fnmatch_lines(
        [f"realtime: {upstream.ws_url}, for at most 0.25 USD", "1 tests ran live and cost 0.00* of 0.25 USD"]
    )


def test_no_test_holds_the_key_and_a_failure_shows_the_call_without_it(upstream: MockServer, suite: Suite):
    run = suite(
        """
@pytest.mark.realtime("clinic.yaml")
def test_call(realtime_mock):
    given = realtime_mock.api_key
    ask(realtime_mock, "dental")
    pytest.fail("so it is")
""",
        "--realtime-upstream",
        upstream.ws_url,
        "--showlocals",
    )
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(
        ["*realtime conversation*", "session 1 (live-1): closed with 1000 after * s", "*client*response.create"]
    )
    assert len(upstream.sessions) == 1
    assert KEY not in str(run.stdout)


def test_mistakes_are_found_live_as_well(upstream: MockServer, suite: Suite):
    run = suite(
        """
from client import careless

@pytest.mark.realtime("clinic.yaml", findings="error")
def test_call(realtime_mock):
    careless(realtime_mock)
    assert [each.rule for each in realtime_mock.findings] == ["tool-result-unknown"]
""",
        "--realtime-upstream",
        upstream.ws_url,
    )
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["tool-result-unknown: *"])


def test_what_only_the_mock_can_do_is_skipped_with_the_reason(upstream: MockServer, suite: Suite):
    run = suite(
        """
@pytest.mark.realtime(api_keys=["one"])
def test_keys(realtime_mock): ...

@pytest.mark.realtime(clock="manual", faults=[])
def test_clock(realtime_mock): ...

@pytest.mark.realtime(time="virtual")
async def test_time(realtime_mock): ...

@pytest.mark.realtime(live=False)
def test_words(realtime_mock): ...

@pytest.mark.realtime(dialect="openai")
def test_other_service(realtime_mock): ...

@pytest.mark.realtime(dialect="azure")
def test_no_live_service_is_known(realtime_mock): ...
""",
        "--realtime-upstream",
        upstream.ws_url,
        "-rs",
    )
    run.assert_outcomes(skipped=6)
    run.stdout.fnmatch_lines_random(
        [
            "*only the mock has api_keys",
            "*only the mock has clock, faults",
            "*only the mock has time",
            "*live=False: this test is for the mock",
            "*OPENAI_API_KEY is not set",
            "*only the mock has the dialect azure",
        ]
    )


def test_once_the_budget_is_spent_calls_are_ended_and_no_test_passes(upstream: MockServer, suite: Suite):
    run = suite(
        """
@pytest.mark.realtime
def test_long_call(realtime_mock):
    with pytest.raises(Exception, match="the limit of 0.01 USD is reached"):
        for _ in range(9):
            ask(realtime_mock, "dental " * 20)

@pytest.mark.realtime
def test_afterwards(realtime_mock):
    pytest.fail("is not run")
""",
        "--realtime-upstream",
        upstream.ws_url,
        "--realtime-budget",
        "0.01",
    )
    run.assert_outcomes(passed=1, errors=2)
    run.stdout.fnmatch_lines(
        [
            "realtape: the limit of 0.01 USD is reached; calls of this test were ended",
            "the calls before this one have spent the budget; raise --realtime-budget",
        ]
    )
    assert len(upstream.sessions) < 9


def test_the_services_of_one_test_share_the_budget(upstream: MockServer, suite: Suite):
    run = suite(
        """
@pytest.mark.realtime
def test_two(realtime_mock_factory):
    first, second = realtime_mock_factory(), realtime_mock_factory()
    with pytest.raises(Exception, match="the limit of 0.01 USD is reached"):
        for _ in range(9):
            ask(first, "dental " * 20)
    with pytest.raises(Exception, match="HTTP 429"):
        ask(second, "dental")
    assert first.spent_usd > 0 and second.spent_usd == 0
    with pytest.raises(pytest.fail.Exception, match="have spent the budget"):
        realtime_mock_factory()
""",
        "--realtime-upstream",
        upstream.ws_url,
        "--realtime-budget",
        "0.01",
    )
    run.assert_outcomes(passed=1, errors=1)


def test_workers_share_the_budget(upstream: MockServer, suite: Suite):
    source = """
@pytest.mark.parametrize("number", range(2))
def test_call(realtime_mock, number):
    ask(realtime_mock, "hello")
"""
    arguments = ("--realtime-upstream", upstream.ws_url, "--realtime-budget", "0.012")
    suite(source, *arguments).assert_outcomes(passed=2)
    suite(source, *arguments, "-n2").assert_outcomes(passed=2)
    run = suite(source, *arguments, "-n", "4")
    run.assert_outcomes(failed=2)


def test_a_service_that_bills_tokens_is_kept_to_the_budget_too(suite: Suite, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-any-key-of-openai")
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    source = """
@pytest.mark.realtime(dialect="openai")
def test_call(realtime_mock):
    url = realtime_mock.ws_url + "?model=gpt-realtime"
    ask(realtime_mock, "hello", url)
    assert realtime_mock.ledger.total_usd > 0
    with pytest.raises(Exception, match="HTTP 429"):
        for _ in range(9):
            ask(realtime_mock, "hello", url)
"""
    with MockServer(dialect="openai", pacing="burst", voice="tone") as upstream:
        run = suite(source, "--realtime-upstream", upstream.ws_url, "--realtime-budget", "0.004")
        run.assert_outcomes(passed=1, errors=1)
        run.stdout.fnmatch_lines(["realtape: the limit of 0.004 USD is reached; calls of this test were ended"])


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--realtime-live"], "ERROR: --realtime-live needs a key: set XAI_API_KEY or OPENAI_API_KEY"),
        (
            ["--realtime-live", "--realtime-budget", "a lot"],
            "ERROR: --realtime-budget is 'a lot'; give an amount in USD*",
        ),
        (
            ["--realtime-upstream", "example.com"],
            "ERROR: --realtime-upstream: the upstream is not a WebSocket address*",
        ),
    ],
)
def test_a_live_run_that_cannot_be_is_bad_usage(
    suite: Suite, monkeypatch: pytest.MonkeyPatch, arguments: list[str], advice: str
):
    monkeypatch.delenv("XAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    run = suite(CALL, *arguments)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([advice])
