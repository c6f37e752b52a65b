"""MCP servers that are really asked: the session states what it asks for, and goes on with what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mockserver.protocol.commands import ServerTool, ToolServer
from mockserver.protocol.conversation import ToolError
from mockserver.protocol.requests import (
    CallTool,
    ChatCall,
    ChatEnded,
    ChatText,
    Complete,
    Failed,
    ListTools,
    ToolAnswered,
    ToolsFound,
    Withdraw,
)
from mockserver.responders.base import Hosted, Responder, Say
from mockserver.responders.chat import ChatResponder
from mockserver.responders.scenario import Scenario
from mockserver.session.response import MOST_ROUNDS
from mockserver.session.tool_servers import MOST_ASKED
from tests.mockserver.talk import Event, Script, Talk, kinds

SERVER: dict[str, Any] = {
    "type": "mcp",
    "server_label": "billing",
    "server_url": "https://mcp.example/mcp",
    "authorization": "hush",
    "headers": {"X-Team": "7"},
    "require_approval": "never",
}
SCHEMA: Mapping[str, object] = {"type": "object", "properties": {"number": {"type": "integer"}}}
FIND = ServerTool("find", "Finds an invoice.", SCHEMA, {"readOnlyHint": True})
TOOLS = (FIND, ServerTool("pay"))
ASK = Hosted("mcp", {"number": 7}, {"usd": "scripted"}, server="billing", name="find")
RULES = """
turns:
  - when: {says: invoice}
    reply:
      - hosted: {tool: mcp, server: billing, name: find, arguments: {number: 7}, result: {usd: scripted}}
      - say: "{% if result.error %}It failed: {{ result.error }}{% else %}It is {{ result.usd }}.{% endif %}"
