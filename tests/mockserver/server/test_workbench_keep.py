"""What the workbench keeps of a call: a cassette, a scenario, a page, an agent and its test."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from mockserver.responders.scenario import Scenario
from mockserver.server.workbench import routes
from mockserver.server.workbench.agent_code import CLIENTS, Client, agent, kept_test, programs
from mockserver.server.workbench.kept_call import KeptCall, NotKept, Turn, read
from mockserver.testing.mock_server import MockServer
from replay.cassette.recording import Recording
from tests.mockserver.server.test_control import story, turn

SCENARIO = "turns:\n  - when: {says: hello}\n    reply: [{say: Hello.}]\n  - reply: [{say: Pardon?}]\n"
TOOLS = [
    {"kind": "function", "name": "look_up", "answer": "script", "result": '{"a": "b\\"c"}'},
    {"kind": "function", "name": "book", "answer": "http", "url": "http://127.0.0.1:1/book", "result": ""},
    {"kind": "mcp", "label": "crm", "url": "https://crm.invalid"},
]
HEAD = {"dialect": "xai", "scenario": SCENARIO, "session": {"instructions": 'Say "no" \\ \'.'}, "tools": TOOLS}
SESSION_UPDATE = {"type": "session.update", "session": {"instructions": "Be brief."}}


DEEP: object = None
for _ in range(900):
    DEEP = [DEEP]


def body(*frames: tuple[str, dict[str, Any]], **head: object) -> bytes:
    lines = [json.dumps({"t": n / 10, "dir": way, "ev": json.dumps(event)}) for n, (way, event) in enumerate(frames)]
    return "\n".join([json.dumps({**HEAD, **head}), *lines]).encode()


def typed(text: str) -> tuple[str, dict[str, Any]]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    return "sent", {"type": "conversation.item.create", "item": item}


def answered(id: str, text: str, status: str = "completed") -> list[tuple[str, dict[str, Any]]]:
    delta = {
        "type": "response.output_audio_transcript.delta",
        "response_id": id,
        "item_id": f"item-{id}",
        "delta": text,
    }
    return [
        ("received", {"type": "response.created", "response": {"id": id}}),
        ("received", delta),
        ("received", {"type": "response.done", "response": {"id": id, "status": status}}),
    ]


def called(id: str, name: str, arguments: str) -> tuple[str, dict[str, Any]]:
    kind = "response.function_call_arguments.done"
    return "received", {"type": kind, "response_id": id, "call_id": "c", "name": name, "arguments": arguments}


async def keep(mock: MockServer, http: ClientSession, form: str, client: str = "websockets") -> tuple[int, bytes]:
    """A call with one typed turn, and what is kept of it."""
    lines: list[bytes] = []
    async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer sk-hush"}) as ws:
        await ws.send_json(SESSION_UPDATE)
        assert await turn(ws) == "Hello."
    for entry in mock.sessions[0].entries:
        if (event := entry.event) is not None:
            way = "sent" if entry.way == "in" else "received"
            lines.append(json.dumps({"t": entry.at, "dir": way, "ev": json.dumps(event)}).encode())
    data = b"\n".join([json.dumps(HEAD).encode(), *lines])
    async with http.post(f"{mock.control_url}/workbench/keep?as={form}&client={client}", data=data) as answer:
        return answer.status, await answer.read()


def test_the_tape_holds_the_frames_of_the_call_and_reads_as_its_scenario(tmp_path: Path):
    status, data = story(lambda mock, http: keep(mock, http, "tape"), scenario=Scenario.parse(SCENARIO))
    assert status == 200
    (tmp_path / "call.tape").write_bytes(data)
    recording = Recording.read(tmp_path / "call.tape")
    assert (recording.origin, recording.dialect) == ("mock", "xai@2026-10")
    assert [each.type for each in recording.moments() if each.way == "sent"] == [
        "session.update",
        "conversation.item.create",
        "response.create",
    ]
    assert b"sk-hush" not in data


def test_the_page_shows_the_call():
    status, page = story(lambda mock, http: keep(mock, http, "html"), scenario=Scenario.parse(SCENARIO))
    assert status == 200
    assert b"<!doctype html>" in page and b"Hello." in page


@pytest.mark.parametrize("client", CLIENTS)
def test_the_files_are_the_described_ones_and_those_of_the_call(client: Client):
    status, data = story(lambda mock, http: keep(mock, http, "files", client), scenario=Scenario.parse(SCENARIO))
    assert status == 200
    files = json.loads(data)
    assert files["scenario.yaml"] == SCENARIO
    assert json.loads(files["session.json"]) == {"type": "session.update", "session": HEAD["session"]}
    assert Scenario.parse(files["as-spoken.yaml"]).turns[0].when is not None
    assert "TURNS = [('hello', 'Hello.')]" in files["test_call.py"]
    for name in files:
        if name.endswith(".py"):
            compile(files[name], name, "exec")
    assert set(files) >= ({"agent.mjs", "package.json"} if client == "ws" else {"agent.py"})


def test_without_a_call_there_is_an_agent_and_no_test():
    async def tell(mock: MockServer, http: ClientSession) -> Any:
        async with http.post(f"{mock.control_url}/workbench/keep", data=body()) as answer:
            return await answer.json()

    assert set(story(tell)) == {"agent.py", "scenario.yaml", "session.json", "requirements.txt"}


@pytest.mark.parametrize(
    ("path", "data", "status", "says"),
    [
        ("", b"", 400, "no JSON"),
        ("", b"{}", 400, "dialect, scenario, session and tools"),
        ("", body(dialect="azure"), 400, "xai or openai"),
        ("", body(dialect="xai@1999-01"), 400, "unknown dialect"),
        ("", body() + b"\nnonsense", 400, "expected one JSON object"),
        ("?client=fortran", body(), 400, "websockets or openai-python or ws"),
        ("?as=mp3", body(), 400, "files, zip, tape or html"),
        ("", body(session={"deep": DEEP}), 400, "nested too deeply"),
        ("", body(scenario="x" * 5000), 413, "MiB"),
    ],
)
def test_what_cannot_be_kept_says_why(path: str, data: bytes, status: int, says: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(routes, "MOST_CALL", 4000)

    async def tell(mock: MockServer, http: ClientSession) -> tuple[int, str]:
        async with http.post(f"{mock.control_url}/workbench/keep{path}", data=data) as answer:
            return answer.status, (await answer.json())["error"]

    found, error = story(tell)
    assert (found, says in error) == (status, True), error


def test_the_values_of_an_agent_are_those_of_the_description():
    history = [{"type": "message", "role": "user", "content": []}]
    model = "a\"b\\\n'c"
    for service in ("xai", "openai"):
        call = read(body(dialect=service, model=model, history=history))
        for client in ("websockets", "openai-python"):
            found: dict[str, Any] = {}
            values = agent(call, client).partition("def run_tool")[0].replace("import openai", "")
            exec(values.replace("from websockets.asyncio.client import connect", ""), found)
            assert (found["SESSION"], found["HISTORY"], found["MODEL"]) == (HEAD["session"], history, model)
            assert found["RESULTS"] == {"look_up": '{"a": "b\\"c"}'}
            assert found["ADDRESSES"] == {"book": "http://127.0.0.1:1/book"}
            assert client.replace("-python", "") in programs(call, client)["requirements.txt"]
        node = programs(call, "ws")
        assert json.loads(node["package.json"])["dependencies"].keys() == {"ws"}
        constants = dict(re.findall(r"^const ([A-Z]+) = (.*?);$", node["agent.mjs"], re.MULTILINE | re.DOTALL))
        assert json.loads(constants["SESSION"]) == HEAD["session"]
        assert (json.loads(constants["MODEL"]), json.loads(constants["HISTORY"])) == (model, history)
        assert json.loads(constants["RESULTS"]) == {"look_up": '{"a": "b\\"c"}'}
        assert json.loads(constants["ADDRESSES"]) == {"book": "http://127.0.0.1:1/book"}


def turns_of(*frames: tuple[str, dict[str, Any]], **head: object) -> list[Turn]:
    return read(body(*frames, **head)).turns()


def test_turns_are_what_was_typed_and_spoken_with_their_answers_and_calls():
    started = {"type": "input_audio_buffer.speech_started", "item_id": "u"}
    heard = {"type": "conversation.item.input_audio_transcription.completed", "item_id": "u", "transcript": "Book it."}
    found = turns_of(
        typed("hello"),
        *answered("1", "Hello."),
        ("received", started),
        ("received", {"type": "response.created", "response": {"id": "2"}}),
        called("2", "book", '{"n": 1}'),
        ("received", {"type": "response.done", "response": {"id": "2", "status": "completed"}}),
        ("received", heard),
        *answered("3", "Booked."),
    )
    assert [(each.user, each.answer, each.calls, each.cut) for each in found] == [
        ("hello", "Hello.", [], False),
        ("Book it.", "Booked.", [("book", '{"n": 1}')], False),
    ]


def test_history_is_no_turn_and_a_greeting_is_one():
    history = [typed("before")[1]["item"]]
    found = turns_of(typed("before"), typed("now"), *answered("1", "Yes."), history=history)
    assert [(each.user, each.answer) for each in found] == [("now", "Yes.")]
    found = turns_of(*answered("1", "Good morning."), typed("now"), *answered("2", "Yes."), greets=True)
    assert [(each.user, each.answer) for each in found] == [("", "Good morning."), ("now", "Yes.")]


def call_of(*frames: tuple[str, dict[str, Any]], **head: object) -> tuple[KeptCall, str]:
    call = read(body(*frames, **head))
    return call, kept_test(call, "websockets", call.turns())


def test_the_test_of_a_call_with_an_answer_that_was_cut_off_expects_its_beginning():
    _, text = call_of(typed("hello"), *answered("1", "Hel", "cancelled"), typed("hello"), *answered("2", "Hello."))
    assert "('hello', 'Hel…')" in text and "('hello', 'Hello.')" in text
    assert "all(call in made for call in CALLS)" in text


def test_the_bound_of_the_cost_is_twice_what_was_spent():
    frames = typed("hello"), *answered("1", "Hello.")
    assert 'assert_cost_at_most("0.05")' in call_of(*frames, usd="0.0234")[1]
    for unknown in ("nonsense", "NaN", "-1", "1e999", ""):
        assert 'assert_cost_at_most("0.01")' in call_of(*frames, usd=unknown)[1]


def test_a_body_without_frames_is_a_description():
    assert read(body()).turns() == []
    with pytest.raises(NotKept, match="no JSON"):
        read(b"\n")
