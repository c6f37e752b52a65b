"""With pytest-bdd: the steps of orders.feature. A marker of the module holds for each scenario of the feature."""

from __future__ import annotations

import pytest
from caller import ask
from pytest_bdd import parsers, scenarios, then, when

pytestmark = pytest.mark.realtime("shop.yaml", pacing="burst", findings="error")
scenarios("orders.feature")


@when(parsers.parse('the caller says "{text}"'), target_fixture="said")
def caller_says(realtime_mock, text):
    return ask(realtime_mock.ws_url, realtime_mock.api_key, text)


@then(parsers.parse('the agent answers "{text}"'))
def agent_answers(realtime_mock, said, text):
    assert said == text
    realtime_mock.assert_count("client response.create", 1)
