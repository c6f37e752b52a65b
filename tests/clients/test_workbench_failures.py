"""The workbench in Chromium: calls that end while they begin, and requests that fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients.devtools import BROWSER, MICROPHONE, browsing
from tests.clients.test_workbench import bench, mock, shows, type_words

__all__ = ["mock"]
pytestmark = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")

ASKS_FOR_MICROPHONE = """{
  const media = navigator.mediaDevices;
  const open = media.getUserMedia.bind(media);
  media.getUserMedia = async (wanted) => {
    await new Promise((resolve) => { window.grant = resolve; });
    window.stream = await open(wanted);
    return stream;
  };
}"""
"""The page gets its microphone after `grant()`, as if a user had to allow it."""
LATE_NAMESPACE = """{
  const ask = fetch;
  window.fetch = async (url, options) => {
    const answer = await ask(url, options);
    if (String(url).endsWith('/calls')) await new Promise((resolve) => { window.hand = resolve; });
    return answer;
  };
}"""
"""The page gets the answer to `POST /calls` after `hand()`."""
SERVER_GONE = "window.fetch = () => Promise.reject(new TypeError('Failed to fetch'))"


def namespaces(mock: MockServer) -> list[Any]:
    with urlopen(f"{mock.control_url}/namespaces", timeout=10) as answer:
        found: list[Any] = json.load(answer)
    return found


def test_a_microphone_that_opens_after_the_call_has_ended_is_closed(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path, *MICROPHONE) as page:
        page.run(ASKS_FOR_MICROPHONE)
        page.click("#call")
        page.until("window.grant")
        page.click("#call")
        page.until(shows("#state", "has ended"))
        page.run("grant()")
        page.until("stream.getTracks().every((track) => track.readyState === 'ended')")
        page.until(shows("#alert", "ended before it began"))
        assert page.run("workbench.call.opened === undefined && workbench.call.socket === null")
        page.run("delete window.grant")
        page.click("#call")  # the next call is not disturbed
        page.until("window.grant")
        page.run("grant()")
        page.until(shows("#state", "Listening"))


def test_two_clicks_begin_one_call(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path, *MICROPHONE) as page:
        page.run("{ const button = document.querySelector('#call'); button.click(); button.click(); }")
        page.until(shows("#state", "Listening"))
        assert len(namespaces(mock)) == 1


def test_a_namespace_that_is_made_for_a_forgotten_call_ends(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        page.run(LATE_NAMESPACE)
        type_words(page, "Hello?")
        page.until("window.hand")
        assert len(namespaces(mock)) == 1
        page.click("#afresh")
        page.run("hand()")
        asks = "fetch('/_mock/namespaces').then((it) => it.json()).then((all) => { window.left = all.length; })"
        page.until(f"{asks} && left === 0")
        assert page.text("#state") == "The call has ended"
        assert page.run("document.querySelector('#alert').hidden")


def test_words_that_are_typed_while_the_call_connects_stay_in_the_field(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path, *MICROPHONE) as page:
        page.run(ASKS_FOR_MICROPHONE)
        page.run("workbench.draft.value.turns.type = 'none'")  # the microphone's sounds are no turns
        page.click("#call")
        page.until("window.grant")
        type_words(page, "Where is order 1043?")
        assert page.run("document.querySelector('#words').value") == "Where is order 1043?"
        page.run("grant()")
        page.until(shows("#state", "Listening"))
        page.run("document.querySelector('#typed').requestSubmit()")
        page.until(shows("#conversation", "It is being packed."))
        assert page.run("document.querySelector('#words').value") == ""


def test_a_call_that_cannot_be_kept_says_why(mock: MockServer, tmp_path: Path):
    with bench(mock, tmp_path) as page:
        page.click("#keep")
        page.until("document.querySelector('#keep-all')")
        page.run(SERVER_GONE)
        alert = "dialog .alert:not([hidden])"
        page.click("#keep-all")
        page.until(shows(alert, "The server does not answer."))
        page.run("document.querySelector('dialog .alert').hidden = true")
        page.run(
            "{ const client = document.querySelector('#keep-client'); client.value = 'ws';"
            " client.dispatchEvent(new Event('change')); }"
        )
        page.until(shows(alert, "The server does not answer."))
        assert page.run("document.querySelector('#keep-client').value") == "websockets"


def test_requests_ask_for_the_token_in_one_dialog_and_fail_once_it_is_closed(tmp_path: Path):
    with (
        MockServer(voice="tone", admin_token="hush") as mock,
        browsing(f"{mock.control_url}/workbench", tmp_path / "profile") as page,
    ):
        page.until("document.querySelector('dialog')")
        page.run("""{
          const api = new URL('api.js', document.querySelector('script[type=module]').src);
          import(api).then(({ get }) => Promise.allSettled([get('/choices'), get('/choices')]))
            .then((all) => { window.all = all.map(({ reason }) => reason.status); });
          const ask = fetch;
          window.refused = 0;
          window.fetch = (...asked) => ask(...asked).finally(() => { window.refused += 1; });
        }""")
        page.until("refused === 2")
        page.run("new Promise((done) => setTimeout(done))")
        assert page.run("document.querySelectorAll('dialog').length") == 1
        page.click("dialog .head button")
        page.until("window.all")
        assert page.run("all") == [403, 403]
        page.until(shows("#alert", "admin token"))
        assert page.run("document.querySelector('dialog')") is None
