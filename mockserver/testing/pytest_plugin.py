"""The pytest plugin: the fixture `realtime_mock` and the marker `realtime`; nothing to import.

pytest loads this into every run where realtape is installed, so it loads nothing else until a test asks for the mock.
Each test gets a server of its own, on a free port and with its own seed: tests may run in any order and in parallel.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
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
_RUN = pytest.StashKey["FixtureRun"]()
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
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The tape of a test is kept once all its fixtures are done without an error."""
    result = yield
    if (run := item.stash.get(_RUN, None)) is not None:
        run.keep()
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
        if report.failed and run.verdict is None:
            run.verdict = getattr(crash, "message", "") or str(report.longrepr)
        if report.when == "teardown":
            run.finished(report)
            report.realtime = run.note  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Lists the findings and unused content of tests that passed, and the costs of a live run."""
    if (orphans := config.stash.get(_ORPHANS, None)) is not None:
        terminalreporter.section("realtime: tapes that no test names")
        terminalreporter.write_line("\n".join(orphans) or "none")
    reports = [each for kind in terminalreporter.stats.values() for each in kind if isinstance(each, pytest.TestReport)]
    noted = [(each.nodeid, each.realtime) for each in reports if getattr(each, "realtime", None)]
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
