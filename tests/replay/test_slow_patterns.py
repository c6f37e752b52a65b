"""Patterns that a hostile text makes slow are refused with their slow part; ordinary patterns are not."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from mockserver.responders.base import Say, Turn
from mockserver.responders.conditions import MATCHED_CHARACTERS, MATCHED_INSTRUCTIONS
from mockserver.responders.scenario import Rule, Scenario, ScenarioError, When
from mockserver.responders.scripted import UNMATCHED
from replay.slow_patterns import slow_part

ROOT = Path(__file__).parents[2]

DOUBLES = {  # by their slow part
    "(a+)+$": "(a+)+",
    "(a|aa)*b": "(a|aa)*",
    "yes (.*a){20}": "(.*a){20}",
    r"(\w+\s*)+$": r"(\w+\s*)+",
    r"^(\w+\s?)*$": r"(\w+\s?)*",
    "(a*)*b": "(a*)*",
    "(a|a)*b": "(a|a)*",
    "(?:b?a(?:b?){0,3}a)*d": "(?:b?a(?:b?){0,3}a)*",
    "(a+b?)+c": "(a+b?)+",
    "(?:a|ab|b)*c": "(?:a|ab|b)*",
    "([a-z]+)*1": "([a-z]+)*",
    "(x+x+)+y": "(x+x+)+",
    "(.*)*x": "(.*)*",
    "(.*,)*x": "(.*,)*",
    "(?:a{1,50}){1,50}b": "(?:a{1,50}){1,50}",
    "(?=(a+)+b)x": "(a+)+",
    r"(\d+\.?)+x": r"(\d+\.?)+",
    "(?P<name>(?:[a-z]+ ?)+) here": "(?:[a-z]+ ?)+",
    "(?:book|cancel (?:it)?(?: |it)*)+ x": "(?:book|cancel (?:it)?(?: |it)*)+",
    r"[(](?:\)+)+x": r"(?:\)+)+",
    "(?:(?=(a+)+b)x)*": "(a+)+",
    "(?i:(A|a+))*b": "(?i:(A|a+))*",
    "((?:ab|a|b)+?)x": "(?:ab|a|b)+?",
    r"(a)(?:\1|a)*b": r"(a)(?:\1|a)*b",  # a group that refers to another one is not named alone
}
MULTIPLIES = [
    ".*a.*b.*c",
    "a.*b.*c",
    "a.*b.*c.*d",
    "book.*dental.*monday.*nine",
    r"\w*\w*\w*\w*x",
    r"\s+\s+\s+x",
    "(.*a){5}b",
    "(?:.*a){3}b",
    "a(?:bba){0,3}a+a*aba*d",
    r".*\d+.*\d+x",
    "(?:x.*)?(?:y.*)?(?:z.*)?.*a",
    r"(?:[a-z]*|\d*\d*)[a-z]*[a-z]*x",  # behind alternatives
    "(?:x.*|y.*|z.*)?.*a.*b",
    r"(.*)\1x",
    r"(\w*)\1\1x",
    r"(?:, \w+)*(\w+)(?:, \1)*x",
]
ORDINARY = [
    "",
    ".*",
    "yes",
    "a+b",
    "(a+b)+c",
    r"(\w+ )*x",
    r"(?:is |are |really )*hurt",
    "(a|b)+c",
    ".*book.*",
    ".*book",
    "yes.*no",
    "yes.*monday.*nine",
    r"\w+ \w+ \w+",
    r"(?:, \w+)*x",
    r"(?:\w+[ ,]+)+please",
    r"\d{4}-\d{2}-\d{2}",
    r"(?:um|uh|so|sorry)* x",
    r"(?:\d{2})*x",
    "^(?=.*red)(?=.*blue)(?=.*green)",
    r"^\W*(?:no|nope)\W*$",
    r"thank(?:s| you)\W*(?:so much)?\W*$",
    "[^,]*,[^,]*,x",
    r"(\w+)@(\w+)\.com",
    r"\(unintelligible\)",
    r"(?:can.?t)(?: \w+){0,2} breath",
    r"dental cleaning.*\d{4}-\d{2}",
    r"my name is (\w+(?: \w+)*)",
    "(a|b).{0,30}c.{0,30}d",
    r"\b(?:move|reschedul\w*)\b.*\b(?:it|that)\b",
    r"(?:\d{3}[- ]?)+x",
    r"(?P<word>\w)(?P=word)",
    r"\b(\w+) \1\b",
    r"([\"']).*?\1",
    r"<(\w+)>.*</\1>",
    r"(?:(\d)\1-)+x",
    "é+日",
]


@pytest.mark.parametrize(("pattern", "part"), DOUBLES.items())
def test_a_loop_with_two_ways_for_one_text_is_refused_with_its_part(pattern, part):
    slow = slow_part(pattern, MATCHED_CHARACTERS)
    assert slow is not None and slow.startswith(f"{part} can match one text in very many ways")


@pytest.mark.parametrize("pattern", MULTIPLIES)
def test_repetitions_that_match_one_another_s_text_are_refused(pattern):
    assert "match one another's text" in (slow_part(pattern, MATCHED_CHARACTERS) or "")


@pytest.mark.parametrize("pattern", ORDINARY)
def test_an_ordinary_pattern_is_allowed(pattern):
    assert slow_part(pattern, MATCHED_CHARACTERS) is None


def test_a_needless_beginning_is_told_with_the_pattern_without_it():
    assert (slow_part(".*?yes.*no", MATCHED_CHARACTERS) or "").endswith("changes nothing; write yes.*no")


def test_a_longer_text_allows_fewer_patterns():
    assert slow_part(".*greet", MATCHED_CHARACTERS) is None
    assert (slow_part(".*greet", MATCHED_INSTRUCTIONS) or "").endswith("write greet")


@pytest.mark.parametrize("name", sorted(map(str, (ROOT / "cassettes/scenarios").glob("*.yaml"))))
def test_the_packaged_scenarios_are_allowed(name):
    Scenario.load(name)


@pytest.mark.parametrize("key", ["says", "instructions", "failed"])
def test_a_scenario_with_a_slow_pattern_is_refused_with_its_line(key):
    beside = "tool: book, " if key == "failed" else ""
    text = f"turns:\n  - when: {{{beside}{key}: '(a+)+$'}}\n    reply: [{{say: hi}}]\n"
    with pytest.raises(ScenarioError, match=rf"a\.yaml:2:\d+: .*{key}: slow pattern: \(a\+\)\+ can match"):
        Scenario.parse(text, source="a.yaml")


def test_a_slow_pattern_of_the_day_is_refused():
    with pytest.raises(ScenarioError, match="today: slow pattern"):
        Scenario.parse("today: {instructions: '((a+)+)b'}\nturns: [{reply: [{say: hi}]}]")


def test_a_pattern_matches_the_beginning_of_a_long_text():
    rules = Scenario([Rule(Say("found"), When(says="needle"))]).responder(today=date(2026, 7, 1))
    last = "x" * (MATCHED_CHARACTERS - len("needle")) + "needle"
    assert list(rules.reply(Turn(0, last))) == [Say("found")]
    assert list(rules.reply(Turn(1, "x" + last))) == [Say(UNMATCHED)]
