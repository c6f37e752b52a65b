"""The npm package: its own tests, against the server of this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import programs

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def package(pytestconfig: pytest.Config) -> Path:
    """The package, compiled, with all that its tests import."""
    folder = programs.installed(pytestconfig, "npm-package", sources=ROOT / "npm")
    npm(folder, "run", "build")
    return folder


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A PATH on which `realtape` is this checkout's."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "realtape"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m realtape "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])


def npm(folder: Path, *words: str, env: Mapping[str, str] | None = None) -> str:
    """`npm WORDS…` in a folder; its output. Fails with the output when npm does."""
    command = shutil.which("npm")
    assert command is not None
    done = subprocess.run(
        [command, *words],
        cwd=folder,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_package_passes_its_own_tests(package: Path, path: str):
    npm(package, "test", env={"PATH": path})
