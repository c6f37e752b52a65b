"""What every test of the mock server keeps to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mockserver.suites import suite  # noqa: F401  # a fixture
from tests.mockserver.talk import Talk


@pytest.fixture(autouse=True)
def no_error_is_overlooked() -> Iterator[None]:
    """A talk that got an error event which its test never looked at fails the test."""
    Talk.going.clear()
    yield
    for talk in list(Talk.going):
        talk.hang_up()
