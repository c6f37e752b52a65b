"""A recording written down as a scenario gives the conversation back, and people can read and change it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mockserver.responders.base import Call, Result, Say, Turn
from realtape import Scenario, main
from replay.cassette.recording import Recording
from replay.formats.detect import read_recording
from replay.report.as_scenario import scenario, written
from tests.replay.recordings import Told, line, typed

TALK = Path(__file__).parents[1].joinpath("talk.yaml")


def recording(*told: Told) -> Recording:
    return Recording("tape", "xai", "hand", (line(*told),))


def response(id: str, *steps: dict[str, Any]) -> list[Told]:
    begun: Told = ("<", 0.0, {"type": "response.created", "response": {"id": id}})
    return [begun, *(("<", 0.0, {"response_id": id, "item_id": f"{id}-{at}", **step}) for at, step in enumerate(steps))]


def said(text: str) -> dict[str, Any]:
    return {"type": "response.output_audio_transcript.delta", "delta": text}


def called(name: str, arguments: str) -> dict[str, Any]:
    return {"type": "response.function_call_arguments.done", "name": name, "arguments": arguments, "call_id": name}


def result(name: str) -> Told:
    item = {"type": "function_call_output", "call_id": name, "output": "{}"}
    return ">", 0.0, {"type": "conversation.item.create", "item": item}


def test_words_and_results_become_rules():
    assert scenario(read_recording(TALK)) == {
        "name": "talk",
        "turns": [
            {
                "when": {"says": r"^Find a room, please\.$"},
                "heard": "Find a room, please.",
                "reply": [
                    {"say": "One moment. Let me look."},
                    {"call": {"name": "find_room", "arguments": {"day": "Monday"}}},
                ],
            },
            {"when": {"tool": "find_room"}, "reply": [{"say": "Room four."}]},
        ],
    }


def test_the_same_question_twice_is_answered_in_turn():
    asked: Told = (">", 0.0, typed("And now?"))
    twice = recording(asked, *response("a", said("No.")), asked, *response("b", said("Yes.")))
    assert [(rule["times"], rule["reply"]) for rule in scenario(twice)["turns"]] == [
        (1, [{"say": "No."}]),
        (1, [{"say": "Yes."}]),
    ]


def test_a_conversation_that_rules_would_mix_up_is_a_sequence():
    mixed = recording(
        (">", 0.0, typed("Go")),
        *response("a", called("look", "{}")),
        result("look"),
        result("of no call here"),
        *response("b", said("Both.")),
        result("look"),
        *response("c", said("Looked.")),
    )
    assert [entry["reply"][-1] for entry in scenario(mixed)["sequence"][1:]] == [{"say": "Both."}, {"say": "Looked."}]
    assert len(Scenario.parse(written(mixed)).sequence) == 3


@pytest.mark.parametrize("arguments", ['{  \n "day": "Monday" }', "no JSON", "[1]", '{"a":1e5}'])
def test_arguments_that_an_object_would_not_give_back_stay_text(arguments: str):
    tape = recording(*response("a", called("look", arguments)))
    (step,) = Scenario.parse(written(tape)).responder().reply(Turn(0, None))
    assert step == Call("look", arguments)


words = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30).filter(str.strip)


@settings(max_examples=20)
@example([("1", "0E0")], {"1": "1e5"})
@given(st.lists(st.tuples(words, words), min_size=1, max_size=6), st.dictionaries(words, words, max_size=3))
def test_whatever_was_said_the_scenario_answers_it_as_recorded(turns: list[tuple[str, str]], arguments: dict[str, str]):
    told: list[Told] = []
    as_text = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False)
    for number, (asked, answer) in enumerate(turns):
        told += [(">", 0.0, typed(asked)), *response(str(number), said(answer), called("look", as_text))]
    responder = Scenario.parse(written(recording(*told))).responder()
    for number, (asked, answer) in enumerate(turns):
        say, call = responder.reply(Turn(number, asked))
        assert say == Say(answer)
        assert isinstance(call, Call)
        assert call.arguments == arguments


def test_results_choose_the_rule_of_their_function():
    tape = recording(
        (">", 0.0, typed("Go")),
        *response("a", called("look", "{}"), called("book", "{}")),
        result("look"),
        *response("b", said("Looked.")),
        result("book"),
        *response("c", said("Booked.")),
    )
    responder = Scenario.parse(written(tape)).responder()
    assert list(responder.reply(Turn(0, None, (Result("book", "{}"),)))) == [Say("Booked.")]
    assert list(responder.reply(Turn(1, None, (Result("look", "{}"),)))) == [Say("Looked.")]


def test_the_command_prints_it_with_a_line_on_where_it_comes_from():
    printed = CliRunner().invoke(main, ["scenario", str(TALK)])
    assert printed.exit_code == 0
    assert printed.stdout.startswith("# From the recording talk (origin hand)")
    assert yaml.safe_load(printed.stdout) == scenario(read_recording(TALK))


def test_the_commands_end_with_2_for_what_is_no_recording(tmp_path: Path):
    (tmp_path / "x.tape").write_bytes(b"what?")
    for arguments in (["scenario", str(tmp_path / "x.tape")], ["diff", str(TALK), str(tmp_path / "none.tape")]):
        refused = CliRunner().invoke(main, arguments)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "record" in refused.stderr


def test_diff_ends_with_0_for_the_same_and_with_1_for_another(tmp_path: Path):
    other = tmp_path / "other.yaml"
    other.write_text(TALK.read_text(encoding="utf-8").replace('"role": "user"', '"role": "odd"', 1), encoding="utf-8")
    same, drift = (CliRunner().invoke(main, ["diff", str(TALK), str(path)]) for path in (TALK, other))
    assert (same.exit_code, same.stdout) == (0, "no differences\n")
    assert drift.exit_code == 1
    as_json = CliRunner().invoke(main, ["diff", "--json", str(TALK), str(other)])
    (difference,) = json.loads(as_json.stdout)["differences"]
    assert (difference["kind"], difference["actual"]) == ("value", "odd")


def test_diff_looks_at_the_words_when_asked(tmp_path: Path):
    other = tmp_path / "talk.yaml"
    other.write_text(TALK.read_text(encoding="utf-8").replace("Room four.", "Room five."), encoding="utf-8")
    assert CliRunner().invoke(main, ["diff", str(TALK), str(other)]).exit_code == 0
    worded = CliRunner().invoke(main, ["diff", "--words", str(TALK), str(other)])
    assert worded.exit_code == 1
    assert "Room five." in worded.stdout
