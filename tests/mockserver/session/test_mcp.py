"""Tools that the service runs itself: how their calls look, what they cost, what a scenario may say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction

import pytest

from mockserver.responders.base import Hosted, Pause, Say, Step
from mockserver.responders.scenario import Rule, Scenario, ScenarioError, When
from replay.billing.prices import UnknownPrice
from tests.mockserver.refusals import first_problem
from tests.mockserver.talk import Event, Script, Talk, kinds

SEARCH = Hosted("web_search", {"query": "weather"}, "rain", calls=3)
ASK = Hosted("mcp", {"number": 7}, {"usd": 12.5}, server="billing", name="find_invoice")
BROKEN = Hosted("mcp", {"number": 7}, error="no such invoice", server="billing", name="find_invoice")
SERVER = {"type": "mcp", "server_label": "billing", "server_url": "https://mcp.example/sse"}
DOWN = {**SERVER, "server_url": "https://mcp.down.invalid:8443/sse"}
XAI, OPENAI = {"dialect": "xai"}, {"dialect": "openai", "model": "gpt-realtime"}


def hosting(service: dict[str, str], *replies: Sequence[Step]) -> Talk:
    return Talk(Script(*replies), dialect=service["dialect"], model=service.get("model"))


def asked(service: dict[str, str], *steps: Step) -> list[Event]:
    """All that comes of one typed question."""
    talk = hosting(service, steps)
    talk.write("Please look it up.")
    return [*talk.send("response.create"), *talk.rest()]


def mcp(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if "mcp" in event["type"]]


def declare(service: dict[str, str], *tools: Mapping[str, object]) -> tuple[Talk, list[Event]]:
    talk = hosting(service)
    kind = {"type": "realtime"} if service is OPENAI else {}
    return talk, talk.send("session.update", session={**kind, "tools": list(tools)})


@pytest.mark.parametrize("service", [XAI, OPENAI])
def test_a_search_is_heard_of_only_in_what_is_said(service: dict[str, str]):
    apart = asked(service, Say("One moment."), SEARCH, Say("It rains."))
    assert kinds(apart) == kinds(asked(service, Say("One moment."), Pause(0), Say("It rains.")))


SHOWN = Hosted("x_search", {"query": "fog"}, "thick", calls=2, name="x_keyword_search", events="function_call")
CALLED = [
    "response.output_item.added",
    "conversation.item.added",
    *(f"response.function_call_arguments.{end}" for end in ("delta", "done")),
    "response.output_item.done",
]


def test_a_search_of_xai_can_show_as_a_call_of_a_function():
    events = asked(XAI, Say("One moment."), SHOWN, Say("It is foggy."))
    types = [event["type"] for event in events]
    at = types.index("response.function_call_arguments.delta")
    assert types[at - 2 : at + 3] == CALLED
    call = events[at - 2]["item"]
    assert (call["type"], call["name"], call["role"]) == ("function_call", "x_keyword_search", "user")
    assert events[at + 1]["arguments"] == '{"query":"fog"}'
    done = events[-1]["response"]["output"]
    assert [item["type"] for item in done] == ["message", "function_call", "message"]
    assert done[1]["call_id"] == events[at]["call_id"] and done[1]["status"] == "completed"
    unnamed = asked(XAI, Hosted("web_search", events="function_call"))
    assert [event["name"] for event in unnamed if event["type"] == "response.function_call_arguments.done"] == [
        "web_search"
    ]


def test_a_search_that_shows_is_billed_and_needs_no_result():
    talk = hosting(XAI, [SHOWN, Say("It is foggy.")], [Say("Anything else?")])
    talk.say("Is it foggy?")
    talk.rest()
    assert talk.session.ledger.hosted_calls == {"x_search": 2}
    talk.say("Thanks.")
    talk.rest()
    assert talk.of("response.done")[-1]["response"]["status"] == "completed"


def test_openai_has_no_such_events():
    search = Hosted("web_search", {"query": "fog"}, "thick", events="function_call")
    assert kinds(asked(OPENAI, Say("One moment."), search, Say("It is foggy."))) == kinds(
        asked(OPENAI, Say("One moment."), SEARCH, Say("It is foggy."))
    )


def test_only_a_search_can_show_as_a_call_of_a_function():
    Scenario.parse("turns: [{reply: [{hosted: {tool: x_search, name: x_user_search, events: function_call}}]}]")
    for bad, told in (
        ("tool: mcp, server: a, name: b, events: function_call", "events"),
        ("tool: x_search, name: x_user_search", "name"),
        ("tool: x_search, events: all", "function_call"),
    ):
        with pytest.raises(ScenarioError, match=told):
            Scenario.parse(f"turns: [{{reply: [{{hosted: {{{bad}}}}}]}}]")


def test_searches_are_billed_by_the_thousand_calls_to_the_cent():
    for service, tools, usd in (
        (XAI, ("web_search", "x_search", "code_interpreter"), "7.50"),
        (XAI, ("file_search", "collections_search"), "2.50"),
        (OPENAI, ("web_search",), "5.00"),
        (OPENAI, ("file_search",), "1.25"),
    ):
        talk = hosting(service, [], [Hosted(tool, calls=500) for tool in tools])
        talk.send("response.create")
        before = talk.session.ledger.exact_usd
        talk.send("response.create")
        talk.rest()
        spent = talk.session.ledger.exact_usd - before
        read = talk.session.ledger.tokens
        if service is XAI:
            assert (spent, read) == (Fraction(Decimal(usd)), {})
        else:
            assert Fraction(Decimal(usd)) <= spent < Fraction(Decimal(usd)) + Fraction(1, 1000)  # and some tokens
        assert talk.session.ledger.hosted_calls == dict.fromkeys(tools, 500)


def test_calls_to_a_server_are_counted_and_free():
    for service in (XAI, OPENAI):
        talk = hosting(service, [ASK])
        talk.send("response.create")
        ledger = talk.session.ledger
        assert ledger.hosted_calls == {"mcp": 1}
        assert ledger.prices.thousand_calls("mcp") == 0


def test_a_tool_without_a_price_is_neither_run_nor_billed():
    talk = hosting(OPENAI, [Hosted("x_search"), Say("Found.")])
    done = talk.send("response.create")[-1]
    assert done["response"]["status"] == "failed"
    assert "no price for hosted tool 'x_search'" in done["response"]["status_details"]["error"]["message"]
    assert talk.session.ledger.hosted_calls == {}
    talk.session.ledger.hosted_calls["x_search"] += 1
    with pytest.raises(UnknownPrice, match="x_search"):
        _ = talk.session.ledger.total_usd


def test_xai_tells_of_a_call_and_goes_on_to_speak():
    events = asked(XAI, Say("One moment."), ASK, Say("It is twelve fifty."))
    shown = kinds(events)
    delta = shown.index("response.mcp_call_arguments.delta")
    assert shown[delta - 1 : delta + 5] == [
        "response.output_item.done",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.mcp_call.completed",
        "response.output_item.added",
    ]
    assert shown.count("response.created") == shown.count("response.done") == 1
    assert [item["content"][0]["transcript"] for item in events[-1]["response"]["output"]] == [
        "One moment.",
        "It is twelve fifty.",
    ]


def test_xai_shows_the_documented_fields_of_a_call():
    argued, whole, going, over = mcp(asked(XAI, ASK))
    common = ["type", "event_id"]
    assert list(argued) == [*common, "response_id", "item_id", "call_id", "delta", "previous_item_id"]
    assert list(whole) == [
        *common,
        "response_id",
        "item_id",
        "call_id",
        "name",
        "arguments",
        "previous_item_id",
    ]
    assert list(going) == list(over) == [*common, "item_id", "output_index", "previous_item_id"]
    assert (whole["name"], argued["delta"], whole["arguments"]) == ("find_invoice", '{"number":7}', '{"number":7}')
    assert len({event["item_id"] for event in (argued, whole, going, over)}) == 1


def test_xai_tells_why_a_call_failed_and_still_speaks():
    events = asked(XAI, BROKEN, Say("I cannot find it."))
    failed = mcp(events)[-1]
    assert failed["type"] == "response.mcp_call.failed"
    assert failed["error"] == {"type": "tool_execution_error", "message": "no such invoice"}
    assert events[-1]["response"]["status"] == "completed"


def test_openai_ends_the_response_before_the_call_is_answered():
    talk = hosting(OPENAI, [ASK, Say("It is twelve fifty.")])
    talk.write("How much is invoice seven?")
    events = talk.send("response.create")
    assert kinds(events) == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.mcp_call_arguments.delta",
        "response.mcp_call_arguments.done",
        "response.mcp_call.in_progress",
        "response.done",
        "response.mcp_call.completed",
        "conversation.item.done",
        "response.output_item.done",
    ]
    assert events[1]["item"]["arguments"] == ""
    done, closed = talk.of("response.done")[0], events[-1]["item"]
    assert list(closed) == [
        "id",
        "type",
        "server_label",
        "name",
        "arguments",
        "approval_request_id",
        "output",
        "error",
    ]
    assert (closed["output"], closed["error"]) == ('{"usd":12.5}', None)
    assert done["response"]["output"] == [{**closed, "output": None}]
    assert list(mcp(events)[-1]) == ["type", "event_id", "output_index", "item_id"]
    assert "".join(event["delta"] for event in talk.of("response.mcp_call_arguments.delta")) == closed["arguments"]


def test_openai_says_the_rest_when_the_client_asks_for_it():
    talk = hosting(OPENAI, [ASK, Say("It is twelve fifty.")])
    talk.write("How much is invoice seven?")
    talk.send("response.create")
    assert "response.created" not in kinds(talk.rest())
    talk.send("response.create")
    assert talk.until("response.done")["response"]["output"][0]["content"][0]["transcript"] == "It is twelve fifty."


def test_what_is_new_comes_before_what_was_left_to_say():
    talk = hosting(OPENAI, [ASK, Say("It is twelve fifty.")], [Say("Never mind, then.")])
    talk.write("How much is invoice seven?")
    talk.send("response.create")
    for words in ("Forget it.", "Bye."):
        talk.write(words)
        talk.send("response.create")
        talk.rest()
    said = [done["response"]["output"][0] for done in talk.of("response.done")[1:]]
    assert [item["content"][0]["transcript"] for item in said] == ["Never mind, then.", "Yes."]


def test_openai_shows_a_failed_call_with_its_error():
    talk = hosting(OPENAI, [BROKEN])
    events = talk.send("response.create")
    assert mcp(events)[-1]["type"] == "response.mcp_call.failed"
    item = events[-1]["item"]
    assert (item["output"], item["error"]) == (None, {"type": "tool_execution_error", "message": "no such invoice"})


def test_openai_counts_a_call_as_output_and_its_result_as_input():
    talk = hosting(OPENAI, [ASK, Say("Done.")])
    talk.send("response.create")
    first = talk.of("response.done")[-1]["response"]["usage"]
    talk.send("response.create")
    second = talk.until("response.done")["response"]["usage"]
    assert first["output_token_details"]["text_tokens"] > 8
    assert second["input_tokens"] > first["input_tokens"] + first["output_tokens"]


def test_a_declared_server_is_asked_for_its_tools_once():
    for service in (XAI, OPENAI):
        talk, events = declare(service, SERVER)
        assert kinds(mcp(events)) == ["mcp_list_tools.in_progress", "mcp_list_tools.completed"]
        kind = {"type": "realtime"} if service is OPENAI else {}
        again = talk.send("session.update", session={**kind, "tools": [SERVER], "instructions": "Be brief."})
        assert kinds(again) == ["session.updated"]
        assert kinds(talk.send("session.update", session={**kind, "tools": [DOWN]}))[-1] == "mcp_list_tools.failed"


def test_xai_lists_after_the_session_is_updated():
    _, events = declare(XAI, SERVER)
    assert kinds(events) == ["session.updated", "mcp_list_tools.in_progress", "mcp_list_tools.completed"]
    assert list(events[1]) == ["type", "event_id", "item_id", "previous_item_id"]
    assert events[1]["item_id"] == events[2]["item_id"]
    assert events[0]["session"]["tools"] == [SERVER]


def test_xai_tells_why_a_server_gave_no_list():
    _, events = declare(XAI, DOWN)
    assert events[-1]["type"] == "mcp_list_tools.failed"
    assert events[-1]["error"] == {"type": "connection_error", "message": "MCP server 'billing' cannot be reached"}


@pytest.mark.parametrize("allowed", [["find_invoice"], {"tool_names": ["find_invoice"]}])
def test_openai_keeps_the_list_as_an_item(allowed: object):
    talk, events = declare(OPENAI, {**SERVER, "allowed_tools": allowed})
    assert kinds(events) == [
        "session.updated",
        "conversation.item.added",
        "mcp_list_tools.in_progress",
        "mcp_list_tools.completed",
        "conversation.item.done",
    ]
    assert events[1]["item"]["tools"] == []
    item = events[-1]["item"]
    assert (item["type"], item["server_label"]) == ("mcp_list_tools", "billing")
    assert [tool["name"] for tool in item["tools"]] == ["find_invoice"]
    retrieved = talk.send("conversation.item.retrieve", item_id=events[2]["item_id"])
    assert retrieved[0]["item"] == item


def test_a_list_that_fails_leaves_its_item_open():
    _, events = declare(OPENAI, DOWN)
    assert kinds(events)[-2:] == ["mcp_list_tools.in_progress", "mcp_list_tools.failed"]
    assert list(events[-1]) == ["type", "event_id", "item_id"]


FILE = """
turns:
  - when: {says: "invoice (?P<number>\\\\d+)"}
    reply:
      - hosted: {tool: mcp, server: billing, name: find, arguments: {number: "{{ number }}"}, result: {usd: 12}}
      - hosted: {tool: web_search, arguments: plain words, result: "{{ results.find.usd }} dollars", calls: 4}
      - say: "It is {{ results.web_search }}."
