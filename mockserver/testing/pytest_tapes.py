"""The plugin's record modes: which tape a test has, and whether it is played, recorded or refused."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timezone
from fnmatch import fnmatch
from fractions import Fraction
from pathlib import Path
from typing import Any, NoReturn

import pytest

from mockserver.testing import pytest_live, tapes
from mockserver.testing.live_service import LiveService
from mockserver.testing.tapes import Plan, SecretInName
from replay.billing.prices import dollars
from replay.cassette.file import SUFFIX, BadCassette, CannotRecord
from replay.cassette.records import Request
from replay.secrets.named import BadSecret, Secrets, named

SECRETS = ("realtime_secret_env", "realtime_secret_pattern", "realtime_secret_path")
"""The settings that name secrets of the user's own, as the options of `realtape record` do."""


class Tape:
    """What the marker's `cassette` is for one test.

    value: True for the test's own tape, else a name or path: looked up beside the test and in the root folder; a name
    without suffix is also one of the module's tapes. records: whether the fixture records at all. Fails the test if its
    name cannot name a file.
    """

    def __init__(self, node: pytest.Item, value: object, *, records: bool) -> None:
        self._records = records
        self._node = node
        self._config = node.config
        self.path, self._places = _place(node, value)

    @property
    def records(self) -> bool:
        """Whether it could be recorded: a folder and another tool's file are played only."""
        return self._records and self.path.suffix == SUFFIX and not self.path.is_dir()

    def plan(self, options: dict[str, Any], own: dict[str, Any]) -> Plan:
        """What to do. Fails the test if its tape is missing and not to be recorded, or is to grow and cannot."""
        mode = self._config.getoption("--realtime-record")
        needs = pytest_live.needs_mock(options, own)
        plan = tapes.plan("none" if needs or not self.records else mode, self.path.exists())
        if plan == "refuse":
            self._refuse(options, "" if mode == "none" else needs)
        if plan in ("add", "extend"):
            try:
                tapes.growable(self.path)  # before a call costs money
            except (BadCassette, CannotRecord, OSError) as problem:
                command = tapes.command("rewrite", self._node.nodeid, pytest_live.missing_key(options))
                pytest.fail(f"{problem}; replace it: {command}", pytrace=False)
        return plan

    def renewed(self, own: dict[str, Any], options: dict[str, Any]) -> str | None:
        """A line about a tape that is older than `max_age` days, with the command that renews it. Fails the test in
        CI."""
        most = own.get("max_age", self._config.getini("realtime_max_age") or None)
        if most is None or not self.records:
            return None
        try:
            limit = float(most)
        except (TypeError, ValueError):
            limit = 0.0
        if not limit > 0:
            pytest.fail(f"@pytest.mark.realtime: max_age is {most!r}; give a number of days", pytrace=False)
        try:
            days = tapes.days_old(self.path, datetime.now(timezone.utc))  # noqa: TID251  # its age is that of today
        except (BadCassette, OSError, ValueError) as problem:
            pytest.fail(f"@pytest.mark.realtime: {problem}", pytrace=False)
        if days <= limit:
            return None
        command = tapes.command("rewrite", self._node.nodeid, pytest_live.missing_key(options))
        line = f"{self.name} is {days} days old, and max_age is {limit:g}; renew it: {command}"
        if in_ci():
            pytest.fail(line, pytrace=False)
        return line

    @property
    def name(self) -> str:
        """Its path, relative to the root folder if it is in it."""
        return self._short(self.path)

    def keep(self, service: LiveService, plan: Plan, *, verbatim: bool) -> str | None:
        """Write what a test that has passed recorded. Returns a line about it; None if nothing new was recorded. Fails
        the test if there is no call to keep, or it cannot be written."""
        recorded = service.tape()
        if recorded is None:
            return None if plan == "extend" else f"{self.name} was not written: no client connected"
        stays = f"{self.name} {'stays as it was' if self.path.exists() else 'was not written'}"
        if service.warnings:
            pytest.fail(f"{stays}: {service.warnings[0]}", pytrace=False)
        if not service.accepted and not verbatim:
            pytest.fail(f"{stays}: the service accepted no call (verbatim=True records refusals)", pytrace=False)
        secrets = secrets_of(self._config)
        secrets = Secrets((*secrets.values, *service.key), secrets.patterns, secrets.paths)
        try:
            tapes.save(recorded, self.path, secrets, after=plan in ("add", "extend"))
        except (BadCassette, CannotRecord, OSError) as problem:
            pytest.fail(f"{stays}: {problem}", pytrace=False)
        asked = [each.content for each in recorded.records if isinstance(each.content, Request)]
        count = sum(each.method == "GET" for each in asked)
        more = " more" * (plan in ("add", "extend"))
        cost = dollars(Fraction(service.spent_usd))
        return f"{self.name}: {count}{more} connection{'s'[: count != 1]}, {cost} USD"

    def _short(self, path: Path) -> str:
        root = self._config.rootpath
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    def _refuse(self, options: dict[str, Any], needs: str) -> NoReturn:
        where = ", nor ".join(map(self._short, self._places))
        if needs:
            advice = f"only the mock has {needs}, so record it in a test without"
        elif self.records:
            key = pytest_live.missing_key(options)
            advice = f"record it: {tapes.command('once', self._node.nodeid, key)}"
        else:
            pytest.fail(f"@pytest.mark.realtime: there is no {where}", pytrace=False)
        pytest.fail(f"@pytest.mark.realtime: there is no {where}; {advice}", pytrace=False)


