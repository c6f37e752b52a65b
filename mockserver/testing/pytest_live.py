"""The plugin's `--realtime-live` and `--realtime-record`: which tests can reach the live service, with which key and
budget."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timezone
from fractions import Fraction
from typing import Any

import pytest

from mockserver.dialects.names import AUTO
from mockserver.testing.live_service import LIVE_ENDPOINTS, LiveService
from mockserver.testing.mock_server import MockServer
from replay.addresses import is_loopback_url
from replay.billing.prices import dollars
from replay.findings import Levels
from replay.relay.budget import Budget
from replay.relay.upstream import BadUpstream, checked

PROPERTY = "realtime_usd"
"""The property of each test's report, and so of JUnit's XML, that holds its cost in USD."""
UPSTREAM = "REALTAPE_UPSTREAM"
"""The environment variable that names the service to record, if no option does."""
_EITHER = {
    *("scenario", "cassette", "verbatim", "speed", "ignore", "dialect", "pacing", "seed", "voice", "vad"),
    *("findings", "write_tools"),
}
"""Options of the marker that have no effect live. With any other, a test needs the mock."""
_BUDGET = pytest.StashKey[Budget]()
"""What the services of all tests of this process spend together."""


def check(config: pytest.Config, *, records: bool) -> None:
    """Raises UsageError for options and environments that allow no live run, or no recording."""
    _budget(config)
    if records and config.getoption("--realtime-live"):
        raise pytest.UsageError("--realtime-live plays no tape and records none; leave out --realtime-record")
    option, named = _named(config) if records else ("--realtime-upstream", config.getoption("--realtime-upstream"))
    try:
        checked(named or LIVE_ENDPOINTS["xai"][0])
    except BadUpstream as problem:
        raise pytest.UsageError(f"{option}: {problem}") from None
    if not records and not any(os.environ.get(variable) for _, variable in LIVE_ENDPOINTS.values()):
        names = " or ".join(variable for _, variable in LIVE_ENDPOINTS.values())
        raise pytest.UsageError(f"--realtime-live needs a key: set {names}")


def needs_mock(options: dict[str, Any], own: dict[str, Any]) -> str:
    """The options of a test that only the mock has, as a list; empty if there are none."""
    dialect = options.get("dialect") or AUTO
    served = dialect == AUTO or dialect.partition("@")[0] in LIVE_ENDPOINTS
    other = [] if served else [f"the dialect {dialect}"]  # Azure, and those of plugins
    return ", ".join(sorted(options.keys() - _EITHER) + ["time"] * (own.get("time") == "virtual") + other)


def service(node: pytest.Item, options: dict[str, Any], own: dict[str, Any]) -> LiveService:
    """The service for one test, within the budget of all. Skips a test that cannot run live; fails one if the budget is
    spent."""
    if own.get("live") is False:
        pytest.skip("live=False: this test is for the mock")
    if needs := needs_mock(options, own):
        pytest.skip(f"only the mock has {needs}")
    name = _service_name(options.get("dialect"))
    url, variable = LIVE_ENDPOINTS[name]
    if not (key := os.environ.get(variable)):
        pytest.skip(f"{variable} is not set")
    return _relayed(node, options, name, node.config.getoption("--realtime-upstream") or url, key)


def recorder(node: pytest.Item, options: dict[str, Any], played: tuple[MockServer, int] | None) -> LiveService:
    """The service for a test that is recorded, within the budget of all. played: see LiveService. Fails the test if
    the budget is spent, or if the service takes no call without a key and there is none."""
    dialect = options.get("dialect")
    url, variable = LIVE_ENDPOINTS[_service_name(dialect)]
    _, named = _named(node.config)
    key = os.environ.get(variable, "")
    if not key and played is None and not is_loopback_url(named or url):
        advice = f"set {variable}, or name another service with --realtime-upstream or {UPSTREAM}"
        pytest.fail(f"{named or url} cannot be recorded without a key; {advice}", pytrace=False)
    service = None if named and dialect is None else _service_name(dialect)
    return _relayed(node, options, service, named or url, key, played)


def missing_key(options: dict[str, Any]) -> str:
    """The environment variable for the key of a test's service, if it is not set; else an empty text."""
    variable = LIVE_ENDPOINTS[_service_name(options.get("dialect"))][1]
    return "" if os.environ.get(variable) else variable


def _named(config: pytest.Config) -> tuple[str, str | None]:
    """Which option or variable names the service to record, and its address."""
    if given := config.getoption("--realtime-upstream"):
        return "--realtime-upstream", given
    return UPSTREAM, os.environ.get(UPSTREAM)


def _relayed(
    node: pytest.Item,
    options: dict[str, Any],
    name: str | None,
    url: str,
    key: str,
    played: tuple[MockServer, int] | None = None,
) -> LiveService:
    budget = node.config.stash.setdefault(_BUDGET, Budget(_budget(node.config)))
    if budget.is_spent:
        pytest.fail("the calls before this one have spent the budget; raise --realtime-budget", pytrace=False)
    now = datetime.now(timezone.utc)  # noqa: TID251  # live prices have a date
    try:
        levels = Levels(options.get("findings"), options.get("write_tools"))
    except ValueError as refused:
        problem = str(refused)
    else:
        return LiveService(name, url, key, budget, now, levels, played)
    pytest.fail(f"@pytest.mark.realtime: {problem}", pytrace=False)


def settle(node: pytest.Item, service: LiveService, passed: bool) -> None:
    """Report the cost of a service. The test fails if calls were closed because the budget was spent."""
    node.user_properties.append((PROPERTY, str(dollars(service.spent_usd))))
    if passed and service.limit is not None:
        pytest.fail(f"{service.limit}; calls of this test were ended", pytrace=False)


def spent(reports: Iterable[pytest.TestReport], config: pytest.Config) -> str:
    """The cost of all tests, in a sentence."""
    costs = [
        Fraction(str(value))
        for report in reports
        if report.when == "teardown"
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    most = config.getoption("--realtime-budget")
    how = "were recorded" if config.getoption("--realtime-record") != "none" else "ran live"
    return f"{len(costs)} tests {how} and cost {dollars(sum(costs, Fraction(0)))} of {most} USD"


def _service_name(dialect: str | None) -> str:
    name = (dialect or "xai").partition("@")[0]
    return name if name in LIVE_ENDPOINTS else "xai"


def _budget(config: pytest.Config) -> Fraction:
    """This process's share of the budget: with pytest-xdist there are several processes."""
    given = config.getoption("--realtime-budget")
    try:
        budget = Fraction(given)
    except (ValueError, ZeroDivisionError):
        budget = Fraction(0)
    if budget <= 0:
        raise pytest.UsageError(f"--realtime-budget is {given!r}; give an amount in USD, such as 0.25")
    return budget / int(getattr(config, "workerinput", {}).get("workercount", 1))
