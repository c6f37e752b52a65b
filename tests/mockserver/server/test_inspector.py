"""The page at /_mock/: what it may do, who gets it, and, in a browser, what it shows."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import html
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from mockserver.responders.base import Call, Say
from mockserver.responders.scenario import Scenario
from mockserver.server import guard
from mockserver.server.inspector import PAGE
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_control import KEY, story, turn

TEXT = PAGE.read_text(encoding="utf-8")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


async def fetched(mock: MockServer, http: ClientSession, path: str = "/", **headers: str) -> tuple[int, Any, str]:
    async with http.get(mock.control_url + path, headers=headers) as response:
        return response.status, response.headers, await response.text()


@pytest.mark.parametrize("path", ["", "/"])
def test_the_page_is_one_file_that_forbids_itself_all_but_its_own_script_and_style(path: str):
    status, headers, page = story(lambda mock, http: fetched(mock, http, path))
    assert (status, page, headers["X-Content-Type-Options"]) == (200, TEXT, "nosniff")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.keys() >= {"default-src", "base-uri", "form-action", "frame-ancestors"}
    assert (policy["default-src"], policy["connect-src"]) == ("'none'", "'self'")
    for element in ("script", "style"):
        (inside,) = re.findall(f"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert policy[f"{element}-src"] == f"'sha256-{digest}'"


def test_the_page_fetches_nothing_from_elsewhere_and_makes_no_markup_of_what_was_said():
    assert not re.search(
        r"https?://|//cdn|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|\son\w+=\"", TEXT
    )
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=|\sstyle=", TEXT)


def test_others_than_this_machine_do_not_get_it(monkeypatch: pytest.MonkeyPatch):
    status, _, page = story(lambda mock, http: fetched(mock, http, Host="evil.example"))
    assert status == 403 and "<html" not in page
    monkeypatch.setattr(guard, "is_loopback", lambda address: False)
    assert story(lambda mock, http: fetched(mock, http))[0] == 403


def test_with_an_admin_token_it_comes_without_data_and_asks_for_the_token():
    async def tell(mock: MockServer, http: ClientSession) -> list[int]:
        return [(await fetched(mock, http, path))[0] for path in ("/", "/sessions")]

    assert story(tell, admin_token="hush") == [200, 403]
    assert 'id="token"' in TEXT and "hush" not in TEXT


def test_a_page_that_looks_again_asks_only_for_what_is_new():
    async def tell(mock: MockServer, http: ClientSession) -> None:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
        log = mock.sessions[0]
        whole = log.shown()
        for since in (0, 3, len(whole), len(whole) + 5):
            async with http.get(f"{mock.control_url}/journal?session={log.id}&since={since}") as response:
                assert await response.json() == whole[since:]
        log.forget_oldest()
        assert log.shown(since=3) == whole[3:]
        async with http.get(f"{mock.control_url}/journal?session={log.id}&since=-1") as response:
            assert (response.status, await response.json()) == (
                400,
                {"error": "since must be a number of frames, 0 or more, not '-1'"},
            )

    story(tell)


HOSTILE = "<img src=x onerror=\"document.title='undone'\"><script>document.title='undone'</script>"


@pytest.mark.clients
@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
@pytest.mark.slow
def test_a_browser_shows_a_call_and_runs_nothing_that_was_said_in_it(tmp_path: Path):
    shown = dumped(tmp_path, [Say(f"Hello. {HOSTILE}"), Call("look", {"city": "<b>London</b>"})])
    text = html.unescape(re.sub(r"<script>.*?</script>|<style>.*?</style>", "", shown, flags=re.DOTALL))
    assert "<title>realtape</title>" in shown
    assert html.escape(HOSTILE, quote=False) in shown and "<img src" not in shown
    for told in (
        "xai@2026-10",
        "findings",
        "cost in USD",
        "session.created",
        '{"city":"<b>London</b>"}',
        "closed after",
    ):
        assert told in text
    assert "The mock does not answer" not in text


def dumped(profile: Path, reply: Any) -> str:
    """What stands in the page after a call, and a look of some seconds at it."""
    assert BROWSER is not None
    with MockServer(Scenario(sequence=[reply]), voice="tone", pacing="burst") as mock:

        async def call() -> None:
            async with ClientSession() as http, http.ws_connect(mock.ws_url, headers=KEY) as ws:
                await turn(ws, HOSTILE)
                await ws.send_json({"type": "nonsense"})
                await ws.receive_json()

        asyncio.run(call())
        command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--dump-dom"]
        options = [f"--user-data-dir={profile}", "--virtual-time-budget=5000", f"{mock.control_url}/"]
        done = subprocess.run([*command, *options], capture_output=True, timeout=60, check=True, text=True)
    assert "Content Security Policy" not in done.stderr
    return done.stdout
