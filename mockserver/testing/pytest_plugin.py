"""The pytest plugin: the fixture `realtime_mock` and the marker `realtime`; nothing to import.

pytest loads this into every run where realtape is installed, so it imports nothing else until a test asks for the mock.
A server for each test, on a free port, with a seed of its own: tests may run in any order and beside each other.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mockserver.testing.live_service import LiveService
    from mockserver.testing.mock_server import MockServer

    Service = MockServer | LiveService

UNUSED = ("off", "warn", "error")
"""What becomes of what no client made use of: nothing, lines at the end of the run, a failure."""
OWN = {"unused", "time", "env", "live"}
"""Options of the marker that are not MockServer's."""
_FILES = ("scenario", "cassette", "faults", "accounts")
_MARKER = (
    "realtime(scenario=None, *, cassette=None, dialect=None, unused='warn', time='wall', env=False, ...): how the "
    "fixture realtime_mock plays the service; takes every option of MockServer. Files are found beside the test, or "
    "from the root folder. time='virtual' runs an async test without waiting; env=True sets its environment variables; "
    "with live=False --realtime-live leaves it out."
)
_CONVERSATION = "realtime conversation"
_LEFT_OVER = "realtime: not used"
_FINDINGS = "realtime: findings"

_MOCK = pytest.StashKey["Service"]()
_VIRTUAL = pytest.StashKey["MockServer"]()
_OPTIONS = pytest.StashKey[dict[str, Any]]()
_PASSED = pytest.StashKey[bool]()
_TOLD = pytest.StashKey[bool]()
_NOTE = pytest.StashKey[dict[str, Any]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("realtime", "realtime voice services")
    group.addoption(
        "--realtime-live",
        action="store_true",
        help="run the tests against the live service: XAI_API_KEY or OPENAI_API_KEY from the environment",
    )
    group.addoption("--realtime-upstream", metavar="URL", help="the same against another service, such as a mock")
    group.addoption(
        "--realtime-budget",
        metavar="USD",
        default="0.25",
        help="what all tests together may spend live; calls are ended once they have (default: 0.25)",
    )
    parser.addini("realtime_findings", f"the default of its `findings`: {', '.join(UNUSED)}", default="")
    parser.addini(
        "realtime_unused", f"the default of the realtime marker's `unused`: {', '.join(UNUSED)}", default="warn"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    if (loudness := config.getini("realtime_findings")) not in ("", *UNUSED):
        raise pytest.UsageError(f"realtime_findings is {loudness!r}; use {', '.join(UNUSED)}")
    if (level := config.getini("realtime_unused")) not in UNUSED:
        raise pytest.UsageError(f"realtime_unused is {level!r}; use {', '.join(UNUSED)}")
    if _is_live(config):
        from mockserver.testing import pytest_live

        pytest_live.check(config)
    config.pluginmanager.register(_VirtualTime(), "realtime: virtual time")


def pytest_report_header(config: pytest.Config) -> str | None:
    if not _is_live(config):
        return None
    where = config.getoption("--realtime-upstream") or "the live service"
    return f"realtime: {where}, for at most {config.getoption('--realtime-budget')} USD"


def _is_live(config: pytest.Config) -> bool:
    return bool(config.getoption("--realtime-live") or config.getoption("--realtime-upstream"))


@pytest.fixture
def realtime_mock(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A realtime voice service for this test alone: `.ws_url`, `.http_url`, `.api_key`, `.sessions`, `.assert_…`.

    It serves from a thread, to sync and async tests and to other programs; with `time="virtual"` from the test's own
    loop. What goes wrong inside it fails the test. With --realtime-live it is the service itself, behind a relay.
    """
    node = request.node
    options = _marked(node)
    own = {name: options.pop(name) for name in OWN & options.keys()}
    node.stash[_OPTIONS], node.stash[_PASSED], node.stash[_TOLD], node.stash[_NOTE] = options, False, False, {}
    if _is_live(request.config):
        yield from _live(request, options, own)
    elif own.get("time") == "virtual":
        node.stash[_MOCK] = node.stash[_VIRTUAL] = mock = _made(options)  # pytest_pyfunc_call serves it
        yield mock
        _judge(node, mock, own)
    else:
        with _made(options) as mock:
            node.stash[_MOCK] = mock
            _set_environment(request, mock, own)
            yield mock
        _judge(node, mock, own)


def _live(request: pytest.FixtureRequest, options: dict[str, Any], own: dict[str, Any]) -> Iterator[Service]:
    from mockserver.testing import pytest_live

    node = request.node
    with pytest_live.service(node, options, own) as service:
        node.stash[_MOCK] = service
        _set_environment(request, service, own)
        yield service
    pytest_live.settle(node, service, node.stash[_PASSED])
    _judge(node, service, {**own, "unused": "off"})


def _set_environment(request: pytest.FixtureRequest, mock: Service, own: dict[str, Any]) -> None:
    if own.get("env"):
        patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
        for name, value in variables(mock).items():
            patch.setenv(name, value)


@pytest.fixture
def realtime_env(realtime_mock: Service) -> dict[str, str]:
    """What points a program in any language at the mock: `subprocess.run(…, env={**os.environ, **realtime_env})`."""
    return variables(realtime_mock)


def variables(mock: Service) -> dict[str, str]:
    """The environment variables by which clients find their service."""
    from mockserver.testing.mock_server import environment

    return environment(mock.ws_url, mock.http_url, mock.api_key)


class _VirtualTime:
    """Registered last, and so asked before the plugins that run async tests on loops of their own."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """In virtual time, the test and its mock share a loop whose time jumps."""
        mock = pyfuncitem.stash.get(_VIRTUAL, None)
        if mock is None:
            return None
        from mockserver.server import virtual_time as autojump

        test = inspect.unwrap(pyfuncitem.obj)  # as it was written
        if not inspect.iscoroutinefunction(test):
            pytest.fail("time='virtual' is for `async def` tests: a thread cannot wait in virtual time", pytrace=False)
        arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}

        async def served() -> None:
            async with mock:
                await test(**arguments)

        autojump.run(served())
        return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    mock = item.stash.get(_MOCK, None)
    if mock is not None:
        if report.when == "call":
            item.stash[_PASSED] = report.passed
        if report.failed and not item.stash[_TOLD]:
            item.stash[_TOLD] = True
            report.sections += _sections(item, mock)
        if report.when == "teardown":
            report.realtime = item.stash[_NOTE]  # type: ignore[attr-defined]  # travels with it, from worker to terminal
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What is to be said of tests that passed, and what was spent."""
    reports = [each for kind in terminalreporter.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    noted = [(each.nodeid, each.realtime) for each in reports if getattr(each, "realtime", None)]
    if _is_live(config):
        from mockserver.testing import pytest_live

        terminalreporter.section("realtime")
        terminalreporter.write_line(pytest_live.spent(reports, config))
    found = [(nodeid, note["findings"]) for nodeid, note in noted if note["findings"]]
    for title, told in ((_FINDINGS, found), (_LEFT_OVER, _left_over(noted))):
        if told:
            terminalreporter.section(title)
        for heading, lines in told:
            terminalreporter.write_line(heading)
            for line in lines:
                terminalreporter.write_line(f"  {line}")


def _left_over(noted: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, list[str]]]:
    """What of each file no test at all made use of, then what else single tests left over."""
    told: list[tuple[str, list[str]]] = []
    quiet = {nodeid for nodeid, note in noted if note["level"] != "warn" or not note["passed"]}
    for file in dict.fromkeys(note["played"] for _, note in noted):
        tests = {nodeid: note["unused"] for nodeid, note in noted if note["played"] == file}
        first = next(iter(tests.values()))
        common = [
            each for each in first if each.startswith(f"{file}:") and all(each in left for left in tests.values())
        ]
        if common and tests.keys() - quiet:
            told.append((f"{file}, in {len(tests)} test{'s'[: len(tests) > 1]}", common))
    for nodeid, note in noted:
        own = [each for each in note["unused"] if not each.startswith(f"{note['played']}:")]
        if own and nodeid not in quiet:
            told.append((nodeid, own))
    return told


def _marked(node: pytest.Item) -> dict[str, Any]:
    """The options of all markers, the nearest first; a marker that says what to play replaces what farther ones say."""
    options: dict[str, Any] = {}
    for mark in reversed(list(node.iter_markers("realtime"))):
        if len(mark.args) > 1:
            pytest.fail("@pytest.mark.realtime takes one thing without a name, the scenario", pytrace=False)
        said = {**dict(zip(("scenario",), mark.args, strict=False)), **mark.kwargs}
        if {"scenario", "cassette"} & said.keys():
            options = {name: value for name, value in options.items() if name not in ("scenario", "cassette")}
        options |= said
    _check(options)
    options.setdefault("seed", node.nodeid)
    if loudness := node.config.getini("realtime_findings"):
        options.setdefault("findings", loudness)
    return {name: _found(node, value) if name in _FILES else value for name, value in options.items()}


def _check(options: dict[str, Any]) -> None:
    from mockserver.testing.mock_server import MockServer

    known = {*list(inspect.signature(MockServer).parameters), *OWN}
    for name in options.keys() - known:
        from difflib import get_close_matches

        near = get_close_matches(name, known, 1)
        advice = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
        pytest.fail(f"@pytest.mark.realtime has no option {name!r}; {advice}", pytrace=False)
    for name, choices in (("unused", UNUSED), ("time", ("wall", "virtual"))):
        if options.get(name, choices[0]) not in choices:
            wrong = f"@pytest.mark.realtime: {name} is {options[name]!r}; use {' or '.join(map(repr, choices))}"
            pytest.fail(wrong, pytrace=False)


def _found(node: pytest.Item, value: object) -> object:
    """The path of a file that a marker names: beside the test, else from the root folder."""
    if not isinstance(value, str | Path):
        return value
    places = list(dict.fromkeys((node.path.parent / value, node.config.rootpath / value)))
    for path in places:
        if path.exists():
            return path
    pytest.fail(f"@pytest.mark.realtime: there is no {', nor '.join(map(str, places))}", pytrace=False)


def _made(options: dict[str, Any]) -> MockServer:
    from mockserver.testing.mock_server import MockServer

    try:
        return MockServer(**options)
    except (ValueError, OSError) as refused:  # every refusal of a scenario, a recording or a setting is one of these
        problem = refused
    pytest.fail(f"@pytest.mark.realtime: {problem}", pytrace=False)


def _judge(node: pytest.Item, mock: Service, own: dict[str, Any]) -> None:
    """After a test that passed: its client's mistakes, and what it left over. Findings fail it where a level was asked
    for, by the marker or for the whole suite; else they are told."""
    level, passed = own.get("unused") or node.config.getini("realtime_unused"), node.stash[_PASSED]
    left, findings = _unused(node, mock), mock.findings if passed else []
    played = _short(node, str(node.stash[_OPTIONS].get("scenario", "")))
    node.stash[_NOTE] = note = {"played": played, "unused": left, "level": level, "passed": passed, "findings": []}
    if not passed:
        return
    wrong = [str(each) for each in findings if each.level == "error"]
    failures = ["the test passed, but its client made mistakes:", *wrong] if wrong and _asked_for(node) else []
    if left and level == "error":
        failures += ["the test passed, but not all was used:", *left]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)
    note["findings"] = [str(each) for each in findings]


def _asked_for(node: pytest.Item) -> bool:
    return node.stash[_OPTIONS].get("findings") is not None


def _unused(node: pytest.Item, mock: Service) -> list[str]:
    return [_short(node, line) for line in mock.unused] if mock.sessions else ["no client has connected"]


def _short(node: pytest.Item, text: str) -> str:
    """With paths from the root folder on."""
    return text.replace(f"{node.config.rootpath}{os.sep}", "")


def _sections(node: pytest.Item, mock: Service) -> Iterator[tuple[str, str]]:
    """What helps to understand a failure."""
    from mockserver.testing.timeline import told

    yield _CONVERSATION, "\n".join([told(mock.sessions), *getattr(mock, "warnings", ())])
    if findings := mock.findings:
        yield _FINDINGS, "\n".join(map(str, findings))
    if mock.sessions and (unused := _unused(node, mock)):
        yield _LEFT_OVER, "\n".join(unused)
    cassette = node.stash[_OPTIONS].get("cassette")
    if cassette is not None and cassette.is_file():
        yield f"realtime conversation against {cassette.name}", _drift(mock, cassette)


def _drift(mock: Service, cassette: Path) -> str:
    from replay.diff.compare import compare, report
    from replay.formats import detect

    sent = [event for log in mock.sessions for event in log.sent()]
    return report(compare(detect.read_recording(cassette).received(), sent))
