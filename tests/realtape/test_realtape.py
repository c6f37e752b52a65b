from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import realtape
from realtape import data
from realtape.cli import COMMANDS, SECTIONS

ROOT = Path(__file__).resolve().parents[2]


def test_every_public_name_is_there_and_is_loaded_from_its_home():
    for name in set(dir(realtape)) - {"main", "faults", "callers", "phone"}:
        assert getattr(realtape, name).__name__ == name
    assert realtape.faults.Close(at="response.done", code=1011).code == 1011
    assert isinstance(realtape.main, click.Group)
    names: dict[str, object] = {}
    exec("from realtape import *", names)
    assert names.keys() - {"__builtins__"} == set(dir(realtape)) >= {"MockServer", "Scenario", "Say", "Call", "faults"}


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = realtape.Nonsense


def test_help_names_every_command_and_each_loads():
    result = CliRunner().invoke(realtape.main, ["--help"])
    assert result.exit_code == 0
    context = click.Context(realtape.main)
    for name, entry in COMMANDS.items():
        assert len(entry.help) <= 45
        assert re.search(rf"^  {name} +{re.escape(entry.help)}$", result.output, re.MULTILINE)
        command = realtape.main.get_command(context, name)
        assert command is not None
        assert command.name == name


def test_the_help_page_lists_each_command_in_one_section_and_loads_none():
    assert sum(map(len, SECTIONS.values())) == len(COMMANDS)
    probe = "import sys, realtape.cli as c; c.main(['--help'], standalone_mode=False); print(sorted(sys.modules))"
    shown = subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT, text=True)
    assert all(f"\n{section}:\n" in shown for section in SECTIONS)
    assert not {entry.module for entry in COMMANDS.values()} & set(re.findall(r"'([\w.]+)'", shown))


def test_the_cassettes_of_an_installed_package_lie_inside_it(tmp_path: Path):
    package = tmp_path / "site-packages" / "realtape"
    (package / "cassettes").mkdir(parents=True)
    (package.parent / "cassettes").mkdir()  # somebody else's
    copy = str(shutil.copy(ROOT / "realtape" / "data.py", package))
    assert runpy.run_path(copy)["cassettes"]() == package / "cassettes"
    assert data.cassettes() == ROOT / "cassettes"


def test_an_unknown_command_is_bad_usage():
    result = CliRunner().invoke(realtape.main, ["sing"])
    assert result.exit_code == 2
    assert "No such command 'sing'" in result.output


def test_importing_the_facade_loads_no_part_of_it():
    probe = "import json, sys, realtape; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT))
    assert not {"mockserver", "replay", "clinic_agent", "aiohttp", "numpy", "pydantic"} & set(loaded)


def test_a_server_is_ready_before_what_only_sessions_need_is_loaded():
    """At the instant in which it prints that it is ready; what it loads then is told instead of that line."""
    probe = (
        "import json, os, sys; from mockserver.cli import serve as cli;"
        "cli._ready = lambda *_: (os.write(1, json.dumps(sorted(sys.modules)).encode()), os._exit(0));"
        "cli.serve(['--port', '0', '--seed', '7'])"
    )
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT))
    assert "mockserver.cli.serve" in loaded
    assert not {"numpy", "pydantic", "msgpack", "aiohttp", "yaml", "mockserver.server.app"} & set(loaded)


def test_a_server_is_loaded_without_a_validator_and_without_a_collection():
    """Validators are built when the first event, fault or file needs them."""
    probe = (
        "import gc, json; from replay.loading import uncollected;"
        "c = uncollected(); c.__enter__(); before = gc.get_stats();"
        "import mockserver.cli.assembly; quiet = gc.get_stats() == before; c.__exit__(None, None, None);"
        "assert gc.isenabled(); import pydantic; models = [pydantic.BaseModel];"
        "[models.extend(each.__subclasses__()) for each in models];"
        "ours = [each for each in models if each.__module__.startswith('mockserver.')];"
        "built = [each.__qualname__ for each in ours if each.__pydantic_complete__];"
        "from mockserver.faults.kinds import KINDS;"
        "built += [name for name, kind in KINDS.items() if kind.__pydantic_complete__];"
        "print(json.dumps([len(ours), built, quiet]))"
    )
    models, built, uncollected = json.loads(subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT))
    assert models > 100
    assert built == []
    assert uncollected


def test_the_first_event_of_a_session_waits_for_no_validator():
    probe = (
        "from mockserver.dialects.openai.client_events import EVENTS;"
        "from mockserver.server.equipment import Equipment; from mockserver.server.options import Options;"
        "from mockserver.server.session_factory import SessionFactory;"
        "factory = SessionFactory(Options(), Equipment(Options()));"
        "before = type(EVENTS.validator).__name__; factory.traits('openai@2026-10');"
        "print(before, type(EVENTS.validator).__name__)"
    )
    output = subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT, text=True)
    assert output.split() == ["MockValSer", "SchemaValidator"]


@pytest.mark.parametrize("command", ["check", "show"])
def test_a_tape_is_checked_and_listed_without_what_other_files_need(command: str):
    probe = (
        "import json, sys, realtape.cli as c;"
        "from click.testing import CliRunner;"
        f"CliRunner().invoke(c.main, ['{command}', 'tests/replay/version-1.tape']);"
        "print(json.dumps(sorted(sys.modules)))"
    )
    loaded = set(json.loads(subprocess.check_output([sys.executable, "-c", probe], cwd=ROOT).splitlines()[-1]))
    assert "replay.cassette.file" in loaded
    assert not {"numpy", "pydantic", "aiohttp", "mockserver.responders.scenario", "replay.viewer.call"} & loaded
    assert not {"yaml", "ssl", "email", "importlib.metadata", "replay.formats.detect", "replay.anonymize"} & loaded
