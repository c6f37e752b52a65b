"""The npm package: its own tests, against the server of this checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.clients import programs

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "npm" / "tests"
NPM = shutil.which("npm") or "npm"


@pytest.fixture(scope="session")
def package(pytestconfig: pytest.Config) -> Path:
    """The package, compiled, with all that its tests import."""
    folder = programs.installed(pytestconfig, "npm-package", sources=ROOT / "npm")
    for script in ("build", "build:tests"):
        run([NPM, "run", script], folder)
    return folder


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `realtape` is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "realtape"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m realtape "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])


def run(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """The output of a command in a folder. Fails with it when the command does."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("name", [path.name.removesuffix(".test.ts") for path in sorted(TESTS.glob("*.test.ts"))])
def test_the_package_passes_its_own_tests(package: Path, path: str, name: str):
    done = run(["node", "--test", "--test-timeout=120000", f"build/{name}.test.js"], package, {"PATH": path})
    assert re.search(r"(?m)^# pass [1-9]", done) and re.search(r"(?m)^# skipped 0$", done), done


def test_the_package_has_what_its_users_need_and_no_more(package: Path):
    (packed,) = json.loads(run([NPM, "pack", "--dry-run", "--json", "--ignore-scripts"], package))
    names = {entry["path"] for entry in packed["files"]}
    modules = [path.relative_to(TESTS.parent / "src").with_suffix("") for path in (TESTS.parent / "src").rglob("*.ts")]
    made = {f"dist/{module.as_posix()}{suffix}" for module in modules for suffix in (".js", ".d.ts")}
    assert names == {"LICENSE", "README.md", "package.json", *made}
