"""The modules of a wheel: everything under `realtape`, in imports and in names of modules, and nothing else changed."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from realtape.cli import COMMANDS
from tests.test_imports import KNOWN, trees

pytest.importorskip("hatchling")

from tools.relocate import (
    COMPILER,
    MOVED,
    NotRelocatable,
    Relocation,
    adapted,
    literals,
    relocated,
    write_package,
)

ROOT = Path(__file__).resolve().parent.parent
MODULES = {"mockserver": 0, "mockserver.peer": 0, "replay.cli.lint": 0, "clinic_agent.app": 0, "realtape.cli": 0}
"""Of the examples."""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from mockserver.peer import Peer", "from realtape.mockserver.peer import Peer"),
        ("from mockserver import peer", "from realtape.mockserver import peer"),
        ("import mockserver.peer as p", "import realtape.mockserver.peer as p"),
        ("import os, mockserver.peer as p", "import os, realtape.mockserver.peer as p"),
        ("def f():\n    from replay import x", "def f():\n    from realtape.replay import x"),
        ("é = 'é'; from replay import x", "é = 'é'; from realtape.replay import x"),
        ("from replay import (\n    x,\n    y,\n)\n", "from realtape.replay import (\n    x,\n    y,\n)\n"),
        ("x = {'a': 'replay.cli.lint', 'b': 1}", "x = {'a': 'realtape.replay.cli.lint', 'b': 1}"),
        ('app = "clinic_agent.app:app"', 'app = "realtape.clinic_agent.app:app"'),
    ],
)
def test_imports_and_names_of_modules_are_adapted(before: str, after: str):
    assert adapted(before.encode(), MODULES).decode() == after


@pytest.mark.parametrize(
    "text",
    [
        "from realtape.cli import main",
        "from mockservers import x",
        "from .mockserver import x",
        "import replays",
        "x = 'replay'",  # a command is called so
        "x = 'replay.of.nothing'",
        "x = 'see mockserver.peer'",
        "replay.cli.lint = mockserver.peer",
    ],
)
def test_everything_else_stays(text: str):
    assert adapted(text.encode(), MODULES).decode() == text


@pytest.mark.parametrize("text", ["import mockserver.peer", "from \\\n  replay import x", 'x = """replay.cli.lint"""'])
def test_what_cannot_be_adapted_is_refused_with_its_place(text: str):
    with pytest.raises(NotRelocatable, match=r"a\.py, line 1: write"):
        adapted(text.encode(), MODULES, "a.py")


def test_the_names_of_modules_that_are_adapted_are_those_of_the_commands():
    found = {module: [node.value for node in literals(tree, KNOWN)] for module, tree in trees().items()}
    assert sorted(module for module, names in found.items() if names) == ["realtape.cli"]
    assert set(found["realtape.cli"]) == {module for module, _ in COMMANDS.values() if module.split(".")[0] in MOVED}


@pytest.mark.parametrize(("asked", "expected"), [(None, []), ("0", []), ("1", ["aiohttp", *COMPILER])])
def test_a_compiler_is_needed_only_if_asked_for(monkeypatch, asked: str | None, expected: list[str]):
    if asked is None:
        monkeypatch.delenv("REALTAPE_COMPILE", raising=False)
    else:
        monkeypatch.setenv("REALTAPE_COMPILE", asked)
    metadata: Any = SimpleNamespace(core=SimpleNamespace(dependencies=["aiohttp"]))
    hook = Relocation(str(ROOT), {}, None, metadata, str(ROOT), "wheel")
    assert hook.dependencies() == expected


@pytest.mark.slow
def test_what_is_compiled_is_the_package_as_a_wheel_has_it(tmp_path: Path):
    written = write_package(ROOT, tmp_path)
    assert {path.relative_to(tmp_path).parts[0] for path in written.values()} == {"realtape"}
    session = written["mockserver/session/session.py"]
    assert session == tmp_path / "realtape" / "mockserver" / "session" / "session.py"
    assert b"\nfrom realtape.mockserver." in session.read_bytes()


@pytest.mark.slow
def test_no_text_speaks_of_a_module_by_a_name_that_it_does_not_have_when_installed():
    named = re.compile(rf"(?<![\w./])(?:{'|'.join(MOVED)})(?:\.[a-z_]\w*)+")
    said = []
    for module, tree in trees().items():
        known = {id(node) for node in literals(tree, KNOWN)}
        docstrings = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in known | docstrings:
                said += [(module, found) for found in named.findall(node.value) if found in KNOWN]
    assert said == []


@pytest.mark.slow
def test_nothing_in_the_adapted_modules_imports_a_package_of_the_checkout():
    top = {
        name.partition(".")[0]
        for text in relocated(ROOT).values()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert top & {*MOVED, "cassettes", "tests", "run"} == set()
