"""When a rule answers, what it remembers, and what its templates make of what nobody has said."""

from __future__ import annotations

import json
from datetime import date

import pytest

from mockserver.responders.base import Call, Fail, Result, Say, Step, Turn
from mockserver.responders.scenario import Rule, Scenario, ScenarioError, When
from mockserver.responders.scripted import UNMATCHED, ScenarioResponder
from tests.mockserver.refusals import first_problem

TODAY = date(2026, 7, 1)


def talk(text: str) -> ScenarioResponder:
    return Scenario.parse(text, source="clinic.yaml").responder(today=TODAY)


def answer(
    rules: ScenarioResponder, says: str | None = None, *results: tuple[str, object], instructions: str = ""
) -> list[Step]:
    came = tuple(Result(name, json.dumps(output)) for name, output in results)
    return list(rules.reply(Turn(0, says, came, instructions=instructions)))


def said(
    rules: ScenarioResponder, says: str | None = None, *results: tuple[str, object], instructions: str = ""
) -> str:
    return " ".join(
        step.text if isinstance(step, Say) else str(step)
        for step in answer(rules, says, *results, instructions=instructions)
    )


BOOKING = """
captures:
  service: {choice: {dental cleaning: [cleaning], vaccination: [shot]}}
  day: date
  at: time
  who: name
turns:
  - when: {known: [service, day, at, who]}
    reply:
      - call:
          name: book
          arguments: {service: "{{ service }}", date: "{{ day }}", time: "{{ at }}", name: "{{ who }}"}
  - when: {known: [service, day], not: {known: [at]}}
    reply: [{say: "At what time on {{ day | spoken_date }}?"}]
  - when: {captures: [at]}
    reply: [{say: "{{ at | spoken_time }}, and your name?"}]
  - reply: [{say: "{{ service or 'What' }} on {{ day or 'which day' }}?"}]
"""


def test_what_was_said_is_remembered_in_any_order_and_the_last_word_counts():
    rules = talk(BOOKING)
    assert said(rules, "Hello") == "What on which day?"
    assert said(rules, "A cleaning, please") == "dental cleaning on which day?"
    assert said(rules, "On Monday") == "At what time on July sixth?"
    assert said(rules, "No, make that the seventh of July") == "At what time on July seventh?"
    assert said(rules, "Half past nine") == "half past nine, and your name?"
    booked = {"service": "dental cleaning", "date": "2026-07-07", "time": "09:30", "name": "Maria Lopez"}
    assert answer(rules, "My name is Maria Lopez") == [Call("book", booked)]


def test_a_template_knows_today_and_counts_days_from_it():
    rules = talk('turns: [{reply: [{say: "{{ today }} {{ today | days_later(30) }}"}]}]')
    assert said(rules, "hi") == "2026-07-01 2026-07-31"
    rules = talk('turns: [{remember: {today: rain}, reply: [{say: "{{ today }}"}]}]')
    assert said(rules, "hi") == "rain"


def test_each_connection_remembers_for_itself():
    scenario = Scenario.parse(BOOKING)
    first, second = scenario.responder(today=TODAY), scenario.responder(today=TODAY)
    assert said(first, "A shot") == "vaccination on which day?"
    assert said(second, "Hello") == "What on which day?"


def test_a_rule_s_own_captures_are_required_and_remembered():
    rules = talk("""
turns:
  - when: {says: book, captures: {day: date, party: number}}
    reply: [{say: "{{ party }} on {{ day }}"}]
  - when: {says: book}
    reply: [{say: "{{ day or 'when' }}?"}]
""")
    assert said(rules, "Book it") == "when?"
    assert said(rules, "Book a table for four on July sixth") == "4 on 2026-07-06"
    assert said(rules, "Book it") == "2026-07-06?"


def test_a_rule_remembers_and_forgets_before_its_steps():
    rules = talk("""
turns:
  - when: {tool: book}
    remember: {reference: "{{ result.reference }}", slots: "{{ result.slots }}", done: true}
    reply: [{say: "{{ reference }} {{ slots[1] }}"}]
  - when: {says: cancel, known: {done: true}}
    forget: [reference, done]
    reply: [{say: "{{ 'still ' ~ reference if reference else 'cancelled' }}"}]
  - when: {says: cancel}
    remember: {asked: "{{ none }}"}
    reply: [{say: "{% if asked %}asked{% else %}Which one?{% endif %}"}]
""")
    assert said(rules, "cancel") == "Which one?"
    assert said(rules, None, ("book", {"reference": "DC-1", "slots": ["09:30", "11:00"]})) == "DC-1 11:00"
    assert said(rules, "cancel") == "cancelled"
    assert said(rules, "cancel") == "Which one?"


