"""The spans of the mock, as an exporter gets them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse

from mockserver.responders.scenario import Scenario
from mockserver.server.narration import Narration
from mockserver.server.notices import CallOpened, Notice, TurnAnswered
from mockserver.testing.mock_server import MockServer
from tests.mockserver.server.test_control import KEY, story, turn
from tests.spans import Spans

PARENT = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate": "team=a"}
SCENARIO = """
sequence:
  - heard: Is Monday free
    reply: [{call: {name: look_up, arguments: {day: monday}}}]
  - [{say: Monday is free.}]
"""
WORDS = ("Monday", "monday", "free", "taken")


async def speaks(ws: ClientWebSocketResponse[bool]) -> None:
    """A turn that the client ends itself, with a tool in it."""
    manual: dict[str, Any] = {"type": "session.update", "session": {"turn_detection": None}}
    await ws.send_json(manual)
    sound = b64encode((b"\0\x30" * 40 + b"\0\xd0" * 40) * 240).decode()
    await ws.send_json({"type": "input_audio_buffer.append", "audio": sound})
    await ws.send_json({"type": "input_audio_buffer.commit"})
    await ws.send_json({"type": "response.create"})
    done = 0
    while done < 2:
        event = await ws.receive_json()
        if event["type"] == "response.done":
            done += 1
        if event["type"] == "response.function_call_arguments.done":
            output = {"type": "function_call_output", "call_id": event["call_id"], "output": "taken"}
            await ws.send_json({"type": "conversation.item.create", "item": output})
            await ws.send_json({"type": "response.create"})


def traced(spans: Spans, headers: dict[str, str], notices: list[Notice] | None = None) -> float:
    """A session with one spoken turn; the Unix second at which it opened."""

    async def tell(mock: MockServer, http: ClientSession) -> float:
        mock._service.tracing = spans.tracing
        if notices is not None:
            mock._service.tell = notices.append
        async with http.ws_connect(mock.ws_url, headers={**KEY, **headers}) as ws:
            await speaks(ws)
        while mock._service.open_sessions:
            await mock.advance(ms=10)
        return mock.sessions[0].opened

    opened: float = story(tell, scenario=Scenario.parse(SCENARIO))
    return opened


def test_a_session_is_a_span_with_its_responses_tools_and_transcripts_in_it():
    spans, notices = Spans(), list[Notice]()
    opened = traced(spans, PARENT, notices)
    session = spans.one("realtime")
    first, second = [each for each in spans.ended if each.name.startswith("chat ")]
    tool, transcript = spans.one("execute_tool"), spans.one("transcription")
    assert format(session.parent.span_id, "016x") == PARENT["traceparent"][36:52]
    assert session.context.trace_state["team"] == "a"
    assert {each.context.trace_id for each in spans.ended} == {int(PARENT["traceparent"][3:35], 16)}
    for each in (first, second, tool, transcript):
        assert each.parent.span_id == session.context.span_id
    assert (session.name, tool.name) == ("realtime grok-voice-latest", "execute_tool look_up")
    assert session.kind.name == "SERVER"
    assert session.attributes["gen_ai.provider.name"] == "x_ai"
    assert session.attributes["gen_ai.conversation.id"]
    assert session.attributes["realtape.close_code"] == 1000
    assert session.attributes["realtape.usd"] > 0
    assert first.attributes["gen_ai.operation.name"] == "chat"
    assert first.attributes["gen_ai.response.finish_reasons"] == ("completed",)
    assert second.attributes["gen_ai.usage.output_tokens"] > 0
    assert second.attributes["gen_ai.output.type"] == "speech"
    assert 0 < second.attributes["gen_ai.response.time_to_first_chunk"] < 3
    assert tool.attributes["gen_ai.tool.call.id"]
    assert tool.attributes["gen_ai.tool.type"] == "function"
    # Times are those of the server's clock, which jumps here.
    assert session.start_time == round(opened * 1e9)
    assert session.start_time < first.start_time <= tool.start_time < second.end_time <= session.end_time
    assert transcript.start_time < transcript.end_time
    shown = [(each.name, each.attributes, [event.attributes for event in each.events]) for each in spans.ended]
    assert not any(
        word in str([(name, dict(about), [*map(dict, events)]) for name, about, events in shown]) for word in WORDS
    )
    # What the log tells has the same ids.
    (began,) = [each for each in notices if isinstance(each, CallOpened)]
    turns = [each for each in notices if isinstance(each, TurnAnswered)]
    assert began.span_id == format(session.context.span_id, "016x")
    assert [each.response for each in turns] == [each.attributes["gen_ai.response.id"] for each in (first, second)]
    assert [each.span_id for each in turns] == [format(each.context.span_id, "016x") for each in (first, second)]
    assert {began.trace_id, *(each.trace_id for each in turns)} == {PARENT["traceparent"][3:35]}


def test_words_are_in_spans_if_they_are_asked_for():
    spans = Spans(content=True)
    traced(spans, {"traceparent": "00-malformed"})
    asked, answer = [each for each in spans.ended if each.name.startswith("chat ")]
    assert "(unintelligible)" in asked.attributes["gen_ai.input.messages"]
    assert "Monday is free." in answer.attributes["gen_ai.output.messages"]
    assert spans.one("execute_tool").attributes["gen_ai.tool.call.result"] == "taken"
    assert spans.one("realtime").parent is None


def test_a_session_that_is_lost_and_a_response_that_is_cut_off_are_errors():
    spans = Spans()

    async def tell(mock: MockServer, http: ClientSession) -> None:
        mock._service.tracing = spans.tracing
        ws = await http.ws_connect(mock.ws_url, headers=KEY)
        await ws.send_json({"type": "response.create"})
        while (await ws.receive_json())["type"] != "response.created":
            pass
        assert ws._response.connection is not None and ws._response.connection.transport is not None
        ws._response.connection.transport.abort()
        while mock._service.open_sessions:
            await mock.advance(ms=10)

    story(tell)
    errors = {each.name.partition(" ")[0]: each.attributes["error.type"] for each in spans.ended}
    assert errors == {"realtime": "1006", "chat": "cut_off"}


def test_without_tracing_a_session_has_a_plain_narration():
    async def tell(mock: MockServer, http: ClientSession) -> type:
        async with http.ws_connect(mock.ws_url, headers=KEY) as ws:
            await turn(ws)
            return type(mock.sessions[0].narration)

    assert story(tell) is Narration
