"""A page in headless Chromium, which holds nothing but a short-lived token."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients.devtools import BROWSER, QUIET, shut
from tests.clients.reports import check_report
from tests.clients.steps import Steps

HERE = Path(__file__).resolve().parent
KINDS = {"page.html": "text/html", "conversation.js": "text/javascript", "steps.js": "text/javascript"}


class Site:
    """The page's own web server: its files, its settings, and where its report ends up."""

    def __init__(self, settings: dict[str, Any], speech: bytes) -> None:
        self.reports: Queue[dict[str, Any]] = Queue()
        site, made = self, {"settings": json.dumps(settings).encode(), "speech": speech, "favicon.ico": b""}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                if name not in KINDS and name not in made:
                    return self.send_error(404)
                self.reply(
                    made[name] if name in made else (HERE / "node" / name).read_bytes(), KINDS.get(name, "text/plain")
                )

            def do_POST(self) -> None:
                site.reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.reply(b"", "text/plain")

            def reply(self, body: bytes, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/page.html"

    def __enter__(self) -> Site:
        Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def browser(url: str, profile: Path) -> Iterator[subprocess.Popen[bytes]]:
    assert BROWSER is not None
    log = profile.with_suffix(".log")
    with log.open("wb") as sink:
        command = [BROWSER, *QUIET, f"--user-data-dir={profile}", url]
        process = subprocess.Popen(command, stdout=sink, stderr=sink)
        try:
            yield process
        finally:
            shut(process)


def token(mock: MockServer, dialect: str, model: str, more: Mapping[str, Any] | None = None) -> str:
    """What a web application's own server asks the service for; `more` of the session."""
    session = {"model": model} if dialect == "xai" else {"type": "realtime", "model": model, **(more or {})}
    request = urllib.request.Request(
        f"{mock.http_url}/realtime/client_secrets",
        json.dumps(
            {"session": session, "expires_after": {"anchor": "created_at", "seconds": 300}}
            if dialect == "openai"
            else {"expires_after": {"seconds": 300}}
        ).encode(),
        {"Authorization": f"Bearer {mock.api_key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return str(json.load(answer)["value"])


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
def test_a_page_in_chromium(
    mock: MockServer, dialect: str, model: str, speech: bytes, tmp_path: Path, took: Callable[[str], Steps]
):
    secret = token(mock, dialect, model)
    protocols = (
        [f"xai-client-secret.{secret}"] if dialect == "xai" else ["realtime", f"openai-insecure-api-key.{secret}"]
    )
    settings = {"url": f"{mock.ws_url}?model={model}", "dialect": dialect, "protocols": protocols}
    with Site(settings, speech) as site, browser(site.url, tmp_path / "profile"):
        try:
            report = site.reports.get(timeout=60)
        except Empty:
            pytest.fail(f"no report from the page: {(tmp_path / 'profile.log').read_text(errors='replace')[-2000:]}")
    check_report(report, mock, took("Chromium"))