def test_any_and_not_are_conditions_in_conditions():
    rules = talk(
        """
turns:
  - when:
      any: [{says: "my (?P<what>book)"}, {captures: {day: date}}]
      not: {says: cancel}
    reply: [{say: "{{ what or day }}"}]
  - when: {any: [{tool: a}, {tool: b, failed: true}]}
    reply: [{say: "event"}]
  - reply: [{say: "other"}]
""".replace("{{ what or day }}", "{{ what | default(day) }}")
    )
    assert said(rules, "my book") == "book"
    assert said(rules, "on Monday") == "2026-07-06"
    assert said(rules, "cancel Monday") == "other"
    assert said(rules, None, ("a", {})) == said(rules, None, ("b", {"error": "x"})) == "event"
    assert said(rules, None, ("b", {})) == "other"


def test_the_instructions_of_a_response_are_a_condition():
    rules = talk("""
turns:
  - when: {instructions: "greet the caller", not: {says: ""}}
    reply: [{say: "Good morning!"}]
  - reply: [{say: "Yes?"}]
""")
    assert said(rules, instructions="Please GREET the caller.") == "Good morning!"
    assert said(rules, "hello", instructions="greet the caller") == said(rules) == "Yes?"


def test_a_failed_tool_has_a_branch_of_its_own():
    rules = talk("""
turns:
  - when: {tool: book, failed: not free}
    reply: [{say: "Another time?"}]
  - when: {tool: book, failed: true}
    reply: [{say: "Sorry."}]
  - when: {tool: book, failed: false}
    reply: [{say: "Booked."}]
""")
    assert said(rules, None, ("book", {"error": "09:30 is NOT free"})) == "Another time?"
    assert said(rules, None, ("book", {"error": "out of order"})) == "Sorry."
    assert said(rules, None, ("book", {"error": None})) == said(rules, None, ("book", "fine")) == "Booked."


def test_a_key_that_is_missing_is_untrue_in_an_if_and_an_error_where_it_is_printed():
    rules = talk("""
turns:
  - when: {tool: book}
    reply:
      - say: "{% if result.error %}no{% elif result.status == 'late' or result.status != 'ok' %}yes{% endif %}"
  - when: {tool: print}
    reply: [{say: "{{ result.error }}"}]
  - when: {says: typo}
    reply: [{say: "{% if resutl %}a{% endif %}"}]
  - when: {says: unsaid, not: {captures: {day: date}}}
    remember: {late: "{{ none }}"}
    reply: [{say: "{% if late %}a{% endif %}{{ late }}"}]
""")
    assert said(rules, None, ("book", {"reference": 7})) == said(rules, None, ("book", "text")) == "yes"
    place = "clinic.yaml:7: turns[1].reply[0].say: "
    assert answer(rules, None, ("print", {})) == [
        Fail("scenario_error", f"{place}'dict object' has no attribute 'error'")
    ]
    assert isinstance(answer(rules, "typo")[0], Fail)
    [unsaid] = answer(rules, "unsaid")
    assert isinstance(unsaid, Fail) and unsaid.message.endswith("nothing is remembered as 'late' yet")


def test_what_cannot_be_remembered_ends_the_response():
    rules = talk("turns: [{when: {says: a}, remember: {x: '{{ nothing }}'}, reply: [{say: b}]}]")
    assert answer(rules, "a") == [Fail("scenario_error", "clinic.yaml:1: turns[0].remember.x: 'nothing' is undefined")]


@pytest.mark.parametrize(
    ("today", "day"),
    [
        ("", "2026-07-02"),
        ("today: 2026-12-31", "2027-01-01"),
        ('today: {instructions: "today is (\\\\S+)"}', "2026-09-02"),
        ('today: {instructions: "it is (\\\\S+)"}', "2026-07-02"),
        ('today: {instructions: "(is) 2026"}', "2026-07-02"),
    ],
)
def test_today_is_the_scenario_s_or_the_instructions_or_the_server_s(today: str, day: str):
    rules = talk(f"{today}\nturns: [{{when: {{captures: {{day: date}}}}, reply: [{{say: '{{{{ day }}}}'}}]}}]")
    assert said(rules, "tomorrow", instructions="Be brief. Today is 2026-09-01") == day


def test_a_sequence_captures_as_well():
    rules = talk("captures: {day: date}\nsequence:\n- [{say: '{{ day }}'}]\n- [{say: '{{ day }}'}]\n")
    assert [said(rules, "Monday"), said(rules, "fine")] == ["2026-07-06", "2026-07-06"]


