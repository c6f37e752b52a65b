"""The normal form of a conversation's server events: equal for two conversations that went the same way.

Rules only, no cases: VOLATILE says by place which values may differ and in what form. A rule puts a mark (marks.py)
where the value has the form it asks for; a value of any other form stays as it is, and so shows as a difference. What
no rule names is a constant. Runs of deltas are the business of runs.py; finding the differences that of diff.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from replay import runs
from replay.marks import Mark, id_shape, json_type

Event = Mapping[str, Any]
"""One server event as parsed from its JSON, keys in wire order."""

Rule = Callable[[Any, Mapping[str, Any]], object]
"""Takes a value and the object it stands in; gives the mark to show in its place, or the value itself to keep it."""

_TO_BE_NUMBERED = 0
_DEEPEST = 40
_LATENCY = re.compile(r"\d+\.\d\d")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==)")
_IDS_IN_TEXT = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{2,8}_[0-9A-Za-z]{16,24})\b")
_OBFUSCATED_LENGTH = 16


def _echo(value: Any, _: Mapping[str, Any]) -> object:
    """What the client sent comes back as it was."""
    return value


def _id(value: Any, _: Mapping[str, Any]) -> object:
    shape = id_shape(value)
    return Mark("id", shape=shape, number=_TO_BE_NUMBERED) if shape else value


def _spoken(value: Any, parent: Mapping[str, Any]) -> object:
    """What the model said or the recogniser heard. Empty is a statement; typed text is the client's own."""
    if not isinstance(value, str) or not value or parent.get("type") == "input_text":
        return value
    return Mark("text", number=_TO_BE_NUMBERED)


def _pattern(what: str, pattern: re.Pattern[str]) -> Rule:
    def rule(value: Any, _: Mapping[str, Any]) -> object:
        return Mark(what) if isinstance(value, str) and pattern.fullmatch(value) else value

    return rule


def _number(what: str, *types: str, least: float = 0, most: float = float("inf")) -> Rule:
    """A number within bounds and of one of the JSON types."""
    json = types[0] if len(types) == 1 else "number"

    def rule(value: Any, _: Mapping[str, Any]) -> object:
        return Mark(what, json=json) if json_type(value) in types and least <= value <= most else value

    return rule


def _sum(*keys: str, of: str | None = None) -> Rule:
    """An integer that is the sum of its neighbours, or of the parts in the neighbouring object `of`."""

    def rule(value: Any, parent: Mapping[str, Any]) -> object:
        parts = parent.get(of) if of else parent
        numbers = [parts.get(key, 0) for key in keys] if isinstance(parts, Mapping) else []
        if json_type(value) != "integer" or not numbers or any(json_type(n) != "integer" for n in numbers):
            return value
        return Mark("sum of its parts", json="integer") if value == sum(numbers) else value

    return rule


def _obfuscation(value: Any, parent: Mapping[str, Any]) -> object:
    """OpenAI fills text deltas up to 16 characters (recordings; the rule for longer deltas is unknown)."""
    delta = parent.get("delta")
    if not isinstance(value, str) or not value.isalnum():
        return value
    if isinstance(delta, str) and len(delta) < _OBFUSCATED_LENGTH and len(delta) + len(value) != _OBFUSCATED_LENGTH:
        return value
    return Mark("obfuscation")


def _message(value: Any, _: Mapping[str, Any]) -> object:
    return _IDS_IN_TEXT.sub("<id>", value) if isinstance(value, str) else value


_unix_ms = _number("unix ms", "integer", least=1e12, most=1e13)
_unix_s = _number("unix s", "integer", least=1e9, most=1e10)
_ms = _number("ms", "integer")
_count = _number("count", "integer")
_some = _number("some", "integer", least=1)  # 0 stays: none and some are different statements
_seconds = _number("seconds", "float")
_whole_seconds = _number("seconds", "integer")

