"""Following a scenario: which rule answers, what its templates see, what happens when none does."""

from __future__ import annotations

import json
from pathlib import Path
from time import perf_counter_ns

import pytest

from mockserver.responders.base import UNINTELLIGIBLE, Call, Fail, Result, Say, Step, Turn
from mockserver.responders.scenario import Rule, Scenario, When
from mockserver.responders.scripted import MAX_UNMATCHED, UNMATCHED, ScenarioResponder

AVAILABILITY = Path(__file__).resolve().parents[3] / "cassettes" / "scenarios" / "examples" / "availability.yaml"


def typed(text: str, number: int = 0) -> Turn:
    return Turn(number, text)


def returned(*results: tuple[str, object], says: str | None = None) -> Turn:
    return Turn(1, says, tuple(Result(name, json.dumps(output)) for name, output in results))


def answer(responder: ScenarioResponder, turn: Turn) -> list[Step]:
    return list(responder.reply(turn))


def said(responder: ScenarioResponder, turn: Turn) -> str:
    [step] = answer(responder, turn)
    assert isinstance(step, Say)
    return step.text


def saying(template: str, pattern: str | None = None) -> ScenarioResponder:
    """A responder with one rule of one text."""
    return Scenario([Rule(Say(template), None if pattern is None else When(says=pattern))]).responder()


def test_the_first_rule_that_matches_answers_whatever_the_case():
    responder = Scenario([Rule(Say("one"), When(says="dental")), Rule(Say("two"), When(says="clean"))]).responder()
    assert said(responder, typed("A DENTAL cleaning")) == "one"
    assert said(responder, typed("Just cleaning")) == "two"


def test_a_rule_for_words_never_answers_a_turn_without_words():
    responder = Scenario([Rule(Say("words"), When(says="")), Rule(Say("anything"))]).responder()
    assert said(responder, Turn(0, None)) == "anything"
    assert said(responder, Turn(1, "")) == "words"


def test_a_rule_for_anything_does_not_swallow_the_result_or_silence_another_rule_waits_for():
    responder = Scenario(
        [Rule(Say("anything")), Rule(Say("found"), When(tool="find")), Rule(Say("hello?"), When(silence=True))]
    ).responder()
    assert said(responder, returned(("find", {}))) == "found"
    assert said(responder, returned(("find", {}), says="And hurry")) == "found"
    assert said(responder, returned(("book", {}))) == "anything"
    assert said(responder, Turn(2, None, silence=True)) == "hello?"


def test_all_conditions_of_a_rule_must_hold():
    responder = Scenario(
        [Rule(Say("both"), When(says="quick", tool="find")), Rule(Say("other"), When(always=True))]
    ).responder()
    assert said(responder, returned(("find", {}))) == "other"
    assert said(responder, typed("quick")) == "other"
    assert said(responder, returned(("find", {}), says="quick")) == "both"


def test_a_rule_with_times_gives_way_when_it_is_used_up():
    responder = Scenario([Rule(Say("Good morning!"), times=1), Rule(Say("Yes?"))]).responder()
    assert [said(responder, typed("hi", n)) for n in range(3)] == ["Good morning!", "Yes?", "Yes?"]


def test_a_sequence_answers_in_order_whatever_is_said():
    responder = Scenario(sequence=[Say("one"), [Say("two"), Call("x")]]).responder()
    assert answer(responder, typed("a")) == [Say("one")]
    assert answer(responder, Turn(1, None)) == [Say("two"), Call("x")]


def test_each_connection_starts_its_sequence_anew():
    scenario = Scenario(sequence=[Say("one"), Say("two")])
    assert [said(scenario.responder(), typed("a")) for _ in range(2)] == ["one", "one"]


def test_what_was_heard_belongs_to_the_spoken_turns_in_file_order():
    responder = Scenario([Rule(Say("a"), heard="first"), Rule(Say("b")), Rule(Say("c"), heard="second")]).responder()
    assert [responder.hear(n) for n in range(3)] == ["first", "second", None]
    sequence = Scenario(sequence=[Say("Hi"), Rule(Say("b"), heard="first")]).responder()
    assert [sequence.hear(n) for n in range(2)] == ["first", None]


def test_groups_of_the_pattern_fill_the_answer_and_one_that_took_no_part_is_undefined():
    responder = saying(
        "{{ day }}/{{ match[1] }}/{{ match[0] }}/{{ hour | default('noon') }}", r"on (?P<day>\w+)(?: at (?P<hour>\d+))?"
    )
    assert said(responder, typed("ON Monday, please")) == "Monday/Monday/ON Monday/noon"


