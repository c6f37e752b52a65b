"""The workbench in Chromium: a call is described, talked to, and kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import wave
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.testing.mock_server import MockServer
from tests.clients.devtools import BROWSER, MICROPHONE, Page, browsing
from tests.clinic_agent.callers_nobody_expects import RATE, known

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


@pytest.fixture
def mock() -> Iterator[MockServer]:
    with MockServer(voice="tone") as mock:
        yield mock


@contextmanager
def bench(mock: MockServer, folder: Path, *flags: str, **look: Any) -> Iterator[Page]:
    with browsing(f"{mock.control_url}/workbench", folder / "profile", *flags, **look) as page:
        page.until("document.body.dataset.ready")
        yield page
        assert page.errors == []


def write_scenario(page: Page, text: str) -> None:
    page.run(f"workbench.scenario.take({json.dumps(text)}); workbench.scenario.check()")


def type_words(page: Page, words: str) -> None:
    page.run(f"document.querySelector('#words').value = {json.dumps(words)}")
    page.run("document.querySelector('#typed').requestSubmit()")


def shows(selector: str, text: str) -> str:
    return f"document.querySelector({json.dumps(selector)}).innerText.includes({json.dumps(text)})"


def test_a_described_call_is_typed_to_and_shows_tools_latency_events_and_cost(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        type_words(page, "Where is order 1043?")
        page.until(shows("#conversation", "It is being packed."))
        page.until("document.querySelector('#cost').textContent !== '$0.0000'")
        said = page.text("#conversation")
        assert "look_up" in said and '{"number":"1043"}' in said and "to first audio" in said
        assert "response.function_call_arguments.done" in page.text("#log")
        assert "tool look_up" in page.text("#latency")
        page.click("#call")
        page.until(shows("#state", "has ended"))
    assert mock.sessions == []


def test_mistakes_of_the_scenario_are_marked_while_one_writes(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        write_scenario(page, "turns:\n  - reply:\n      - sya: Hello.\n")
        page.until(shows(".problems", "did you mean 'say'?"))
        assert "3:9" in page.text(".problems")
        marked = "document.querySelector('#scenario-editor').shadowRoot.querySelectorAll('.cm-lintRange-error').length"
        page.until(f"{marked} === 1")
        type_words(page, "Hello?")
        page.until(shows("#alert", "The scenario has mistakes"))
        write_scenario(page, "turns:\n  - reply:\n      - say: Hello.\n")
        page.until(shows(".verdict", "1 rule, no mistake"))
        type_words(page, "Hello?")
        page.until(shows("#conversation", "Hello."))


HOSTILE = "<img src=x onerror=document.title='ran'><script>document.title='ran'</script>"


def test_nothing_that_is_said_or_described_runs_as_markup(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        call = {"call": {"name": "look_up", "arguments": {"number": HOSTILE}}}
        rules = [{"when": {"tool": "look_up"}, "reply": [{"say": HOSTILE}]}, {"reply": [call]}]
        write_scenario(page, json.dumps({"name": HOSTILE, "turns": rules}))
        page.run(f"workbench.draft.value.tools[0].result = {json.dumps(HOSTILE)}; workbench.draft.changed('all')")
        type_words(page, HOSTILE)
        page.until("document.querySelectorAll('#conversation .assistant').length === 1")
        page.until(shows("#conversation", HOSTILE))
        assert page.run("document.querySelectorAll('main img, main script').length") == 0
        assert page.run("document.title") == "realtape workbench"


@pytest.mark.parametrize(("dialect", "client"), [("xai", "websockets"), ("openai", "openai-python")])
def test_a_call_is_kept_as_a_test_that_passes_and_fails_with_another_scenario(
    mock: MockServer, tmp_path: Path, dialect: str, client: str
):
    with bench(mock, tmp_path) as page:
        page.run(f"workbench.draft.value.dialect = '{dialect}'; workbench.draft.changed('all')")
        type_words(page, "Where is order 1043?")
        page.until(shows("#conversation", "It is being packed."))
        page.until(shows("#state", "Listening"))
        type_words(page, "Thank you.")
        page.until(shows("#conversation", "You are welcome."))
        page.until(shows("#state", "Listening"))
        page.click("#call")
        folder = kept(page, tmp_path, client)
    assert {path.name for path in folder.iterdir()} >= {"agent.py", "test_call.py", "scenario.yaml", "call.tape"}
    passed = run_tests(folder)
    assert "1 passed" in passed, passed
    scenario = folder / "scenario.yaml"
    scenario.write_text(scenario.read_text("utf-8").replace("You are welcome.", "Never mind."), "utf-8")
    assert "1 failed" in run_tests(folder)


def kept(page: Page, folder: Path, client: str = "websockets") -> Path:
    """The files of the ZIP that the page saves."""
    page.order("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.click("#keep")
    page.until("document.querySelector('#keep-all')")
    page.run(f"document.querySelector('#keep-client').value = '{client}'")
    page.click("#keep-all")
    deadline = time.monotonic() + 30
    while not (folder / "call.zip").exists():
        assert time.monotonic() < deadline, "nothing was saved"
        page.run("new Promise((done) => setTimeout(done, 50))")
    unpacked = folder / "kept"
    with zipfile.ZipFile(folder / "call.zip") as archive:
        archive.extractall(unpacked)
    return unpacked


def run_tests(folder: Path) -> str:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("XAI_", "OPENAI_", "REALTAPE_"))
    }
    environ["PYTHONPATH"] = str(ROOT)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)
    return done.stdout + done.stderr


SPOKEN = """\
name: spoken
turns:
  - when: {says: order}
    heard: "Where is order 1043?"
    reply:
      - say: >-
          Order 1043 was packed on Monday in the morning and left the warehouse on Tuesday at noon, and it should have
          reached the depot near you by now, from where it will be brought to your door tomorrow between eight and ten.
  - when: {says: stop}
    heard: "Stop, please."
    reply:
      - say: "Very well."
