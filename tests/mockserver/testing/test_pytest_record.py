"""`--realtime-record`, with a mock as the service: what each mode does with a tape, by whether the test passes."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import pytest
from click.testing import CliRunner

import realtape
from mockserver.testing.mock_server import MockServer
from replay.cassette.file import Cassette
from replay.cassette.recording import Recording
from replay.cassette.records import Header, Request
from replay.formats.tape import Tape, write
from tests.mockserver.suites import Suite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

KEY = "xai-the-one-real-key-of-this-test"
SAYS = "turns:\n- reply: [{say: %s}]\n"
GONE = "ws://127.0.0.1:1/v1/realtime"
"""No server listens there."""
TESTS = """
import json, os, pathlib

def asked(mock, name):
    heard = []
    try:
        for _ in range(int(os.environ["CALLS"])):
            heard.append(ask(mock, "hello"))
    finally:
        pathlib.Path(f"{name}.json").write_text(json.dumps(heard))

@pytest.mark.realtime(cassette=True)
def test_taped_passes(realtime_mock):
    asked(realtime_mock, "taped_passes")

@pytest.mark.realtime(cassette=True)
def test_taped_fails(realtime_mock):
    asked(realtime_mock, "taped_fails")
    pytest.fail("so it is")

@pytest.mark.realtime(cassette=True)
def test_new_passes(realtime_mock):
    asked(realtime_mock, "new_passes")

@pytest.mark.realtime(cassette=True)
def test_new_fails(realtime_mock):
    asked(realtime_mock, "new_fails")
    pytest.fail("so it is")
"""


def upstream(tmp_path: Path, says: str) -> MockServer:
    scenario = tmp_path / f"{says}.yaml"
    scenario.write_text(SAYS % says, encoding="utf-8")
    return MockServer(scenario, pacing="burst", api_keys=[KEY])


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MockServer]:
    """What stands for the service. It says "New." now."""
    monkeypatch.setenv("XAI_API_KEY", KEY)
    for name in ("OPENAI_API_KEY", "REALTAPE_UPSTREAM", "CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    with upstream(tmp_path, "New.") as mock:
        yield mock


@pytest.fixture
def tapes(pytester: pytest.Pytester) -> Path:
    """The folder of the suite's tapes."""
    return pytester.path / "cassettes" / "test_calls"


def said(tape: Path) -> list[str]:
    """What the service says on each connection of a tape."""
    with Cassette.open(tape) as cassette:
        assert KEY.encode() not in tape.read_bytes()
        assert any(isinstance(record.content, Request) for record in cassette)
    lines = Recording.read(tape).lines
    kind = "response.output_audio_transcript.done"
    return [" ".join(m.event["transcript"] for m in line.moments if m.event and m.type == kind) for line in lines]


OLD, NEW = "Old.", "New."
Outcome = tuple[Literal["passed", "failed", "error"], list[str], list[str] | None]
"""How a test ends, what its client heard, and what its tape says afterwards."""
PLAYED: list[Outcome] = [("passed", [OLD], [OLD]), ("failed", [OLD], [OLD])]
REFUSED: list[Outcome] = [("error", [], None), ("error", [], None)]
RECORDED: list[Outcome] = [("passed", [NEW, NEW], [NEW, NEW]), ("failed", [NEW, NEW], None)]
UNREACHED: list[Outcome] = [("failed", [], None), ("failed", [], None)]
STAYED: list[Outcome] = [("failed", [], [OLD]), ("failed", [], [OLD])]
TABLE: list[tuple[str, bool, list[Outcome]]] = [
    # mode, whether the service is there; then with a tape and without one: of a test that passes, and one that fails
    ("none", True, PLAYED + REFUSED),
    ("none", False, PLAYED + REFUSED),
    ("once", True, [*PLAYED, ("passed", [NEW], [NEW]), ("failed", [NEW], None)]),
    ("once", False, PLAYED + UNREACHED),
    ("new_episodes", True, [("passed", [OLD, NEW], [OLD, NEW]), ("failed", [OLD, NEW], [OLD]), *RECORDED]),
    ("new_episodes", False, [("failed", [OLD], [OLD]), ("failed", [OLD], [OLD]), *UNREACHED]),
    ("all", True, [("passed", [NEW, NEW], [OLD, NEW, NEW]), ("failed", [NEW, NEW], [OLD]), *RECORDED]),
    ("all", False, STAYED + UNREACHED),
    ("rewrite", True, [("passed", [NEW, NEW], [NEW, NEW]), ("failed", [NEW, NEW], [OLD]), *RECORDED]),
    ("rewrite", False, STAYED + UNREACHED),
]


