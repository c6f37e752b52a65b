"""The pytest plugin: the fixtures `realtime_…` and the marker `realtime`; nothing to import.

pytest loads this into every run where realtape is installed, so it loads nothing else until a test asks for the mock.
Each test gets a server of its own, on a free port and with its own seed: tests may run in any order and in parallel.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from mockserver.testing.mock_server import MockServer
    from mockserver.testing.pytest_dial import Dialling
    from mockserver.testing.pytest_fixture import FixtureRun, Service

_SEVERITIES = ("off", "warn", "error")
_MARKER = (
    "realtime(scenario=None, *, cassette=None, dialect=None, unused='warn', time='wall', env=False, ...): how the "
    "fixture realtime_mock plays the service; takes every option of MockServer. Files are looked up beside the test, "
    "then in the root folder. cassette=True is the test's own tape, see --realtime-record; max_age=DAYS is its longest "
    "age. time='virtual' runs an async test without waiting; env=True sets its environment variables; live=False skips "
    "the test with --realtime-live."
)
_MODES = ("none", "once", "new_episodes", "all", "rewrite")
_DIAL_MARKER = (
    "realtime_dial(*, provider='twilio', jitter_ms=0, loss=0, drop_after_s=None, ...): how the fixture realtime_dial "
    "calls a phone bridge; takes every option of realtape.dial."
)
_RUNS = pytest.StashKey["list[FixtureRun]"]()
_FAILED = pytest.StashKey[bool]()
_ORPHANS = pytest.StashKey["list[str]"]()


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
        "--realtime-record",
        choices=_MODES,
        default="none",
        help="what to do with the tapes of tests marked with cassette=: play them (none, the default); record missing "
        "ones (once); also add connections that are not on them (new_episodes); play none and add all connections "
        "(all); record all from scratch (rewrite). A tape is written only if its test has passed",
    )
    group.addoption(
        "--realtime-upstream",
        metavar="URL",
        help="run the tests against another service, such as another mock; with --realtime-record, record that one "
        "(default there: REALTAPE_UPSTREAM, else the live service)",
    )
    group.addoption(
        "--realtime-budget",
        "--realtime-max-usd",
        metavar="USD",
        default="0.25",
        help="amount that all tests together may spend live; calls are ended once it is spent (default: 0.25)",
    )
    group.addoption(
        "--realtime-orphans",
        action="store_true",
        help="list the tapes in folders named `cassettes` that no test names, and exit: with 1 if there are any",
    )
    group.addoption(
        "--realtime-artifacts",
        metavar="DIR",
        help="write the call of each failed test as a tape, a stereo WAV and an HTML page that plays "
        "(default: realtape-artifacts in CI, else none)",
    )
    parser.addini("realtime_max_age", "default of the realtime marker's `max_age`, in days", default="")
    for name, what in (
        ("env", "environment variables whose values are secrets"),
        ("pattern", "regular expressions of secrets"),
        ("path", "places of secrets in JSON, such as session.metadata.patient"),
    ):
        parser.addini(f"realtime_secret_{name}", f"{what}, one a line; no tape has them", type="linelist")
    parser.addini(
        "realtime_findings", f"default of the realtime marker's `findings`: {', '.join(_SEVERITIES)}", default=""
    )
    parser.addini(
        "realtime_unused", f"default of the realtime marker's `unused`: {', '.join(_SEVERITIES)}", default="warn"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)
    config.addinivalue_line("markers", _DIAL_MARKER)
    if (severity := config.getini("realtime_findings")) not in ("", *_SEVERITIES):
        raise pytest.UsageError(f"realtime_findings is {severity!r}; use {', '.join(_SEVERITIES)}")
    if (severity := config.getini("realtime_unused")) not in _SEVERITIES:
        raise pytest.UsageError(f"realtime_unused is {severity!r}; use {', '.join(_SEVERITIES)}")
    if _is_live(config) or _records(config):
        _fixture_run().check_live(config, records=_records(config))
    config.pluginmanager.register(_VirtualTime(), "realtime: virtual time")


def pytest_report_header(config: pytest.Config) -> str | None:
    if not _is_live(config) and not _records(config):
        return None
    where = config.getoption("--realtime-upstream") or (_records(config) and os.environ.get("REALTAPE_UPSTREAM"))
    record = f"record {config.getoption('--realtime-record')} from " * _records(config)
    return f"realtime: {record}{where or 'the live service'}, for at most {config.getoption('--realtime-budget')} USD"


def _is_live(config: pytest.Config) -> bool:
    """With --realtime-record, the upstream is what is recorded, and only tests with a tape reach it."""
    live = config.getoption("--realtime-live") or config.getoption("--realtime-upstream")
    return bool(live) and not _records(config)


def _records(config: pytest.Config) -> bool:
    return bool(config.getoption("--realtime-record") != "none")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Orphans are looked for in this process: as long as nothing is to be run, pytest-xdist starts no workers."""
    if config.getoption("--realtime-orphans"):
        if any("::" in argument for argument in config.args):
            raise pytest.UsageError("--realtime-orphans needs whole files or folders: other tests may name a tape")
        config.option.collectonly = True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before -k and -m deselect tests: these name their tapes as well. So do files that could not be collected."""
    if config.getoption("--realtime-orphans") and not session.testsfailed:
        config.stash[_ORPHANS] = _fixture_run().orphans(config, items)
        items.clear()


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash.get(_ORPHANS, None) is not None:
        session.exitstatus = pytest.ExitCode(bool(session.config.stash[_ORPHANS]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_RUNS] = []  # a test may run again


@pytest.fixture
def realtime_mock(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A realtime voice service for this test: `.ws_url`, `.http_url`, `.api_key`, `.sessions`, `.assert_…`.

    It serves from a thread, to sync and async tests and to other programs; with `time="virtual"` from the test's own
    loop. An error inside it fails the test. With --realtime-live it is the live service, behind a relay.
    """
    yield from _run(request).serve(request)