def test_the_result_of_a_tool_is_read_as_json_and_its_keys_come_before_methods():
    responder = saying("{{ result.items | join(' or ') }}")
    assert said(responder, returned(("find", {"items": ["ten", "two"]}))) == "ten or two"


def test_a_result_that_is_no_json_stays_a_text():
    assert said(saying("It says {{ result }}"), Turn(0, None, (Result("", "all good"),))) == "It says all good"
    hostile = "[" * 100_000
    assert said(saying("{{ result | length }}"), Turn(0, None, (Result("", hostile),))) == "100000"


def test_of_several_results_the_rule_sees_its_own_and_all_by_name():
    responder = Scenario([Rule(Say("{{ result }} {{ results.b }} {{ results['a'] }}"), When(tool="a"))]).responder()
    assert said(responder, returned(("a", 1), ("b", 2))) == "1 2 1"
    assert said(saying("{{ result }}"), returned(("a", 1), ("b", 2))) == "2"


def test_results_and_arguments_are_remembered_through_the_connection():
    find = Rule(Call("find", {"day": "{{ match[0] }}"}), When(says="monday|tuesday"))
    found = Rule(Say("{{ arguments.day }}: {{ result.slot }}"), When(tool="find"))
    responder = Scenario([find, found, Rule(Say("{{ calls.find.day }} at {{ results.find.slot }}"))]).responder()
    assert answer(responder, typed("Tuesday")) == [Call("find", {"day": "Tuesday"})]
    assert said(responder, returned(("find", {"slot": "ten"}))) == "Tuesday: ten"
    assert said(responder, typed("yes")) == "Tuesday at ten"


def test_an_argument_that_is_one_expression_keeps_its_json_type():
    arguments = {
        "n": "{{ result.n }}",
        "text": "{{ match[0] }}",
        "deep": [{"all": " {{- result.slots | map('upper') -}} "}],
        "mixed": "{{ result.n }}{{ result.n }}",
        "negative": "{{ -result.n }}",
        "{{ key }}": True,
    }
    responder = Scenario([Rule(Call("x", arguments), When(says=r"\d+"))]).responder()
    [call] = answer(responder, returned(("find", {"n": 3, "slots": ["a"]}), says="take 10"))
    filled = {"n": 3, "text": "10", "deep": [{"all": ["A"]}], "mixed": "33", "negative": -3, "{{ key }}": True}
    assert call == Call("x", filled)


def test_arguments_given_as_text_are_sent_as_they_are_even_when_they_are_broken():
    assert answer(Scenario([Rule(Call("x", '{"a": '))]).responder(), typed("go")) == [Call("x", '{"a": ')]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ date }}", "'date' is undefined"),
        ("{{ turn.number / 0 }}", "division by zero"),
        ("{{ says.__class__ }}", "access to attribute '__class__' of 'str' object is unsafe."),
        ("{% include 'secrets' %}", "no loader for this environment specified"),
    ],
)
def test_a_template_that_fails_ends_the_response_honestly_with_its_place(template: str, reason: str):
    text = f'turns:\n  - reply:\n      - say: "One"\n      - say: "{template}"\n      - say: "Three"\n'
    responder = Scenario.parse(text, source="booking.yaml").responder()
    failure = Fail("scenario_error", f"booking.yaml:4: turns[0].reply[1].say: {reason}")
    assert answer(responder, typed("hi")) == [Say("One"), failure]


def test_an_undefined_argument_fails_too_and_is_not_sent_as_null():
    [failed] = answer(Scenario([Rule(Call("x", {"day": "{{ day }}"}))]).responder(), typed("hi"))
    assert failed == Fail("scenario_error", "turns[0].reply[0].call.arguments.day: 'day' is undefined")


def test_a_template_cannot_change_what_it_is_given():
    responder = saying("{{ results.clear() }}")
    [failed] = answer(responder, returned(("find", 1)))
    assert isinstance(failed, Fail)
    assert "unsafe" in failed.message


def test_arguments_that_become_no_mapping_fail_before_they_are_sent():
    [failed] = answer(Scenario([Rule(Call("x", "{{ [1] }}"))]).responder(), typed("hi"))
    assert failed == Fail("scenario_error", "turns[0].reply[0].call.arguments: expected a mapping or a text, got list")


