"""Scenario files: what is read, what is refused and how the refusal reads."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockserver.audio.wav import write_wav
from mockserver.responders.base import Call, Fail, NotTranscribed, Pause, Say, Step, Turn
from mockserver.responders.conditions import VARIABLES
from mockserver.responders.scenario import Clip, Rule, Scenario, ScenarioError, When
from tests.mockserver.refusals import first_problem

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "scenarios.md").read_text(encoding="utf-8")


def refusal(text: str) -> str:
    with pytest.raises(ScenarioError) as refused:
        Scenario.parse(text, source="booking.yaml")
    return first_problem(str(refused.value))


def only_step(step: str) -> object:
    scenario = Scenario.parse(f"sequence:\n  - - {step}\n")
    return next(iter(scenario.responder().reply(Turn(0, None))))


def test_a_file_reads_as_the_rules_one_would_write_in_python():
    text = """
        name: booking
        turns:
          - when: {says: dental, tool: look_up}
            heard: A cleaning
            times: 2
            reply:
              - {say: One moment., voice: ara, speed: 1.5}
              - call: {name: look_up, arguments: {day: 6, words: [a, null]}}
              - pause: {ms: 500}
              - fail: {code: server_error, message: gone}
          - when: {silence: true}
            reply: []
        """
    steps: list[Step] = [
        Say("One moment.", "ara", 1.5),
        Call("look_up", {"day": 6, "words": ["a", None]}),
        Pause(500),
        Fail("server_error", "gone"),
    ]
    dental = Rule(steps, When(says="dental", tool="look_up"), "A cleaning", 2)
    assert Scenario.parse(text) == Scenario([dental, Rule([], When(silence=True))], name="booking")


def test_sequence_entries_are_lists_of_steps_or_mappings_with_what_was_heard():
    scenario = Scenario.parse("sequence:\n  - [{say: a}]\n  - {heard: b, reply: [{say: c}]}\n")
    assert scenario == Scenario(sequence=[Say("a"), Rule([Say("c")], heard="b")])


def test_a_turn_may_be_heard_and_not_transcribed():
    text = "sequence:\n  - {heard: {fail: {code: audio_unintelligible}, says: Hello.}, reply: [{say: c}]}\n"
    (rule,) = Scenario.parse(text).sequence
    assert isinstance(rule, Rule)
    assert rule.heard == NotTranscribed("audio_unintelligible", says="Hello.")
    assert refusal("turns:\n- heard: {says: x}\n  reply: []\n") == "booking.yaml:2: turns[0].heard: `fail` is missing"


def test_json_is_read_as_well_with_tabs_slashes_and_emoji_in_two_escapes():
    text = json.dumps({"sequence": [[{"say": "😀 \\ud83d/"}]]}, indent="\t").replace("/", "\\/")
    assert Scenario.parse(text) == Scenario(sequence=[Say("😀 \\ud83d/")])


@pytest.mark.parametrize(
    "word", ["yes", "on", "10:30", "0441", "2026-07-06", "1_000", "1e999", "0x1F", "<<", "12345678901234567890"]
)
def test_a_word_that_json_would_not_read_as_a_number_stays_what_was_typed(word: str):
    assert only_step(f"call: {{name: x, arguments: {{a: {word}}}}}") == Call("x", {"a": word})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("turns:\n- reply:\n  - say: [a]", "booking.yaml:3: turns[0].reply[0].say: expected a text, got a list"),
        (
            "turns:\n- reply:\n  - sya: a",
            "booking.yaml:3: turns[0].reply[0].sya: unknown key 'sya'; did you mean 'say'?",
        ),
        ("turns: []\nheards: []", "booking.yaml:2: heards: unknown key 'heards'; did you mean 'hears'?"),
        (
            "zzz: 1",
            "booking.yaml:1: zzz: unknown key 'zzz'; "
            "known here: name, turns, sequence, hears, hearing, captures, today",
        ),
        ("turns:\n- heard: a", "booking.yaml:2: turns[0]: `reply` is missing"),
        ("turns: 3", "booking.yaml:1: turns: expected a list, got the number 3"),
        ("", "booking.yaml:1: expected a mapping, got nothing"),
        ("name: a", "booking.yaml:1: expected either `turns` or `sequence`"),
        ("turns: []\nsequence: []", "booking.yaml:1: expected either `turns` or `sequence`"),
        (
            "sequence:\n- say: a",
            "booking.yaml:2: sequence[0]: "
            "expected a list of steps, or a mapping with `reply`; put the step into a list",
        ),
        (
            "sequence: [[{say: true}]]",
            "booking.yaml:1: sequence[0][0].say: expected a text, got true; put quotes around it",
        ),
        (
            "sequence:\n- - say:",
            "booking.yaml:2: sequence[0][0].say: expected a value, got nothing; give it one or leave out the key",
        ),
        (
            "sequence:\n- - say: a\n    call: {name: x}",
            "booking.yaml:2: sequence[0][0]: a step is one of say, call, hosted, pause, fail or chat, got say and call",
        ),
        (
            "sequence:\n- - pause: {ms: 5}\n    voice: a",
            "booking.yaml:3: sequence[0][0].voice: 'voice' belongs to a say, not to a pause",
        ),
        (
            "sequence: [[{pause: {ms: -5}}]]",
            "booking.yaml:1: sequence[0][0].pause.ms: expected a number greater than or equal to 0, got the number -5",
        ),
        (
            "sequence: [[{call: {name: x, arguments: [1]}}]]",
            "booking.yaml:1: sequence[0][0].call.arguments: expected a mapping, or a text to be sent as it is, "
            "got a list",
        ),
        (
            "turns:\n- reply: []\n  when:\n    says: '(a'",
            "booking.yaml:4: turns[0].when.says: bad pattern at character 1: missing ), unterminated subpattern; "
            "to match a bracket itself, write a backslash before it, such as '\\(' in single quotes",
        ),
        (
            "turns: [{reply: [], when: {says: '(?P<result>a)'}}]",
            "booking.yaml:1: turns[0].when.says: the group name 'result' is a variable already; choose another",
        ),
        (
            "turns: [{reply: [], when: {says: a, always: true}}]",
            "booking.yaml:1: turns[0].when: `always` stands alone; leave out it or the rest",
        ),
        (
            "turns: [{reply: [], when: {}}]",
            "booking.yaml:1: turns[0].when: "
            "expected says, tool, pressed, silence, captures, known, "
            "instructions, not, any or always; to answer anything leave out `when`",
        ),
        (
            "turns: [{reply: [], when: {silence: false}}]",
            "booking.yaml:1: turns[0].when.silence: expected true, got false",
        ),
        (
            "sequence: [[{say: '{{ a | shout }}'}]]",
            "booking.yaml:1: sequence[0][0].say: bad template: there is no filter 'shout'; did you mean 'sort'?",
        ),
        (
            "sequence:\n- - say: a\n    audio: gone.wav",
            "booking.yaml:3: sequence[0][0].audio: there is no file 'gone.wav'",
        ),
        (
            "turns: []\nhears:\n- {audio: gone.wav, text: a}",
            "booking.yaml:3: hears[0].audio: there is no file 'gone.wav'",
        ),
        (
            "turns: []\nname: a\nname: b",
            "booking.yaml:3: the key 'name' is given twice, first in line 2; leave out one of them",
        ),
        ("name: &a [*a]", "booking.yaml:1: the alias *a has no finished anchor before it"),
        ("[a]: b", "booking.yaml:1: expected a text as key"),
        ("name: a\n---\nname: b", "booking.yaml:2: a second document starts here; one file holds one"),
        ("name: \0", "booking.yaml: not a text that YAML allows: control characters are not allowed"),
        ("name: \ud800", "booking.yaml: not a text that YAML allows: surrogates not allowed"),
    ],
)
def test_a_refusal_names_the_line_the_place_and_what_was_expected(text: str, complaint: str):
    assert refusal(text) == complaint


def test_a_bad_template_deep_in_the_arguments_is_found_with_its_own_line():
    text = """sequence:
