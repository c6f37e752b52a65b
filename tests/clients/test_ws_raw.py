"""`ws` in Node, without any library above it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from mockserver.mock import MockServer
from tests.clients.reports import check_report
from tests.clients.steps import Steps

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def node_folder(pytestconfig: pytest.Config) -> Path:
    """A folder with the drivers and the packages they import. Skips without Node, npm or a network."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("clients-npm")
    for name in ("package.json", "conversation.js", "ws_raw.js"):
        shutil.copy(HERE / name, folder)
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0"]
    try:
        done = subprocess.run([npm, "install", *options], cwd=folder, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not get the packages within a minute")
    if done.returncode:
        pytest.skip(f"npm cannot install the packages: {done.stderr.strip()[-200:]}")
    return folder


def test_ws_in_node(
    node_folder: Path, mock: MockServer, dialect: str, model: str, speech: bytes, took: Callable[[str], Steps]
):
    version = json.loads((node_folder / "node_modules/ws/package.json").read_text(encoding="utf-8"))["version"]
    call = ["node", "ws_raw.js", f"{mock.ws_url}?model={model}", mock.api_key, dialect]
    done = subprocess.run(call, cwd=node_folder, input=speech, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")
    check_report(json.loads(done.stdout), mock, took(f"ws {version} (Node)"))