"""
XAI, OPENAI = "xai", "openai"


def declared(dialect: str, responder: Responder | None = None, **changes: object) -> Talk:
    talk = Talk(responder or Scenario.parse(RULES).responder(), dialect=dialect, asks_servers=True)
    kind = {"type": "realtime"} if dialect == OPENAI else {}
    talk.send("session.update", session={**kind, "tools": [{**SERVER, **changes}]})
    return talk


def listed(dialect: str, responder: Responder | None = None, **changes: object) -> Talk:
    talk = declared(dialect, responder, **changes)
    (work,) = talk.asked
    talk.deliver(ToolsFound(work.id, TOOLS))
    return talk


def question(talk: Talk, text: str = "How much is the invoice?") -> list[Event]:
    talk.write(text)
    return [*talk.send("response.create"), *talk.rest()]


def said(done: Event) -> list[str]:
    items = done["response"]["output"]
    return [item["content"][0]["transcript"] for item in items if item["type"] == "message"]


def test_a_declared_server_is_asked_with_the_clients_credential():
    talk = declared(XAI)
    assert talk.types[-1] == "mcp_list_tools.in_progress"
    server = ToolServer("billing", SERVER["server_url"], authorization="hush", headers=(("X-Team", "7"),))
    assert talk.asked == [ListTools("request_1", server)]
    assert "hush" not in repr(talk.asked)
    assert kinds(talk.deliver(ToolsFound("request_1", TOOLS))) == ["mcp_list_tools.completed"]


def test_openai_shows_what_the_server_says_of_its_tools_and_the_client_allows():
    talk = declared(OPENAI, allowed_tools=["find"])
    events = talk.deliver(ToolsFound("request_1", TOOLS))
    assert kinds(events) == ["mcp_list_tools.completed", "conversation.item.done"]
    assert events[-1]["item"]["tools"] == [
        {
            "name": "find",
            "description": "Finds an invoice.",
            "input_schema": SCHEMA,
            "annotations": {"readOnlyHint": True},
        }
    ]


@pytest.mark.parametrize("dialect", [XAI, OPENAI])
def test_a_listing_that_fails_is_told(dialect: str):
    talk = declared(dialect)
    (event,) = talk.deliver(ToolsFound("request_1", error=ToolError("it answered 401", "http_error", 401)))
    assert event["type"] == "mcp_list_tools.failed"
    if dialect == XAI:
        assert event["error"] == {"type": "http_error", "message": "it answered 401"}


def test_xai_waits_for_the_result_and_speaks_it():
    talk = listed(XAI)
    assert kinds(question(talk))[-1] == "response.mcp_call.in_progress"
    assert talk.session.ledger.hosted_calls == {"mcp": 1}
    work = talk.asked[-1]
    assert isinstance(work, CallTool)
    assert (work.server.label, work.name, work.arguments) == ("billing", "find", '{"number":7}')
    assert talk.deliver(ToolAnswered(work.id, '{"usd": 12.5}'))[0]["type"] == "response.mcp_call.completed"
    assert said(talk.until("response.done")) == ["It is 12.5."]


def test_openai_ends_the_response_first_and_the_next_one_waits():
    talk = listed(OPENAI)
    assert kinds(question(talk))[-2:] == ["response.done", "rate_limits.updated"]
    assert kinds([*talk.send("response.create"), *talk.rest()]) == ["response.created"]
    closed = talk.deliver(ToolAnswered(talk.asked[-1].id, '{"usd": 12.5}'))
    assert kinds(closed)[:3] == ["response.mcp_call.completed", "conversation.item.done", "response.output_item.done"]
    assert closed[1]["item"]["output"] == '{"usd": 12.5}'
    assert said(talk.until("response.done")) == ["It is 12.5."]


@pytest.mark.parametrize("dialect", [XAI, OPENAI])
@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ToolError("no such invoice"), {"type": "tool_execution_error", "message": "no such invoice"}),
        (ToolError("bad", "protocol_error", -32602), {"type": "protocol_error", "code": -32602, "message": "bad"}),
        (ToolError("down", "http_error", 503), {"type": "http_error", "code": 503, "message": "down"}),
    ],
)
def test_a_failed_call_is_an_event_and_a_result(dialect: str, error: ToolError, shown: Event):
    talk = listed(dialect)
    question(talk)
    events = talk.deliver(ToolAnswered(talk.asked[-1].id, error=error))
    failed = next(event for event in events if event["type"] == "response.mcp_call.failed")
    if dialect == XAI:
        assert failed["error"] == {"type": error.type, "message": error.message}
    else:
        assert events[-1]["item"]["error"] == shown
        talk.send("response.create")
    assert said(talk.until("response.done")) == [f"It failed: {error.message}"]


def test_a_request_that_the_shell_could_not_do_fails_the_call():
    talk = listed(XAI)
    question(talk)
    talk.deliver(Failed(talk.asked[-1].id, "too much waits already"))
    assert said(talk.until("response.done")) == ["It failed: MCP server 'billing' could not be asked"]


def test_a_call_waits_for_the_listing():
    talk = declared(XAI)
    question(talk)
    assert [type(each) for each in talk.asked] == [ListTools]
    talk.deliver(ToolsFound("request_1", TOOLS))
    assert isinstance(talk.asked[-1], CallTool)
    talk.deliver(ToolAnswered("request_2", '{"usd": 3}'))
    assert said(talk.until("response.done")) == ["It is 3."]


@pytest.mark.parametrize(
    ("tools", "error", "told"),
    [
        (TOOLS[1:], None, "MCP server 'billing' has no tool 'find', or the client does not allow it"),
        ((), ToolError("it answered 401", "http_error", 401), "it answered 401"),
    ],
)
def test_what_a_server_does_not_offer_is_not_asked_for(
    tools: tuple[ServerTool, ...], error: ToolError | None, told: str
):
    talk = declared(XAI)
    talk.deliver(ToolsFound("request_1", tools, error))
    question(talk)
    assert len(talk.asked) == 1
    assert said(talk.until("response.done")) == [f"It failed: {told}"]


def test_a_server_that_nobody_declared_is_not_asked():
    talk = Talk(Scenario.parse(RULES).responder(), asks_servers=True)
    question(talk)
    assert said(talk.until("response.done")) == ["It failed: the session declares no MCP server 'billing'"]
    assert talk.asked == []


def test_a_cancelled_response_gives_its_call_up():
    talk = listed(XAI)
    question(talk)
    work = talk.asked[-1]
    talk.send("response.cancel")
    assert talk.asked[-1] == Withdraw(work.id)
    assert talk.of("response.done")[-1]["response"]["status"] == "cancelled"
    assert talk.deliver(ToolAnswered(work.id, "late")) == []


def test_an_approved_call_is_made_and_a_refused_one_is_not():
    for approve in (True, False):
        talk = listed(OPENAI, require_approval="always")
        question(talk)
        assert len(talk.asked) == 1
        (request,) = talk.of("response.done")[-1]["response"]["output"]
        talk.create("mcp_approval_response", approval_request_id=request["id"], approve=approve)
        talk.send("response.create")
        if not approve:
            assert said(talk.until("response.done")) == ["I have no answer to that."]
            assert len(talk.asked) == 1
            continue
        talk.deliver(ToolAnswered(talk.asked[-1].id, '{"usd": 5}'))
        talk.send("response.create")
        assert said(talk.until("response.done")) == ["It is 5."]


def test_a_session_asks_for_only_so_much_at_once():
    talk = Talk(Script(), asks_servers=True)
    servers = [{**SERVER, "server_label": f"s{number}"} for number in range(MOST_ASKED + 1)]
    events = talk.send("session.update", session={"tools": servers})
    assert len(talk.asked) == MOST_ASKED
    assert events[-1]["error"]["message"] == f"more than {MOST_ASKED} requests to MCP servers at once"


# A language model calls the tools.


def asked_model(talk: Talk) -> Complete:
    work = talk.asked[-1]
    assert isinstance(work, Complete)
    return work


def offered(work: Complete) -> Sequence[Any]:
    return [tool["function"] for tool in work.tools]


def answers(talk: Talk, *results: ChatText | ChatCall) -> None:
    for each in (*results, ChatEnded(asked_model(talk).id)):
        talk.deliver(each)
        talk.rest()


@pytest.mark.parametrize("dialect", [XAI, OPENAI])
def test_the_model_is_offered_the_tools_and_gets_the_results(dialect: str):
    talk = listed(dialect, ChatResponder())
    question(talk)
    work = asked_model(talk)
    find = {"name": "find", "description": "Finds an invoice.", "parameters": SCHEMA}
    assert offered(work) == [find, {"name": "pay", "description": "", "parameters": {"type": "object"}}]
    answers(talk, ChatText(work.id, "Let me look."), ChatCall(work.id, "find", '{"number": 7}'))
    call = talk.asked[-1]
    assert isinstance(call, CallTool)
    talk.deliver(ToolAnswered(call.id, '{"usd": 12.5}'))
    if dialect == OPENAI:
        assert talk.of("response.done")[-1]["response"]["output"][-1]["type"] == "mcp_call"
        talk.send("response.create")
    *_, called, result = asked_model(talk).messages
    assert (called["content"], called["tool_calls"][0]["function"]) == (  # type: ignore[index]
        "Let me look.",
        {"name": "find", "arguments": '{"number": 7}'},
    )
    assert (result["role"], result["content"]) == ("tool", '{"usd": 12.5}')
    answers(talk, ChatText(asked_model(talk).id, "It is twelve fifty."))
    assert said(talk.of("response.done")[-1])[-1] == "It is twelve fifty."
    question(talk, "Sure?")
    roles = [message["role"] for message in asked_model(talk).messages if message["role"] != "system"]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_a_call_of_the_model_may_need_approval():
    talk = listed(OPENAI, ChatResponder(), require_approval="always")
    question(talk)
    answers(talk, ChatCall(asked_model(talk).id, "find", "{}"))
    (request,) = talk.of("response.done")[-1]["response"]["output"]
    assert request["type"] == "mcp_approval_request"
    talk.create("mcp_approval_response", approval_request_id=request["id"], approve=True)
    talk.send("response.create")
    assert isinstance(talk.asked[-1], CallTool)


def test_a_function_of_the_client_keeps_its_name_and_ends_the_models_answer():
    talk = Talk(ChatResponder(), asks_servers=True)
    own = {"type": "function", "name": "find", "description": "Mine.", "parameters": {}}
    talk.send("session.update", session={"tools": [own, SERVER]})
    talk.deliver(ToolsFound("request_1", TOOLS))
    question(talk)
    work = asked_model(talk)
    assert [each["name"] for each in offered(work)] == ["find", "billing_find", "pay"]
    answers(talk, ChatCall(work.id, "billing_find", "{}"), ChatCall(work.id, "find", "{}"))
    talk.deliver(ToolAnswered(talk.asked[-1].id, "theirs"))
    assert talk.of("response.done")[-1]["response"]["status"] == "completed"
    call_id = talk.of("response.function_call_arguments.done")[0]["call_id"]
    talk.create("function_call_output", call_id=call_id, output="mine")
    talk.send("response.create")
    assert [each["content"] for each in asked_model(talk).messages if each["role"] == "tool"] == ["theirs", "mine"]


def test_a_model_that_only_calls_tools_is_stopped():
    talk = listed(XAI, ChatResponder())
    question(talk)
    for _ in range(MOST_ROUNDS):
        answers(talk, ChatCall(asked_model(talk).id, "pay", "{}"))
        talk.deliver(ToolAnswered(talk.asked[-1].id, "paid"))
    assert talk.of("response.done")[-1]["response"]["status"] == "failed"
    assert talk.error["message"] == f"server_error: The model called tools in {MOST_ROUNDS} answers on end."


def test_a_choice_of_server_offers_that_server_alone():
    talk = Talk(ChatResponder(), dialect=OPENAI, asks_servers=True)
    own = {"type": "function", "name": "mine", "parameters": {}}
    chosen = {"type": "mcp", "server_label": "billing"}
    talk.send("session.update", session={"type": "realtime", "tools": [own, SERVER], "tool_choice": chosen})
    talk.deliver(ToolsFound("request_1", TOOLS))
    question(talk)
    work = asked_model(talk)
    assert [each["name"] for each in offered(work)] == ["find", "pay"]
    assert work.tool_choice == "required"


def test_scripted_servers_are_not_offered_to_the_model():
    talk = Talk(ChatResponder())
    talk.send("session.update", session={"tools": [{**SERVER, "allowed_tools": ["find"]}]})
    question(talk)
    assert asked_model(talk).tools == []


def test_a_scripted_result_is_known_to_later_templates():
    for step, told in (("result: {usd: 3}", "It is 3."), ("error: gone", "It failed: gone")):
        talk = Talk(Scenario.parse(RULES.replace("result: {usd: scripted}", step)).responder())
        question(talk)
        assert said(talk.until("response.done")) == [told]


def test_a_step_says_what_it_wants_whatever_the_other_steps_are():
    talk = listed(XAI, Script([Say("One moment."), ASK, Say("Done.")]))
    question(talk)
    talk.deliver(ToolAnswered(talk.asked[-1].id, "whatever"))
    assert said(talk.until("response.done")) == ["One moment.", "Done."]
