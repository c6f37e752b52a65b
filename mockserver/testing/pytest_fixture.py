"""The pytest fixture's work for one test: which service, what the markers ask for, and the judgement afterwards.

Everything that a test needs is loaded with this module, which pytest_plugin.py loads when the first test asks for it.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import assert_never

from mockserver.responders.conditions import ScenarioError
from mockserver.responders.packaged import find, is_name
from mockserver.server import virtual_time
from mockserver.testing import artifacts, pytest_artifacts, pytest_live
from mockserver.testing.live_service import LiveService
from mockserver.testing.mock_server import MockServer
from mockserver.testing.pytest_dial import Dialling
from mockserver.testing.pytest_tapes import Tape, orphans
from mockserver.testing.tapes import Plan, calls
from mockserver.testing.timeline import conversation_text
from replay.diff.compare import compare, report
from replay.formats import detect

Service = MockServer | LiveService

UNUSED = ("off", "warn", "error")
"""What to do about content that no client used: ignore it, list it at the end of the run, fail the test."""
CONVERSATION = "realtime conversation"
LEFT_OVER = "realtime: not used"
FINDINGS = "realtime: findings"
_MARKER_ONLY = {"unused", "time", "env", "live", "max_age"}
"""Options of the marker that are not MockServer's."""
_ISOLATED = inspect.signature(MockServer.isolate).parameters.keys() - {"self"}
"""Options that a namespace has for itself."""
_FILES = ("scenario", "faults", "accounts")


