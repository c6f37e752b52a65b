"""Calls to MCP servers that the client wants to allow first (OpenAI), and choices of tools that scenarios keep to."""

from __future__ import annotations

from typing import Any

import pytest

from mockserver.responders.base import Call, Hosted, Say
from mockserver.responders.scenario import Scenario
from tests.mockserver.talk import Event, Script, Talk, kinds

ASK = Hosted("mcp", {"number": 7}, {"usd": 12.5}, server="billing", name="find_invoice")
SERVER: dict[str, Any] = {"type": "mcp", "server_label": "billing", "server_url": "https://mcp.example/sse"}


def asked(policy: object, *replies: list[Any]) -> tuple[Talk, list[Event]]:
    """A question whose answer needs a call to a server with that policy."""
    server = SERVER if policy is None else {**SERVER, "require_approval": policy}
    talk = Talk(Script(*replies or ([ASK, Say("It is twelve fifty.")],)), dialect="openai")
    talk.send("session.update", session={"type": "realtime", "tools": [server]})
    talk.write("How much is invoice seven?")
    return talk, talk.send("response.create")


def requested(talk: Talk) -> str:
    (item,) = talk.of("response.done")[-1]["response"]["output"]
    assert item["type"] == "mcp_approval_request"
    return str(item["id"])


def test_a_call_that_needs_approval_ends_the_response_with_the_question():
    _, events = asked("always")
    assert kinds(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    item = events[3]["item"]
    assert list(item) == ["id", "type", "server_label", "name", "arguments"]
    assert (item["type"], item["name"], item["arguments"]) == ("mcp_approval_request", "find_invoice", '{"number":7}')
    assert events[-1]["response"]["output"] == [item]


def test_once_approved_it_is_made_with_the_next_response_and_names_the_question():
    talk, _ = asked("always")
    request = requested(talk)
    added, done = talk.create("mcp_approval_response", approval_request_id=request, approve=True, reason="Go on.")[-2:]
    assert added["item"] == done["item"]
    assert list(added["item"]) == ["id", "type", "approval_request_id", "approve", "reason"]
    events = talk.send("response.create")
    call = events[-1]["item"]
    assert (call["type"], call["approval_request_id"], call["output"]) == ("mcp_call", request, '{"usd":12.5}')
    talk.send("response.create")
    said = talk.until("response.done")["response"]["output"][0]["content"][0]["transcript"]
    assert said == "It is twelve fifty."


def test_a_call_that_is_not_approved_is_a_result_that_rules_can_answer():
    file = """
turns:
  - when: {says: invoice}
    reply:
      - hosted: {tool: mcp, server: billing, name: find_invoice, arguments: {number: 7}, result: {usd: 12.5}}
      - say: "It is twelve fifty."
  - when: {tool: find_invoice}
    reply: [{say: "Then I will not look: {{ result.reason }}"}]
"""
    talk = Talk(Scenario.parse(file).responder(), dialect="openai")
    talk.send("session.update", session={"type": "realtime", "tools": [{**SERVER, "require_approval": "always"}]})
    talk.write("How much is invoice seven?")
    talk.send("response.create")
    talk.create("mcp_approval_response", approval_request_id=requested(talk), approve=False, reason="too private")
    talk.send("response.create")
    said = talk.until("response.done")["response"]["output"][0]["content"][0]["transcript"]
    assert said == "Then I will not look: too private"
    assert talk.session.ledger.hosted_calls == {}


@pytest.mark.parametrize(
    ("policy", "asks"),
    [
        (None, True),
        ("always", True),
        ("never", False),
        ({"never": {"tool_names": ["find_invoice"]}}, False),
        ({"never": {"tool_names": ["pay_invoice"]}}, True),
        ({"always": {"tool_names": ["find_invoice"]}}, True),
        ({"always": {"tool_names": ["pay_invoice"]}}, False),
    ],
)
def test_the_client_says_which_tools_it_wants_to_approve(policy: object, asks: bool):
    _, events = asked(policy)
    assert ("response.mcp_call.in_progress" not in kinds(events)) == asks


def test_an_approval_is_given_once_and_only_of_what_was_asked():
    talk, _ = asked("always")
    request = requested(talk)
    for wrong in ("item_of_nobody", request):
        talk.create("mcp_approval_response", approval_request_id=wrong, approve=True)
        if wrong != request:
            assert talk.error["param"] == "item.approval_request_id"
    talk.create("mcp_approval_response", approval_request_id=request, approve=False)
    assert wrong in talk.error["message"]


def test_xai_documents_no_approval_and_asks_for_none():
    talk = Talk(Script([ASK]), update={"tools": [{**SERVER, "require_approval": "always"}]})
    talk.say("How much is invoice seven?")
    assert "response.mcp_call.completed" in talk.types


@pytest.mark.parametrize("policy", ["sometimes", {"seldom": {}}])
def test_a_policy_that_does_not_exist_is_refused(policy: object):
    talk = Talk(dialect="openai")
    tool = {**SERVER, "require_approval": policy}
    talk.send("session.update", session={"type": "realtime", "tools": [tool]})
    assert str(talk.error["param"]).startswith("session.tools[0].require_approval")


def test_a_server_of_one_response_or_of_the_connection_s_secret_is_listed_too():
    talk = Talk(dialect="openai")
    events = talk.send("response.create", response={"tools": [SERVER]})
    assert kinds(events)[:3] == ["conversation.item.added", "mcp_list_tools.in_progress", "mcp_list_tools.completed"]
    assert "response.created" in kinds(events)


LOOK, BOOK = Call("look", {"day": 1}), Call("book", {"day": 1})


@pytest.mark.parametrize(
    ("choice", "made"),
    [
        ("auto", ["look", "book"]),
        ("required", ["look", "book"]),
        ("none", []),
        ({"type": "function", "name": "book"}, ["book"]),
        ({"type": "mcp", "server_label": "billing"}, []),
    ],
)
@pytest.mark.parametrize("of_response", [False, True])
def test_calls_that_the_choice_of_tools_does_not_allow_are_not_made(choice: Any, made: list[str], of_response: bool):
    talk = Talk(Script([Say("One moment."), LOOK, BOOK]), dialect="openai")
    fields = {} if of_response else {"tool_choice": choice}
    shown = talk.send("session.update", session={"type": "realtime", **fields})[0]["session"]["tool_choice"]
    assert shown == ("auto" if of_response else choice)
    talk.write("Book it.")
    talk.send("response.create", response={"tool_choice": choice} if of_response else {})
    output = talk.until("response.done")["response"]["output"]
    assert [item["name"] for item in output if item["type"] == "function_call"] == made
    assert output[0]["type"] == "message"
