"""The mock that clients are pointed at, the caller's voice, and the table of what went well.

These tests run where they are asked for (`-m clients`, or tests/clients by name) and are left out everywhere else:
they speak in real time to programs that not everybody has.
"""

from __future__ import annotations

import os
import re
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mockserver.testing.mock_server import MockServer
from tests.clients import programs
from tests.clients.steps import Steps, table

HERE = Path(__file__).resolve().parent
VOICE = HERE.parent.parent / "cassettes" / "voices" / "booking-1.wav"
WENT = pytest.StashKey[list[Steps]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = [item for item in items if HERE in item.path.parents]
    for item in mine:
        item.add_marker("clients")
        item.add_marker("slow")
    if "clients" not in f"{config.option.markexpr} {' '.join(config.args)}":
        items[:] = [item for item in items if item not in mine]
        config.hook.pytest_deselected(items=mine)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash.get(WENT, [])
    skips = [skip_of(report) for report in terminalreporter.stats.get("skipped", []) if "/clients/" in report.nodeid]
    if rows or skips:
        terminalreporter.section("clients")
        terminalreporter.write_line("\n".join([*table(rows), *dict.fromkeys(skips)]))


def skip_of(report: pytest.TestReport | pytest.CollectReport) -> str:
    """What was left out, and why, in a line."""
    assert isinstance(report.longrepr, tuple)
    client = Path(report.nodeid.partition("::")[0]).stem.removeprefix("test_").replace("_", "-")
    dialect = "".join(re.findall(r"\[(xai|openai)", report.nodeid))
    return f"{client}{', ' if dialect else ''}{dialect}: skipped: {report.longrepr[2].removeprefix('Skipped: ')}"


@pytest.fixture(params=["xai", "openai"])
def dialect(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def expected_errors() -> tuple[str, ...]:
    """Words of errors and findings that are a client's way; a module may have others."""
    return ()


@pytest.fixture
def mock(dialect: str, expected_errors: tuple[str, ...]) -> Iterator[MockServer]:
    """Fails the test when a client was told that it did something wrong, or is found to do so."""
    with MockServer(HERE / "caller.yaml", dialect=dialect, voice="tone") as server:
        yield server
        told = [error["error"]["message"] for session in server.sessions for error in session.sent("error")]
        told += [str(finding) for finding in server.findings if finding.level == "error"]
        assert [message for message in told if not any(words in message for words in expected_errors)] == []


@pytest.fixture
def model(dialect: str) -> str:
    return "grok-voice-latest" if dialect == "xai" else "gpt-realtime"


@pytest.fixture
def took(request: pytest.FixtureRequest, dialect: str) -> Callable[[str], Steps]:
    """`took("name of the client")` gives the steps to fill in."""

    def begin(client: str) -> Steps:
        steps = Steps(client, dialect)
        request.config.stash.setdefault(WENT, []).append(steps)
        return steps

    return begin


@pytest.fixture(scope="session")
def node_folder(pytestconfig: pytest.Config) -> Path:
    """The programs in Node, with `ws` alone."""
    return programs.installed(pytestconfig, "ws", ["--omit=dev"])


@pytest.fixture(scope="session")
def sdk_folder(pytestconfig: pytest.Config) -> Path:
    """The programs in Node, with every package that one of them drives."""
    return programs.installed(pytestconfig, "npm")


@pytest.fixture(scope="session")
def npm_package(pytestconfig: pytest.Config) -> Path:
    """The npm package of this checkout, compiled, with all that its tests import."""
    folder = programs.installed(pytestconfig, "npm-package", sources=HERE.parent.parent / "npm")
    for script in ("build", "build:tests"):
        programs.output([programs.NPM, "run", script], folder)
    (folder / "node_modules" / "realtape").symlink_to(folder)  # for projects inside it
    return folder


@pytest.fixture(scope="session")
def npm_env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables for a program in Node: a PATH on which `realtape` is this checkout's."""
    folder, root = tmp_path_factory.mktemp("bin"), HERE.parent.parent
    program = folder / "realtape"
    program.write_text(f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m realtape "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return {"PATH": os.pathsep.join([str(folder), os.environ["PATH"]]), "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def speech() -> bytes:
    """A caller asking for July sixth, with silence before and enough after it to end the turn: PCM16, 24 kHz."""
    with wave.open(str(VOICE)) as clip:
        assert (clip.getframerate(), clip.getnchannels(), clip.getsampwidth()) == (24_000, 1, 2)
        spoken: bytes = clip.readframes(clip.getnframes())
    return bytes(48 * 300) + spoken + bytes(48 * 1500)