class FixtureRun:
    """One service of a fixture in one test.

    given: options that a factory was called with, which go before those of the markers; None for the fixtures that are
    a service themselves. number: of the services of this test, from 1.
    """

    def __init__(self, node: pytest.Item, live: bool, given: dict[str, Any] | None, *, number: int) -> None:
        self.passed = False
        self.reported = False
        self.note: dict[str, Any] = {}
        """For the summary at the end of the run; it travels with the test's report, from worker to terminal."""
        self.service: Service | None = None
        self.virtual: MockServer | None = None
        """The mock, if the test runs in virtual time."""
        self._patch: pytest.MonkeyPatch | None = None
        self.verdict: str | None = None
        """The message of the test's first failure."""
        self._url = ""
        self._failed: set[str] = set()
        """What the test has failed for already."""
        self._node = node
        self._live = live
        self._number = number
        options = _marked(node, given or {}, number)
        self._own = {name: options.pop(name) for name in _MARKER_ONLY & options.keys()}
        self._options = options
        named = options.pop("cassette", None)
        self._tape = Tape(node, named, records=given is None) if named else None
        self._plan: Plan = "play"
        self._recorded: LiveService | None = None

    @staticmethod
    def check_live(config: pytest.Config, *, records: bool) -> None:
        """Raises UsageError for options and environments that allow no live run, or no recording."""
        pytest_live.check(config, records=records)

    @staticmethod
    def server() -> MockServer:
        """The server that tests share."""
        return MockServer()

    @staticmethod
    def dialling(node: pytest.Function) -> Dialling:
        """The calls of a test to phone bridges."""
        return Dialling(node)

    @staticmethod
    def orphans(config: pytest.Config, items: Iterable[pytest.Item]) -> list[str]:
        """The paths of tapes that no test names."""
        return orphans(config, items)

    @staticmethod
    def spent(reports: Iterable[pytest.TestReport], config: pytest.Config) -> str:
        """What all tests cost live, in a sentence."""
        return pytest_live.spent(reports, config)

    @staticmethod
    def summarize(rows: Sequence[dict[str, Any]]) -> None:
        """Append a table of failed calls to the summary of a GitHub job."""
        pytest_artifacts.summarize(rows)

    def serve(self, request: pytest.FixtureRequest, shared: MockServer | None = None) -> Iterator[Service]:
        """The service, for as long as the test runs; then what the test made of it is judged. shared: the server that
        it is a namespace of, if it is a mock."""
        if self._live:
            self._own["unused"] = "off"
            with pytest_live.service(self._node, self._options, self._own) as live:
                yield self._started(live, request)
            pytest_live.settle(self._node, live, self.passed)
            self._judge(live)
            return
        if self._tape is not None:
            self._plan = self._tape.plan(self._options, self._own)
        match self._plan:
            case "record" | "add":
                self._own["unused"] = "off"
                yield from self._recording(request, None)
            case "extend":
                with self._mock() as mock:
                    yield from self._recording(request, mock)
            case "play" | "refuse":  # `Tape.plan` has failed a test that is refused
                yield from self._playing(request, shared)
            case _:
                assert_never(self._plan)

    def finished(self, report: pytest.TestReport) -> None:
        """The teardown is over. The call of a test that has failed is written, and linked in the report."""
        if self.service is not None and self.verdict is not None:
            called = pytest_artifacts.Called(self.service, self._url, self._number)
            row = pytest_artifacts.failed(self._node, called, self.verdict, report)
            self.note["failed"] = row
        elif (old := pytest_artifacts.folder(self._node, self._number)) is not None:
            artifacts.remove(old)

    def keep(self) -> None:
        """Write the tape of a test that has passed, once its other fixtures are done as well. Fails the test if it
        cannot be kept."""
        if self._recorded is not None and self._tape is not None and self.passed:
            verbatim = bool(self._options.get("verbatim"))
            self.note["recorded"] = self._tape.keep(self._recorded, self._plan, verbatim=verbatim)

    def _playing(self, request: pytest.FixtureRequest, shared: MockServer | None) -> Iterator[Service]:
        if self._own.get("time") == "virtual" and (shared is not None or self._number > 1):
            pytest.fail("time='virtual' is for realtime_mock, as the only service of a test", pytrace=False)
        elif self._own.get("time") == "virtual":
            self.service = self.virtual = mock = self._mock()  # `run_in_virtual_time` serves it
            self._patch = self._patching(request)
            yield mock
        else:
            with self._mock(shared) as mock:
                yield self._started(mock, request)
        self._judge(mock)

    def _recording(self, request: pytest.FixtureRequest, mock: MockServer | None) -> Iterator[Service]:
        """Through the relay. With a mock, which plays the tape, only what is not on the tape reaches the service."""
        verbatim = bool(self._options.get("verbatim"))
        played = None if mock is None or self._tape is None else (mock, calls(self._tape.path, verbatim=verbatim))
        with pytest_live.recorder(self._node, self._options, played) as recorded:
            self._recorded = recorded
            yield self._started(recorded, request)
        pytest_live.settle(self._node, recorded, self.passed)
        self._judge(recorded)

    def run_in_virtual_time(self, test: pytest.Function, mock: MockServer) -> None:
        """Run an async test and its mock on a loop whose time jumps."""
        function = inspect.unwrap(test.obj)  # as it was written
        if not inspect.iscoroutinefunction(function):
            pytest.fail("time='virtual' is for `async def` tests: a thread cannot wait in virtual time", pytrace=False)
        arguments = {name: test.funcargs[name] for name in test._fixtureinfo.argnames}

        async def served() -> None:
            async with mock:
                self._serves(mock)
                await function(**arguments)

        virtual_time.run(served())

    def sections(self) -> Iterator[tuple[str, str]]:
        """Title and text of what helps to understand a failure."""
        which = f" {self._number}" if self._number > 1 else ""
        for title, text in self._sections():
            yield title + which, text

    def _sections(self) -> Iterator[tuple[str, str]]:
        service = self.service
        if service is None:
            return
        yield CONVERSATION, "\n".join([conversation_text(service.sessions), *getattr(service, "warnings", ())])
        if findings := service.findings:
            yield FINDINGS, "\n".join(map(str, findings))
        if service.sessions and (unused := self._unused(service)):
            yield LEFT_OVER, "\n".join(unused)
        cassette = self._options.get("cassette")
        if cassette is not None and cassette.is_file():
            sent = [event for log in service.sessions for event in log.sent()]
            drift = report(compare(detect.read_recording(cassette).received(), sent))
            yield f"realtime conversation against {cassette.name}", drift

    def _started(self, service: Service, request: pytest.FixtureRequest) -> Service:
        self._patch = self._patching(request)
        self._serves(service)
        return service

    def _patching(self, request: pytest.FixtureRequest) -> pytest.MonkeyPatch | None:
        """What sets the client variables, if the test wants them."""
        patch: pytest.MonkeyPatch | None = request.getfixturevalue("monkeypatch") if self._own.get("env") else None
        return patch

    def _serves(self, service: Service) -> None:
        """The service listens from now on."""
        self.service, self._url = service, service.ws_url
        if self._patch is not None:
            for name, value in service.environment.items():
                self._patch.setenv(name, value)

    def _mock(self, shared: MockServer | None = None) -> MockServer:
        if self._tape is not None:
            old = self._tape.renewed(self._own, self._options)
            self._options["cassette"] = self._tape.path
            self.note["old"] = old
        if shared is not None and (apart := sorted(self._options.keys() - _ISOLATED)):
            needs = f"{', '.join(apart)}: the server of realtime_mock_session has the default; use realtime_mock"
            pytest.fail(f"@pytest.mark.realtime: {needs}", pytrace=False)
        try:
            return MockServer(**self._options) if shared is None else shared.isolate(**self._options)
        except (
            ImportError,
            ValueError,
            OSError,
        ) as refused:  # what it raises for its options
            problem = refused
        pytest.fail(f"@pytest.mark.realtime: {problem}", pytrace=False)

    def check(self) -> None:
        """Fail a test whose function has passed: for findings of severity `error`, if the marker or the configuration
        sets severities, and for unused content, if the marker wants that."""
        if self.service is None:
            return
        failures = [each for each in self._failures(self.service) if each not in self._failed]
        self._failed.update(failures)
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)

    def blames(self, message: str) -> bool:
        """Whether a failure is one of `check`."""
        return any(message.startswith(f"Failed: {each}") for each in self._failed)

    def _failures(self, service: Service) -> list[str]:
        severity_is_set = self._options.get("findings") is not None
        wrong = [str(each) for each in service.findings if each.level == "error" and severity_is_set]
        left = self._unused(service) if self._unused_level == "error" else []
        return [*wrong, *(f"not used: {line}" for line in left)]

    @property
    def _unused_level(self) -> str:
        return str(self._own.get("unused") or self._node.config.getini("realtime_unused"))

    def _judge(self, service: Service) -> None:
        """Note the findings and unused content of a test that passed, for the end of the run, and fail it for what has
        shown since its function ended, when the last connections were closed."""
        left, findings = self._unused(service), service.findings if self.passed else []
        played = self._short(str(self._options.get("scenario", "")))
        level = self._unused_level
        self.note |= {"played": played, "unused": left, "level": level, "passed": self.passed, "findings": []}
        if not self.passed:
            return
        self.check()
        self.note["findings"] = [str(each) for each in findings]

    def _unused(self, service: Service) -> list[str]:
        return [self._short(line) for line in service.unused] if service.sessions else ["no client has connected"]

    def _short(self, text: str) -> str:
        """With paths relative to the root folder."""
        return text.replace(f"{self._node.config.rootpath}{os.sep}", "")


