"""Errors of files: all at once, each with line, column, what was found, and the lines that would be right."""

from __future__ import annotations

import pytest

from mockserver.documents.problems import DocumentError
from mockserver.faults import files
from mockserver.faults.kinds import Delay, Stall
from mockserver.responders.base import Pause
from mockserver.responders.scenario import Rule, Scenario, ScenarioError

# A scenario with mistakes of syntax, form, patterns, templates and names.
MANY = r"""
name: many
rules:
  - when: hello
    reply: "Hello"
  - when: {says: "\d+"}
    reply:
      - say: {{ x }}
      - say: Note: call me
      - pause: 500
      - fail: {code: 503}
  - when: {says: '(?<day>\w+)', tol: book}
    then:
      - "hi"
      - {say: "{{ a"}
      - {say: "{{ a | spoken_dat }}"}
hearing: scrpt
"""


def refused(text: str) -> list[tuple[int, int, str, tuple[str, ...]]]:
    with pytest.raises(ScenarioError) as caught:
        Scenario.parse(text, "s.yaml")
    return [(each.line, each.column, each.head, each.fix) for each in caught.value.problems]


def test_all_mistakes_of_a_file_are_told_at_once_with_line_and_column():
    found = refused(MANY)
    assert [(line, column) for line, column, _, _ in found] == [
        (3, 1),
        (4, 11),
        (5, 12),
        (6, 19),
        (8, 14),
        (9, 14),
        (10, 16),
        (11, 22),
        (12, 18),
        (12, 33),
        (13, 5),
        (14, 9),
        (15, 15),
        (16, 15),
        (17, 10),
    ]


@pytest.mark.parametrize(
    ("line", "told", "fix"),
    [
        (3, "rules: unknown key 'rules'; did you mean 'turns'?", ("turns:",)),
        (4, "expected a mapping, got the text 'hello'", ('when: {says: "hello"}',)),
        (5, "expected a list of steps, got the text 'Hello'", ("reply:", '  - say: "Hello"')),
        (6, r"\d in double quotes is no escape", (r"- when: {says: '\d+'}", r'- when: {says: "\\d+"}')),
        (8, "a text that begins with a template needs quotes", ('- say: "{{ x }}"',)),
        (9, "a text with a colon in it needs quotes", ('- say: "Note: call me"',)),
        (10, "500 of what? A time needs its unit", ("pause: 500ms", "pause: {ms: 500}")),
        (11, "503 is an HTTP status", ("fail: {code: server_error}", "faults: [{at: handshake, do: {status: 503}}]")),
        (12, "(?<name>...) is JavaScript; Python writes a named group (?P<name>...)", (r"says: '(?P<day>\w+)'",)),
        (13, "unknown key 'then'; did you mean 'reply'?", ()),
        (14, "expected a mapping, got the text 'hi'", ('- say: "hi"',)),
        (16, "there is no filter 'spoken_dat'; did you mean 'spoken_date'?", ()),
        (17, "expected 'auto' or 'script', got the text 'scrpt'; did you mean 'script'?", ()),
    ],
)
def test_a_mistake_is_told_with_the_lines_that_would_be_right(line: int, told: str, fix: tuple[str, ...]):
    first = next(each for each in refused(MANY) if each[0] == line)
    assert told in first[2]
    assert first[3][: len(fix)] == fix


@pytest.mark.parametrize(
    ("text", "place", "told", "fix"),
    [
        ("turns:\n\t- reply: []\n", (2, 1), "a tab stands where YAML wants spaces", ("  - reply: []",)),
        ("turns:\n  - says: hi\n    reply: []", (2, 5), "'says' is a condition", ('when: {says: "hi"}',)),
        ('turns: [{reply: [{say: "a"}], when: {says: "\\bhi\\b"}}]', (1, 44), "is a backspace", (r"says: '\bhi\b'",)),
        ("turns: [{reply: [{pause: {ms: 500ms}}]}]", (1, 31), "without a unit", ("pause: {ms: 500}",)),
        ("turns: [{reply: [{wait: 500ms}]}]", (1, 19), "did you mean 'pause'?", ('pause: "500ms"',)),
        ("turns: [{reply: [say:hi]}]", (1, 18), "expected a mapping", ('- say: "hi"',)),
        ("turns: [{reply: [{call: look_up}]}]", (1, 25), "a mapping", ("call: {name: look_up, arguments: {}}",)),
        ("turns: [{reply: {say: hi}}]", (1, 17), "expected a list of steps", ("reply:", '  - say: "hi"')),
        ("turns:\n- reply: - say: hi", (2, 10), "a list begins on a line of its own", ("- reply:", "  - say: hi")),
        ("turns: [{reply: [{say: Note: this}]}]", (1, 24), "needs quotes", None),
        ("turns:\n- reply: [{say: 'It''s'}]\n  when: {says: [a]}", (3, 16), "expected a text, got a list", None),
        ("turns:\n- reply:\n  - say: 'It's me'", (3, 10), "apostrophe", None),
        ("turns: {reply: []}", (1, 8), "expected a list, got a mapping", ("turns:", "  - {reply: []}")),
        ("turns: [{reply: [{hosted: {tool: websearch}}]}]", (1, 34), "did you mean 'web_search'?", None),
        ("turns: [{reply: [], when: silence}]", (1, 27), "a mapping", ("when: {silence: true}",)),
        ("turns: [{reply: [], when: {says: [hello, hi]}}]", (1, 34), "a text", ('says: "hello|hi"',)),
        ("turns: [{heard: 5, reply: []}]", (1, 17), "expected a text", ('heard: "5"',)),
        ("turns: [{reply: [{say: hi, voice: shimer}]}]", (1, 35), "did you mean 'shimmer'?", ("voice: shimmer",)),
        ("turns: [{reply: [{pause: 1.5}]}]", (1, 26), "1.5 of what?", ("pause: 1.5s",)),
    ],
)
def test_a_usual_mistake_is_recognised(text: str, place: tuple[int, int], told: str, fix: tuple[str, ...] | None):
    line, column, head, given = refused(text)[0]
    assert (line, column) == place
    assert told in head
    assert fix is None or given == fix


