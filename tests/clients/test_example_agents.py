"""The agents of examples/agents, as programs on the mock: each looks the order up, and says what came of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients import programs

AGENTS = Path(__file__).resolve().parents[2] / "examples" / "agents"
NEEDS = {
    "livekit_agent": "livekit.plugins.openai",
    "openai_agents": "agents.realtime",
    "pipecat_agent": "pipecat.services.openai.realtime.llm",
    "pydantic_ai_agent": "pydantic_ai.realtime.openai",
}
"""What a program imports that may be missing."""
HEAVY = ("livekit_agent", "pipecat_agent")
TURNS = pytest.mark.parametrize(
    ("words", "says"),
    [("Where is order 1043?", "Order 1043 is being packed."), ("Order 9999?", "I am sorry, there is no order 9999.")],
)


def test_each_program_has_its_row_and_its_test():
    page = (AGENTS / "README.md").read_text(encoding="utf-8")
    programs = {path.stem for path in AGENTS.glob("*.py")}
    assert programs == {"websocket", *NEEDS} and all(f"| `{name}.py` |" in page for name in programs)
    assert "| `mastra.mjs` |" in page


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy if name in HEAVY else []) for name in ("websocket", *NEEDS)]
)
@TURNS
def test_an_agent_answers_from_its_tool(name: str, words: str, says: str):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name], reason=f"the packages of {name}.py are not installed")
    dialect = "xai" if name == "websocket" else "openai"
    with MockServer(AGENTS / "orders.yaml", dialect=dialect, pacing="burst", voice="tone") as mock:
        program = [sys.executable, str(AGENTS / f"{name}.py"), words]
        environ = {**os.environ, **mock.environment}
        done = subprocess.run(program, env=environ, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout.strip()) == (0, says), done.stderr
        assert [each for each in mock.findings if each.level == "error"] == []


@pytest.mark.heavy
@TURNS
def test_the_agent_in_javascript_answers_from_its_tool(sdk_folder: Path, words: str, says: str):
    program = shutil.copy(AGENTS / "mastra.mjs", sdk_folder)  # beside the packages
    with MockServer(AGENTS / "orders.yaml", dialect="xai", pacing="burst", voice="tone") as mock:
        done = programs.run(sdk_folder, [str(program), words], env={**os.environ, **mock.environment})
        assert (done.returncode, done.stdout.decode().strip()) == (0, says), done.stderr.decode()
        assert [each for each in mock.findings if each.level == "error"] == []
