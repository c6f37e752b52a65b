"""The other fixtures of the plugin: a server that tests share, several services in one test, and other runners."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from mockserver.testing.mock_server import MockServer
from tests.mockserver.suites import LEAN, LOADED, ROOT, Suite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

SHARED = """
from concurrent.futures import ThreadPoolExecutor

PORTS = set()

@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
@pytest.mark.parametrize("number", range(6))
def test_own(realtime_mock_session, number):
    PORTS.add(realtime_mock_session.origin)
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: ask(realtime_mock_session, f"dental {number}"), range(4)))
    assert said == ["Let me see."] * 4
    assert len(realtime_mock_session.sessions) == 4
    realtime_mock_session.assert_count("client response.create", 4)
    assert {entry["item"]["content"][0]["text"] for log in realtime_mock_session.sessions
            for entry in log.received("conversation.item.create")} == {f"dental {number}"}
    assert realtime_mock_session.ledger.sessions == 4

@pytest.mark.realtime(faults=[{"at": "handshake", "do": {"status": 503}}], unused="off")
def test_faults(realtime_mock_session):
    with pytest.raises(Exception, match="503"):
        ask(realtime_mock_session, "dental")
    assert realtime_mock_session.faults[0].fired == 1

@pytest.mark.realtime(pacing="burst")
def test_echo(realtime_mock_session):
    assert ask(realtime_mock_session, "One, two.") != "Let me see."

def test_one_server():
    assert len(PORTS) <= 1
"""


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "two workers"])
def test_each_test_of_a_shared_server_sees_its_own_sessions_alone(suite: Suite, workers: list[str]):
    suite(SHARED, *workers).assert_outcomes(passed=9)


def test_an_application_that_is_started_once_finds_the_test_by_its_key(suite: Suite):
    run = suite(
        """
@pytest.fixture(scope="session")
def application(realtime_server):
    return lambda text, key: ask(realtime_server, text, key=key)

@pytest.mark.parametrize("number", range(3))
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(application, realtime_mock_session, realtime_server, number):
    assert application("dental", realtime_mock_session.api_key) == "Let me see."
    assert len(realtime_mock_session.sessions) == 1
    assert realtime_server.sessions == []
"""
    )
    run.assert_outcomes(passed=3)


def test_mistakes_and_failures_of_a_shared_server_are_those_of_the_test(pytester: pytest.Pytester, suite: Suite):
    run = suite(
        """
from client import careless

@pytest.mark.realtime(pacing="burst", findings="error", unused="off")
def test_careless(realtime_mock_session):
    careless(realtime_mock_session)

@pytest.mark.realtime("clinic.yaml", pacing="burst", findings="error", unused="error")
def test_unused(realtime_mock_session):
    ask(realtime_mock_session, "dental")

@pytest.mark.realtime(voice="espeak")
def test_voice(realtime_mock_session): ...

@pytest.mark.realtime(time="virtual")
async def test_time(realtime_mock_session): ...

@pytest.mark.realtime(pacing="burst", unused="off")
def test_fine(realtime_mock_session):
    ask(realtime_mock_session, "Still here.")
""",
        "--realtime-artifacts=calls",
    )
    run.assert_outcomes(passed=1, failed=2, errors=2)
    run.stdout.fnmatch_lines(
        [
            "@pytest.mark.realtime: voice: the server of realtime_mock_session has the default; use realtime_mock",
            "time='virtual' is for realtime_mock, as the only service of a test",
            "tool-result-unknown: *",
            "not used: clinic.yaml:*",
            "test_calls.py::test_careless: calls/test_calls/test_careless/call.html",
        ]
    )
    assert "Still here." not in run.stdout.str()


def test_a_factory_makes_several_services_of_which_each_has_its_options(pytester: pytest.Pytester, suite: Suite):
    source = """
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off", findings="error")
def test_two(realtime_mock_factory, realtime_mock):
    other = realtime_mock_factory(dialect="openai")
    echo = realtime_mock_factory({scenario}, unused="warn")
    assert ask(realtime_mock, "dental") == "Let me see."
    assert ask(other, "pain", other.ws_url + "?model=gpt-realtime") == "Call an ambulance."
    assert ask(echo, "pain") == "Yes."
    assert [len(each.sessions) for each in (realtime_mock, other, echo)] == [1, 1, 1]
    assert len({{each.origin for each in (realtime_mock, other, echo)}}) == 3
    assert realtime_mock.sessions[0].id != echo.sessions[0].id
    {more}
"""
    pytester.path.joinpath("yes.yaml").write_text("turns: [{reply: [{say: Yes.}]}]", encoding="utf-8")
    suite(source.format(scenario='"yes.yaml"', more="")).assert_outcomes(passed=1)
    run = suite(source.format(scenario='"no.yaml"', more=""))
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*there is no *no.yaml*"])
    more = "from client import careless; careless(echo)"
    run = suite(source.format(scenario='"yes.yaml"', more=more), "--realtime-artifacts=calls")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*realtime conversation -*", "*realtime conversation 2 -*", "*realtime: findings 3 -*"])
    folders = sorted(path.parent.name for path in (pytester.path / "calls").rglob("call.html"))
    assert folders == ["test_two", "test_two-2", "test_two-3"]


def test_without_autoload_the_plugin_is_named_on_the_command_line(
    pytester: pytest.Pytester, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyprojecttoml("[tool.pytest.ini_options]\nfilterwarnings = ['error']")
    pytester.path.joinpath("tox.ini").unlink()
    pytester.makepyfile(
        test_calls="""
import pytest
from client import ask

@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_call(realtime_mock):
    assert ask(realtime_mock, "dental") == "Let me see."
