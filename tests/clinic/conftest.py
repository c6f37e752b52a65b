"""Whom the agent calls in these tests, see phone.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clinic_agent.clinic import Clinic
from mockserver.mock import MockServer

pytest.register_assert_rewrite("tests.clinic.phone")

from tests.clinic.phone import TODAY, Phone  # noqa: E402  # the line above comes first


@pytest.fixture
def phone(realtime_mock: MockServer, request: pytest.FixtureRequest) -> Iterator[Phone]:
    """What makes calls to the mock of this test. The agent may make no mistake that the mock would explain."""
    way = getattr(request, "param", {})
    made = Phone(realtime_mock, Clinic(TODAY), tape=way.get("cassette") if way.get("verbatim") else None)
    yield made
    mistakes = [each for each in realtime_mock.findings if each.level == "error" and each.rule not in made.forgiven]
    assert [str(each) for each in mistakes] == []