VOLATILE: tuple[tuple[str, str, Rule], ...] = (
    # event                                path in it                          rule; the first row that fits decides
    ("*", "session.tools*", _echo),
    ("*", "*metadata*", _echo),
    ("*", "*instructions", _echo),
    ("*", "id", _id),
    ("*", "*.id", _id),
    ("*", "*_id", _id),
    ("*", "rid", _id),
    ("*", "*expires_at", _unix_s),
    ("ping", "timestamp", _unix_ms),
    ("*", "ts", _unix_ms),
    ("*", "latency", _pattern("seconds with two decimals", _LATENCY)),
    ("*", "obfuscation", _obfuscation),
    ("*", "audio_duration_ms", _number("ms", "integer", least=1)),
    ("*", "audio_start_ms", _ms),
    ("*", "audio_end_ms", _ms),
    ("*", "start_time", _seconds),
    ("response.output_audio.delta", "delta", _pattern("audio", _BASE64)),
    ("response.audio.delta", "delta", _pattern("audio", _BASE64)),
    ("*", "*transcript", _spoken),
    ("response.output_text.done", "text", _spoken),
    ("*", "part.text", _spoken),
    ("*", "*content[].text", _spoken),
    ("*", "*total_tokens", _sum("input_tokens", "output_tokens")),
    ("response.done", "*input_tokens",
     _sum("text_tokens", "audio_tokens", "grok_tokens", "image_tokens", of="input_token_details")),
    ("response.done", "*output_tokens", _sum("text_tokens", "audio_tokens", "grok_tokens", of="output_token_details")),
    ("*", "*cached_tokens*", _count),
    ("*", "*text_tokens", _some),
    ("*", "*audio_tokens", _some),
    ("*", "*usage.*_tokens", _count),
    ("*", "*usage.output_audio_seconds", _seconds),
    ("*", "*usage.billable_audio_seconds", _whole_seconds),
    ("*", "*usage.seconds", _number("seconds", "integer", "float")),
    ("rate_limits.updated", "rate_limits[].limit", _count),
    ("rate_limits.updated", "rate_limits[].remaining", _count),
    ("rate_limits.updated", "rate_limits[].reset_seconds", _number("seconds", "integer", "float")),
    ("error", "error.message", _message),
)


def normalize(events: Sequence[object]) -> list[runs.Normal]:
    """The normal form of server events (parsed JSON objects in the order they came).

    Equal ids get equal `<id-N shape>`, whatever kind of id they are, and equal spoken texts equal `<text-N>`, both
    numbered by first appearance. Each run of deltas becomes one event for each shape in it. Never raises: what is no
    event stays as it is.
    """
    numbers = _Numbers()
    members = runs.settle(events)
    return runs.collapse(runs.Normal(member.at, _normal(member.event, numbers), member.run) for member in members)


class _Numbers:
    """Numbers equal values alike, by first appearance and apart for each meaning."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}

    def give(self, mark: Mark, value: str) -> Mark:
        seen = self._seen.setdefault(mark.what, {})
        return replace(mark, number=seen.setdefault(value, len(seen) + 1))


def _normal(event: object, numbers: _Numbers) -> object:
    kind = runs.event_type(event)

    def walk(value: Any, parent: Mapping[str, Any], path: str, depth: int) -> object:
        if depth > _DEEPEST:
            return Mark("too deep", json=json_type(value))
        match value:
            case Mapping():
                return {key: walk(part, value, f"{path}.{key}".lstrip("."), depth + 1) for key, part in value.items()}
            case list() | tuple():
                return [walk(part, parent, f"{path}[]", depth + 1) for part in value]
            case Mark():
                return value
        shown = _rule(kind, path)(value, parent)
        return numbers.give(shown, value) if isinstance(shown, Mark) and shown.number == _TO_BE_NUMBERED else shown

    return walk(event, {}, "", 0)


@lru_cache(maxsize=4096)
def _rule(kind: str, path: str) -> Rule:
    for event, place, rule in _COMPILED:
        if event.fullmatch(kind) and place.fullmatch(path):
            return rule
    return _echo


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)


_COMPILED = tuple((_glob(event), _glob(path), rule) for event, path, rule in VOLATILE)
