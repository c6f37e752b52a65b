"""The house rules that no linter checks: sizes, names, docstrings, and nothing of one machine in what users get."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("mockserver", "replay", "clinic_agent")
FOLDERS = (*PACKAGES, "realtape", "tests", "tools", "bench", "docs", "cassettes", ".ci", ".github")
TEXT = {".py", ".md", ".toml", ".yaml", ".yml", ".svg", ".html", ".js", ".css", ""}

SIBLING = "/".join(["..", "shared"])
MAY_NAME_SIBLING = ("tests/conformance/", "tests/clients/")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w|\b[A-Z]:\\Users\b")


def files() -> Iterator[Path]:
    """Every text file of the project; what tools leave behind is not one."""
    for path in ROOT.iterdir():
        if path.is_file() and path.suffix in TEXT and not path.name.startswith("."):
            yield path
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXT and not {"__pycache__", "cache"} & set(path.parts):
                yield path


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


ALL = sorted(files())
PYTHON = [path for path in ALL if path.suffix == ".py"]
SOURCES = [path for path in PYTHON if name(path).split("/")[0] in (*PACKAGES, "realtape", "tools", "run.py")]


def long_functions(source: str, limit: int = 120) -> list[str]:
    functions = (n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef)))
    sizes = {f"{node.name}, line {node.lineno}": (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    return [f"{function}: {lines} lines" for function, lines in sizes.items() if lines > limit]


def test_no_file_has_more_than_600_lines():
    lengths = {name(path): path.read_text(encoding="utf-8").count("\n") for path in PYTHON}
    assert {path: lines for path, lines in lengths.items() if lines > 600} == {}


@pytest.mark.slow
def test_no_function_has_more_than_120_lines():
    found = {name(path): long_functions(path.read_text(encoding="utf-8")) for path in PYTHON}
    assert {path: functions for path, functions in found.items() if functions} == {}


@pytest.mark.parametrize(("body", "too_long"), [(119, False), (120, True)])
def test_a_function_is_counted_from_its_def_to_its_last_line(body: int, too_long: bool):
    assert bool(long_functions("def story():\n" + "    pass\n" * body)) is too_long


def test_no_module_is_named_for_having_no_subject():
    vague = re.compile(r"^(utils?|helpers?|common|misc)\.py$|manager")
    assert [name(path) for path in PYTHON if vague.search(path.name)] == []


def test_every_module_says_what_it_is():
    texts = {name(path): path.read_text(encoding="utf-8") for path in SOURCES}
    assert [path for path, text in texts.items() if not re.match(r'(#.*\n)*r?"""', text)] == []


def test_only_conformance_tests_look_outside_the_repository():
    outside = [path for path in ALL if not name(path).startswith(MAY_NAME_SIBLING)]
    assert [name(path) for path in outside if SIBLING in path.read_text(encoding="utf-8")] == []


def test_no_file_names_a_path_of_one_machine():
    assert [name(path) for path in ALL if MACHINE_PATH.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", ["/" + "home/ada/x", "see /" + "work/main", "C:\\" + "Users\\ada"])
def test_a_machine_path_is_recognised(path: str):
    assert MACHINE_PATH.search(path)


@pytest.mark.parametrize("path", ["tests/work/x", "https://example.com/home/page", "$HOME/.pyenv"])
def test_an_address_or_a_relative_path_is_no_machine_path(path: str):
    assert not MACHINE_PATH.search(path)


def test_the_changelog_starts_with_the_version_that_is_built():
    (built,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    told = re.findall(r"^## \[(\d.*?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert told[:1] == [built]
