"""Recorded calls in the workbench: their description, their turns, and what a call from a turn begins with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from mockserver.responders.scenario import Scenario
from mockserver.server.workbench import routes
from mockserver.server.workbench.opened_call import NotOpened, opened
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_control import story

BOOKING = Path(__file__).parents[3] / "cassettes" / "booking.tape"
PARAMETERS = {"type": "object", "properties": {"n": {"type": "string"}}}


def lines(*events: tuple[str, dict[str, Any]]) -> bytes:
    rows = [json.dumps({"t": n / 10, "dir": way, "ev": event}) for n, (way, event) in enumerate(events)]
    return "\n".join(rows).encode()


def typed(text: str) -> tuple[str, dict[str, Any]]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return "sent", {"type": "conversation.item.create", "item": item}


def said(id: str, text: str) -> list[tuple[str, dict[str, Any]]]:
    words = {"type": "response.output_audio_transcript.delta", "response_id": id, "item_id": f"i-{id}", "delta": text}
    return [
        ("received", {"type": "response.created", "response": {"id": id}}),
        ("received", words),
        ("received", {"type": "response.done", "response": {"id": id, "status": "completed"}}),
    ]


def session(**members: object) -> tuple[str, dict[str, Any]]:
    return "sent", {"type": "session.update", "session": members}


CALL = lines(
    session(instructions="Be brief.", voice="eve", turn_detection={"type": "server_vad", "silence_duration_ms": 300}),
    typed("hello"),
    *said("1", "Hello."),
    typed("order"),
    *said("2", "Which?"),
    typed("bye"),
    *said("3", "Goodbye."),
)


def description(data: bytes, **options: Any) -> Any:
    return opened(data, **options)["description"]


def test_the_turns_are_what_was_said_and_answered():
    assert opened(CALL)["turns"] == [
        {"user": "hello", "said": "Hello.", "calls": []},
        {"user": "order", "said": "Which?", "calls": []},
        {"user": "bye", "said": "Goodbye.", "calls": []},
    ]


def test_a_call_from_a_turn_begins_with_what_was_said_before():
    assert opened(CALL)["history"] == []
    history: Any = opened(CALL, 2)["history"]
    assert [(item["role"], item["content"][0]["text"]) for item in history] == [
        ("user", "hello"),
        ("assistant", "Hello."),
        ("user", "order"),
        ("assistant", "Which?"),
    ]


def test_rules_that_apply_once_begin_with_the_turn():
    twice = lines(
        typed("yes"), *said("1", "One."), typed("yes"), *said("2", "Two."), typed("yes"), *said("3", "Three.")
    )
    for turn, rules in ((0, 3), (2, 1)):
        scenario = Scenario.parse(description(twice, turn=turn)["scenario"])
        assert len(scenario.turns) + len(scenario.sequence) == rules
    assert len(Scenario.parse(description(CALL, turn=2)["scenario"]).turns) == 3


def test_the_session_of_xai_is_described():
    found = description(CALL, dialect="xai@2026-09")
    assert (found["dialect"], found["instructions"], found["voice"]) == ("xai@2026-09", "Be brief.", "eve")
    assert (found["turns"]["type"], found["turns"]["silence_ms"], found["turns"]["interrupt"]) == (
        "server_vad",
        "300",
        True,
    )


def test_the_session_of_openai_is_described():
    audio = {
        "input": {
            "transcription": {"model": "gpt-transcribe", "language": "de"},
            "turn_detection": {"type": "semantic_vad", "eagerness": "low", "interrupt_response": False},
        },
        "output": {"voice": "cedar"},
    }
    found = description(
        lines(session(type="realtime", audio=audio), typed("hello"), *said("1", "Hello.")), dialect="openai"
    )
    assert (found["dialect"], found["voice"], found["language"]) == ("openai", "cedar", "de")
    turns = found["turns"]
    assert (turns["type"], turns["eagerness"], turns["interrupt"]) == ("semantic_vad", "low", False)


@pytest.mark.parametrize(
    ("given", "kind"), [({"type": None}, "none"), (None, "none"), ({"type": "server_vad"}, "server_vad")]
)
def test_turns_without_detection_are_ended_by_the_user(given: object, kind: str):
    data = lines(session(turn_detection=given), typed("hello"), *said("1", "Hello."))
    assert description(data)["turns"]["type"] == kind
    assert description(lines(typed("hello"), *said("1", "Hello.")))["turns"]["type"] == "server_vad"


def test_tools_come_with_the_first_result_of_each():
    call = {
        "type": "response.function_call_arguments.done",
        "response_id": "1",
        "call_id": "c",
        "name": "flat",
        "arguments": "{}",
    }
    output = {"type": "function_call_output", "call_id": "c", "output": '{"state": "packed"}'}
    tools = [
        {"type": "function", "name": "flat", "description": "Flat.", "parameters": PARAMETERS},
        {"type": "function", "function": {"name": "nested", "parameters": None}},
        {"type": "mcp", "server_label": "crm", "server_url": "https://crm.invalid"},
        {"type": "web_search"},
    ]
    created = ("received", {"type": "response.created", "response": {"id": "1"}})
    sent = ("sent", {"type": "conversation.item.create", "item": output})
    found = description(lines(session(tools=tools), typed("x"), created, ("received", call), sent, *said("2", "Done.")))
    flat, nested, mcp = found["tools"]
    assert (flat["name"], json.loads(flat["parameters"]), flat["result"]) == ("flat", PARAMETERS, '{"state": "packed"}')
    assert (nested["name"], nested["parameters"], nested["result"]) == ("nested", "{}", "{}")
    assert (mcp["kind"], mcp["label"], mcp["url"]) == ("mcp", "crm", "https://crm.invalid")


def test_a_packaged_cassette_opens_at_every_turn():
    data = BOOKING.read_bytes()
    turns: Any = opened(data)["turns"]
    assert len(turns) > 1
    for turn in range(len(turns)):
        found: Any = opened(data, turn)
        scenario = Scenario.parse(found["description"]["scenario"])
        assert scenario.turns or scenario.sequence
        assert found["description"]["tools"]


def test_what_is_no_call_is_refused():
    for data, says in ((b"", "empty"), (b"\x00\x01", "not a recording"), (CALL[:-20], "JSON")):
        with pytest.raises(NotOpened, match=says):
            opened(data)
    with pytest.raises(NotOpened, match="3 turns"):
        opened(CALL, 3)


@pytest.mark.parametrize(
    ("query", "data", "status", "says"),
    [
        ("?turn=x", CALL, 400, "turn must be a number"),
        ("?turn=9", CALL, 400, "3 turns"),
        ("", b"nonsense", 400, "not a recording"),
        ("", b"x" * 9000, 413, "MiB"),
        ("?turn=1", CALL, 200, ""),
    ],
)
def test_the_route_says_what_is_wrong(query: str, data: bytes, status: int, says: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "MOST_CALL", 8000)

    async def tell(mock: MockServer, http: ClientSession) -> tuple[int, Any]:
        async with http.post(f"{mock.control_url}/workbench/open{query}", data=data) as answer:
            return answer.status, await answer.json()

    found, body = story(tell)
    assert (found, says in body.get("error", "")) == (status, True), body