- - call:
      name: x
      arguments:
        days: [a, "{{ b"]
"""
    assert refusal(text).startswith(
        "booking.yaml:5: sequence[0][0].call.arguments.days[1]: bad template: unexpected end"
    )


def test_the_first_of_several_mistakes_in_the_file_is_the_one_reported():
    assert refusal("nmae: a\nturns: 3\n").startswith("booking.yaml:1: nmae")
    assert refusal("turns:\n- reply:\n  - say: 1\n  - say: 2\n").startswith("booking.yaml:3")


def test_a_tag_makes_no_object_and_is_refused():
    text = "name: !!python/object/apply:os.getcwd []"
    assert "tag 'tag:yaml.org,2002:python/object/apply:os.getcwd' is not used here" in refusal(text)


def test_a_few_aliases_work_and_a_bomb_of_them_is_refused():
    twice = Scenario.parse("turns:\n- reply: &hi [{say: hi}]\n  when: {silence: true}\n- reply: *hi\n")
    assert [rule.reply for rule in twice.turns] == [(Say("hi"),)] * 2
    lines = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "too many values; at most 200000" in refusal("\n".join(["a0: &a0 [x, x]", *lines]))


def test_what_is_nested_too_deep_or_too_long_is_refused():
    assert "nested too deep; at most 50 levels" in refusal("[" * 5000)
    assert "too long, at most 2000000 bytes" in refusal("#" * 2_000_001)


def test_a_file_that_cannot_be_read_is_an_error_of_the_scenario(tmp_path: Path):
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: Öl".encode("latin-1"))
    for path, reason in (
        (tmp_path / "gone.yaml", "cannot be read"),
        (latin, "not UTF-8 at byte 6"),
        (tmp_path, "read"),
    ):
        with pytest.raises(ScenarioError, match=f"^{re.escape(str(path))}: .*{reason}"):
            Scenario.load(path)


def test_audio_is_found_beside_the_file_that_names_it(tmp_path: Path):
    write_wav(tmp_path / "hi.wav", np.ones(2400, np.int16), 24_000)
    (tmp_path / "a.yaml").write_text("sequence: [[{say: hi, audio: hi.wav}]]\nhears: [{audio: hi.wav, text: hi}]")
    scenario = Scenario.load(tmp_path / "a.yaml")
    assert scenario.hears == (Clip(str(tmp_path / "hi.wav"), "hi"),)
    assert scenario == Scenario(sequence=[Say("hi", audio=str(tmp_path / "hi.wav"))], hears=scenario.hears)


def test_a_file_that_is_no_sound_is_refused_where_it_is_named(tmp_path: Path):
    (tmp_path / "hi.wav").write_bytes(b"RIFF but not much more")
    with pytest.raises(ScenarioError, match=r"^<text>:2:30: .*hi\.wav"):
        Scenario.parse("name: x\nsequence: [[{say: hi, audio: hi.wav}]]", base=tmp_path)


def test_mistakes_in_python_are_found_when_the_scenario_is_made():
    bad: list[tuple[dict[str, object], str]] = [
        ({"turns": [Rule(Say("{{ a"))]}, r"^turns\[0\].reply\[0\].say: bad template"),
        (
            {"turns": [Rule(["hi"])]},  # type: ignore[list-item]
            r"^turns\[0\].reply\[0\]: expected Say, Call, Hosted, Pause, Fail or Chat, got str",
        ),
        ({"turns": ["hi"]}, r"^turns\[0\]: expected a Rule, got str"),
        ({"turns": [Rule(Say("a"), "hi")]}, r"^turns\[0\].when: expected a When, got str"),  # type: ignore[arg-type]
        ({"turns": [Rule(Say("a"), times=0)]}, r"^turns\[0\].times: expected at least 1"),
        ({"turns": [Rule(Call("x", {"a": {1, 2}}))]}, r"arguments.a: a set is not JSON"),
        ({"sequence": [Rule(Say("a"), When(silence=True))]}, r"^sequence\[0\]: a sequence answers in order"),
        ({"sequence": [Rule(Say("a"), times=2)]}, r"^sequence\[0\]: a sequence answers in order"),
        ({"turns": [Rule(Say("a"))], "sequence": [Say("b")]}, "not both"),
    ]
    for arguments, complaint in bad:
        with pytest.raises(ScenarioError, match=complaint):
            Scenario(**arguments)  # type: ignore[arg-type]


def test_a_scenario_does_not_change_with_what_it_was_made_from():
    arguments, rules = {"days": [1]}, [Rule(Call("x", {}))]
    rules[0] = Rule([Call("x", arguments)])
    scenario = Scenario(rules)
    arguments["days"].append(2)
    rules.clear()
    assert list(scenario.responder().reply(Turn(0, None))) == [Call("x", {"days": [1]})]
    with pytest.raises(AttributeError):
        scenario.name = "other"  # type: ignore[misc]


keys = st.sampled_from(
    "name turns sequence hears when says tool silence always heard reply times say voice speed audio "
    "call arguments pause ms fail code message text zzz".split()
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["{{ a }}", "{% for", "(?P<a>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=12,
)
yaml_like = st.text(st.sampled_from("a:- \n\t{}[]&*!|>'\"\\#%?,1.~\0é\ud800"), max_size=60)


@settings(max_examples=40)
@given(yaml_like | st.text() | st.dictionaries(keys, values, max_size=3).map(json.dumps))
@example("turns: [{reply: [], when: {says: '[[a]'}}]")
@example("turns: [{reply: [], when: {says: 'a{99999999999999999999}'}}]")
@example("sequence: [[{say: '{{ " + "9" * 5000 + " }}'}]]")
@example("sequence: [[{say: '{{ " + "(" * 3000 + "'}]]")
@example("sequence: [[{say: '{{ 10**(10**10) }}'}]]")
@example("hears: [{text: a, audio: " + "a" * 5000 + "}]\nturns: []")
@example('{"hears": [{"text": "a", "audio": "\\u0000"}], "turns": []}')
@example('{"name": "\\ud800"}')
def test_any_text_is_a_scenario_or_a_scenario_error(text: str):
    try:
        scenario = Scenario.parse(text)
    except ScenarioError as refused:
        assert str(refused).startswith("<text>:")
    else:
        assert isinstance(scenario, Scenario)


@pytest.mark.parametrize("text", re.findall(r"(?ms)^```yaml\n(.*?)^```", PAGE))
def test_every_example_of_the_reference_page_loads(text: str, tmp_path: Path):
    (tmp_path / "voices").mkdir()
    for audio in re.findall(r"voices/\w+\.wav", text):
        write_wav(tmp_path / audio, np.ones(2400, np.int16), 24_000)
    scenario = Scenario.parse(text, base=tmp_path)
    assert scenario.turns or scenario.sequence


def test_every_variable_the_page_names_is_the_templates_own_and_the_other_way_round():
    table = PAGE.split("| variable |")[1].split("\n\n")[0]
    assert set(re.findall(r"(?m)^\| `(\w+)`", table)) == VARIABLES | {"today"}  # may be remembered


@pytest.mark.parametrize("path", sorted((ROOT / "cassettes" / "scenarios").rglob("*.yaml")), ids=lambda path: path.name)
def test_every_scenario_that_ships_loads(path: Path):
    assert Scenario.load(path).name == path.stem
