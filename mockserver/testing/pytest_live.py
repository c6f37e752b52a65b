"""The plugin's `--realtime-live`: which tests can run against the live service, with which key and budget."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timezone
from fractions import Fraction
from typing import Any

import pytest

from mockserver.testing.live_service import LIVE_ENDPOINTS, LiveService
from replay.billing.prices import dollars
from replay.findings import Levels
from replay.relay.upstream import BadUpstream, checked

PROPERTY = "realtime_usd"
"""The property of each test's report, and so of JUnit's XML, that holds its cost in USD."""
_EITHER = {"scenario", "cassette", "dialect", "pacing", "seed", "voice", "vad", "findings", "write_tools"}
"""Options of the marker that have no effect live. With any other, a test needs the mock."""
_SPENT = pytest.StashKey[Fraction]()


def check(config: pytest.Config) -> None:
    """Raises UsageError for options and environments that allow no live run."""
    _budget(config)
    try:
        checked(config.getoption("--realtime-upstream") or LIVE_ENDPOINTS["xai"][0])
    except BadUpstream as problem:
        raise pytest.UsageError(f"--realtime-upstream: {problem}") from None
    if not any(os.environ.get(variable) for _, variable in LIVE_ENDPOINTS.values()):
        names = " or ".join(variable for _, variable in LIVE_ENDPOINTS.values())
        raise pytest.UsageError(f"--realtime-live needs a key: set {names}")


def service(node: pytest.Item, options: dict[str, Any], own: dict[str, Any]) -> LiveService:
    """The service for one test, with the rest of the budget. Skips a test that cannot run live; fails one if the budget
    is spent."""
    if own.get("live") is False:
        pytest.skip("live=False: this test is for the mock")
    if needs := sorted(options.keys() - _EITHER) + ["time"] * (own.get("time") == "virtual"):
        pytest.skip(f"only the mock has {', '.join(needs)}")
    name = _service_name(options.get("dialect"))
    url, variable = LIVE_ENDPOINTS[name]
    if not (key := os.environ.get(variable)):
        pytest.skip(f"{variable} is not set")
    left = _budget(node.config) - node.config.stash.get(_SPENT, Fraction(0))
    if left <= 0:
        pytest.fail("the tests before this one have spent the budget; raise --realtime-budget", pytrace=False)
    now = datetime.now(timezone.utc)  # noqa: TID251  # live prices have a date
    try:
        levels = Levels(options.get("findings"), options.get("write_tools"))
    except ValueError as refused:
        problem = str(refused)
    else:
        return LiveService(name, node.config.getoption("--realtime-upstream") or url, key, left, now, levels)
    pytest.fail(f"@pytest.mark.realtime: {problem}", pytrace=False)


def settle(node: pytest.Item, service: LiveService, passed: bool) -> None:
    """Subtract the test's cost from the budget. The test fails if calls were closed because the budget was spent."""
    config = node.config
    config.stash[_SPENT] = config.stash.get(_SPENT, Fraction(0)) + service.spent_usd
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
    return f"{len(costs)} tests ran live and cost {dollars(sum(costs, Fraction(0)))} of {most} USD"


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
