"""The playground in a browser: what it loads, and whether its figures fit."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from realtape import MockServer
from tests.clients.devtools import BROWSER, browsing
from tests.clinic_agent.app_server import ASK, CHOOSE, SCENARIO

pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """The playground, served by its command."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with MockServer(SCENARIO, voice="tone", pacing="burst") as mock:
        environ = {**os.environ, **mock.environment, "CLINIC_DATA": str(tmp_path), "CLINIC_TODAY": "2026-07-01"}
        environ["STREAMLIT_SERVER_HEADLESS"] = "true"
        command = [sys.executable, "-m", "realtape", "clinic", "ui", "--port", port]
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as server:
            assert server.stdout is not None
            try:
                assert any("URL:" in line for line in server.stdout)
                yield f"http://127.0.0.1:{port}/"
            finally:
                server.kill()


def test_the_page_loads_nothing_from_elsewhere_and_cuts_no_figure_off(url: str, tmp_path: Path):
    nowhere_else = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with browsing(url, tmp_path / "profile", nowhere_else, size=(1300, 900), dark=True) as page:
        page.until("!!document.querySelector('textarea')")
        for words, answer in ((ASK, "Which one suits"), (CHOOSE, "See you then")):
            page.run("document.querySelector('textarea').focus()")
            page.order("Input.insertText", text=words)
            page.run("document.querySelector('[data-testid=stChatInputSubmitButton]').click()")
            page.until(f"document.body.innerText.includes({json.dumps(answer)})")
        page.until("document.querySelectorAll('[data-testid=stMetricValue]').length === 3")
        cut = page.run(
            "[...document.querySelectorAll('[data-testid=stMetricValue], [data-testid=stMetricValue] *')]"
            ".filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)"
        )
        figures = page.run("[...document.querySelectorAll('[data-testid=stMetricValue]')].map(each => each.innerText)")
        dark = page.run("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        loaded = page.run("performance.getEntriesByType('resource').map(each => each.name)")
    assert cut == []
    assert re.fullmatch(r"\$0\.0\d{3}", figures[2]), figures
    assert max(map(int, re.findall(r"\d+", dark)[:3])) < 60  # dark mode
    assert loaded and [each for each in loaded if not each.startswith((url, "data:", "blob:"))] == []
    assert page.errors == []  # a failed load is one
