"""Whom the agent calls in these tests, see phone.py."""

from __future__ import annotations

import pytest

from clinic_agent.clinic import Clinic
from mockserver.mock import MockServer

pytest.register_assert_rewrite("tests.clinic.phone")

from tests.clinic.phone import TODAY, Phone  # noqa: E402  # the line above comes first


@pytest.fixture
def phone(realtime_mock: MockServer, request: pytest.FixtureRequest) -> Phone:
    """What makes calls to the mock of this test."""
    way = getattr(request, "param", {})
    return Phone(realtime_mock, Clinic(TODAY), tape=way.get("cassette") if way.get("verbatim") else None)
