"""`check`, `scenario` and the suggestions of the command line, as a user types them."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import realtape
from mockserver.responders import packaged
from mockserver.responders.scenario import Scenario, ScenarioError
from replay.cli.files import document_kind

ROOT = Path(__file__).resolve().parents[3]
BAD = 'turns:\n  - when: hello\n    reply: "Hello"\n'
KINDS = {
    "scenario": (BAD, "sequence: []", '{"turns": []}', "name: x\nturn: 5", "rules:\n- reply: []", "# a\nturns: [\n"),
    "fault": ("faults:\n  - drop", "- {at: response.done, do: dorp}", "at: handshake\ndo: reset", "seed: 1\nfalts: []"),
    "accounts": ("teams: 5", "limits: {max_session: 1}"),
    None: ('{"log": {"version": "1.2"}}', '{"type": "session.update"}\n', "", "hello", "interactions: []"),
}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(realtape.main, [str(each) for each in arguments])


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KINDS.items() for text in texts])
def test_a_file_is_recognised_by_its_content(kind: str | None, text: str, tmp_path: Path):
    file = tmp_path / "file"
    file.write_text(text, encoding="utf-8")
    assert document_kind(file) == kind


def test_a_tape_is_recognised_by_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tape, asked = (ROOT / "cassettes" / "booking.tape").read_bytes(), list[int]()

    class Counted(BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda *_: Counted(tape))
    assert document_kind(tmp_path / "a.tape") is None
    assert asked == [16]


def test_check_tells_all_mistakes_of_all_files_and_exits_with_1(tmp_path: Path):
    scenario, faults, good = tmp_path / "s.yaml", tmp_path / "f.yaml", ROOT / "examples" / "orders.yaml"
    scenario.write_text(BAD, encoding="utf-8")
    faults.write_text("faults:\n  - {at: response.done, do: dorp}\n  - drop\n", encoding="utf-8")
    result = run("check", scenario, faults, good, ROOT / "cassettes" / "booking.tape")
    assert result.exit_code == 1
    for told in (
        f"{scenario}:2:11: turns[0].when: expected a mapping, got the text 'hello'; write:",
        '    when: {says: "hello"}',
        f"{scenario}:3:12: turns[0].reply: expected a list of steps",
        f"{faults}:2:29: faults[0].do: unknown fault 'dorp'; did you mean 'drop'?",
        f"{faults}:3:5: faults[1]: expected a fault",
        f"{good}: fine",
        "booking.tape: fine",
    ):
        assert told in result.output


def test_a_file_that_is_missing_hides_no_verdict(tmp_path: Path):
    scenario = tmp_path / "s.yaml"
    scenario.write_text(BAD, encoding="utf-8")
    result = run("check", scenario, tmp_path / "gone.tape")
    assert result.exit_code == 2
    assert "s.yaml:2:11: turns[0].when" in result.output
    assert "gone.tape: No such file" in result.output


def test_the_mistakes_of_a_scenario_are_annotations_with_their_lines(tmp_path: Path):
    scenario = tmp_path / "s.yaml"
    scenario.write_text(BAD, encoding="utf-8")
    github = run("scenario", "check", scenario, "--format", "github").output.splitlines()
    assert len(github) == 2
    assert github[0].startswith("::error file=") and ",line=2,col=11,title=scenario::" in github[0]
    (sarif,) = json.loads(run("check", scenario, "--format", "sarif").output)["runs"]
    regions = [each["locations"][0]["physicalLocation"]["region"] for each in sarif["results"]]
    assert regions == [{"startLine": 2, "startColumn": 11}, {"startLine": 3, "startColumn": 12}]
    assert len(json.loads(run("check", scenario, "--json").output)[str(scenario)]) == 2


@pytest.mark.parametrize("command", ["lint", "show", "bill"])
def test_a_command_for_recordings_says_what_checks_a_scenario(command: str, tmp_path: Path):
    scenario = tmp_path / "s.yaml"
    scenario.write_text(BAD, encoding="utf-8")
    result = run(command, scenario)
    assert result.exit_code == 2
    assert f"this is a scenario, not a recording; check it with: realtape check {scenario}" in result.output


def test_a_new_scenario_is_fine_and_is_not_overwritten(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    assert run("scenario", "new", file).exit_code == 0
    assert Scenario.load(file).name == "mine"
    assert run("scenario", "check", file).output == f"{file}: fine\n"
    again = run("scenario", "new", file)
    assert again.exit_code == 2 and "is there already" in again.output


def test_a_cassette_is_printed_as_a_scenario_with_and_without_the_word():
    tape = ROOT / "cassettes" / "booking.tape"
    printed = run("scenario", tape)
    assert printed.exit_code == 0
    assert Scenario.parse(printed.output).turns
    assert run("scenario", "show", tape).output == printed.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("srve", "No such command 'srve'. Did you mean 'serve'?"),
        ("faults chek x", "Did you mean 'check'?"),
        ("serve --scenaro x", "Did you mean '--scenario'?"),
        ("serve --finding burts=off", "docs/findings.md"),
        ("serve --finding audio-formt=off", "did you mean"),
        ("serve --voice espaek", "Did you mean 'espeak'?"),
        ("serve --dialect xia", "did you mean 'xai'?"),
        ("serve --pacing brust", "Did you mean 'burst'?"),
        ("serve --scenario clinc", "did you mean 'clinic'?"),
        ("serve --scenario zzz", "Packaged are availability, booking, clinic"),
    ],
)
def test_a_misspelt_word_names_the_nearest_one(arguments: str, told: str):
    result = run(*arguments.split())
    assert result.exit_code == 2
    assert told in result.output


def test_a_packaged_scenario_is_known_by_name_and_a_path_that_exists_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert Scenario.load("clinic").name == "clinic"
    assert {"clinic", "booking"} <= set(packaged.names())
    Path("clinic").write_text("name: mine\nturns: []", encoding="utf-8")
    assert Scenario.load("clinic").name == "mine"
    with pytest.raises(ScenarioError, match=r"^clinic\.yaml: cannot be read"):
        Scenario.load("clinic.yaml")