"""
    )
    run = pytester.runpytest_subprocess("-p", "realtape.pytest_plugin", "--strict-markers", timeout=180)
    run.assert_outcomes(passed=1)
    assert "plugins:" not in run.stdout.str()  # no other one


SAYS_THE_DAY = """
import json
from client import connect

@pytest.mark.realtime(cassette="shared", verbatim=True, speed=100, unused="error"{more})
def test_call(realtime_mock):
    with connect(realtime_mock.ws_url, additional_headers={{"Authorization": "Bearer any"}}) as service:
        content = [{{"type": "input_text", "text": "It is {day} today."}}]
        item = {{"type": "message", "role": "user", "content": content}}
        service.send(json.dumps({{"type": "conversation.item.create", "item": item}}))
        service.send(json.dumps({{"type": "response.create"}}))
        while json.loads(service.recv())["type"] not in ("response.done", "error"):
            pass
    assert realtime_mock.report == []
"""


def test_what_the_marker_lets_differ_is_no_mismatch(suite: Suite):
    def outcomes(more: str, day: str, *arguments: str) -> dict[str, int]:
        return suite(SAYS_THE_DAY.format(more=more, day=day), *arguments).parseoutcomes()

    with MockServer(pacing="burst") as service:
        recorded = outcomes("", "2026-07-06", "--realtime-record=once", "--realtime-upstream", service.ws_url)
    assert recorded == {"passed": 1}
    assert outcomes("", "2026-07-07") == {"failed": 1}
    assert outcomes(', ignore="time"', "2026-07-07") == {"failed": 1}
    assert outcomes(', ignore=["date"]', "2026-07-07") == {"passed": 1}
    assert outcomes(', ignore=["item.content[*].text"]', "a holiday") == {"passed": 1}


BACKENDS = """
import anyio
import httpx2

pytestmark = [pytest.mark.anyio, pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")]

@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

async def test_call(realtime_mock, anyio_backend):
    bearer = {"Authorization": f"Bearer {realtime_mock.api_key}"}
    async with httpx2.AsyncClient(base_url=realtime_mock.http_url, headers=bearer) as http:
        made = await http.post("/realtime/client_secrets", json={})
    assert made.status_code == 200
    said = []

    async def call(text):
        said.append(await anyio.to_thread.run_sync(ask, realtime_mock, text))

    async with anyio.create_task_group() as calls:
        calls.start_soon(call, "dental")
        calls.start_soon(call, "pain")
    assert sorted(said) == ["Call an ambulance.", "Let me see."]
    assert anyio.get_current_task().name
    import sniffio
    assert sniffio.current_async_library() == anyio_backend
    realtime_mock.assert_count("client response.create", 2)
"""


@pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed")
def test_tests_run_on_asyncio_and_on_trio(suite: Suite):
    suite(BACKENDS, "-o", "asyncio_mode=strict", "-W", "ignore::DeprecationWarning").assert_outcomes(passed=2)


FROZEN = {
    "freezegun": "from freezegun import freeze_time\nfrozen = freeze_time('2026-07-06 09:00:00')",
    "time_machine": "import time_machine\nfrozen = time_machine.travel('2026-07-06 09:00:00+00:00', tick=False)",
}


@pytest.mark.parametrize("package", FROZEN)
def test_the_mock_goes_on_while_the_test_s_clock_stands_still(suite: Suite, package: str):
    pytest.importorskip(package)
    run = suite(
        f"""
import datetime
import time
{FROZEN[package]}

@pytest.mark.realtime("clinic.yaml", unused="off")
def test_call(realtime_mock, realtime_mock_session):
    with frozen:
        for mock in (realtime_mock, realtime_mock_session):
            assert ask(mock, "dental") == "Let me see."  # as fast as it is spoken
            assert datetime.date.today() == datetime.date(2026, 7, 6)
    log = realtime_mock.sessions[0]
    assert 0 < log.entries[-1].at < 60

@pytest.mark.realtime("clinic.yaml", unused="off")
@frozen
def test_frozen_from_the_start(realtime_mock):
    assert ask(realtime_mock, "pain") == "Call an ambulance."
"""
    )
    run.assert_outcomes(passed=2)


FRAMEWORKS = ROOT / "examples" / "frameworks"


def test_the_example_runs_under_unittest_alone():
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "test_unittest"],
        cwd=FRAMEWORKS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


@pytest.mark.parametrize(
    ("name", "tests"), [("test_unittest.py", 2), ("test_unittest_fixture.py", 1), ("test_bdd.py", 2)]
)
def test_the_examples_run_under_pytest(pytester: pytest.Pytester, suite: Suite, name: str, tests: int):
    if name == "test_bdd.py":
        pytest.importorskip("pytest_bdd")
    for path in FRAMEWORKS.iterdir():
        if path.is_file():
            pytester.path.joinpath(path.name).write_bytes(path.read_bytes())
    run = pytester.runpytest_subprocess(*LOADED, name, timeout=180)
    run.assert_outcomes(passed=tests)
    assert "not used" not in run.stdout.str()


def test_a_mistake_in_a_test_case_is_reported_with_its_conversation(pytester: pytest.Pytester, suite: Suite):
    text = (FRAMEWORKS / "test_unittest_fixture.py").read_text(encoding="utf-8").replace("is on its way", "is lost")
    for name in ("caller.py", "shop.yaml"):
        pytester.path.joinpath(name).write_bytes((FRAMEWORKS / name).read_bytes())
    pytester.makepyfile(test_mistaken=text)
    run = pytester.runpytest_subprocess(*LOADED, *LEAN, "test_mistaken.py", timeout=180)
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["E * AssertionError: 'Order 1043 is on its way.' != 'Order 1043 is lost.'"])
    run.stdout.fnmatch_lines(["*realtime conversation*", "*client*response.create*"])
