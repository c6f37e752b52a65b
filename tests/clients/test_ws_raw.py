"""`ws` in Node, without any library above it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mockserver.testing.mock_server import MockServer
from tests.clients import programs
from tests.clients.reports import check_report
from tests.clients.steps import Steps


def test_ws_in_node(
    node_folder: Path, mock: MockServer, dialect: str, model: str, speech: bytes, took: Callable[[str], Steps]
):
    steps = took(f"ws {programs.version(node_folder, 'ws')} (Node)")
    done = programs.run(node_folder, ["ws_raw.js", f"{mock.ws_url}?model={model}", mock.api_key, dialect], speech)
    check_report(programs.report_of(done), mock, steps)
