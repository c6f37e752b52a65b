"""The rules of normal forms: which form a value must have for a mark to take its place. Where they apply: normalize.py.

A rule takes a value and the object it stands in, and gives the mark to show instead, or the value itself to keep it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from replay.cassette.json_text import unspelt
from replay.diff.placeholders import Placeholder, id_shape, json_type

Rule = Callable[[Any, Mapping[str, Any]], object]

TO_BE_NUMBERED = 0
"""The number of a mark that shall count equal values by first appearance."""

_IDS_IN_TEXT = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{2,8}_[0-9A-Za-z]{16,24})\b")
_OBFUSCATED_LENGTH = 16


def echo(value: Any, _: Mapping[str, Any]) -> object:
    """A constant, or what the client sent: it comes as it was."""
    return value


def result(value: Any, _: Mapping[str, Any]) -> object:
    """What a tool gave back, as the client sent it: JSON by custom, however its library spells that."""
    return unspelt(value)


def identifier(value: Any, _: Mapping[str, Any]) -> object:
    """An id that a service made. Any other stays: it is the client's own, or a constant such as "0"."""
    shape = id_shape(value)
    return Placeholder("id", shape=shape, number=TO_BE_NUMBERED) if shape else value


def spoken(value: Any, parent: Mapping[str, Any]) -> object:
    """What the model said or the recogniser heard. Empty is a statement; typed text is the client's own."""
    if not isinstance(value, str) or not value or parent.get("type") == "input_text":
        return value
    return Placeholder("text", number=TO_BE_NUMBERED)


def message(value: Any, _: Mapping[str, Any]) -> object:
    """An error's text, which may name ids."""
    return _IDS_IN_TEXT.sub("<id>", value) if isinstance(value, str) else value


def obfuscation(value: Any, parent: Mapping[str, Any]) -> object:
    """OpenAI fills text deltas up to 16 characters (recordings; the rule for longer deltas is unknown)."""
    delta = parent.get("delta")
    if not isinstance(value, str) or not value.isalnum():
        return value
    if isinstance(delta, str) and len(delta) < _OBFUSCATED_LENGTH and len(delta) + len(value) != _OBFUSCATED_LENGTH:
        return value
    return Placeholder("obfuscation")


def total(*keys: str, of: str | None = None) -> Rule:
    """An integer that is the sum of its neighbours, or of the parts in the neighbouring object `of`."""

    def rule(value: Any, parent: Mapping[str, Any]) -> object:
        parts = parent.get(of) if of else parent
        numbers = [parts.get(key, 0) for key in keys] if isinstance(parts, Mapping) else []
        if json_type(value) != "integer" or not numbers or any(json_type(each) != "integer" for each in numbers):
            return value
        return Placeholder("sum of its parts", json="integer") if value == sum(numbers) else value

    return rule


def pattern(what: str, regex: str) -> Rule:
    """A string that the regular expression describes from end to end."""
    compiled = re.compile(regex)

    def rule(value: Any, _: Mapping[str, Any]) -> object:
        return Placeholder(what) if isinstance(value, str) and compiled.fullmatch(value) else value

    return rule


def number(what: str, *types: str, least: float = 0, most: float = float("inf")) -> Rule:
    """A number within bounds and of one of the JSON types."""
    json = types[0] if len(types) == 1 else "number"

    def rule(value: Any, _: Mapping[str, Any]) -> object:
        return Placeholder(what, json=json) if json_type(value) in types and least <= value <= most else value

    return rule


audio = pattern("audio", r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")
latency = pattern("seconds with two decimals", r"\d+\.\d\d")
unix_ms = number("unix ms", "integer", least=1e12, most=1e13)
unix_s = number("unix s", "integer", least=1e9, most=1e10)
ms = number("ms", "integer")
seconds = number("seconds", "float")
whole_seconds = number("seconds", "integer")
any_seconds = number("seconds", "integer", "float")
count = number("count", "integer")
some = number("some", "integer", least=1)  # 0 stays: none and some are different statements