"""


def test_a_call_is_spoken_interrupted_kept_as_a_test_and_that_test_passes(mock: MockServer, tmp_path: Path):
    speech = known("booking-1")
    with wave.open(str(tmp_path / "mic.wav"), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        for part in (1.0, speech, 4.0, speech, 90.0):
            sound.writeframes(part if isinstance(part, bytes) else bytes(2 * round(RATE * part)))
    heard = f"--use-file-for-fake-audio-capture={tmp_path / 'mic.wav'}%noloop"
    with bench(mock, tmp_path, *MICROPHONE, heard) as page:
        write_scenario(page, SPOKEN)
        page.run("workbench.draft.value.tools = []; workbench.draft.changed('all')")
        page.click("#call")
        page.until(shows("#conversation", "Where is order 1043?"))
        page.until(shows("#conversation", "interrupted after"))
        page.until(shows("#conversation", "Very well."))
        page.until(shows("#state", "Listening"))
        assert "conversation.item.truncate" in page.text("#log")
        assert "after the end of the turn" in page.text("#conversation")
        page.click("#call")
        folder = kept(page, tmp_path)
    assert "('Stop, please.', 'Very well.')" in (folder / "test_call.py").read_text("utf-8")
    passed = run_tests(folder)
    assert "1 passed" in passed, passed


def test_a_session_of_the_server_opens_and_goes_on_from_a_turn(tmp_path: Path):
    scenario = Scenario([Rule(Say("Hello."), When(says="hello")), Rule(Say("Goodbye."), When(says="bye"))])
    with MockServer(scenario=scenario, voice="tone", pacing="burst") as mock:
        with connect(mock.ws_url, additional_headers={"Authorization": "Bearer sk-test"}) as client:
            for words in ("hello", "bye"):
                content = [{"type": "input_text", "text": words}]
                item = {"type": "message", "role": "user", "content": content}
                client.send(json.dumps({"type": "conversation.item.create", "item": item}))
                client.send(json.dumps({"type": "response.create"}))
                while json.loads(client.recv())["type"] != "response.done":
                    pass
        with bench(mock, tmp_path) as page:
            page.click("#open")
            page.until("document.querySelectorAll('.sessions button').length === 1")
            page.click(".sessions button")
            page.until("document.querySelectorAll('.turns button').length === 2")
            page.click(".turns li:nth-child(2) button")
            page.until(shows("#conversation", "The call goes on from here."))
            assert "hello" in page.text("#conversation") and "Goodbye." not in page.text("#conversation")
            assert page.run("document.querySelector('#words').value") == "bye"
            page.run("document.querySelector('#typed').requestSubmit()")
            page.until(shows("#conversation", "Goodbye."))
            sent = "workbench.call.frames.filter(([, way, text]) => way === 'sent' && text.includes('hello'))"
            assert page.run(f"{sent}.length") == 1
