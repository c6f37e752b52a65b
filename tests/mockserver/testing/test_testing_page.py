"""The files on docs/testing.md, put side by side as their first lines name them, and run as its commands say."""

from __future__ import annotations

import re

import pytest

from mockserver.testing.mock_server import MockServer
from tests.mockserver.suites import ROOT, Suite

pytest_plugins = ["pytester"]

PAGE = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
FILES = {name: f"# {name}\n{text}" for name, text in re.findall(r"(?ms)^```\w+\n# (\S+)\n(.*?)^```", PAGE)}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [[], ["-n2"]], ids=["alone", "two workers"])
def test_the_suite_of_the_page_passes_as_it_stands(pytester: pytest.Pytester, suite: Suite, workers: list[str]):
    for name in ("booking.yaml", "agent.py", "test_booking.py"):
        pytester.path.joinpath(name).write_text(FILES[name], encoding="utf-8")
    run = suite("", *workers)
    run.assert_outcomes(passed=4)
    assert "not used" not in str(run.stdout)


@pytest.mark.slow
def test_the_ini_of_the_page_is_understood(pytester: pytest.Pytester, suite: Suite):
    (settings,) = re.findall(r"(?ms)^```ini\n\[pytest\]\n(.*?)^```", PAGE)
    run = suite(
        "def test_nothing(): ...", *[part for line in settings.splitlines() for part in ("-o", line.replace(" ", ""))]
    )
    run.assert_outcomes(passed=1)


@pytest.mark.slow
def test_the_shared_tests_of_the_page_pass(pytester: pytest.Pytester, suite: Suite):
    for name in ("booking.yaml", "agent.py", "test_shared.py"):
        pytester.path.joinpath(name).write_text(FILES[name], encoding="utf-8")
    suite("").assert_outcomes(passed=3)


@pytest.mark.slow
def test_the_recorded_test_of_the_page_records_its_tape_and_plays_it(pytester: pytest.Pytester, suite: Suite):
    for name in ("booking.yaml", "agent.py", "test_recorded.py"):
        pytester.path.joinpath(name).write_text(FILES[name], encoding="utf-8")
    with MockServer(pytester.path / "booking.yaml", pacing="burst") as service:
        suite("", "--realtime-record=once", "--realtime-upstream", service.ws_url).assert_outcomes(passed=1)
    suite("").assert_outcomes(passed=1)


def test_every_demand_is_on_the_page():
    from mockserver.testing.assertions import Assertions

    demands = {name for name in vars(Assertions) if name.startswith("assert_")}
    assert demands == set(re.findall(r"`(assert_\w+)\(", PAGE))
