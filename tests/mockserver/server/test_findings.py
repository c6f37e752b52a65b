from __future__ import annotations

import asyncio
import json
import logging
from typing import Any
from urllib.request import urlopen

import pytest
from aiohttp import ClientSession
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from mockserver.responders.base import Call, Say
from mockserver.responders.scenario import Scenario
from mockserver.server import virtual_time as autojump
from mockserver.testing.mock_server import MockServer

SCENARIO = Scenario(sequence=[Call("check_availability", {"date": "2026-07-06"}), Say("I have nine o'clock.")])
PINNED = "?model=grok-voice-think-fast-2.0"
KEY = {"Authorization": "Bearer k"}


async def ask_a_tool(ws: Any) -> None:
    """A result, and nothing after it."""
    call_id = ""
    await ws.send_json({"type": "response.create"})
    while (event := await ws.receive_json())["type"] != "response.done":
        if event["type"] == "response.function_call_arguments.done":
            call_id = event["call_id"]
    result = {"type": "function_call_output", "call_id": call_id, "output": "9:00"}
    await ws.send_json({"type": "conversation.item.create", "item": result})


def silenced(**settings: object) -> tuple[MockServer, list[str]]:
    """A mock that was told nothing after a tool's result, and what the control plane shows then."""
    shown: list[str] = []

    given = settings.pop("findings", {})
    levels = {"all": given} if isinstance(given, str) else given
    settings["findings"] = {"undeclared-call": "off", **levels}  # type: ignore[dict-item]

    async def main() -> MockServer:
        async with MockServer(SCENARIO, voice="tone", **settings) as mock, ClientSession() as http:  # type: ignore[arg-type]
            async with http.ws_connect(mock.ws_url + PINNED, headers=KEY) as ws:
                await ask_a_tool(ws)
                await mock.advance(seconds=3)
                url = f"{mock.control_url}/findings?session={mock.sessions[0].id}"
                async with http.get(url) as answer:
                    shown.extend(map(json.dumps, await answer.json()))
        return mock

    return autojump.run(main()), shown


def test_a_mistake_is_told_in_python_and_by_the_control_plane():
    mock, shown = silenced()
    (finding,) = mock.findings
    assert finding.rule == "tool-result-unanswered"
    assert finding.session == mock.sessions[0].id
    assert mock.sessions[0].findings == [finding]
    told = json.loads(shown[0])
    assert {"rule", "at", "message", "fix"} <= set(told)
    assert told["rule"] == finding.rule and told["at"] == pytest.approx(finding.at, abs=1e-5)


def test_a_mistake_is_logged_in_one_line(caplog: pytest.LogCaptureFixture):
    mock, _ = silenced()
    (record,) = [record for record in caplog.records if record.name == "realtape.findings"]
    assert record.levelno == logging.ERROR
    assert mock.sessions[0].id in record.getMessage() and "Send response.create" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_what_happened_outside_of_any_session_is_told_as_such(caplog: pytest.LogCaptureFixture):
    with MockServer(faults=[{"at": "handshake", "do": {"status": 429}}]) as mock:
        for key in ("Bearer k", "Bearer k", "Bearer other"):
            with pytest.raises(InvalidStatus):
                connect(mock.ws_url + PINNED, additional_headers={"Authorization": key})
        with urlopen(f"{mock.control_url}/findings") as answer:
            assert [(row["rule"], row["session"]) for row in json.load(answer)] == [("no-backoff", None)]
    told = [record.getMessage() for record in caplog.records if record.name == "realtape.findings"]
    assert [line.split(": ")[:2] for line in told] == [["no session", "no-backoff"], ["no session", "no-retry"]]


def test_the_journal_shows_a_finding_at_its_frame():
    mock, _ = silenced()
    (row,) = [row for row in mock.sessions[0].shown() if "findings" in row]
    assert (row["way"], row["type"]) == ("in", "conversation.item.create")
    assert row["findings"][0]["rule"] == "tool-result-unanswered"


@pytest.mark.parametrize("settings", ["off", {"tool-result-unanswered": "off"}, {"all": "off", "no-retry": "warn"}])
def test_a_rule_that_is_off_says_nothing(settings: object):
    mock, shown = silenced(findings=settings)
    assert (mock.findings, shown) == ([], [])


def test_a_level_is_given_for_all_rules_or_for_one():
    assert silenced(findings="warn")[0].findings[0].level == "warn"
    assert silenced(findings={"tool-result-unanswered": "warn"})[0].findings[0].level == "warn"


def test_a_level_for_all_makes_no_error_of_advice():
    with MockServer(findings="error") as mock:
        with connect(f"{mock.ws_url}?model=grok-voice-latest", additional_headers=KEY):
            pass
        assert [(finding.rule, finding.level) for finding in mock.findings] == [("latest-model", "warn")]


@pytest.mark.parametrize(
    ("setting", "problem"),
    [("loud", "'loud' is no level"), ({"tool-result-unansered": "warn"}, "did you mean 'tool-result-unanswered'")],
)
def test_a_level_or_rule_that_is_not_known_is_refused(setting: object, problem: str):
    with pytest.raises(ValueError, match=problem):
        MockServer(findings=setting)  # type: ignore[arg-type]


def test_findings_are_forgotten_with_the_sessions():
    async def main() -> list[object]:
        async with MockServer(SCENARIO) as mock, ClientSession() as http:
            async with http.ws_connect(f"{mock.ws_url}?model=grok-voice-latest", headers=KEY):
                pass
            async with http.post(f"{mock.control_url}/reset"):
                return [*mock.findings]

    assert autojump.run(main()) == []


@pytest.mark.parametrize("pause", [0.5, 1.5])
def test_a_client_that_waits_in_silence_is_told_in_the_log_while_it_waits(
    pause: float, caplog: pytest.LogCaptureFixture
):
    async def main() -> list[str]:
        async with MockServer(SCENARIO, voice="tone") as mock, ClientSession() as http:
            async with http.ws_connect(mock.ws_url + PINNED, headers=KEY) as ws:
                await ask_a_tool(ws)
                await asyncio.sleep(pause)
                return [record.getMessage() for record in caplog.records if record.name == "realtape.findings"]

    assert len(autojump.run(main())) == (1 if pause > 1 else 0)
