"""A language model answers: its stream becomes speech and calls, and its failures those of the service."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pybase64
import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.responders.base import Chat, Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.server.chat import SILENCE_S
from mockserver.server.options import Options
from mockserver.server.virtual_time import virtual_time
from mockserver.testing.mock_server import MockServer
from tests.mockserver.chat_server import Answer, ChatServer, chat_server
from tests.mockserver.server.test_requests import Writes
from tests.mockserver.session.test_heard_in_calls import OTHER, VAD, event, turn

KEY = "sk-of-the-model"
TOOL = {
    "type": "function",
    "name": "find_slots",
    "description": "Free times.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}},
}
SAID = "response.output_audio_transcript.done"
SPOKEN = ("First comes this. Then", " comes that.")
"""The first sentence is spoken once the second one has begun."""


@asynccontextmanager
async def talking(
    *answers: Answer, dialect: str = "xai", scenario: Scenario | None = None, **options: Any
) -> AsyncIterator[tuple[ClientWebSocketResponse[bool], ChatServer, MockServer]]:
    async with chat_server(*answers) as model, ClientSession() as http:
        options |= {"chat": model.url, "chat_model": "tiny", "chat_key": KEY}
        async with MockServer(scenario, dialect=dialect, **options) as mock:
            query = "?model=gpt-realtime" if dialect == "openai" else ""
            async with http.ws_connect(mock.ws_url + query, headers={"Authorization": "Bearer k"}) as ws:
                kind = {"type": "realtime"} if dialect == "openai" else {}
                session = {**kind, "instructions": "Be brief.", "tools": [TOOL]}
                await ws.send_json({"type": "session.update", "session": session})
                yield ws, model, mock


def said_in(item: dict[str, Any]) -> str:
    return "".join(part["transcript"] for part in item["content"])


async def ask(ws: ClientWebSocketResponse[bool], text: str) -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await ws.send_json({"type": "conversation.item.create", "item": item})
    await ws.send_json({"type": "response.create"})


@virtual_time
@pytest.mark.parametrize("dialect", ["xai", "openai"])
async def test_what_the_model_says_is_spoken_and_remembered(dialect: str):
    pieces = ("We op", "en at ni", "ne. Dr. ", "Chen is in. ", "It costs 3.", "50 dollars.")
    async with talking(Answer(pieces), Answer(("Sure.",)), dialect=dialect) as (ws, model, _):
        await ask(ws, "When do you open?")
        said = (await event(ws, SAID))["transcript"]
        assert said == "We open at nine. Dr. Chen is in. It costs 3.50 dollars."
        assert (await event(ws, "response.done"))["response"]["status"] == "completed"
        first = model.asked[0]
        assert (first["model"], first["stream"], model.keys[0]) == ("tiny", True, f"Bearer {KEY}")
        system, user = first["messages"]
        assert system == {"role": "system", "content": "Be brief."}
        assert user == {"role": "user", "content": "When do you open?"}
        (tool,) = first["tools"]
        assert tool["function"]["name"] == "find_slots"
        await ask(ws, "And tomorrow?")
        await event(ws, "response.done")
        roles = [(message["role"], message["content"]) for message in model.asked[1]["messages"][1:]]
        assert roles == [("user", "When do you open?"), ("assistant", said), ("user", "And tomorrow?")]


@virtual_time
@pytest.mark.parametrize("dialect", ["xai", "openai"])
async def test_a_call_of_the_model_is_the_clients_and_its_result_goes_back(dialect: str):
    call = Answer(("Let me look.",), calls=[("find_slots", {"day": "Monday"})])
    async with talking(call, Answer(("At nine.",)), dialect=dialect) as (ws, model, _):
        await ask(ws, "Is Monday free?")
        called = await event(ws, "response.function_call_arguments.done")
        assert json.loads(called["arguments"]) == {"day": "Monday"}
        await event(ws, "response.done")
        output = {"type": "function_call_output", "call_id": called["call_id"], "output": '["9:00"]'}
        await ws.send_json({"type": "conversation.item.create", "item": output})
        await ws.send_json({"type": "response.create"})
        assert (await event(ws, SAID))["transcript"] == "At nine."
        *_, asked, result = model.asked[1]["messages"]
        assert asked["role"] == "assistant"
        assert asked["tool_calls"][0]["function"] == {"name": "find_slots", "arguments": '{"day": "Monday"}'}
        assert result == {"role": "tool", "tool_call_id": asked["tool_calls"][0]["id"], "content": '["9:00"]'}


@virtual_time
async def test_the_first_sentence_is_spoken_while_the_model_still_writes():
    more = asyncio.Event()
    async with talking(Answer(("First comes this. Then", " comes that."), waits=more)) as (ws, _, __):
        await ask(ws, "Tell me.")
        await event(ws, "response.output_audio.delta")
        assert not more.is_set()
        more.set()
        assert (await event(ws, SAID))["transcript"] == "First comes this. Then comes that."


@virtual_time
async def test_a_cancelled_response_cancels_the_models_request():
    never = asyncio.Event()
    async with talking(Answer(("First comes this. Then",), waits=never), Answer(("Yes.",))) as (ws, model, _):
        await ask(ws, "Tell me.")
        await event(ws, "response.output_audio.delta")
        await ws.send_json({"type": "response.cancel"})
        assert (await event(ws, "response.done"))["response"]["status"] == "cancelled"
        await ask(ws, "Are you there?")
        await event(ws, "response.done")
        assert model.dropped == 1


@virtual_time
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=503, body=f"loading, {KEY}"), "answered 503: loading, (key)"),
        (Answer(("First", " and"), breaks_off=True), "the stream ended before the answer did"),
        (Answer(SPOKEN, error="out of memory"), 'the model reports an error: {"message": "out of memory"}'),
        (Answer(SPOKEN, resets=True), "/v1/chat/completions: "),
    ],
    ids=["refused", "broken off", "an error in the stream", "reset"],
)
@pytest.mark.parametrize("dialect", ["xai", "openai"])
async def test_a_model_that_fails_ends_the_response_and_says_why(
    answer: Answer, reason: str, dialect: str, caplog: pytest.LogCaptureFixture
):
    async with talking(answer, Answer(("Better now.",)), dialect=dialect) as (ws, _, mock):
        await ask(ws, "Tell me.")
        done = (await event(ws, "response.done"))["response"]
        assert done["status"] == "failed"
        assert [said_in(item) for item in done["output"]] == (["First comes this."] if answer.pieces == SPOKEN else [])
        assert KEY not in json.dumps(done)
        await ask(ws, "Again?")
        assert (await event(ws, SAID))["transcript"] == "Better now."
        assert mock.errors == []
    assert reason in caplog.text
    assert KEY not in caplog.text


@virtual_time
async def test_speech_over_the_answer_cancels_the_models_request():
    answers = Answer(SPOKEN, waits=asyncio.Event()), Answer(("Yes.",))
    async with talking(*answers, transcriber=Writes(OTHER)) as (ws, model, mock):
        await ws.send_json({"type": "session.update", "session": {"turn_detection": VAD}})
        await ask(ws, "Tell me.")
        await event(ws, "response.output_audio.delta")
        data = turn(OTHER).tobytes()
        for at in range(0, len(data), 9600):
            audio = pybase64.b64encode_as_string(data[at : at + 9600])
            await ws.send_json({"type": "input_audio_buffer.append", "audio": audio})
        assert (await event(ws, "response.done"))["response"]["status"] == "cancelled"
        assert (await event(ws, SAID, transcript="Yes."))["transcript"] == "Yes."
        assert model.dropped == 1
        roles = [(message["role"], message["content"]) for message in model.asked[1]["messages"][1:]]
        assert roles == [("user", "Tell me."), ("assistant", "First comes this."), ("user", OTHER)]
        assert mock.errors == []


@virtual_time
async def test_a_model_that_says_nothing_for_long_fails_the_response(caplog: pytest.LogCaptureFixture):
    async with talking(Answer(SPOKEN, waits=asyncio.Event()), Answer(("Better now.",))) as (ws, _, mock):
        await ask(ws, "Tell me.")
        began = asyncio.get_running_loop().time()
        assert (await event(ws, "response.done"))["response"]["status"] == "failed"
        assert SILENCE_S <= asyncio.get_running_loop().time() - began < SILENCE_S + 10
        await ask(ws, "Again?")
        assert (await event(ws, SAID, transcript="Better now."))["transcript"] == "Better now."
        assert mock.errors == []
    assert "the language model: ChatFailed: " in caplog.text


@virtual_time
async def test_a_slow_model_holds_up_no_other_session():
    release = asyncio.Event()
    async with talking(Answer(SPOKEN, waits=release), Answer(("Quick.",))) as (slow, _, mock):
        await ask(slow, "Tell me.")
        await event(slow, "response.output_audio.delta")
        async with ClientSession() as http:
            async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as ws:
                await ask(ws, "And you?")
                assert (await event(ws, SAID))["transcript"] == "Quick."
        release.set()
        assert (await event(slow, SAID))["transcript"] == "".join(SPOKEN)


@virtual_time
async def test_a_model_that_is_not_there_fails_the_response(caplog: pytest.LogCaptureFixture):
    async with chat_server() as gone:
        pass
    async with MockServer(chat=gone.url, chat_model="tiny") as mock, ClientSession() as http:
        async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as ws:
            await ask(ws, "Hello?")
            assert (await event(ws, "response.done"))["response"]["status"] == "failed"
    assert f"the language model: ChatFailed: {gone.url}/chat/completions" in caplog.text


@virtual_time
async def test_an_answer_that_is_cut_is_incomplete():
    async with talking(Answer(("We open at",), finish="length"), dialect="openai") as (ws, _, __):
        await ask(ws, "When do you open?")
        done = (await event(ws, "response.done"))["response"]
        assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")


@virtual_time
async def test_rules_go_first_and_the_model_answers_the_rest():
    rules = Scenario([Rule(Say("At nine."), When(says="open"))])
    async with talking(Answer(("I can look.",)), scenario=rules) as (ws, model, mock):
        await ask(ws, "When do you open?")
        assert (await event(ws, SAID))["transcript"] == "At nine."
        await ask(ws, "Is it far?")
        assert (await event(ws, SAID))["transcript"] == "I can look."
        assert len(model.asked) == 1
        assert mock.unused == []


@virtual_time
async def test_a_step_lets_the_model_answer_with_instructions_of_its_own():
    rules = Scenario.parse("turns: [{reply: [{say: One moment.}, {chat: {instructions: Answer in French.}}]}]")
    async with talking(Answer(("Oui.",)), scenario=rules) as (ws, model, _):
        await ask(ws, "Is it far?")
        await event(ws, "response.done")
        assert model.asked[0]["messages"][0]["content"] == "Be brief.\n\nAnswer in French."


@virtual_time
async def test_a_step_without_a_model_fails_and_says_what_is_missing(caplog: pytest.LogCaptureFixture):
    async with MockServer(Scenario([Rule(Chat())])) as mock, ClientSession() as http:
        async with http.ws_connect(mock.ws_url, headers={"Authorization": "Bearer k"}) as ws:
            await ask(ws, "Hello?")
            assert (await event(ws, "response.done"))["response"]["status"] == "failed"
    assert "name one with --chat URL --chat-model NAME" in caplog.text


async def book(ws: ClientWebSocketResponse[bool]) -> list[tuple[str, str]]:
    """A call with a function: what is said and called."""
    await ask(ws, "Is Monday free?")
    called = await event(ws, "response.function_call_arguments.done")
    await event(ws, "response.done")
    output = {"type": "function_call_output", "call_id": called["call_id"], "output": '["9:00"]'}
    await ws.send_json({"type": "conversation.item.create", "item": output})
    await ws.send_json({"type": "response.create"})
    return [(called["name"], called["arguments"]), ("", (await event(ws, SAID))["transcript"])]


@virtual_time
@pytest.mark.parametrize("dialect", ["xai", "openai"])
async def test_a_recorded_session_replays_without_the_model(dialect: str, tmp_path: Path):
    answers = Answer(("Let me look.",), calls=[("find_slots", {"day": "Monday"})]), Answer(("At nine.",))
    async with talking(*answers, dialect=dialect, record=tmp_path) as (ws, _, mock):
        live = await book(ws)
        await event(ws, "response.done")
    async with MockServer(cassette=mock.cassettes[0]) as replayed, ClientSession() as http:
        query = "?model=gpt-realtime" if dialect == "openai" else ""
        async with http.ws_connect(replayed.ws_url + query, headers={"Authorization": "Bearer k"}) as ws:
            assert await book(ws) == live
    assert KEY.encode() not in mock.cassettes[0].read_bytes()


def test_the_key_is_not_shown_and_half_an_address_is_refused():
    assert KEY not in repr(Options(chat="http://127.0.0.1:1/v1", chat_model="tiny", chat_key=KEY))
    with pytest.raises(ValueError, match=r"both its URL \(--chat\) and its name \(--chat-model\)"):
        Options(chat="http://127.0.0.1:1/v1")
    with pytest.raises(ValueError, match="no address of a chat endpoint"):
        Options(chat="localhost:11434", chat_model="tiny")


@pytest.fixture(autouse=True)
def _quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