@pytest.mark.parametrize(("mode", "is_there", "outcomes"), TABLE)
def test_each_mode_does_what_the_table_says(
    service: MockServer,
    tmp_path: Path,
    tapes: Path,
    pytester: pytest.Pytester,
    suite: Suite,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    is_there: bool,
    outcomes: list[Outcome],
):
    monkeypatch.setenv("CALLS", "1")
    with upstream(tmp_path, "Old.") as old:
        run = suite(TESTS, "--realtime-record=once", "--realtime-upstream", old.ws_url, "-k", "taped_passes")
    run.assert_outcomes(passed=1, deselected=3)
    taped = tapes / "test_taped_passes.tape"
    tapes.joinpath("test_taped_fails.tape").write_bytes(taped.read_bytes())
    before = taped.read_bytes()

    monkeypatch.setenv("CALLS", "1" if mode in ("none", "once") else "2")
    url = service.ws_url if is_there else GONE
    run = suite(TESTS, f"--realtime-record={mode}", *(["--realtime-upstream", url] if mode != "none" else []), "-rA")
    for name, (result, heard, tape) in zip(
        ("taped_passes", "taped_fails", "new_passes", "new_fails"), outcomes, strict=True
    ):
        run.stdout.fnmatch_lines([f"{result.upper()} *::test_{name}*"])
        noted = pytester.path / f"{name}.json"
        assert (json.loads(noted.read_text()) if noted.exists() else []) == heard, name
        path = tapes / f"test_{name}.tape"
        assert (said(path) if path.exists() else None) == tape, name
        if tape == [OLD]:
            assert path.read_bytes() == before, name  # not one byte of it
    assert not [each for each in tapes.iterdir() if each.suffix != ".tape" or each.name.startswith(".")]
    assert KEY not in str(run.stdout)


@pytest.mark.parametrize("options", ["", ", verbatim=True"])
def test_a_refused_call_on_a_tape_is_played_verbatim_only(
    service: MockServer, tmp_path: Path, tapes: Path, pytester: pytest.Pytester, suite: Suite, options: str
):
    calls = "ask(realtime_mock, 'hello')"
    refused = f"with pytest.raises(Exception, match='HTTP 40'): {calls[:-1]}, key='wrong')"
    source = f"""
import json, pathlib

@pytest.mark.realtime(cassette=True{options})
def test_call(realtime_mock):
    %s
    pathlib.Path("heard.json").write_text(json.dumps(%s))
"""
    with upstream(tmp_path, "Old.") as old:
        run = suite(source % (refused, f"[{calls}]"), "--realtime-record=once", "--realtime-upstream", old.ws_url)
    run.assert_outcomes(passed=1)
    tape = tapes / "test_call.tape"
    assert said(tape) == ["", OLD]
    run = suite(
        source % (refused if options else "", f"[{', '.join([calls] * 2)}]"),
        "--realtime-record=new_episodes",
        "--realtime-upstream",
        service.ws_url,
    )
    run.assert_outcomes(passed=1)
    assert json.loads((pytester.path / "heard.json").read_text()) == [OLD, NEW]
    assert said(tape) == ["", OLD, NEW]


