"""Which rules look at a step: those of its type, and for an item also those of the item's type, in one order."""

from __future__ import annotations

from replay.findings import Levels
from replay.findings.call import ITEM
from replay.findings.rules.table import RULES


def test_a_step_without_a_result_is_not_shown_to_rules_on_results():
    levels = Levels()
    general, result = levels.sent[ITEM], levels.sent_items["function_call_output"]
    assert "tool-result-repeated" not in [rule.id for rule in general]
    assert "tool-result-repeated" in [rule.id for rule in result]
    assert set(general) < set(result)
    assert list(result) == [rule for rule in RULES if rule in result]


def test_a_rule_that_is_off_looks_at_no_step():
    levels = Levels({"tool-result-repeated": "off"})
    looking = [*levels.sent.values(), *levels.sent_items.values()]
    assert all(rule.id != "tool-result-repeated" for rules in looking for rule in rules)
