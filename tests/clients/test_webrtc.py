"""A caller in headless Chromium, by WebRTC: through @openai/agents-realtime, with a program on the sideband."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from mockserver.responders.scenario import Scenario
from mockserver.server.calls import webrtc
from mockserver.testing.mock_server import MockServer
from tests.clients.call_site import microphone
from tests.clients.devtools import BROWSER, MICROPHONE, Page, browsing
from tests.clients.test_chromium import token
from tests.test_docs import BLOCKS

pytestmark = [
    pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed"),
    pytest.mark.skipif(webrtc.unavailable() is not None, reason="aiortc is not installed"),
]
FLAGS = [*MICROPHONE, "--allow-loopback-in-peer-connection", "--autoplay-policy=no-user-gesture-required"]
ASK, CHOOSE = "I would like a dental cleaning on July sixth.", "The nine thirty slot, please. My name is Maria Lopez."
CLINIC = Scenario.parse(f"""
turns:
  - when: {{says: cleaning}}
    heard: {ASK}
    reply: [{{say: "{"And in another hour somebody came in, sat down and opened wide. " * 12}"}}]
  - when: {{says: nine thirty}}
    heard: {CHOOSE}
    reply: [{{call: {{name: book, arguments: {{slot: "09:30"}}}}}}]
  - when: {{tool: book}}
    reply: [{{say: "Nine thirty, then. Good bye."}}]
""")

FREE = Scenario.parse(f"""
turns:
  - when: {{says: cleaning}}
    heard: {ASK}
    reply: [{{say: "July sixth is free."}}]
""")


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """A folder as a web site; its address."""
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def agents_site(npm_package: Path, tmp_path: Path) -> Iterator[str]:
    """The page of the agent, and the released bundle of @openai/agents-realtime beside it."""
    folder = tmp_path / "site"
    bundle = npm_package / "node_modules" / "@openai" / "agents-realtime" / "dist" / "bundle"
    shutil.copytree(bundle, folder / "agents")
    shutil.copy(Path(__file__).parent / "node" / "webrtc.html", folder)
    (folder / "favicon.ico").touch()
    with site(folder) as url:
        yield url


def test_the_page_of_the_docs_shows_what_both_say(tmp_path: Path):
    (text,) = [block.text for block in BLOCKS if block.page == "docs/clients/webrtc.md" and block.kind == "html"]
    assert len(text.splitlines()) <= 60
    heard = microphone(tmp_path / "mic.wav", 1.0, "booking-1", 60.0)
    with MockServer(FREE, dialect="openai", voice="tone") as mock:
        folder = tmp_path / "site"
        folder.mkdir()
        (folder / "favicon.ico").touch()
        transcription = {"audio": {"input": {"transcription": {"model": "gpt-transcribe"}}}}
        secret = token(mock, "openai", "gpt-realtime-2.1", transcription)
        (folder / "token").write_text(json.dumps({"value": secret}), encoding="utf-8")
        address = f"{mock.http_url}/realtime/calls"
        (folder / "index.html").write_text(text.replace("http://127.0.0.1:8765/v1/realtime/calls", address), "utf-8")
        with site(folder) as url, browsing(url, tmp_path / "profile", *FLAGS, heard) as page:
            page.click("button")
            page.until("document.querySelectorAll('li').length === 2")
            assert page.text("button") == "Hang up"
            said = page.text("ul")
            (call,) = mock._service.calls.listed
            key = {"Authorization": f"Bearer {mock.api_key}"}
            urlopen(Request(f"{mock.http_url}/realtime/calls/{call.id}/hangup", b"", key)).close()
            page.until("document.querySelector('button').innerText === 'Call'")
            errors = page.errors
    assert sorted(said.splitlines()) == ["agent: July sixth is free.", f"you: {ASK}"]
    assert errors == []
    assert mock.sessions[0].close_code == 1000
    assert mock.findings == []


def came(page: Page) -> list[str]:
    return [event["type"] for event in page.run("came")]


def until_came(page: Page, event_type: str, times: int = 1) -> None:
    page.until(f"came.filter((each) => each.type === '{event_type}').length >= {times}")


def drain(sideband: Any) -> list[dict[str, Any]]:
    """What is on the sideband until it is closed; fails unless it is closed cleanly."""
    events = []
    try:
        while True:
            events.append(json.loads(sideband.recv(timeout=10)))
    except ConnectionClosedOK:
        return events


def in_order(types: list[str], *expected: str) -> None:
    """These events came, the first of each after the one before it."""
    left = iter(types)
    assert [each for each in expected if each not in left] == [], types


def test_a_caller_interrupts_the_agent_books_and_hangs_up(agents_site: str, tmp_path: Path):
    heard = microphone(tmp_path / "mic.wav", 1.5, "booking-1", 3.0, "booking-2", 60.0)
    with MockServer(CLINIC, dialect="openai", voice="tone") as mock:
        query = urlencode({"calls": f"{mock.http_url}/realtime/calls", "key": token(mock, "openai", "gpt-realtime")})
        with browsing(f"{agents_site}/webrtc.html?{query}", tmp_path / "profile", *FLAGS, heard) as page:
            page.until("state === 'connected' && callId.startsWith('rtc_')")
            url = f"{mock.ws_url}?call_id={page.run('callId')}"
            with connect(url, additional_headers={"Authorization": f"Bearer {mock.api_key}"}) as sideband:
                page.until("loudest() > 0.05")
                until_came(page, "output_audio_buffer.cleared")
                until_came(page, "output_audio_buffer.stopped")
                page.click("button")
                beside = [event["type"] for event in drain(sideband)]
            assert (page.errors, page.run("problems")) == ([], [])
            types = came(page)
            assert page.run("booked") == ["09:30"]
            (session,) = mock.sessions
        assert [str(finding) for finding in mock.findings if finding.level == "error"] == []
    in_order(
        types,
        "session.created",
        "session.updated",
        "input_audio_buffer.speech_started",
        "response.created",
        "output_audio_buffer.started",
        "input_audio_buffer.speech_started",
        "output_audio_buffer.cleared",
        "conversation.item.truncated",
        "response.done",
        "response.function_call_arguments.done",
        "output_audio_buffer.started",
        "output_audio_buffer.stopped",
    )
    assert "response.output_audio.delta" not in types
    cut = next(event for event in session.sent("response.done"))["response"]
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert "session.created" not in beside
    in_order(beside, "output_audio_buffer.cleared", "conversation.item.truncated", "output_audio_buffer.stopped")
    assert session.close_code == 1000
