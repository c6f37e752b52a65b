"""The plugin's `--realtime-artifacts`: the calls of failed tests as files, and where reports link to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mockserver.testing import artifacts
from mockserver.testing.live_service import LiveService
from mockserver.testing.mock_server import MockServer
from mockserver.testing.pytest_tapes import in_ci, name_of, secrets_of
from mockserver.testing.tapes import SecretInName, digest
from replay.cassette.file import CannotRecord
from replay.cassette.scrub import Scrubber

FOLDER = "realtape-artifacts"
"""The folder of a CI run, unless an option names another."""
SUMMARY = "GITHUB_STEP_SUMMARY"
"""The environment variable with the file that GitHub shows on the page of a run."""
_LONGEST = 200
"""Characters of a verdict in a table."""
_HARMLESS = {ord(each): f"&#{ord(each)};" for each in "\\`*_[]<>|#~&"}


@dataclass(frozen=True, slots=True)
class Called:
    """A service that has ended: the address that it had, and its number among the services of its test, from 1."""

    service: MockServer | LiveService
    url: str
    number: int


def folder(node: pytest.Item, number: int) -> Path | None:
    """The folder of a test's files: `DIR/MODULE/TEST`, with the number of a service that is not the first; None if no
    files are wanted."""
    given = node.config.getoption("--realtime-artifacts") or (FOLDER if in_ci() else "")
    if not given:
        return None
    root = node.config.rootpath
    module = node.path.relative_to(root) if node.path.is_relative_to(root) else Path(node.path.name)
    try:
        name = name_of(node)
    except SecretInName:
        name = f"test-{digest(node.name)}"
    if number > 1:
        name = f"{name}-{number}"
    return node.config.invocation_params.dir / given / ".".join(module.with_suffix("").parts) / name


def failed(node: pytest.Item, called: Called, verdict: str, report: Any) -> dict[str, Any]:
    """Write the call of a failed test, and link it in the report of its teardown. Returns its row of the table."""
    service = called.service
    secrets = secrets_of(node.config)
    clean = Scrubber(secrets).text
    wrong = [each for each in service.findings if each.level == "error"]
    row = {
        "test": clean(node.nodeid),
        "verdict": clean(verdict.partition("\n")[0])[:_LONGEST],
        "rule": ", ".join(dict.fromkeys(each.rule for each in wrong)),
        "turn": None,
        "page": "",
    }
    target = folder(node, called.number)
    call = (
        service.tape(whole=True) if isinstance(service, LiveService) else artifacts.taped(service.sessions, called.url)
    )
    if target is None or call is None:
        return row
    try:
        files = artifacts.write(call, target, clean(node.nodeid), secrets, wrong)
    except (CannotRecord, OSError) as problem:
        return row | {"page": f"not written: {problem}"}
    here = node.config.invocation_params.dir
    for name, path in (("page", files.page), ("tape", files.tape), ("sound", files.sound)):
        if path is not None:
            report.user_properties.append((f"realtime_{name}", os.path.relpath(path, here)))
    if node.config.pluginmanager.hasplugin("html"):
        report.extras = [*getattr(report, "extras", ()), *_links(node.config, files)]
    return row | {"turn": files.turn, "page": os.path.relpath(files.page, here)}


def _links(config: pytest.Config, files: artifacts.FailedCall) -> list[dict[str, Any]]:
    """What pytest-html shows as links, relative to its report."""
    from pytest_html import extras

    beside = (config.invocation_params.dir / (config.getoption("htmlpath", None) or "")).parent
    return [
        extras.url(Path(os.path.relpath(path, beside)).as_posix(), name=f"realtime {name}")
        for name, path in (("call", files.page), ("tape", files.tape), ("sound", files.sound))
        if path is not None
    ]


def summarize(rows: Sequence[dict[str, Any]]) -> None:
    """Append a table of the failed calls to the summary of a GitHub job, if this is one."""
    if not rows or not (path := os.environ.get(SUMMARY)):
        return
    lines = ["", f"### Failed realtime calls: {len(rows)}", "", "| test | verdict | rule | turn | call |"]
    lines.append("|---|---|---|---|---|")
    for row in rows:
        cells = (row["test"], row["verdict"], row["rule"], row["turn"], row["page"])
        lines.append("| " + " | ".join(_cell(cell) for cell in cells) + " |")
    with Path(path).open("a", encoding="utf-8") as file:
        file.write("\n".join([*lines, ""]))


def _cell(value: object) -> str:
    """Text that neither Markdown nor HTML takes for more."""
    text = "–" if value in (None, "") else " ".join(str(value).split())
    return text.translate(_HARMLESS)
