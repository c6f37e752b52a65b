"""A TestCase that only pytest runs: a fixture gives it the mock of the plugin, with marker and report."""

from __future__ import annotations

import unittest

import pytest
from caller import ask


@pytest.mark.realtime("shop.yaml", pacing="burst", findings="error", unused="off")
class Orders(unittest.TestCase):
    @pytest.fixture(autouse=True)
    def _mock(self, realtime_mock):
        self.mock = realtime_mock

    def test_an_order_is_found(self) -> None:
        said = ask(self.mock.ws_url, self.mock.api_key, "Where is order 1043?")
        self.assertEqual(said, "Order 1043 is on its way.")
