"""`--realtime-artifacts`: the call of a failed test as files, and the links to them."""

from __future__ import annotations

import json
import re
import wave
from importlib.util import find_spec
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

import realtape
from mockserver.testing.mock_server import MockServer
from replay.cassette.recording import Recording
from tests.mockserver.suites import Suite

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.slow

KEY = "xai-the-one-real-key-of-this-test"
FAILS = """
@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off", findings="error")
def test_fails(realtime_mock):
    assert ask(realtime_mock, "A dental cleaning.") == "No | *way* <b>"

@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off")
def test_passes(realtime_mock):
    assert ask(realtime_mock, "dental") == "Let me see."
"""
MISTAKEN = """
import json
from client import connect

@pytest.mark.realtime("clinic.yaml", pacing="burst", unused="off", findings="error")
def test_mistaken(realtime_mock):
    ask(realtime_mock, "dental")
    with connect(realtime_mock.ws_url, additional_headers={"Authorization": "Bearer any"}) as service:
        for text in ("pain", "dental", "bye"):
            item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
            service.send(json.dumps({"type": "conversation.item.create", "item": item}))
            service.send(json.dumps({"type": "response.create"}))
            while json.loads(service.recv())["type"] != "response.done":
                pass
            if text == "dental":
                item = {"type": "function_call_output", "call_id": "nowhere", "output": "{}"}
                service.send(json.dumps({"type": "conversation.item.create", "item": item}))
"""


@pytest.fixture(autouse=True)
def outside_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "BUILD_NUMBER", "GITHUB_STEP_SUMMARY", "REALTAPE_UPSTREAM"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "two workers"])
def test_a_failed_test_leaves_its_call_and_its_message_stays_as_it_was(
    pytester: pytest.Pytester, suite: Suite, workers: list[str]
):
    run = suite(FAILS, "--realtime-artifacts", "calls", "--junitxml=report.xml", *workers)
    run.assert_outcomes(passed=1, failed=1)
    run.stdout.fnmatch_lines(
        [
            "E *AssertionError: assert 'Let me see.' == 'No | [*]way[*] <b>'",
            "*realtime: failed calls*",
            "test_calls.py::test_fails: calls/test_calls/test_fails/call.html",
        ]
    )
    assert [path.name for path in (pytester.path / "calls").rglob("*") if path.is_dir()] == ["test_calls", "test_fails"]
    folder = pytester.path / "calls" / "test_calls" / "test_fails"
    assert sorted(path.name for path in folder.iterdir()) == ["call.html", "call.tape", "call.wav"]

    checked = CliRunner().invoke(realtape.main, ["check", str(folder / "call.tape")])
    assert checked.exit_code == 0, checked.output
    (line,) = Recording.read(folder / "call.tape").lines
    types = [moment.type for moment in line.moments]
    assert types[0] == "session.created" and types[-1] == "(close)"
    assert types.index("response.create") < types.index("response.output_audio.delta") < types.index("response.done")
    with wave.open(str(folder / "call.wav")) as sound:
        assert sound.getnchannels() == 2
        assert sound.getnframes() > 0.3 * sound.getframerate()
        assert any(sound.readframes(sound.getnframes()))
    page = (folder / "call.html").read_text(encoding="utf-8")
    assert "test_calls.py::test_fails" in page and "A dental cleaning." in page

    (case,) = [
        each
        for each in ElementTree.parse(pytester.path / "report.xml").iter("testcase")
        if each.find("failure") is not None
    ]
    given = {each.get("name"): each.get("value") for each in case.iter("property")}
    assert given == {
        "realtime_page": "calls/test_calls/test_fails/call.html",
        "realtime_tape": "calls/test_calls/test_fails/call.tape",
        "realtime_sound": "calls/test_calls/test_fails/call.wav",
    }

    suite(FAILS.replace("No | *way* <b>", "Let me see."), "--realtime-artifacts", "calls").assert_outcomes(passed=2)
    assert not folder.exists()  # it would be of an older run


def test_a_failed_call_is_played_again_from_its_tape(pytester: pytest.Pytester, suite: Suite):
    suite(FAILS, "--realtime-artifacts", "calls").assert_outcomes(passed=1, failed=1)
    run = suite(
        """
@pytest.mark.realtime(cassette="calls/test_calls/test_fails/call.tape", pacing="burst")
def test_again(realtime_mock):
    assert ask(realtime_mock, "A dental cleaning.") == "Let me see."
"""
    )
    run.assert_outcomes(passed=1)


