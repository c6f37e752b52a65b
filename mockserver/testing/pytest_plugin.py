"""The pytest plugin: the fixture `realtime_mock` and the marker `realtime`; nothing to import.

pytest loads this into every run where realtape is installed, so it loads nothing else until a test asks for the mock.
Each test gets a server of its own, on a free port and with its own seed: tests may run in any order and in parallel.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mockserver.testing.pytest_fixture import FixtureRun, Service

_SEVERITIES = ("off", "warn", "error")
_MARKER = (
    "realtime(scenario=None, *, cassette=None, dialect=None, unused='warn', time='wall', env=False, ...): how the "
    "fixture realtime_mock plays the service; takes every option of MockServer. Files are looked up beside the test, "
    "then in the root folder. time='virtual' runs an async test without waiting; env=True sets its environment "
    "variables; live=False skips the test with --realtime-live."
)
_RUN = pytest.StashKey["FixtureRun"]()


def _fixture_run() -> type[FixtureRun]:
    """The lazy boundary of the plugin: the mock is loaded here."""
    from mockserver.testing.pytest_fixture import FixtureRun

    return FixtureRun


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("realtime", "realtime voice services")
    group.addoption(
        "--realtime-live",
        action="store_true",
        help="run the tests against the live service: XAI_API_KEY or OPENAI_API_KEY from the environment",
    )
    group.addoption(
        "--realtime-upstream", metavar="URL", help="run the tests against another service, such as another mock"
    )
    group.addoption(
        "--realtime-budget",
        metavar="USD",
        default="0.25",
        help="amount that all tests together may spend live; calls are ended once it is spent (default: 0.25)",
    )
    parser.addini(
        "realtime_findings", f"default of the realtime marker's `findings`: {', '.join(_SEVERITIES)}", default=""
    )
    parser.addini(
        "realtime_unused", f"default of the realtime marker's `unused`: {', '.join(_SEVERITIES)}", default="warn"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    if (severity := config.getini("realtime_findings")) not in ("", *_SEVERITIES):
        raise pytest.UsageError(f"realtime_findings is {severity!r}; use {', '.join(_SEVERITIES)}")
    if (severity := config.getini("realtime_unused")) not in _SEVERITIES:
        raise pytest.UsageError(f"realtime_unused is {severity!r}; use {', '.join(_SEVERITIES)}")
    if _is_live(config):
        _fixture_run().check_live(config)
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
    """A realtime voice service for this test: `.ws_url`, `.http_url`, `.api_key`, `.sessions`, `.assert_…`.

    It serves from a thread, to sync and async tests and to other programs; with `time="virtual"` from the test's own
    loop. An error inside it fails the test. With --realtime-live it is the live service, behind a relay.
    """
    run = request.node.stash[_RUN] = _fixture_run()(request.node, _is_live(request.config))
    yield from run.serve(request)


@pytest.fixture
def realtime_env(request: pytest.FixtureRequest, realtime_mock: Service) -> dict[str, str]:
    """Environment variables for programs that connect: `subprocess.run(…, env={**os.environ, **realtime_env})`."""
    environment: dict[str, str] = request.node.stash[_RUN].environment()
    return environment


class _VirtualTime:
    """Registered last, so that it runs before the plugins that run async tests on loops of their own."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        run = pyfuncitem.stash.get(_RUN, None)
        if run is None or run.virtual is None:
            return None
        run.run_in_virtual_time(pyfuncitem, run.virtual)
        return True


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test whose client made mistakes fails, as by an assertion at its end."""
    result = yield
    if (run := pyfuncitem.stash.get(_RUN, None)) is not None:
        run.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    run = item.stash.get(_RUN, None)
    if run is not None and run.service is not None:
        if report.when == "call":
            run.passed = report.passed
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and run.blames(crash.message):
            crash.message = crash.message.removeprefix("Failed: ")  # the rule comes first in pytest's short summary
        if report.failed and not run.reported:
            run.reported = True
            report.sections += run.sections()
        if report.when == "teardown":
            report.realtime = run.note  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Lists the findings and unused content of tests that passed, and the costs of a live run."""
    reports = [each for kind in terminalreporter.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    noted = [(each.nodeid, each.realtime) for each in reports if getattr(each, "realtime", None)]
    if _is_live(config):
        terminalreporter.section("realtime")
        terminalreporter.write_line(_fixture_run().spent(reports, config))
    findings = [(nodeid, note["findings"]) for nodeid, note in noted if note["findings"]]
    for title, parts in (("realtime: findings", findings), ("realtime: not used", _left_over(noted))):
        if parts:
            terminalreporter.section(title)
        for heading, lines in parts:
            terminalreporter.write_line(heading)
            for line in lines:
                terminalreporter.write_line(f"  {line}")


def _left_over(noted: Sequence[tuple[str, dict[str, Any]]]) -> list[tuple[str, list[str]]]:
    """First what no test used of each file, then what single tests left unused besides."""
    parts: list[tuple[str, list[str]]] = []
    quiet = {nodeid for nodeid, note in noted if note["level"] != "warn" or not note["passed"]}
    for file in dict.fromkeys(note["played"] for _, note in noted):
        tests = {nodeid: note["unused"] for nodeid, note in noted if note["played"] == file}
        first = next(iter(tests.values()))
        common = [
            each for each in first if each.startswith(f"{file}:") and all(each in left for left in tests.values())
        ]
        if common and tests.keys() - quiet:
            parts.append((f"{file}, in {len(tests)} test{'s'[: len(tests) > 1]}", common))
    for nodeid, note in noted:
        own = [each for each in note["unused"] if not each.startswith(f"{note['played']}:")]
        if own and nodeid not in quiet:
            parts.append((nodeid, own))
    return parts