def test_a_file_with_conditions_reads_as_the_rules_one_would_write_in_python():
    file = Scenario.parse("""
captures: {day: date}
today: 2026-07-01
turns:
  - when:
      captures: [day]
      known: {intent: move}
      instructions: clinic
      not: {says: a}
      any: [{tool: b, failed: true}, {captures: {n: number}}]
    remember: {intent: move}
    forget: [day]
    reply: []
""")
    when = When(
        captures=["day"],
        known={"intent": "move"},
        instructions="clinic",
        unless=When(says="a"),
        any=(When(tool="b", failed=True), When(captures={"n": "number"})),
    )
    rule = Rule([], when, remember={"intent": "move"}, forget=("day",))
    assert file == Scenario([rule], captures={"day": "date"}, today=TODAY)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (
            "captures:\n  day: datum\nturns: []",
            "clinic.yaml:2: captures.day: expected date, time, number, name, bare name, {choice: [WORDS, …]} or "
            "{code: SHAPE}, got the text 'datum'",
        ),
        (
            "captures: {says: date}\nturns: []",
            "clinic.yaml:1: captures.says: 'says' is a variable already; choose another",
        ),
        (
            "captures: {a day: date}\nturns: []",
            "clinic.yaml:1: captures.a day: expected a name of letters, figures and _, got 'a day'",
        ),
        (
            "captures: {day: date}\nturns:\n- when: {captures: [dya]}\n  reply: []",
            "clinic.yaml:3: turns[0].when.captures[0]: nothing captures 'dya'; the scenario captures day; "
            "or give it a kind here",
        ),
        (
            "turns:\n- when: {captures: day}\n  reply: []",
            "clinic.yaml:2: turns[0].when.captures: expected a list of names, or a mapping of names to what each is, "
            "such as {day: date}",
        ),
        (
            "turns:\n- when: {known: [day]}\n  remember: {dya: 1}\n  reply: []",
            "clinic.yaml:2: turns[0].when.known[0]: nothing remembers 'day'; did you mean 'dya'?",
        ),
        (
            "turns:\n- when: {known: {day: 1}}\n  reply: []",
            "clinic.yaml:2: turns[0].when.known.day: nothing remembers 'day'; give it to `captures` or `remember`",
        ),
        (
            "turns:\n- when: {failed: true}\n  reply: []",
            "clinic.yaml:2: turns[0].when.failed: whose result? Give `tool` beside it",
        ),
        (
            "turns:\n- when: {tool: a, failed: 7}\n  reply: []",
            "clinic.yaml:2: turns[0].when.failed: expected true, false or a pattern that the error's text has",
        ),
        (
            "turns:\n- when:\n    not: {says: '('}\n  reply: []",
            "clinic.yaml:3: turns[0].when.not.says: bad pattern at character 1: missing ), unterminated "
            "subpattern; to match a bracket itself, write a backslash before it, such as '\\(' in single quotes",
        ),
        (
            "turns:\n- when:\n    nott: {says: a}\n  reply: []",
            "clinic.yaml:3: turns[0].when.nott: unknown key 'nott'; did you mean 'not'?",
        ),
        ("turns:\n- {forget: [a], reply: []}", "clinic.yaml:2: turns[0].forget[0]: nothing remembers 'a'"),
        (
            "turns:\n- {remember: {result: 1}, reply: []}",
            "clinic.yaml:2: turns[0].remember.result: 'result' is a variable already; choose another",
        ),
        (
            "today: July\nturns: []",
            "clinic.yaml:1: today: expected a date such as 2026-07-01, or {instructions: PATTERN} with the date in its "
            "first group",
        ),
        (
            "today: {instructions: today}\nturns: []",
            r"clinic.yaml:1: today: expected a pattern with the date in a group, such as (\d{4}-\d\d-\d\d)",
        ),
    ],
)
def test_a_refusal_names_the_line_the_place_and_what_to_write(text: str, complaint: str):
    with pytest.raises(ScenarioError) as refused:
        talk(text)
    assert first_problem(str(refused.value)) == complaint


def test_a_when_that_is_none_is_refused():
    with pytest.raises(ScenarioError, match="expected a When, got str"):
        Scenario([Rule(Say("a"), When(any=["says"]))])  # type: ignore[list-item]


def test_a_turn_that_no_condition_fits_gets_the_neutral_line():
    assert said(talk("turns: [{when: {captures: {day: date}}, reply: []}]"), "hello") == UNMATCHED
