"""@openai/agents-realtime. It works with OpenAI; with xAI it breaks, and has to break here as it does live."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients import programs
from tests.clients.reports import check_report
from tests.clients.steps import Steps

pytestmark = pytest.mark.heavy


@pytest.fixture
def name(sdk_folder: Path) -> str:
    return f"@openai/agents-realtime {programs.version(sdk_folder, '@openai/agents-realtime')}"


@pytest.fixture
def expected_errors(dialect: str) -> tuple[str, ...]:
    """With xAI's events it leaves a tool's result unanswered."""
    return ("no response.create followed",) if dialect == "xai" else ()


def line(mock: MockServer, model: str) -> list[str]:
    return [f"{mock.ws_url}?model={model}", mock.api_key, model]


@pytest.mark.parametrize("dialect", ["openai"])
def test_agents_realtime(
    sdk_folder: Path, name: str, mock: MockServer, model: str, speech: bytes, took: Callable[[str], Steps]
):
    done = programs.run(sdk_folder, ["agents_realtime.js", *line(mock, model)], speech)
    check_report(programs.report_of(done), mock, took(name), closes=1005)


@pytest.mark.parametrize("dialect", ["xai"])
def test_agents_realtime_does_not_hear_that_a_response_of_xai_began_or_ended(
    sdk_folder: Path, name: str, mock: MockServer, model: str, speech: bytes, took: Callable[[str], Steps]
):
    steps = took(name)
    report = programs.report_of(programs.run(sdk_folder, ["agents_realtime.js", *line(mock, model)], speech))
    assert [step for step, outcome in report["steps"].items() if outcome == "ok"] == ["configure", "typed turn"]
    assert {"not understood: response.created", "not understood: response.done"} <= set(report["problems"])
    # The tool's result is there, and it waits for ever before it asks for the answer.
    (session,) = mock.sessions
    assert [each["item"]["type"] for each in session.received("conversation.item.create")] == [
        "message",
        "function_call_output",
    ]
    assert len(session.received("response.create")) == 1
    assert "tool-result-unanswered" in {finding.rule for finding in mock.findings}
    steps.outcome = {"configure": "passed", "typed turn": "passed"}
    steps.breaks("tool round", "to this client no response of xAI's begins or ends; it throws on the first spoken one")


@pytest.mark.parametrize("dialect", ["xai"])
def test_agents_realtime_throws_when_xai_begins_to_speak(sdk_folder: Path, mock: MockServer, model: str):
    done = programs.run(sdk_folder, ["agents_realtime_speaks.js", *line(mock, model)])
    assert done.returncode == 1
    assert b"ZodError" in done.stderr and b'"content"' in done.stderr
    begun = mock.sessions[0].sent("response.output_item.added")[0]["item"]
    assert begun["type"] == "message" and "content" not in begun


@pytest.mark.parametrize("dialect", ["openai"])
def test_the_same_line_is_answered_by_openai(sdk_folder: Path, mock: MockServer, model: str):
    done = programs.run(sdk_folder, ["agents_realtime_speaks.js", *line(mock, model)])
    assert (done.returncode, done.stdout, done.stderr) == (0, b"Pardon?\n", b"")
