"""The normal form of a conversation's server events: equal for two conversations that went the same way.

Rules only, no cases: VOLATILE says by place which values may differ and by which rule (rules.py) a mark (marks.py)
takes their place. A value that lacks the form its rule asks for stays as it is, and so shows as a difference. What no
row names is a constant. Runs of deltas are the business of runs.py; finding the differences that of diff.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from replay.diff import audio_runs as runs
from replay.diff import rules
from replay.diff.placeholders import Placeholder, json_type

Event = Mapping[str, Any]
"""One server event as parsed from its JSON, keys in wire order."""

_TOKENS = ("text_tokens", "audio_tokens", "grok_tokens", "image_tokens")

VOLATILE: tuple[tuple[str, str, rules.Rule], ...] = (
    # event, path in it (`*` is anything), rule; the first row that fits decides
    ("*", "session.tools*", rules.echo),
    ("*", "*metadata*", rules.echo),
    ("*", "*instructions", rules.echo),
    ("*", "item.output", rules.result),
    ("*", "id", rules.identifier),
    ("*", "*.id", rules.identifier),
    ("*", "*_id", rules.identifier),
    ("*", "rid", rules.identifier),
    ("*", "*expires_at", rules.unix_s),
    ("ping", "timestamp", rules.unix_ms),
    ("*", "ts", rules.unix_ms),
    ("*", "latency", rules.latency),
    ("*", "obfuscation", rules.obfuscation),
    ("*", "audio_duration_ms", rules.number("ms", "integer", least=1)),
    ("*", "audio_start_ms", rules.ms),
    ("*", "audio_end_ms", rules.ms),
    ("*", "start_time", rules.seconds),
    ("response.output_audio.delta", "delta", rules.audio),
    ("*", "*transcript", rules.spoken),
    ("response.output_text.done", "text", rules.spoken),
    ("*", "part.text", rules.spoken),
    ("*", "*content[].text", rules.spoken),
    ("*", "*total_tokens", rules.total("input_tokens", "output_tokens")),
    ("response.done", "*input_tokens", rules.total(*_TOKENS, of="input_token_details")),
    ("response.done", "*output_tokens", rules.total(*_TOKENS, of="output_token_details")),
    ("*", "*cached_tokens*", rules.count),
    ("*", "*text_tokens", rules.some),
    ("*", "*audio_tokens", rules.some),
    ("*", "*usage.*_tokens", rules.count),
    ("*", "*usage.output_audio_seconds", rules.seconds),
    ("*", "*usage.billable_audio_seconds", rules.whole_seconds),
    ("*", "*usage.seconds", rules.any_seconds),
    ("rate_limits.updated", "rate_limits[].limit", rules.count),
    ("rate_limits.updated", "rate_limits[].remaining", rules.count),
    ("rate_limits.updated", "rate_limits[].reset_seconds", rules.any_seconds),
    ("error", "error.message", rules.message),
)

_DEEPEST = 40


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
        shown = _rule(kind, path)(value, parent)
        return (
            numbers.give(shown, value)
            if isinstance(shown, Placeholder) and shown.number == rules.TO_BE_NUMBERED
            else shown
        )

    return walk(event, {}, "", 0)


@lru_cache(maxsize=4096)
def _rule(kind: str, path: str) -> rules.Rule:
    for event, place, rule in _COMPILED:
        if event.fullmatch(kind) and place.fullmatch(path):
            return rule
    return rules.echo


def _glob(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*"), re.DOTALL)


_COMPILED = tuple((_glob(event), _glob(path), rule) for event, path, rule in VOLATILE)
