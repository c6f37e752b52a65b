"""With unittest: `python -m unittest`, in this folder. pytest runs these tests too."""

from __future__ import annotations

import unittest
from pathlib import Path

from caller import ask

from realtape import MockServer

SHOP = Path(__file__).with_name("shop.yaml")


class Orders(unittest.TestCase):
    def setUp(self) -> None:
        self.mock = MockServer(SHOP, pacing="burst", findings="error").__enter__()
        self.addCleanup(self.mock.__exit__, None, None, None)  # from Python 3.11: self.enterContext(MockServer(…))

    def tearDown(self) -> None:
        self.assertEqual(self.mock.findings, [], "mistakes of the client")

    def test_an_order_is_found(self) -> None:
        said = ask(self.mock.ws_url, self.mock.api_key, "Where is order 1043?")
        self.assertEqual(said, "Order 1043 is on its way.")
        self.mock.assert_order("conversation.item.create", "response.create", "response.done")

    def test_the_number_is_asked_for(self) -> None:
        self.assertIn("number", ask(self.mock.ws_url, self.mock.api_key, "Where is my order?"))


if __name__ == "__main__":
    unittest.main()
