from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import realtape
from realtape.cli import COMMANDS
from realtape.config import options_of, variable_of, variables_of

ROOT = Path(__file__).resolve().parents[2]
KEY = "xai-4e1c0b8f2d7a49d3"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    below = tmp_path / "pröject one" / "deep"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    return below


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(realtape.main, arguments)


def shown(command: str, option: str, **environment: str) -> tuple[object, str]:
    result = run("config", "--json", **environment)
    assert result.exit_code == 0, result.output
    (found,) = [
        each for each in json.loads(result.stdout)["settings"] if (each["command"], each["option"]) == (command, option)
    ]
    return found["value"], found["source"]


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(folder: Path):
    file = folder.parent / "pyproject.toml"
    assert shown("serve", "port") == (8765, "default")
    file.write_bytes(b"\xef\xbb\xbf[tool.realtape.serve]\r\nport = 9000\r\n")  # as an editor on Windows writes it
    assert shown("serve", "port") == (9000, str(file))
    assert shown("serve", "port", REALTAPE_SERVE_PORT="9001") == ("9001", "REALTAPE_SERVE_PORT")


def test_the_command_line_wins_and_the_command_gets_the_values(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (folder / "realtape.toml").write_text(
        '[say]\nout = "clips/one.wav"\nvoice = "tone"\n[clinic.serve]\nallow-host = ["a.example", "b.example"]\n',
        encoding="utf-8",
    )
    got: dict[str, object] = {}
    for names in (("say",), ("clinic", "serve")):
        command: click.Command | None = realtape.main
        for name in names:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name)
        assert command is not None
        monkeypatch.setattr(command, "callback", lambda **options: got.update(options))
    assert run("say", "Hello.", REALTAPE_SAY_SEED="7", REALTAPE_SAY_VOICE="espeak").exit_code == 0
    assert Path(str(got["out"])) == folder / "clips" / "one.wav"  # relative to the file
    assert got["voice"] == "espeak"
    assert run("say", "Hello.", "--out", "two.wav").exit_code == 0
    assert (got["out"], got["voice"]) == (Path("two.wav"), "tone")
    assert run("clinic", "serve").exit_code == 0
    assert got["hosts"] == ("a.example", "b.example")


def test_the_nearest_file_is_read_and_realtape_toml_wins_beside_a_pyproject(folder: Path):
    (folder.parent / "realtape.toml").write_text("[serve]\nport = 1\n", encoding="utf-8")
    (folder / "pyproject.toml").write_text("[tool.black]\nname = 'realtape'\n", encoding="utf-8")
    assert shown("serve", "port")[0] == 1
    (folder / "pyproject.toml").write_text("[tool.realtape.serve]\nport = 2\n", encoding="utf-8")
    assert shown("serve", "port")[0] == 2
    (folder / "realtape.toml").write_text("[serve]\nport = 3\n", encoding="utf-8")
    assert shown("serve", "port")[0] == 3


def test_a_packaged_scenario_keeps_its_name_and_a_file_is_sought_beside_the_configuration(folder: Path):
    (folder.parent / "realtape.toml").write_text('[serve]\nscenario = "clinic"\n', encoding="utf-8")
    assert shown("serve", "scenario")[0] == "clinic"
    (folder.parent / "clinic").touch()
    assert shown("serve", "scenario")[0] == str(folder.parent / "clinic")


@pytest.mark.parametrize("name", ["api-key", "api_key"])
def test_no_secret_is_shown(folder: Path, name: str):
    (folder / "realtape.toml").write_text(f'[serve]\n{name} = ["{KEY}"]\n', encoding="utf-8")
    for arguments in (("config",), ("config", "--json"), ("config", "serve")):
        result = run(*arguments, REALTAPE_ADMIN_TOKEN=f"{KEY}-2", REALTAPE_SERVE_BLOCKED_KEY="short one")
        assert KEY not in result.output and "short" not in result.output
        assert result.output.count("(hidden)") == 3
        assert "REALTAPE_ADMIN_TOKEN" in result.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[serve]\nprot = 1", "[serve] has no option 'prot'; did you mean 'port'?"),
        ("[srve]\nport = 1", "[srve] is no command; did you mean 'serve'?"),
        ("[clinic.srve]\nport = 1", "[clinic]: 'srve' is no command; did you mean 'serve'?"),
        ("serve = 1", "serve is a command; write its options below [serve]"),
        ("[serve]\nport = 'many'", "[serve] port: 'many' is not a valid integer range."),
        ("[serve]\nport = 9000.5", "[serve] port: 9000.5 is no whole number"),
        (
            "[tool.realtape.serve]\nport = 1",
            "[tool.realtape.…] is for pyproject.toml; here a section is the command: [serve]",
        ),
        ("[serve]\nport = [1]", "[serve] port takes one value, not a list"),
        ("[serve]\ncheck = 1", "[serve] check is a switch: write true or false"),
        ("[serve]\nallow = [true]", "[serve] allow: write a text or a list of texts"),
        ("[serve", "write it as TOML in UTF-8"),
        ("[serve]\nscenario = '\xff'", "write it as TOML in UTF-8"),
    ],
)
def test_a_mistake_in_the_file_is_bad_usage(folder: Path, text: str, says: str):
    (folder / "realtape.toml").write_text(text, encoding="latin-1")
    for command in (("config",), ("clinic", "ui") if "clinic" in text else ("serve",)):
        result = run(*command)
        assert (result.exit_code, says in result.output) == (2, True), result.output
        assert str(folder / "realtape.toml") in result.output