@pytest.fixture
def realtime_mock_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., Service]]:
    """Makes any number of services for one test: `realtime_mock_factory("booking.yaml", dialect="openai")`.

    It takes the options of the marker, which hold where none is given. Each service has its own port and lasts as long
    as the test.
    """
    with ExitStack() as services:

        def make(scenario: object = None, **options: object) -> Service:
            given = {**({} if scenario is None else {"scenario": scenario}), **options}
            return services.enter_context(contextmanager(_run(request, given).serve)(request))

        yield make


@pytest.fixture(scope="session")
def realtime_server() -> Iterator[MockServer]:
    """The server of `realtime_mock_session`, for an application that is started once: `.environment`, `.origin`.

    It serves from a thread until the end of the run; with pytest-xdist there is one for each worker.
    """
    with _fixture_run().server() as server:
        yield server


@pytest.fixture
def realtime_mock_session(request: pytest.FixtureRequest, realtime_server: MockServer) -> Iterator[Service]:
    """A namespace of `realtime_server` for this test: the members of `realtime_mock`, without a server of its own.

    It has its own key, addresses, scenario, faults, journal and ledger, and sees no other test's sessions. Clients are
    in it by its addresses, or by its key at the server's address.
    """
    yield from _run(request).serve(request, realtime_server)


@pytest.fixture
def realtime_dial(request: pytest.FixtureRequest) -> Iterator[Dialling]:
    """A phone company's calls to a bridge: `report = realtime_dial(url, "Hello")`; in an async test, `await` it.

    The report of each call is shown if the test fails; with --realtime-artifacts its sound is kept.
    """
    calls = _fixture_run().dialling(request.node)
    yield calls
    if request.node.stash.get(_FAILED, False):
        calls.failed()


@pytest.fixture
def realtime_env(realtime_mock: Service) -> dict[str, str]:
    """Environment variables for programs that connect: `subprocess.run(…, env={**os.environ, **realtime_env})`."""
    environment: dict[str, str] = realtime_mock.environment
    return environment


def _run(request: pytest.FixtureRequest, given: dict[str, object] | None = None) -> FixtureRun:
    runs: list[FixtureRun] = request.node.stash.setdefault(_RUNS, [])
    runs.append(_fixture_run()(request.node, _is_live(request.config), given, number=len(runs) + 1))
    return runs[-1]


class _VirtualTime:
    """Registered last, so that it runs before the plugins that run async tests on loops of their own."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        for run in pyfuncitem.stash.get(_RUNS, []):
            if run.virtual is not None:
                run.run_in_virtual_time(pyfuncitem, run.virtual)
                return True
        return None


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test whose client made mistakes fails, as by an assertion at its end."""
    result = yield
    for run in pyfuncitem.stash.get(_RUNS, []):
        run.check()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The tape of a test is kept once all its fixtures are done without an error."""
    result = yield
    for run in item.stash.get(_RUNS, []):
        run.keep()
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    runs = [run for run in item.stash.get(_RUNS, []) if run.service is not None]
    for run in runs:
        _tell(run, report)
    if runs and report.when == "teardown":
        report.realtime = [run.note for run in runs]  # type: ignore[attr-defined]
    return report


def _tell(run: FixtureRun, report: pytest.TestReport) -> None:
    """What came of one phase of a test, to its fixture; and to the report, what helps to understand a failure."""
    if report.when == "call":
        run.passed = report.passed
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None and run.blames(crash.message):
        crash.message = crash.message.removeprefix("Failed: ")  # the rule comes first in pytest's short summary
    if report.failed and not run.reported:
        run.reported = True
        report.sections += run.sections()
    if report.failed and run.verdict is None:
        run.verdict = getattr(crash, "message", "") or str(report.longrepr)
    if report.when == "teardown":
        run.finished(report)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Lists the findings and unused content of tests that passed, and the costs of a live run."""
    if (orphans := config.stash.get(_ORPHANS, None)) is not None:
        terminalreporter.section("realtime: tapes that no test names")
        terminalreporter.write_line("\n".join(orphans) or "none")
    reports = [each for kind in terminalreporter.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    noted = [(each.nodeid, note) for each in reports for note in getattr(each, "realtime", ()) if note]
    if _is_live(config) or _records(config):
        terminalreporter.section("realtime")
        terminalreporter.write_line(_fixture_run().spent(reports, config))
    for what, title in (("recorded", "recorded"), ("old", "old tapes")):
        if lines := [line for _, note in noted if (line := note.get(what))]:
            terminalreporter.section(f"realtime: {title}")
            terminalreporter.write_line("\n".join(lines))
    if rows := [row for _, note in noted if (row := note.get("failed"))]:
        _fixture_run().summarize(rows)
        if any(row["page"] for row in rows):
            terminalreporter.section("realtime: failed calls")
        for row in rows:
            if row["page"]:
                terminalreporter.write_line(f"{row['test']}: {row['page']}")
    judged = [(nodeid, note) for nodeid, note in noted if "unused" in note]
    findings = [(nodeid, note["findings"]) for nodeid, note in judged if note["findings"]]
    for title, parts in (("realtime: findings", findings), ("realtime: not used", _left_over(judged))):
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
