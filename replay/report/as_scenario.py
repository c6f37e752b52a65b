"""A recording as a scenario file: what was answered to what, for people to read and change, and for the mock to play.

Rules that answer words and results are written where they give the recorded conversation back, a bare sequence where
they would not. Sound and pace are left out: a scenario is spoken anew. docs/scenarios.md has the format.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml
from typing_extensions import assert_never

from replay.cassette.content import Called, Exchange, Failed, Paused, ResponseStep, Spoken, recorded_conversations
from replay.cassette.recording import Recording

Rule = dict[str, Any]

UNINTELLIGIBLE = "(unintelligible)"
"""How a scenario's service writes down what it did not understand."""

_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


class _Dumper(yaml.SafeDumper):
    """Scenario files read plain numbers as JSON does, so `1e5` is one there, though YAML 1.1 calls it a text."""


def _quoted(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def scenario(recording: Recording) -> dict[str, Any]:
    """The file's content as plain values. Several conversations in one recording follow one another."""
    exchanges = [exchange for conversation in recorded_conversations(recording) for exchange in conversation.exchanges]
    rules = _rules(exchanges)
    key = "turns" if rules is not None else "sequence"
    entries = rules if rules is not None else [{} for _ in exchanges]
    answers = [_ordered(entry, exchange) for entry, exchange in zip(entries, exchanges, strict=True)]
    return {"name": recording.name, key: answers}


def written(recording: Recording) -> str:
    """The file itself: YAML, with a line on where it comes from."""
    body = yaml.dump(scenario(recording), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"# From the recording {recording.name} (origin {recording.origin}). Yours to change.\n{body}"


def _ordered(rule: Rule, exchange: Exchange) -> Rule:
    """The keys as people write them: when, times, heard, reply.

    The n-th spoken turn takes the n-th `heard` of the file, so what nobody understood is written as well.
    """
    heard = " ".join(transcript or UNINTELLIGIBLE for transcript in exchange.heard)
    return {**rule, **({"heard": heard} if heard else {}), "reply": _reply(exchange.steps)}


def _reply(steps: Sequence[ResponseStep]) -> list[dict[str, Any]]:
    return [written for step in steps if (written := _step(step)) is not None]


def _step(step: ResponseStep) -> dict[str, Any] | None:
    match step:
        case Spoken():
            return {"say": literal(step.text)} if step.text else None
        case Called(name, arguments):
            return {"call": {"name": name, "arguments": literal(editable(arguments))}}
        case Paused(ms):
            return {"pause": {"ms": ms}}
        case Failed(code, message):
            return {"fail": {"code": code, "message": message}}
        case _:
            assert_never(step)


def editable(arguments: str) -> Any:
    """JSON arguments as an object where that loses nothing, else as the text they were."""
    try:
        parsed = json.loads(arguments)
    except ValueError:
        return arguments
    compact = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)
    return parsed if isinstance(parsed, dict) and compact == arguments else arguments


def literal(value: Any) -> Any:
    """The same, with what would be taken for a template written so that it is not."""
    match value:
        case str() if "{{" in value or "{%" in value:
            return _TEMPLATE.sub(lambda found: f"{{{{ '{found[0]}' }}}}", value)
        case Mapping():
            return {key: literal(part) for key, part in value.items()}
        case list():
            return [literal(part) for part in value]
        case _:
            return value


def _rules(exchanges: Sequence[Exchange]) -> list[Rule] | None:
    """A rule for each response, if such rules would give each its own answer; None if they would not.

    Where one condition stood for several answers, each is given once.
    """
    rules = [_rule(exchange) for exchange in exchanges]
    for attempt in (rules, [{**rule, "times": 1} for rule in rules]):
        if _choices(attempt, exchanges) == list(range(len(exchanges))):
            return attempt
    return None


def _rule(exchange: Exchange) -> Rule:
    """The condition: the last result's function, and the caller's words."""
    when: dict[str, Any] = {}
    if exchange.user_text:
        when["says"] = "^" + _SPECIAL.sub(r"\\\g<0>", exchange.user_text) + "$"
    if exchange.results and exchange.results[-1]:
        when["tool"] = exchange.results[-1]
    return {"when": when} if when else {}


def _choices(rules: Sequence[Rule], exchanges: Sequence[Exchange]) -> list[int | None]:
    """Which rule the mock would take for each response: those that wait for a result first, then in order."""
    order = sorted(range(len(rules)), key=lambda index: "tool" not in rules[index].get("when", {}))
    used: set[int] = set()
    chosen: list[int | None] = []
    for exchange in exchanges:
        fits = (index for index in order if _fits(rules[index], exchange, index in used))
        choice = next(fits, None)
        chosen.append(choice)
        if choice is not None:
            used.add(choice)
    return chosen


def _fits(rule: Rule, exchange: Exchange, used: bool) -> bool:
    when = rule.get("when", {})
    if used and "times" in rule:
        return False
    if "says" in when and not (exchange.user_text and re.search(when["says"], exchange.user_text, re.IGNORECASE)):
        return False
    return "tool" not in when or when["tool"] in exchange.results
