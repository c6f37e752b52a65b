"""Programs in Node: the packages that they import, and what they report."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).resolve().parent / "node"
NPM = shutil.which("npm") or "npm"
MADE = ("node_modules", "dist", "build")
"""Folders that npm and the compiler make."""


def installed(config: pytest.Config, name: str, options: Sequence[str] = (), sources: Path = SOURCES) -> Path:
    """A folder in pytest's cache with the programs and the packages they import. Skips without Node or a network."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node and npm are not installed")
    assert config.cache is not None
    folder = config.cache.mkdir(f"clients-{name}")
    shutil.rmtree(folder)  # with what another version left there
    shutil.copytree(sources, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*MADE))
    quietly = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=0"]
    try:
        done = subprocess.run([npm, "ci", *quietly, *options], cwd=folder, capture_output=True, text=True, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not get the packages within two minutes")
    if done.returncode:
        pytest.skip(f"npm cannot install the packages: {done.stderr.strip()[-200:]}")
    return folder


def version(folder: Path, package: str) -> str:
    described = json.loads((folder / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
    return str(described["version"])


def run(
    folder: Path, words: Sequence[str], speech: bytes = b"", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """`node WORDS…` to its end."""
    return subprocess.run(["node", *words], cwd=folder, input=speech, capture_output=True, timeout=100, env=env)


def output(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> str:
    """What a command in a folder writes. Fails with it when the command does."""
    merged = {**os.environ, **(env or {})}
    done = subprocess.run(
        command, cwd=folder, env=merged, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=190
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def report_of(done: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    """What the program reported; fails when it wrote a warning, too."""
    assert (done.returncode, done.stderr.decode()) == (0, "")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