def test_steps_are_made_one_by_one_so_that_an_early_one_is_not_held_up():
    steps = iter(saying("{{ 1 / 0 }}").reply(typed("hi")))
    assert isinstance(next(steps), Fail)
    responder = Scenario([Rule([Call("x", {"a": 1}), Say("{{ calls.x.a }}")])]).responder()
    assert answer(responder, typed("hi")) == [Call("x", {"a": 1}), Say("1")]


@pytest.mark.parametrize(
    ("turn", "reason"),
    [
        (Turn(2, "hello"), "response 3: no rule answers 'hello'; add one, or a last rule without `when`"),
        (Turn(0, None), "response 1: no rule answers a turn without words; add one, or a last rule without `when`"),
        (
            Turn(0, None, silence=True),
            "response 1: no rule answers silence; add one, or a last rule without `when`",
        ),
        (
            Turn(0, "so", (Result("book", ""), Result("", ""))),
            "response 1: no rule answers 'so' and the result of book and the result of an unknown call; "
            "add one, or a last rule without `when`",
        ),
    ],
)
def test_a_turn_that_no_rule_answers_gets_a_neutral_line_and_is_kept_with_the_reason(turn: Turn, reason: str):
    responder = saying("never", "dental")
    assert answer(responder, turn) == [Say(UNMATCHED)]
    assert responder.tally.unmatched == [reason]


def test_after_its_end_a_sequence_says_so_and_keeps_only_the_first_hundred_reasons():
    responder = Scenario(sequence=[Say("one")]).responder()
    spoken = [said(responder, typed("a", n)) for n in range(MAX_UNMATCHED + 5)]
    assert spoken[:3] == ["one", UNMATCHED, UNMATCHED]
    assert responder.tally.unmatched[0] == "response 2: the sequence is over, all of its 1 entries are used; add one"
    assert len(responder.tally.unmatched) == MAX_UNMATCHED


def test_rules_that_never_answered_are_named_by_their_place():
    responder = Scenario.parse("turns:\n- when: {says: a}\n  reply: []\n- reply: []\n", source="a.yaml").responder()
    answer(responder, typed("b"))
    assert responder.tally.unserved == ["a.yaml:2: turns[0]"]
    assert responder.uses == [0, 1]


def test_a_last_rule_that_answers_anything_is_not_expected_to_answer():
    for spare in (None, When(always=True)):
        scenario = Scenario([Rule(Say("a"), When(says="a")), Rule(Say("b"), spare)])
        assert scenario.tally().unused() == ["turns[0] never answered"]
    assert Scenario([Rule(Say("b"))]).tally().unused() == ["turns[0] never answered"]


def test_a_tally_counts_over_all_connections_and_names_turns_without_an_answer():
    scenario = Scenario(sequence=[Say("one"), Say("two"), Say("three")])
    tally = scenario.tally()
    for asked in (1, 2):
        responder = scenario.responder(tally)
        for number in range(asked):
            answer(responder, typed("a", number))
    assert tally.uses == [2, 1, 0]
    assert tally.unused() == ["sequence[2] was never reached"]


def test_speech_that_was_not_understood_can_be_asked_for_again():
    responder = saying("Once more?", r"\(unintelligible\)")
    assert said(responder, Turn(0, UNINTELLIGIBLE, spoken=True)) == "Once more?"


def test_a_request_becomes_a_tool_call_and_its_result_is_read_back():
    responder = Scenario.load(AVAILABILITY).responder()
    asked = answer(responder, typed("I would like a dental cleaning on 2026-12-01"))
    assert asked == [Call("check_availability", {"service": "dental cleaning", "date": "2026-12-01"})]
    told = said(responder, returned(("check_availability", {"slots": ["10:00", "14:30"]})))
    assert told == "On 2026-12-01 I have 10:00 and 14:30. Which one suits you?"


def test_a_long_story_is_long_enough_to_be_interrupted():
    story = said(Scenario.load(AVAILABILITY).responder(), typed("Please tell me a very long story about a dentist."))
    assert len(story.split()) > 600


def test_a_simple_rule_costs_less_than_twenty_microseconds():
    responder, turn = (
        Scenario([Rule(Say("no"), When(says="dental")), Rule(Say("yes"), When(says="hello"))]).responder(),
        typed("hello"),
    )

    def best_of_ten_ns() -> int:
        start = perf_counter_ns()
        for _ in range(10):
            answer(responder, turn)
        return perf_counter_ns() - start

    assert min(best_of_ten_ns() for _ in range(200)) / 10 < 20_000
