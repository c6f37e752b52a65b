"""The normal form of a conversation's server events: equal for two conversations that took the same course.

VOLATILE says, by event and path, which values may differ and which rule replaces them with a placeholder. A value that
lacks the form required by its rule stays, and so shows as a difference. A value that no row names is a constant. Runs
of deltas are the business of audio_runs.py; compare.py finds the differences.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from replay.cassette.json_text import Event, normalized_json
from replay.cassette.json_values import path_pattern
from replay.diff import audio_runs as runs
from replay.diff.placeholders import Placeholder, id_shape, json_type

Rule = Callable[[Any, Event], object]
"""Takes a value and the object around it. Gives the placeholder to show, or the value itself to keep it."""

TO_BE_NUMBERED = 0
"""The number of a placeholder that is to count distinct values by first appearance."""

_IDS_IN_TEXT = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-z]{2,8}_(?:u\d_)?[0-9A-Za-z]{16,32})\b")
_OBFUSCATED_LENGTH = 16


def echo(value: Any, _: Event) -> object:
    """A constant, or a value that the client sent: it is compared as it is."""
    return value


def result(value: Any, _: Event) -> object:
    """A tool's result, as the client sent it: usually JSON, in the formatting of the client's library."""
    return normalized_json(value)


def identifier(value: Any, _: Event) -> object:
    """An id that a service made. Any other id stays: it is the client's own, or a constant such as "0"."""
    shape = id_shape(value)
    return Placeholder("id", shape=shape, number=TO_BE_NUMBERED) if shape else value


def spoken(value: Any, parent: Event) -> object:
    """Text of the model or of speech recognition. An empty text stays; typed text is the client's own."""
    if not isinstance(value, str) or not value or parent.get("type") == "input_text":
        return value
    return Placeholder("text", number=TO_BE_NUMBERED)


def message(value: Any, _: Event) -> object:
    """The text of an error, in which ids may occur."""
    return _IDS_IN_TEXT.sub("<id>", value) if isinstance(value, str) else value


def obfuscation(value: Any, parent: Event) -> object:
    """OpenAI pads text deltas to 16 characters (recordings). The rule for longer deltas is not known."""
    delta = parent.get("delta")
    if not isinstance(value, str) or not value.isalnum():
        return value
    if isinstance(delta, str) and len(delta) < _OBFUSCATED_LENGTH and len(delta) + len(value) != _OBFUSCATED_LENGTH:
        return value
    return Placeholder("obfuscation")


def total(*keys: str, of: str | None = None) -> Rule:
    """An integer that is the sum of its neighbours, or of the parts in the neighbouring object `of`."""

    def rule(value: Any, parent: Event) -> object:
        parts = parent.get(of) if of else parent
        numbers = [parts.get(key, 0) for key in keys] if isinstance(parts, Mapping) else []
        if json_type(value) != "integer" or not numbers or any(json_type(each) != "integer" for each in numbers):
            return value
        return Placeholder("sum of its parts", json="integer", value=value) if value == sum(numbers) else value

    return rule


def pattern(what: str, regex: str) -> Rule:
    """A string that matches the regular expression completely."""
    compiled = re.compile(regex)

    def rule(value: Any, _: Event) -> object:
        return Placeholder(what) if isinstance(value, str) and compiled.fullmatch(value) else value

    return rule


def number(what: str, *types: str, least: float = 0, most: float = float("inf")) -> Rule:
    """A number within bounds, of one of the JSON types."""
    json = types[0] if len(types) == 1 else "number"

    def rule(value: Any, _: Event) -> object:
        fits = json_type(value) in types and least <= value <= most
        return Placeholder(what, json=json, value=value) if fits else value

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


_TOKENS = ("text_tokens", "audio_tokens", "grok_tokens", "image_tokens")