def _marked(node: pytest.Item, given: dict[str, Any], number: int) -> dict[str, Any]:
    """The options of all markers; the nearest marker wins, and what is given wins over all. One that sets the content
    replaces the content of others."""
    options: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("realtime"))):
        if len(mark.args) > 1:
            pytest.fail("@pytest.mark.realtime takes one positional argument, the scenario", pytrace=False)
        options = _over({**dict(zip(("scenario",), mark.args, strict=False)), **mark.kwargs}, options)
    options = _over(given, options)
    _check(options)
    options.setdefault("seed", node.nodeid if number == 1 else f"{node.nodeid} {number}")
    if severity := node.config.getini("realtime_findings"):
        options.setdefault("findings", severity)
    return {name: _found(node, name, value) if name in _FILES else value for name, value in options.items()}


def _over(near: dict[str, Any], far: dict[str, Any]) -> dict[str, Any]:
    content = ("scenario", "cassette") if {"scenario", "cassette"} & near.keys() else ()
    return {**{name: value for name, value in far.items() if name not in content}, **near}


def _check(options: dict[str, Any]) -> None:
    known = {*list(inspect.signature(MockServer).parameters), *_MARKER_ONLY}
    for name in options.keys() - known:
        near = get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
        pytest.fail(f"@pytest.mark.realtime has no option {name!r}; {advice}", pytrace=False)
    for name, choices in (("unused", UNUSED), ("time", ("wall", "virtual"))):
        if options.get(name, choices[0]) not in choices:
            wrong = f"@pytest.mark.realtime: {name} is {options[name]!r}; use {' or '.join(map(repr, choices))}"
            pytest.fail(wrong, pytrace=False)


def _found(node: pytest.Item, option: str, value: object) -> object:
    """The path of a file that a marker names: beside the test, else relative to the root folder; or a packaged
    scenario."""
    if not isinstance(value, str | Path):
        return value
    places = list(dict.fromkeys((node.path.parent / value, node.config.rootpath / value)))
    for path in places:
        if path.exists():
            return path
    if option == "scenario" and is_name(value):
        try:
            return find(value)
        except ScenarioError as unknown:
            pytest.fail(f"@pytest.mark.realtime: {unknown}", pytrace=False)
    pytest.fail(f"@pytest.mark.realtime: there is no {', nor '.join(map(str, places))}", pytrace=False)