def in_ci() -> bool:
    """Whether this is a run of a CI system, by the variables that these set."""
    return any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", "BUILD_NUMBER"))


def secrets_of(config: pytest.Config) -> Secrets:
    """The keys in the environment, and what the configuration names. Fails the test for a setting that is wrong."""
    try:
        return named(*(config.getini(name) for name in SECRETS))
    except BadSecret as problem:
        pytest.fail(f"{', '.join(SECRETS)}: {problem}", pytrace=False)


def name_of(node: pytest.Item) -> str:
    """A test's name as that of a file. Raises SecretInName."""
    cls = getattr(node, "cls", None)
    return tapes.file_name(node.name, cls and cls.__name__, secrets_of(node.config))


def orphans(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
    """The tapes below the folders of these tests that none of them names, relative to the current folder."""
    items = list(items)
    left_out = config.getini("norecursedirs")

    def skipped(folder: Path) -> bool:
        """As pytest does: by name, and virtual environments."""
        return any(fnmatch(folder.name, each) for each in left_out) or (folder / "pyvenv.cfg").exists()

    named = [Tape(item, value, records=True).path for item in items if (value := _cassette(item))]
    folders = dict.fromkeys(item.path.parent for item in items)
    here = config.invocation_params.dir.resolve()
    return [os.path.relpath(path, here) for path in tapes.orphans(folders, named, skipped)]


def _cassette(item: pytest.Item) -> object:
    """The `cassette` of the nearest marker that sets the content."""
    for mark in item.iter_markers("realtime"):
        if "cassette" in mark.kwargs:
            return mark.kwargs["cassette"]
        if mark.args or "scenario" in mark.kwargs:
            return None
    return None


def _place(node: pytest.Item, value: object) -> tuple[Path, list[Path]]:
    """The path of a tape, and the places where it may be."""
    if value is True:
        try:
            path = tapes.default_path(node.path, name_of(node))
        except SecretInName as problem:
            pytest.fail(f"@pytest.mark.realtime(cassette=True): {problem}", pytrace=False)
        return path, [path]
    if not isinstance(value, str | Path):
        pytest.fail(f"@pytest.mark.realtime: cassette is {value!r}; give True, a name or a path", pytrace=False)
    places = list(dict.fromkeys((node.path.parent / value, node.config.rootpath / value)))
    found = next((path for path in places if path.exists()), None)
    if found is not None:
        return found, [found]
    if Path(value).name == str(value) and not Path(value).suffix:
        path = tapes.default_path(node.path, str(value))
        return path, [path]
    return places[0], places
