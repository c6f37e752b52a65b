"""What `realtape init` writes runs as it is, for each client and service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import realtape


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(realtape.main, [str(each) for each in arguments])


@pytest.mark.slow
@pytest.mark.parametrize("service", ["xai", "openai"])
@pytest.mark.parametrize("client", ["websockets", "openai-python"])
def test_what_it_writes_runs(client: str, service: str, tmp_path: Path):
    pytest.importorskip(client.split("-")[0])
    assert run("init", tmp_path, "--client", client, "--service", service).exit_code == 0
    workflow = yaml.safe_load((tmp_path / ".github" / "workflows" / "agent.yml").read_text(encoding="utf-8"))
    commands = [step["run"] for step in workflow["jobs"]["test"]["steps"] if "run" in step]
    assert commands[0] == "python -m pip install -r requirements.txt"
    shown = ""
    for command in commands[1:]:
        words = command.split()
        words = [sys.executable, "-m", *(words[2:] if words[0] == "python" else words)]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        shown = done.stdout
    assert "3 passed" in shown


@pytest.mark.slow
def test_a_mistake_in_its_agent_fails_its_test(tmp_path: Path):
    run("init", tmp_path)
    agent = tmp_path / "agent.py"
    text = agent.read_text(encoding="utf-8")
    agent.write_text(text.replace('"being packed"', '"lost"'), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "1 failed, 2 passed" in done.stdout


def test_it_overwrites_nothing_and_writes_nothing_beside_what_is_there(tmp_path: Path):
    (tmp_path / "test_agent.py").write_text("mine", encoding="utf-8")
    result = run("init", tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path / 'test_agent.py'}: there already" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["test_agent.py"]


def test_its_files_name_their_schema_and_say_how_to_go_on(tmp_path: Path):
    result = run("init", tmp_path / "new")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        ".github",
        "agent.py",
        "requirements.txt",
        "scenario.schema.json",
        "scenario.yaml",
        "test_agent.py",
    }
    assert f"python -m pytest {tmp_path / 'new'}" in result.output
    assert run("check", tmp_path / "new" / "scenario.yaml").exit_code == 0
    first = (tmp_path / "new" / "scenario.yaml").read_text(encoding="utf-8").split("\n")[0]
    assert first == "# yaml-language-server: $schema=scenario.schema.json"


def test_a_client_that_it_does_not_know_gets_a_suggestion(tmp_path: Path):
    result = run("init", tmp_path, "--client", "websocket")
    assert result.exit_code == 2
    assert "Did you mean 'websockets'?" in result.output
