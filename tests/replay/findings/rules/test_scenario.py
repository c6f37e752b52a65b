"""Findings about the scenario: what the mock did that no live service would."""

from __future__ import annotations

import pytest

from mockserver.responders.base import Call, Chat, Say
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.server.options import Options
from mockserver.server.service import MockService
from replay.findings.watch import Watcher
from tests.replay.findings.watched_calls import DIALECTS, calling, watched_call

both = pytest.mark.parametrize("dialect", DIALECTS)
LOOK = {"type": "function", "name": "look_up", "description": "Look.", "parameters": {"type": "object"}}


@both
def test_a_call_of_a_function_that_nobody_declared_is_found(dialect: str):
    levels = {"undeclared-call": "warn"}
    with watched_call(dialect, calling("lookup"), update={"tools": [LOOK]}, levels=levels) as call:
        call.say("Monday?")
        call.answer(call.called())
        call.send("response.create")
        call.rest()
    (found,) = call.findings
    assert found.rule == "undeclared-call"
    assert "did you mean 'look_up'?" in found.message


@both
def test_a_call_of_a_declared_function_is_fine(dialect: str):
    levels = {"undeclared-call": "warn"}
    with watched_call(dialect, calling("look_up"), update={"tools": [LOOK]}, levels=levels) as call:
        call.say("Monday?")
        call.answer(call.called())
        call.send("response.create")
        call.rest()
    assert call.rules == []


@both
def test_an_undefined_variable_is_found_with_its_place(dialect: str):
    scenario = Scenario([Rule(Say("Hello {{ nme }}"))])
    with watched_call(dialect, responder=scenario.responder()) as call:
        call.say("Hello.")
        call.rest()
        call.of("error")
    (found,) = call.findings
    assert (found.rule, found.level) == ("scenario-error", "warn")
    assert "turns[0].reply[0].say: 'nme' is undefined" in found.message


@both
def test_a_turn_that_no_rule_answers_is_found(dialect: str):
    responder = Scenario([Rule(Say("Hello."), When(says="hello"))]).responder()
    with watched_call(dialect, responder=responder) as call:
        assert call.watch is not None
        call.watch.call.unmatched = lambda: responder.source.unmatched
        for words in ("hello", "bye", "hello"):
            call.say(words)
            call.rest()
            call.wait(30.0)
    (found,) = call.findings
    assert found.rule == "unmatched-turn"
    assert "no rule answers 'bye'" in found.message


@pytest.mark.parametrize(
    ("rules", "chats", "lines"),
    [
        ([Rule(Say("x")), Rule(Say("y"), When(says="y"))], False, ["turns[1]: "]),
        ([Rule(Say("x"), times=1), Rule(Say("y"), When(says="y"))], False, []),
        ([Rule(Say("x"), When(says="a")), Rule(Say("y"), When(says="a"))], False, ["turns[1]: "]),
        ([Rule(Call("hang_up")), Rule(Say("y"), When(tool="hang_upp"))], False, ["did you mean 'hang_up'?"]),
        ([Rule(Call("hang_up")), Rule(Say("y"), When(tool="hang_up"))], False, []),
        ([Rule(Call("hang_up")), Rule(Say("y"), When(tool="other"))], True, []),
        ([Rule(Chat()), Rule(Say("y"), When(tool="other"))], False, []),
        ([Rule(Say("x")), Rule(Say("y"), When(silence=True))], False, []),
    ],
)
def test_rules_that_no_turn_can_reach(rules: list[Rule], chats: bool, lines: list[str]):
    found = Scenario(rules).unreachable(chats=chats)
    assert len(found) == len(lines)
    for line, part in zip(found, lines, strict=True):
        assert part in line


def test_a_finding_about_a_scenario_has_no_frame():

    service = MockService(Options(voice="tone"))
    service.play(Scenario([Rule(Say("x")), Rule(Say("y"), When(says="y"))]))
    assert isinstance(service.watcher, Watcher)
    (found,) = service.watcher.findings
    assert (found.rule, found.frame, found.session) == ("unreachable-rule", None, "")
