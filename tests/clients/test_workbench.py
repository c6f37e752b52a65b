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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from websockets.sync.client import connect

from mockserver.responders.base import Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.testing.mock_server import MockServer
from tests.clients.devtools import BROWSER, MICROPHONE, Page, browsing
from tests.clients.test_viewer import violations
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


FILL = """(label, value) => {
  const labels = [...document.querySelectorAll('.part:not([hidden]) label')];
  const name = labels.findLast((each) => each.textContent === label);
  const control = document.getElementById(name.htmlFor);
  if (control.type === 'checkbox') return control.click();
  control.value = value;
  control.dispatchEvent(new Event(control.localName === 'select' ? 'change' : 'input', {bubbles: true}));
}"""
"""Fills the last field of that label in the tab that is shown."""


def test_a_call_is_described_in_the_form(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:

        def fill(tab: str, **fields: str) -> None:
            page.click(f"#tab-{tab}")
            for label, value in fields.items():
                page.run(f"({FILL})({json.dumps(label.replace('_', ' '))}, {json.dumps(value)})")

        fill("call", Service="openai")
        fill("call", Instructions="Answer in German.", Voice="cedar", Language_of_the_user="de")
        fill("call", Who_ends_a_spoken_turn="semantic_vad")
        fill("call", Eagerness="low")
        page.click("#tab-tools")
        page.click("#part-tools .card .bare")
        page.click("#part-tools .row button")
        fill("tools", Name="book", Description="Books a table.", Answered_by="http")
        fill("tools", Address="http://127.0.0.1:1/book")
        page.click("#tab-documents")
        page.run("[...document.querySelectorAll('#part-documents .row button')].at(-1).click()")
        fill("documents", Name="prices.md", Text="A table costs nothing.")
        type_words(page, "Hallo?")
        page.until(shows("#conversation", "Which order do you mean?"))
        update = "workbench.call.frames.find(([, , text]) => text.includes('session.update\\x22'))[2]"
        session = json.loads(page.run(update))["session"]
        page.run("location.reload()")
        page.until("document.body.dataset.ready")
        page.click("#tab-call")
        assert "Answer in German." in page.run("document.querySelector('#part-call textarea').value")
    assert session["instructions"] == "Answer in German.\n\n# Documents\n\n## prices.md\n\nA table costs nothing.\n"
    detection = {"type": "semantic_vad", "eagerness": "low", "create_response": True, "interrupt_response": True}
    assert session["audio"]["input"]["turn_detection"] == detection
    assert session["audio"]["input"]["transcription"]["language"] == "de"
    assert session["audio"]["output"]["voice"] == "cedar"
    parameters = {"type": "object", "properties": {}}
    tool = {"type": "function", "name": "book", "description": "Books a table.", "parameters": parameters}
    assert session["tools"] == [tool]


def test_a_call_without_a_microphone_says_what_to_do_and_typing_still_works(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        page.click("#call")
        page.until("!document.querySelector('#alert').hidden")
        assert "or type" in page.text("#alert")
        assert page.text("#state") == "Not in a call"
        type_words(page, "Where is order 1043?")
        page.until(shows("#conversation", "It is being packed."))


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


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_the_assistant_speaks_first_and_the_user_ends_a_turn_with_a_button(
    mock: MockServer, tmp_path: Path, dialect: str
):
    scenario = """\
turns:
  - times: 1
    reply: [{say: "Good morning."}]
  - heard: "What time is it?"
    reply: [{say: "It is noon."}]
"""
    with bench(mock, tmp_path, *MICROPHONE) as page:  # whose sound is a beep now and then
        write_scenario(page, scenario)
        page.run(f"Object.assign(workbench.draft.value, {{dialect: '{dialect}', tools: [], greets: true}})")
        page.run("workbench.draft.value.turns.type = 'none'; workbench.draft.changed('all')")
        page.click("#call")
        page.until(shows("#conversation", "Good morning."))
        page.until(shows("#state", "Listening"))
        page.click("#turn")
        page.until(shows("#turn", "End the turn"))
        page.run("new Promise((done) => setTimeout(done, 2500))")
        page.click("#turn")
        page.until(shows("#conversation", "It is noon."))
        page.until(shows("#conversation", "What time is it?"))
        page.click("#call")
        folder = kept(page, tmp_path)
    assert "('', 'Good morning.')" in (folder / "test_call.py").read_text("utf-8")
    passed = run_tests(folder)
    assert "1 passed" in passed, passed


@pytest.mark.parametrize(("dialect", "client"), [("xai", "websockets"), ("openai", "openai-python"), ("openai", "ws")])
def test_a_call_is_kept_as_a_test_that_passes_and_fails_with_another_scenario(
    mock: MockServer, tmp_path: Path, node_folder: Path, dialect: str, client: str
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
    agent = "agent.mjs" if client == "ws" else "agent.py"
    assert {path.name for path in folder.iterdir()} >= {agent, "test_call.py", "scenario.yaml", "call.tape"}
    if client == "ws":  # as `npm install` would
        (folder / "node_modules").symlink_to(node_folder / "node_modules")
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


@pytest.mark.parametrize("dialect", ["xai", "openai"])
def test_a_call_is_spoken_interrupted_kept_as_a_test_and_that_test_passes(
    mock: MockServer, tmp_path: Path, dialect: str
):
    speech = known("booking-1")
    with wave.open(str(tmp_path / "mic.wav"), "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", ""))
        for part in (1.0, speech, 4.0, speech, 90.0):
            sound.writeframes(part if isinstance(part, bytes) else bytes(2 * round(RATE * part)))
    heard = f"--use-file-for-fake-audio-capture={tmp_path / 'mic.wav'}%noloop"
    with bench(mock, tmp_path, *MICROPHONE, heard) as page:
        write_scenario(page, SPOKEN)
        page.run(
            f"Object.assign(workbench.draft.value, {{tools: [], dialect: '{dialect}'}}); workbench.draft.changed('all')"
        )
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
        with browsing(f"{mock.control_url}/", tmp_path / "inspector") as page:
            page.until("document.querySelector('header a').hash.includes('session=')")
            link = page.run("document.querySelector('header a').href")
        with browsing(link, tmp_path / "linked") as page:
            page.until("document.querySelectorAll('.turns button').length === 2")
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


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_axe_finds_nothing_serious(mock: MockServer, width: int, dark: bool, node_folder: Path, tmp_path: Path):
    axe = (node_folder / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    with bench(mock, tmp_path, size=(width, 900), dark=dark) as page:
        write_scenario(page, "turns:\n  - reply:\n      - sya: Hello.\n")
        page.until(shows(".problems", "did you mean 'say'?"))
        found["mistake"] = violations(page, axe)
        page.click("#afresh")
        for part in ("call", "tools", "documents"):
            page.click(f"#tab-{part}")
            found[part] = violations(page, axe)
        type_words(page, "Where is order 1043?")
        page.until(shows("#conversation", "It is being packed."))
        found["talk"] = violations(page, axe)
        page.click("[data-view=events]")
        found["events"] = violations(page, axe)
        for button, inside in (("#keep", ".kept"), ("#open", ".sessions")):
            page.click(button)
            page.until(f"document.querySelector('dialog {inside}').textContent")
            found[button] = violations(page, axe)
            page.click("dialog .head button")
        assert page.run("document.documentElement.scrollWidth") <= width
    assert {place: problems for place, problems in found.items() if problems} == {}


def test_a_server_with_an_admin_token_is_asked_with_it(tmp_path: Path):
    with MockServer(voice="tone", admin_token="hush") as mock:
        with browsing(f"{mock.control_url}/workbench", tmp_path / "profile") as page:
            for word in ("wrong", "hush"):
                page.until("document.querySelectorAll('dialog').length === 1")
                page.run(f"document.querySelector('#admin-token').value = '{word}'")
                page.run("document.querySelector('dialog form').requestSubmit()")
                page.run("new Promise((done) => setTimeout(done, 300))")
            page.until("document.body.dataset.ready")
            type_words(page, "Where is order 1043?")
            page.until(shows("#conversation", "It is being packed."))
            assert "hush" not in page.run("JSON.stringify(localStorage) + document.documentElement.outerHTML")


class Answers(BaseHTTPRequestHandler):
    """A tool at an HTTP address: it answers with what it was asked."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps({"state": f"sent, as {asked['name']} says"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_an_http_address_answers_a_tool_and_its_failure_is_a_result(mock: MockServer, tmp_path: Path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server, bench(mock, tmp_path) as page:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            tool = "workbench.draft.value.tools[0]"
            page.run(f"{tool}.answer = 'http'; {tool}.url = 'http://127.0.0.1:{server.server_port}/'")
            type_words(page, "Where is order 1043?")
            page.until(shows("#conversation", "It is sent, as look_up says."))
            page.until(shows("#state", "Listening"))
        finally:
            server.shutdown()
            thread.join()
        page.click("#call")
        folder = kept(page, tmp_path)
    passed = run_tests(folder)  # although nobody answers at the address any more
    assert "1 passed" in passed, passed
    page_errors = "502 (Bad Gateway)"
    with browsing(f"{mock.control_url}/workbench", tmp_path / "second") as page:
        page.until("document.body.dataset.ready")
        page.run("Object.assign(workbench.draft.value.tools[0], {answer: 'http', url: 'http://127.0.0.1:9/'})")
        type_words(page, "Where is order 1043?")
        page.until(shows("#conversation", "gave no answer"))
        assert [page_errors in each for each in page.errors] == [True]


def test_an_mcp_server_is_listed_and_its_call_is_shown(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        server = {**BLANK, "kind": "mcp", "label": "billing", "url": "https://billing.example/mcp"}
        page.run(f"workbench.draft.value.tools = [{json.dumps(server)}]; workbench.draft.changed('all')")
        hosted = {"tool": "mcp", "server": "billing", "name": "find", "arguments": {"n": 7}, "result": {"usd": 12.5}}
        steps = [{"hosted": hosted}, {"say": "It is {{ results.find.usd }} dollars."}]
        write_scenario(page, json.dumps({"turns": [{"reply": steps}]}))
        type_words(page, "Invoice 7?")
        page.until(shows("#conversation", "It is 12.5 dollars."))
        assert '{"n":7}' in page.text("#conversation").replace(" ", "")
        assert "mcp_list_tools.completed" in page.text("#log")


BLANK = {"name": "", "description": "", "parameters": "{}", "answer": "script", "result": "{}"}