def test_in_ci_there_are_files_without_the_option_and_a_table_in_the_summary(
    pytester: pytest.Pytester, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    summary = pytester.path / "summary.md"
    summary.write_text("# Before\n", encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("CI", "true")
    nobody = "\n@pytest.mark.realtime\ndef test_nobody(realtime_mock):\n    pytest.fail('no one')\n"
    suite(FAILS + MISTAKEN + nobody).assert_outcomes(passed=1, failed=3)
    before, *lines = summary.read_text(encoding="utf-8").strip().splitlines()
    assert before == "# Before"
    assert lines[1] == "### Failed realtime calls: 3"
    assert lines[3:5] == ["| test | verdict | rule | turn | call |", "|---|---|---|---|---|"]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in lines[5:]]
    pages = [f"realtape-artifacts/test&#95;calls/test&#95;{name}/call.html" for name in ("fails", "mistaken")]
    verdict = "AssertionError: assert 'Let me see.' == 'No &#124; &#42;way&#42; &#60;b&#62;'"
    assert rows[0] == ["test&#95;calls.py::test&#95;fails", verdict, "–", "2", pages[0]]
    assert rows[1][2:] == ["tool-result-unknown", "6", pages[1]]  # what was said before the result, over both sessions
    assert rows[1][1].startswith("tool-result-unknown: a result for call&#95;id 'nowhere' was sent")
    assert rows[2] == ["test&#95;calls.py::test&#95;nobody", "Failed: no one", "–", "–", "–"]
    suite("def test_passes(): ...").assert_outcomes(passed=1)
    assert len(summary.read_text(encoding="utf-8").splitlines()) == len(lines) + 1


@pytest.mark.skipif(find_spec("pytest_html") is None, reason="pytest-html is not installed")
@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "two workers"])
def test_pytest_html_links_the_files_relative_to_its_report(
    pytester: pytest.Pytester, suite: Suite, workers: list[str]
):
    run = suite(FAILS, "--realtime-artifacts=calls", "--html=reports/all.html", "--self-contained-html", *workers)
    run.assert_outcomes(passed=1, failed=1)
    report = (pytester.path / "reports" / "all.html").read_text(encoding="utf-8")
    (blob,) = re.findall(r'data-jsonblob="([^"]*)"', report)
    tests = json.loads(blob.replace("&#34;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))[
        "tests"
    ]
    (failed,) = [each for name, (each, *_) in tests.items() if name.endswith("test_fails")]
    links = {each["name"]: each["content"] for each in failed["extras"] if each["format_type"] == "url"}
    folder = "../calls/test_calls/test_fails"
    assert links == {
        "realtime call": f"{folder}/call.html",
        "realtime tape": f"{folder}/call.tape",
        "realtime sound": f"{folder}/call.wav",
    }
    assert all((pytester.path / "reports" / link).exists() for link in links.values())
    assert f'href="{folder}/call.html"' in failed["resultsTableRow"][-1]


def test_a_failed_recording_is_kept_among_the_files_without_the_key(
    pytester: pytest.Pytester, suite: Suite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XAI_API_KEY", KEY)
    with MockServer(pacing="burst", api_keys=[KEY]) as service:
        run = suite(
            f"""
@pytest.mark.realtime(cassette=True)
def test_call(realtime_mock):
    ask(realtime_mock, "hello")
    ask(realtime_mock, "My key is {KEY}, remember.")
    pytest.fail("it was {KEY}")
""",
            "--realtime-record=once",
            "--realtime-artifacts=calls",
            "--realtime-upstream",
            service.ws_url,
        )
    run.assert_outcomes(failed=1)
    assert not (pytester.path / "cassettes").exists()
    folder = pytester.path / "calls" / "test_calls" / "test_call"
    assert len(Recording.read(folder / "call.tape").lines) == 2
    for path in folder.iterdir():
        assert KEY.encode() not in path.read_bytes(), path


def test_a_test_in_virtual_time_leaves_its_call_too_and_its_faults_are_in_it(pytester: pytest.Pytester, suite: Suite):
    run = suite(
        """
import json
from websockets.asyncio.client import connect

@pytest.mark.realtime(time="virtual", unused="off", faults=[{"at": {"time": "60s"}, "do": {"close": 1011}}])
async def test_call(realtime_mock):
    async with connect(realtime_mock.ws_url, additional_headers={"Authorization": "Bearer any"}) as service:
        while True:
            await service.recv()
""",
        "--realtime-artifacts=calls",
    )
    run.assert_outcomes(failed=1)
    (line,) = Recording.read(pytester.path / "calls" / "test_calls" / "test_call" / "call.tape").lines
    assert [moment.type for moment in line.moments].count("ping") == 7
    assert max(moment.at_s for moment in line.moments) == pytest.approx(60, abs=1)