VOLATILE: tuple[tuple[str, str, Rule], ...] = (
    # event, path in it (`*` is anything), rule; the first matching row decides
    ("*", "session.tools*", echo),
    ("*", "*metadata*", echo),
    ("*", "*instructions", echo),
    ("*", "item.output", result),
    ("*", "id", identifier),
    ("*", "*.id", identifier),
    ("*", "*_id", identifier),
    ("*", "rid", identifier),
    ("*", "*expires_at", unix_s),
    ("ping", "timestamp", unix_ms),
    ("*", "ts", unix_ms),
    ("*", "latency", latency),
    ("*", "obfuscation", obfuscation),
    ("*", "audio_duration_ms", number("ms", "integer", least=1)),
    ("*", "audio_start_ms", ms),
    ("*", "audio_end_ms", ms),
    ("*", "start_time", seconds),
    ("response.output_audio.delta", "delta", audio),
    ("*", "*transcript", spoken),
    ("response.output_text.done", "text", spoken),
    ("*", "part.text", spoken),
    ("*", "*content[].text", spoken),
    ("*", "*total_tokens", total("input_tokens", "output_tokens")),
    ("response.done", "*input_tokens", total(*_TOKENS, of="input_token_details")),
    ("response.done", "*output_tokens", total(*_TOKENS, of="output_token_details")),
    ("*", "*cached_tokens*", count),
    ("*", "*text_tokens", some),
    ("*", "*audio_tokens", some),
    ("*", "*usage.*_tokens", count),
    ("*", "*usage.output_audio_seconds", seconds),
    ("*", "*usage.billable_audio_seconds", whole_seconds),
    ("*", "*usage.seconds", any_seconds),
    ("rate_limits.updated", "rate_limits[].limit", count),
    ("rate_limits.updated", "rate_limits[].remaining", count),
    ("rate_limits.updated", "rate_limits[].reset_seconds", any_seconds),
    ("error", "error.message", message),
)

_DEEPEST = 40


def normalize(events: Sequence[object]) -> list[runs.Normal]:
    """The normal form of server events: parsed JSON objects in the order in which they came.

    Equal ids become equal `<id-N shape>`, whatever kind of id they are, and equal spoken texts become equal `<text-N>`.
    Both are numbered by first appearance. Each run of deltas becomes one event per shape. Never raises: a value that is
    no event stays as it is.
    """
    numbers = _Numbers()
    members = runs.settle(events)
    return runs.collapse(runs.Normal(member.at, _normal(member.event, numbers), member.run) for member in members)


class _Numbers:
    """Gives equal values equal numbers, by first appearance, separately for each meaning."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[str, int]] = {}

    def give(self, mark: Placeholder, value: str) -> Placeholder:
        seen = self._seen.setdefault(mark.what, {})
        return replace(mark, number=seen.setdefault(value, len(seen) + 1))


def _normal(event: object, numbers: _Numbers) -> object:
    kind = runs.event_type(event)

    def walk(value: Any, parent: Mapping[str, Any], path: str, depth: int) -> object:
        if depth > _DEEPEST:
            return Placeholder("too deep", json=json_type(value))
        match value:
            case Mapping():
                return {key: walk(part, value, f"{path}.{key}".lstrip("."), depth + 1) for key, part in value.items()}
            case list() | tuple():
                return [walk(part, parent, f"{path}[]", depth + 1) for part in value]
            case Placeholder():
                return value
            case _:
                pass
        shown = _rule(kind, path)(value, parent)
        return (
            numbers.give(shown, value) if isinstance(shown, Placeholder) and shown.number == TO_BE_NUMBERED else shown
        )

    return walk(event, {}, "", 0)


@lru_cache(maxsize=4096)
def _rule(kind: str, path: str) -> Rule:
    for event, place, rule in _COMPILED:
        if event.fullmatch(kind) and place.fullmatch(path):
            return rule
    return echo


_COMPILED = tuple((path_pattern(event), path_pattern(path), rule) for event, path, rule in VOLATILE)
