"""When to dial again."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinic_agent.call.retry import RetryPolicy, retry_after_s

NOON = "Wed, 01 Jul 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 01 Jul 2026 12:00:30 GMT", "Date": NOON}, 30.0),
        ({"Retry-After": "Wed, 01 Jul 2026 11:00:00 GMT", "Date": NOON}, 0.0),
        ({"Retry-After": "Wed, 01 Jul 2026 12:00:30 GMT"}, None),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "soon", "Date": NOON}, None),
        ({"Retry-After": "9" * 400}, 1e6),
        ({}, None),
    ],
)
def test_what_a_service_asks_for_is_seconds_or_a_date_by_its_own_clock(headers, seconds):
    assert retry_after_s(headers) == seconds


def test_waits_grow_and_end_with_the_last_attempt():
    retry, random = RetryPolicy(attempts=4, backoff_s=1.0), Random(7)
    waits = [retry.wait_s(attempt, None, random) for attempt in range(1, 5)]
    assert waits[3] is None
    for wait, least in zip(waits[:3], (1.0, 2.0, 4.0), strict=True):
        assert wait is not None and least <= wait <= 1.5 * least


def test_a_service_that_asks_for_too_much_is_not_waited_for():
    assert RetryPolicy(max_wait_s=30).wait_s(1, 31.0, Random(7)) is None


@given(attempt=st.integers(1, 50), after_s=st.none() | st.floats(0, 30))
def test_a_wait_is_never_shorter_than_was_asked_for_and_never_endless(attempt, after_s):
    wait = RetryPolicy(attempts=100).wait_s(attempt, after_s, Random(7))
    assert wait is not None
    assert (after_s or 0.5) <= wait <= 45


def test_the_same_seed_waits_the_same():
    waits = [RetryPolicy().wait_s(1, None, Random(7)) for _ in range(2)]
    assert waits[0] == waits[1]