def test_a_variable_that_sets_nothing_is_named(folder: Path):
    result = run("config", REALTAPE_SERVE_PROT="1", REALTAPE_ASR_MODEL="tiny")
    assert "REALTAPE_SERVE_PROT: no option has this variable; did you mean REALTAPE_SERVE_PORT?" in result.stderr
    assert "ASR_MODEL" not in result.output


def _commands(command: click.Command, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield names, command
    if isinstance(command, click.Group):
        for name, nested in command.commands.items():
            yield from _commands(nested, (*names, name))


def test_each_option_of_each_command_has_a_variable_of_its_own():
    context = click.Context(realtape.main)
    seen: set[str] = set()
    for name in COMMANDS:
        top = realtape.main.get_command(context, name)
        assert top is not None
        for names, command in _commands(top, (name,)):
            for option in options_of(command):
                variable = variable_of(names, option)
                assert variable in variables_of(option)
                assert variable not in seen
                seen.add(variable)
    assert {"REALTAPE_SERVE_API_KEY", "REALTAPE_FAULTS_SWEEP_JOBS", "REALTAPE_RECORD_SUITE_OUT"} <= seen


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_offers_commands_and_options(shell: str, folder: Path):
    prepared = CliRunner(env={"_REALTAPE_COMPLETE": f"{shell}_source"}).invoke(realtape.main, prog_name="realtape")
    assert f"_REALTAPE_COMPLETE={shell}_complete" in prepared.output
    for words, offered in (
        ("realtape re", ["record", "replay", "record-suite"]),
        ("realtape serve --sce", ["--scenario"]),
    ):
        asked = {
            "COMP_WORDS": words,
            "COMP_CWORD": words.rpartition(" ")[2] if shell == "fish" else str(words.count(" ")),
        }
        result = CliRunner(env={"_REALTAPE_COMPLETE": f"{shell}_complete", **asked}).invoke(
            realtape.main, prog_name="realtape"
        )
        assert all(each in result.output for each in offered), result.output


def test_completing_a_command_loads_none():
    probe = (
        "import sys, click, realtape.cli as c; c.main.shell_complete(click.Context(c.main), 're');"
        "print('\\n'.join(sys.modules))"
    )
    loaded = subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT, text=True).split()
    assert not {entry.module for entry in COMMANDS.values()} & set(loaded)


@pytest.mark.slow
def test_bash_completes(folder: Path):
    if (bash := shutil.which("bash")) is None:
        pytest.skip("there is no bash")
    own = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    program = folder / "realtape"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m realtape "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    script = """
        eval "$(_REALTAPE_COMPLETE=bash_source realtape)"
        COMP_WORDS=(realtape degr); COMP_CWORD=1
        _realtape_completion realtape degr realtape; echo "${COMPREPLY[@]}"
    """
    done = subprocess.run([bash, "-c", script], env=own, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "degrade"


@pytest.mark.slow
def test_the_help_page_is_quick():
    def seconds() -> float:  # of processor time, for the machine may be busy
        spent = os.times()
        subprocess.run([sys.executable, "-m", "realtape", "--help"], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        return after.children_user + after.children_system - spent.children_user - spent.children_system

    assert min(seconds() for _ in range(3)) < 0.15


@pytest.mark.parametrize(
    ("variable", "value", "option"),
    [("REALTAPE_SERVE_PORT", "abc", "--port"), ("REALTAPE_SERVE_CHECK", "2", "--check")],
)
def test_a_bad_value_that_nobody_typed_names_its_variable(folder: Path, variable: str, value: str, option: str):
    result = run("serve", **{variable: value})
    assert result.exit_code == 2
    assert f"Invalid value for '{option}' (from {variable}): " in result.stderr
    assert f"(from {variable})" not in run("serve", "--port", "abc", REALTAPE_SERVE_PORT="9000").stderr
    result = run("config", **{variable: value})
    assert (result.exit_code, f"{variable}: " in result.stderr) == (2, True), result.output


def test_a_misspelt_variable_of_a_command_is_reported_when_the_command_runs(folder: Path):
    result = run("serve", "--dialect", "klingon", REALTAPE_SERVE_PROT="9000")
    assert "warning: REALTAPE_SERVE_PROT sets nothing; did you mean REALTAPE_SERVE_PORT?" in result.stderr
    assert "warning" not in run("serve", "--dialect", "klingon", REALTAPE_SERVE_PORT="9000", REALTAPE_SAY_X="1").stderr
