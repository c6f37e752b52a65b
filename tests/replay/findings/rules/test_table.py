"""Every rule has a row, and every row a rule."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

import pytest

from replay.findings import rules
from replay.findings.rules.table import RULES, Rule

FAMILIES = [
    import_module(f"{rules.__name__}.{module.name}")
    for module in iter_modules(rules.__path__)
    if module.name != "table"
]


def test_every_check_is_in_the_table_once():
    checks: list[object] = [
        function
        for family in FAMILIES
        for name, function in inspect.getmembers(family, inspect.isroutine)
        if not name.startswith("_") and list(inspect.signature(function).parameters) == ["call", "step"]
    ]
    assert len(checks) > 20
    assert [checks.count(rule.check) for rule in RULES if rule.on] == [1] * sum(bool(rule.on) for rule in RULES)
    assert [check for check in checks if check not in [rule.check for rule in RULES]] == []


def test_no_two_rules_share_an_id():
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_looks_at_steps_that_exist(rule: Rule):
    for key in rule.on:
        way, kind = key.split(" ")[:2] if " " in key else ("", key)
        assert (way in ("sent", "received") and kind.replace(".", "_").isidentifier()) or kind.startswith("(")
