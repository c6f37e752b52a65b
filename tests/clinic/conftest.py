"""The services that the agent calls in these tests, see phone.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clinic_agent.clinic.clinic import Clinic
from mockserver.testing.mock_server import MockServer

pytest.register_assert_rewrite("tests.clinic.phone")

from tests.clinic.phone import TODAY, Phone, ways  # noqa: E402  # the line above comes first


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "behaviour(name, tape, live): how the service answers a test's `phone`, see phone.py"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each way to answer; with --realtime-live or --realtime-upstream only the live service."""
    mark = metafunc.definition.get_closest_marker("behaviour")
    if mark is None:
        return
    option = metafunc.config.getoption
    live = mark.kwargs["live"] and bool(option("--realtime-live") or option("--realtime-upstream"))
    played = ways(mark.args[0], tape=mark.kwargs["tape"], live=live)
    params = [pytest.param(way, id=name, marks=pytest.mark.realtime(**way)) for name, way in played.items()]
    metafunc.parametrize("phone", params, indirect=True)


@pytest.fixture
def phone(realtime_mock: MockServer, request: pytest.FixtureRequest) -> Iterator[Phone]:
    """Makes calls to the mock of this test. A finding of level `error` fails the test."""
    way = getattr(request, "param", {})
    made = Phone(realtime_mock, Clinic(TODAY), tape=way.get("cassette") if way.get("verbatim") else None)
    yield made
    mistakes = [each for each in realtime_mock.findings if each.level == "error" and each.rule not in made.forgiven]
    assert [str(each) for each in mistakes] == []