"""


def test_a_scenario_gives_results_that_later_words_can_use():
    talk = Talk(Scenario.parse(FILE).responder())
    talk.say("What about invoice 7?")
    done = talk.until("response.done")
    assert talk.of("response.mcp_call_arguments.done")[0]["arguments"] == '{"number":"7"}'
    assert done["response"]["output"][0]["content"][0]["transcript"] == "It is 12 dollars."
    assert talk.session.ledger.hosted_calls == {"mcp": 1, "web_search": 4}


def test_the_steps_that_are_left_know_the_result():
    talk = Talk(Scenario.parse(FILE).responder(), dialect="openai")
    talk.say("What about invoice 7?")
    talk.send("response.create")
    done = talk.until("response.done")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "It is 12 dollars."


@pytest.mark.parametrize(
    ("step", "complaint"),
    [
        ("{tool: teleport}", "s:2: sequence[0][0].hosted.tool: expected one of web_search, x_search"),
        ("{arguments: {}}", "s:2: sequence[0][0].hosted: `tool` is missing"),
        (
            "{tool: mcp, name: find}",
            "s:2: sequence[0][0].hosted: mcp needs `server`, the label of the server, and `name`",
        ),
        ("{tool: web_search, server: x}", "s:2: sequence[0][0].hosted: `server`, `name` and `error` belong to mcp"),
        (
            "{tool: mcp, server: x, name: y, result: 1, error: no}",
            "s:2: sequence[0][0].hosted: a call has a `result` or",
        ),
        ("{tool: web_search, calls: -1}", "s:2: sequence[0][0].hosted.calls: "),
        ("{tool: web_search, arguments: 3}", "s:2: sequence[0][0].hosted.arguments: expected a mapping, or a text"),
        ("{tool: web_search, result: '{{ a'}", "s:2: sequence[0][0].hosted.result: bad template"),
        ("{tool: web_search, wishes: 3}", "s:2: sequence[0][0].hosted.wishes: unknown key 'wishes'"),
    ],
)
def test_a_bad_step_is_refused_with_its_place(step: str, complaint: str):
    with pytest.raises(ScenarioError) as refused:
        Scenario.parse(f"sequence:\n  - [{{hosted: {step}}}]\n", source="s")
    assert first_problem(str(refused.value)).startswith(complaint)


def test_python_is_held_to_the_same():
    with pytest.raises(ScenarioError, match=r"^turns\[0\].reply\[0\].hosted.calls: expected 0 or more"):
        Scenario([Rule(Hosted("web_search", calls=-1), When(always=True))])
