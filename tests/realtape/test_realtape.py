from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import realtape

ROOT = Path(__file__).resolve().parents[2]


def test_every_public_name_is_there_and_is_loaded_from_its_home():
    for name in set(realtape.__all__) - {"main", "faults"}:
        assert getattr(realtape, name).__name__ == name
    assert realtape.faults.Close(at="response.done", code=1011).code == 1011
    assert isinstance(realtape.main, click.Group)
    assert dir(realtape) == sorted(realtape.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = realtape.Nonsense


def test_help_names_every_command_and_each_loads():
    result = CliRunner().invoke(realtape.main, ["--help"])
    assert result.exit_code == 0
    context = click.Context(realtape.main)
    for name in realtape.main.list_commands(context):
        assert f"  {name} " in result.output
        command = realtape.main.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_an_unknown_command_is_bad_usage():
    result = CliRunner().invoke(realtape.main, ["sing"])
    assert result.exit_code == 2
    assert "No such command 'sing'" in result.output


def test_importing_the_facade_loads_no_part_of_it():
    probe = "import json, sys, realtape; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT))
    assert not {"mockserver", "replay", "clinic_agent", "aiohttp", "numpy", "pydantic"} & set(loaded)


@pytest.mark.slow
def test_a_server_is_ready_before_what_only_sessions_need_is_loaded():
    probe = "import json, sys, mockserver.server.service; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT))
    assert not {
        "numpy",
        "pydantic",
        "msgpack",
        "mockserver.session.session",
        "mockserver.faults.kinds",
        "mockserver.server.session_recorder",
    } & set(loaded)