def test_times_are_written_the_same_in_scenarios_and_fault_files():
    scenario = Scenario.parse("sequence: [[{pause: 500ms}, {pause: 2s}, {pause: {ms: 20}}, {pause: {seconds: 1}}]]")
    rule = scenario.sequence[0]
    assert isinstance(rule, Rule)
    assert rule.reply == (Pause(500), Pause(2000), Pause(20), Pause(1000))
    plan = files.parse("- {at: response.done, do: {delay: 500ms}}\n- {at: response.done, do: {delay: {ms: 20}}}").faults
    assert plan == (Delay(0.5, at="response.done"), Delay(0.02, at="response.done"))
    assert files.faults_from([Stall(3.0, at="response.done")]).faults[0] == Stall(3.0, at="response.done")


def test_all_mistakes_of_a_fault_file_are_told_at_once():
    text = """
seed: 1
faults:
  - {at: handshake, do: {code: 503}}
  - {at: response.done, do: {delay: 500}}
  - {at: "time: 5", do: reset}
  - {on: response.done, do: drp}
  - {at: response.done, do: {close: 503}, nth: 0}
  - drop
"""
    with pytest.raises(files.FaultError) as caught:
        files.parse(text, "f.yaml")
    told = str(caught.value)
    assert {each.line for each in caught.value.problems} == {4, 5, 6, 7, 8, 9}
    for line in (
        "f.yaml:4:25: faults[0].do: unknown fault 'code'; did you mean 'status'? Write:\n    do: {status: 503}",
        "f.yaml:5:37: faults[1].do.delay: 500 of what?",
        "\n    do: {delay: 500ms}\n    do: {delay: 500s}",
        "faults[2].at: 5 of what?",
        "unknown key 'on'; did you mean 'at'?",
        "unknown fault 'drp'; did you mean 'drop'?",
        "    {at: handshake, do: {status: 503}}",
        "faults[4].nth: expected a number greater than or equal to 1, got the number 0",
    ):
        assert line in told


@pytest.mark.parametrize(
    ("fault", "told", "fix"),
    [
        ("{at: response.done, delay: 500ms}", "did you mean 'do'?", 'do: {delay: "500ms"}'),
        ("{at: handshake, status: 503}", "did you mean 'do'?", "do: {status: 503}"),
        ("{at: response.done, do: delay 500ms}", "did you mean 'delay'?", 'do: {delay: "500ms"}'),
        ("{at: handshake, do: 503}", "expected one fault", "do: {status: 503}"),
        ("{at: response.done, do: [drop, reset]}", "expected one fault", "- {at: response.done, do: drop}"),
        ("{at: handshake, do: {status: '503'}}", "expected a whole number", "status: 503"),
        ("{at: handshake, do: {status: 503, retry_after: 2s}}", "expected a whole number", "retry_after: 2"),
        ("{at: response.done, do: drop, probability: 10%}", "expected a number", "probability: 0.1"),
        ("{at: response.done, do: {delay: {msec: 5}}}", "did you mean 'ms'?", ""),
        ("{at: time: 5000, do: drop}", "5000 of what?", "at: time: 5000ms"),
    ],
)
def test_a_usual_mistake_of_a_fault_is_recognised(fault: str, told: str, fix: str):
    with pytest.raises(files.FaultError) as caught:
        files.parse(f"faults:\n  - {fault}\n", "f.yaml")
    (problem,) = caught.value.problems
    assert told in problem.message
    assert (problem.fix[0] if problem.fix else "") == fix
    assert problem.line == 2


def test_an_error_without_lines_is_still_a_document_error():
    error = DocumentError("gone.yaml: cannot be read")
    assert str(error.problems[0]) == "gone.yaml: cannot be read"


def test_a_key_beside_its_step_is_shown_inside():
    found = refused("turns: [{reply: [{call: book, arguments: {a: 1}}]}]")
    assert (
        "turns[0].reply[0].arguments: 'arguments' belongs into `call`",
        ('call: {name: "book", arguments: {a: 1}}',),
    ) in [(head, fix) for _, _, head, fix in found]


def test_a_voice_of_a_user_is_no_mistake():
    assert Scenario.parse("turns: [{reply: [{say: hi, voice: ara2}, {say: hi, voice: Sage}]}]").turns
