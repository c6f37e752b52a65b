"""README and docs say what is so: their Python runs, their command lines exist, the files they point to are there.

A block in ```python runs as it stands, in a folder where only `cassettes/` is, with top-level `await`. In ```console
and ```sh, each `realtape ...` line is given to the command itself with `--help` behind it: an unknown subcommand or
option fails, nothing is started. `<!-- no-run: reason -->` before a block is for what needs a key or another system.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import realtape
import run

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"(?ms)(?:<!-- no-run:(?P<reason>.*?)-->\s*)?^```(?P<kind>\w+)\n(?P<text>.*?)^```")
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)|(?:src|href)=\"(?!\w+:)([^\"#]+)\"")
NAMED_FILE = re.compile(r"`((?:mockserver|replay|clinic_agent|cassettes|docs|tests)/[\w./-]*)`")


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    text: str
    reason: str | None
    """Why it is not run; None means that it is."""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    for page in PAGES:
        source = page.read_text(encoding="utf-8")
        for found in BLOCK.finditer(source):
            line = source.count("\n", 0, found.start("text")) + 1
            yield Block(page.relative_to(ROOT).as_posix(), line, found["kind"], found["text"], found["reason"])


BLOCKS = list(blocks())
PROGRAMS = [block for block in BLOCKS if block.kind == "python" and block.reason is None]
COMMANDS = [
    pytest.param(line.removeprefix("$ "), id=f"{block}: {line}")
    for block in BLOCKS
    if block.kind in ("console", "sh") and block.reason is None
    for line in block.text.splitlines()
    if re.match(r"(\$ )?(realtape|python run\.py)\b", line)
]


async def run_program(source: str, where: str) -> None:
    code = compile(source, where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    outcome = eval(code, {"__name__": "__main__"})
    if inspect.iscoroutine(outcome):
        await asyncio.wait_for(outcome, timeout=20)


def check_command(line: str) -> str | None:
    """What is wrong with a command line of the docs; None if nothing is."""
    words = [word for word in shlex.split(line, comments=True) if word != "&"]
    arguments = words[1 : words.index("--") if "--" in words else None]  # behind it is somebody else's command
    if words[0] == "python":
        program = run.plan(words[2:])[1]
        if program[:2] != ["-m", "realtape"]:
            return None
        arguments = program[2:]
    assert isinstance(realtape.main, click.Command)
    result = CliRunner().invoke(realtape.main, [*arguments, "--help"])
    return None if result.exit_code == 0 else result.output


@pytest.mark.slow
@pytest.mark.parametrize("block", PROGRAMS, ids=str)
async def test_the_python_of_the_docs_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if (ROOT / "cassettes").exists():
        shutil.copytree(ROOT / "cassettes", tmp_path / "cassettes")
    monkeypatch.chdir(tmp_path)
    await run_program("\n" * (block.line - 1) + block.text, block.page)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_of_the_docs_exist_with_their_options(line: str):
    assert check_command(line) is None


@pytest.mark.parametrize("line", ["realtape sevre", "realtape serve --prot 1", "python run.py serve --prot 1"])
def test_a_misspelt_command_would_be_noticed(line: str):
    assert "No such" in (check_command(line) or "")


async def test_a_failing_program_would_be_noticed():
    with pytest.raises(ZeroDivisionError):
        await run_program("import asyncio\nawait asyncio.sleep(0)\n1 / 0\n", "page")


def test_a_block_that_is_not_run_says_why():
    assert [str(block) for block in BLOCKS if block.reason is not None and not block.reason.strip()] == []


def test_the_readme_has_programs_and_commands_to_check():
    kinds = {block.kind for block in BLOCKS if block.page == "README.md" and block.reason is None}
    assert {"python", "console"} <= kinds


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_points_to_are_there(page: Path):
    text = page.read_text(encoding="utf-8")
    links = [page.parent / (first or second) for first, second in LINK.findall(text)]
    named = [ROOT / path for path in NAMED_FILE.findall(text)]
    assert [str(path) for path in links + named if not path.exists()] == []