def test_without_a_tape_the_command_that_is_shown_records_it_and_then_it_is_played(
    service: MockServer, tapes: Path, pytester: pytest.Pytester, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CI", "true")
    source = """
@pytest.mark.parametrize("word", ["a b", "A/b", "a-b", "ä", pytest.param("x", id="x" * 150)])
@pytest.mark.realtime(cassette=True)
def test_call(realtime_mock, word):
    assert ask(realtime_mock, word) == "New."
    assert realtime_mock.origin in realtime_mock.environment["OPENAI_BASE_URL"]
    assert realtime_mock.report == [] and list(realtime_mock.faults) == [] and realtime_mock.errors == []
"""
    run = suite(source)
    run.assert_outcomes(errors=5)
    tape = "cassettes/test_calls/test_call[[]a-b[]]-????????.tape"
    (line,) = [each for each in run.stdout.lines if "test_call[a-b]-" in each and each.startswith("@pytest")]
    assert fnmatch(line, f"@pytest.mark.realtime: there is no {tape}; record it: pytest *")
    _, *arguments = shlex.split(line.partition("record it: ")[2])
    assert arguments == ["--realtime-record=once", "test_calls.py::test_call[a b]"]
    monkeypatch.setenv("REALTAPE_UPSTREAM", service.ws_url)
    run = suite(source, *arguments)
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(
        [
            f"realtime: record once from {service.ws_url}, for at most 0.25 USD",
            "1 tests were recorded and cost 0.00* of 0.25 USD",
            f"{tape}: 1 connection, 0.00* USD",
        ]
    )
    suite(source, "--realtime-record=once").assert_outcomes(passed=5)
    suite(source).assert_outcomes(passed=5)
    assert len(service.sessions) == 5
    names = sorted(os.listdir(tapes))
    assert len({name.lower() for name in names}) == 5
    assert all(name.isascii() and len(name) < 120 and not set(name) & set(' /\\:*?"<>|') for name in names)
    assert sum(name.endswith("].tape") for name in names) == 1  # the others end with a hash


def test_a_recorded_tape_is_played_verbatim_as_well(service: MockServer, suite: Suite):
    source = """
@pytest.mark.realtime(cassette="shared", verbatim=True, speed=100, unused="error")
def test_call(realtime_mock):
    assert ask(realtime_mock, "hello") == "New."
    assert realtime_mock.report == []
"""
    suite(source, "--realtime-record=once", "--realtime-upstream", service.ws_url).assert_outcomes(passed=1)
    suite(source).assert_outcomes(passed=1)
    assert len(service.sessions) == 1


def test_the_budget_ends_a_recording_and_nothing_of_it_is_kept(service: MockServer, tapes: Path, suite: Suite):
    run = suite(
        """
@pytest.mark.realtime(cassette=True)
def test_call(realtime_mock):
    with pytest.raises(Exception, match="the limit of 0.01 USD is reached"):
        for _ in range(9):
            ask(realtime_mock, "hello " * 20)
""",
        "--realtime-record=once",
        "--realtime-max-usd=0.01",
        "--realtime-upstream",
        service.ws_url,
    )
    run.assert_outcomes(passed=1, errors=1)
    run.stdout.fnmatch_lines(["realtape: the limit of 0.01 USD is reached; calls of this test were ended"])
    assert not tapes.exists()


def test_a_fixture_that_fails_afterwards_keeps_the_tape_from_being_written(
    service: MockServer, tapes: Path, suite: Suite
):
    run = suite(
        """
@pytest.fixture
def outer():
    yield
    raise RuntimeError("the database is not clean")

@pytest.mark.realtime(cassette=True)
def test_call(outer, realtime_mock):
    ask(realtime_mock, "hello")

@pytest.mark.realtime(cassette=True, findings="error")
def test_mistakes(realtime_mock):
    from client import careless
    careless(realtime_mock)

@pytest.mark.realtime(cassette=True)
def test_wrong_key(realtime_mock):
    with pytest.raises(Exception, match="HTTP 4"):
        ask(realtime_mock, "hello", key="of-mine")

@pytest.mark.realtime(cassette=True)
def test_nobody(realtime_mock): ...
""",
        "--realtime-record=once",
        "--realtime-upstream",
        service.ws_url,
    )
    run.assert_outcomes(passed=3, failed=1, errors=2)
    run.stdout.fnmatch_lines_random(
        [
            "*test_wrong_key.tape was not written: the service accepted no call (verbatim=True records refusals)",
            "*test_nobody.tape was not written: no client connected",
        ]
    )
    assert not tapes.exists()


@pytest.mark.parametrize(
    ("source", "advice"),
    [
        ('(cassette=True, faults=[{"at": "handshake", "do": {"status": 503}}])', "*; only the mock has faults, so *"),
        ("(cassette=7)", "*cassette is 7; give True, a name or a path"),
        ('(cassette="no/such.har")', "@pytest.mark.realtime: there is no no/such.har"),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_the_reason(
    service: MockServer, suite: Suite, source: str, advice: str
):
    run = suite(
        f"@pytest.mark.realtime{source}\ndef test_call(realtime_mock): ...",
        "--realtime-record=once",
        "--realtime-upstream",
        service.ws_url,
    )
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines([advice])


def test_the_live_service_is_not_recorded_without_a_key_and_a_name_that_holds_one_is_refused(
    service: MockServer, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("XAI_API_KEY")
    source = """
@pytest.mark.realtime(cassette=True)
def test_call(realtime_mock): ...

@pytest.mark.parametrize("key", ["sk-proj-Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFy"])
@pytest.mark.realtime(cassette=True)
def test_key(realtime_mock, key): ...
"""
    run = suite(source, "--realtime-record=once")
    run.assert_outcomes(errors=2)
    run.stdout.fnmatch_lines_random(
        [
            "wss://api.x.ai/v1/realtime cannot be recorded without a key; set XAI_API_KEY, or name *",
            "*the test's name holds a secret, which would name its tape; give the parameters ids: *",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["--realtime-live"], "ERROR: --realtime-live plays no tape and records none; leave out --realtime-record"),
        (["--realtime-upstream", "example.com"], "ERROR: --realtime-upstream: the upstream is not a WebSocket *"),
        (["--realtime-max-usd", "-1"], "ERROR: --realtime-budget is '-1'; give an amount in USD*"),
    ],
)
def test_a_recording_that_cannot_be_is_bad_usage(service: MockServer, suite: Suite, arguments: list[str], advice: str):
    run = suite("def test_nothing(): ...", "--realtime-record=once", *arguments)
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines([advice])


@pytest.mark.parametrize("mode", ["all", "new_episodes"])
@pytest.mark.parametrize("problem", ["outline", "cut"])
def test_a_tape_that_cannot_grow_is_refused_before_a_call_is_made(
    service: MockServer, tapes: Path, suite: Suite, mode: str, problem: str
):
    path = tapes / "test_call.tape"
    path.parent.mkdir(parents=True)
    write(
        Tape(Header("mock", service.ws_url, "xai", None, "2026-07-10T00:00:00+00:00", "test", "outline"), (), 0), path
    )
    if problem == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    before = path.read_bytes()
    run = suite(AGED, f"--realtime-record={mode}", "--realtime-upstream", service.ws_url)
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines(["*; replace it: pytest --realtime-record=rewrite test_calls.py::test_call"])
    run.stdout.fnmatch_lines(["*was recorded without audio*" if problem == "outline" else "*test_call.tape*cut *"])
    assert service.sessions == []
    assert path.read_bytes() == before


@pytest.fixture
def aged(service: MockServer, tapes: Path, suite: Suite) -> Path:
    """A tape that is 40 days old, of a test that allows 30."""
    suite(AGED, "--realtime-record=once", "--realtime-upstream", service.ws_url).assert_outcomes(passed=1)
    path = tapes / "test_call.tape"
    with Cassette.open(path) as cassette:
        recorded = datetime.fromisoformat(cassette.header.recorded_at) - timedelta(days=40)
        older = replace(cassette.header, recorded_at=recorded.isoformat(timespec="seconds"), ignore=("date",))
        write(Tape(older, tuple(cassette), cassette.last_us), path, overwrite=True)
    return path


AGED = """
@pytest.mark.realtime(cassette=True)
def test_call(realtime_mock):
    ask(realtime_mock, "hello")
"""
RENEWAL = (
    "cassettes/test_calls/test_call.tape is 40 days old, and max_age is 30; "
    "renew it: pytest --realtime-record=rewrite test_calls.py::test_call"
)


def test_an_old_tape_is_listed_and_fails_in_ci_until_it_is_renewed(
    service: MockServer, aged: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    limited = AGED.replace("cassette=True", "cassette=True, max_age=30")
    assert "days old" not in suite(AGED).stdout.str()
    run = suite(limited)
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["*realtime: old tapes*", RENEWAL])
    suite(AGED, "-o", "realtime_max_age=30").stdout.fnmatch_lines([RENEWAL])
    monkeypatch.setenv("CI", "true")
    run = suite(limited)
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines([RENEWAL])
    suite(limited.replace("30", "41")).assert_outcomes(passed=1)
    suite(limited, "--realtime-record=rewrite", "--realtime-upstream", service.ws_url).assert_outcomes(passed=1)
    suite(limited).assert_outcomes(passed=1)
    with Cassette.open(aged) as renewed:
        assert renewed.header.ignore == ("date",)  # as somebody had set it
    run = suite(limited.replace("30", "'a month'"))
    run.assert_outcomes(errors=1)
    run.stdout.fnmatch_lines(["@pytest.mark.realtime: max_age is 'a month'; give a number of days"])


def test_tapes_that_no_test_names_are_listed(service: MockServer, tapes: Path, pytester: pytest.Pytester, suite: Suite):
    source = """
@pytest.mark.realtime(cassette=True)
@pytest.mark.parametrize("word", ["one", "two"])
def test_call(realtime_mock, word):
    ask(realtime_mock, word)

@pytest.mark.realtime(cassette="shared")
class TestMore:
    def test_call(self, realtime_mock):
        ask(realtime_mock, "three")

    @pytest.mark.realtime(cassette=True)
    def test_own(self, realtime_mock):
        ask(realtime_mock, "four")
"""
    suite(source, "--realtime-record=once", "--realtime-upstream", service.ws_url).assert_outcomes(passed=4)
    names = sorted(os.listdir(tapes))
    assert names == ["TestMore.test_own.tape", "shared.tape", "test_call[one].tape", "test_call[two].tape"]
    run = suite(source, "--realtime-orphans", "-n2", "-k", "one")
    assert run.ret == 0
    run.stdout.fnmatch_lines(["*realtime: tapes that no test names*", "none"])
    gone = pytester.path / "cassettes" / "test_gone" / "test_call.tape"
    gone.parent.mkdir()
    gone.write_bytes(b"")
    elsewhere = [pytester.path / name / "cassettes" / "m" / "x.tape" for name in ("node_modules", "own-env", "sub")]
    for path in elsewhere:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    pytester.path.joinpath("own-env", "pyvenv.cfg").touch()
    pytester.path.joinpath("cassettes", "by-hand.tape").touch()  # not in the folder of a module
    left = ["cassettes/test_calls/test_call[two].tape", "cassettes/test_gone/test_call.tape", "sub/cassettes/m/x.tape"]
    run = suite(source.replace('"two"', '"deux"'), "--realtime-orphans")
    assert run.ret == 1
    begun = next(number for number, line in enumerate(run.stdout.lines) if "tapes that no test names" in line)
    assert run.stdout.lines[begun + 1 : begun + 4] == left
    assert run.stdout.lines[begun + 4].startswith("=")
    assert len(service.sessions) == 4
    assert suite("import nothing_of_that_name", "--realtime-orphans").ret == pytest.ExitCode.INTERRUPTED
    run = suite(source, "--realtime-orphans", "test_calls.py::test_call")
    assert run.ret == pytest.ExitCode.USAGE_ERROR
    run.stderr.fnmatch_lines(["ERROR: --realtime-orphans needs whole files or folders: *"])


def test_a_tape_has_the_dialect_of_its_service_and_passes_the_check(
    tmp_path: Path, tapes: Path, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    source = """
@pytest.mark.realtime(cassette=True, pacing="burst")
def test_call(realtime_mock):
    assert ask(realtime_mock, "hello", realtime_mock.ws_url + "?model=gpt-realtime") == "Old."
    assert realtime_mock.sessions[0].sent("session.created")[0]["session"]["object"] == "realtime.session"
"""
    scenario = tmp_path / "old.yaml"
    scenario.write_text(SAYS % "Old.", encoding="utf-8")
    with MockServer(scenario, dialect="openai", pacing="burst") as service:
        suite(source, "--realtime-record=once", "--realtime-upstream", service.ws_url).assert_outcomes(passed=1)
    suite(source).assert_outcomes(passed=1)
    with Cassette.open(tapes / "test_call.tape") as cassette:
        assert cassette.header.dialect == "openai" and cassette.header.model == "gpt-realtime"
        assert cassette.header.origin == "mock"
    checked = CliRunner().invoke(realtape.main, ["check", str(tapes / "test_call.tape")])
    assert checked.exit_code == 0, checked.output


def test_a_client_secret_comes_from_where_its_call_goes(service: MockServer, tapes: Path, suite: Suite):
    source = """
import httpx2

def minted(mock):
    bearer = {"Authorization": f"Bearer {mock.api_key}"}
    made = httpx2.post(f"{mock.http_url}/realtime/client_secrets", headers=bearer, json={})
    return made.json()["value"]

@pytest.mark.realtime(cassette=True, unused="off")
def test_call(realtime_mock):
    for _ in range(CALLS):
        ask(realtime_mock, "hello", key=minted(realtime_mock))
"""
    arguments = ("--realtime-upstream", service.ws_url)
    suite(source.replace("CALLS", "1"), "--realtime-record=once", *arguments).assert_outcomes(passed=1)
    run = suite(source.replace("CALLS", "2"), "--realtime-record=new_episodes", *arguments)
    run.assert_outcomes(passed=1)
    run.stdout.fnmatch_lines(["cassettes/test_calls/test_call.tape: 1 more connection, 0.00* USD"])
    assert len(service.sessions) == 2
    assert said(tapes / "test_call.tape") == ["New.", "New."]
    with Cassette.open(tapes / "test_call.tape") as cassette:
        made = [each.content for each in cassette if isinstance(each.content, Request)]
        assert [each.method for each in made] == ["POST", "GET", "POST", "GET"]
    suite(source.replace("CALLS", "2")).assert_outcomes(passed=1)
