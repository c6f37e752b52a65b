"""A user's test suite in a folder of its own, a client and a scenario beside it: for tests of the pytest plugin."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOADED = [] if entry_points(group="pytest11", name="realtape") else ["-p", "mockserver.testing.pytest_plugin"]
LEAN = tuple(f"-pno:{name}" for name in ("cacheprovider", "schemathesis", "hypothesispytest", "pytest-bdd"))
"""Without plugins that take longer to load than such a suite to run."""
INI = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
filterwarnings = error
addopts = --strict-markers
"""
SCENARIO = """
turns:
- when: {says: dental}
  reply: [{say: Let me see.}]
- when: {says: pain}
  reply: [{say: Call an ambulance.}]
- reply: [{say: Pardon?}]
"""
CLIENT = """
import json
from websockets.sync.client import connect

def ask(mock, text, url=None, key=None):
    bearer = {"Authorization": f"Bearer {key or mock.api_key}"}
    with connect(url or mock.ws_url, additional_headers=bearer, compression=None) as service:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        service.send(json.dumps({"type": "conversation.item.create", "item": item}))
        service.send(json.dumps({"type": "response.create"}))
        said = ""
        while (event := json.loads(service.recv()))["type"] != "response.done":
            said += event["delta"] if event["type"].endswith("transcript.delta") else ""
        return said

def careless(mock):
    bearer = {"Authorization": f"Bearer {mock.api_key}"}
    with connect(mock.ws_url, additional_headers=bearer) as service:
        item = {"type": "function_call_output", "call_id": "nowhere", "output": "{}"}
        service.send(json.dumps({"type": "conversation.item.create", "item": item}))
"""
Suite = Callable[..., pytest.RunResult]


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """Runs tests that have a client and a scenario beside them."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeini(INI)
    pytester.makepyfile(client=CLIENT)
    pytester.path.joinpath("clinic.yaml").write_text(SCENARIO, encoding="utf-8")

    def run(source: str, *arguments: str) -> pytest.RunResult:
        pytester.makepyfile(test_calls=f"import pytest\nfrom client import ask\n\n{source}")
        return pytester.runpytest_subprocess(*LOADED, *LEAN, *arguments, timeout=180)

    return run
