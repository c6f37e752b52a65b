"""A recording as a scenario file: what was answered to what, for people to edit and for the mock to play.

Rules with conditions are written if they reproduce the recorded conversation, else a plain sequence. Audio and pace are
left out: the mock synthesizes the speech of a scenario. docs/scenarios.md describes the format.
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
from replay.outlets import clean

Rule = dict[str, Any]

UNINTELLIGIBLE = "(unintelligible)"
"""The transcript of speech that the mock's recognition did not understand."""

_SPECIAL = re.compile(r"[\\.^$*+?{}\[\]|()]")
_TEMPLATE = re.compile(r"\{\{|\{%|\{#")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")


class _Dumper(yaml.SafeDumper):
    """Scenario files read plain numbers as JSON does: `1e5` is a number, although YAML 1.1 calls it a text."""


def _quoted(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "'" if _NUMBER.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _quoted)


def scenario(recording: Recording, start: int = 0) -> dict[str, Any]:
    """The content of the file as plain values. Several conversations in one recording follow one another.

    start: the number of responses that the conversation has already. Entries that apply once begin after them.
    """
    exchanges = [exchange for conversation in recorded_conversations(recording) for exchange in conversation.exchanges]
    rules = _rules(exchanges)
    key = "turns" if rules is not None else "sequence"
    entries = rules if rules is not None else [{} for _ in exchanges]
    answers = [_ordered(entry, exchange) for entry, exchange in zip(entries, exchanges, strict=True)]
    if rules is None or any("times" in rule for rule in rules):
        return {"name": recording.name, key: answers[start:]}
    past = [{name: value for name, value in answer.items() if name != "heard"} for answer in answers[:start]]
    return {"name": recording.name, key: [*past, *answers[start:]]}


def written(recording: Recording, encoding: str = "utf-8", start: int = 0) -> str:
    """The file: YAML, with a line on its source. If `encoding` lacks a character, all beyond ASCII are escaped.

    start: see `scenario`.
    """
    head = f"# From the recording {recording.name} (origin {recording.origin}). Yours to change.\n"
    content = _without_secrets(scenario(recording, start))
    body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    if body.encode(encoding, "replace").decode(encoding) != body:
        body = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=110)
    return head + body


def _without_secrets(value: object) -> object:
    """The same with each text cleaned: the words of a turn may have come in pieces, each without a whole secret."""
    match value:
        case str():
            return value if (cleaned := clean(value)) == value else cleaned  # the same object keeps its style in YAML
        case dict():
            return {key: _without_secrets(each) for key, each in value.items()}
        case list():
            return [_without_secrets(each) for each in value]
        case _:
            return value


def _ordered(rule: Rule, exchange: Exchange) -> Rule:
    """The keys in their usual order: when, times, heard, reply.

    The n-th spoken turn takes the n-th `heard` of the file, so turns without a transcript are written too.
    """
    reply = [written for step in exchange.steps if (written := _step(step)) is not None]
    heard = " ".join(transcript or UNINTELLIGIBLE for transcript in exchange.heard)
    return {**rule, **({"heard": heard} if heard else {}), "reply": reply}


def _step(step: ResponseStep) -> dict[str, Any] | None:
    match step:
        case Spoken():
            return {"say": literal(step.text)} if step.text else None
        case Called(name, arguments):
            return {"call": {"name": name, "arguments": literal(editable(arguments))}}
        case Paused(ms):
            return {"pause": {"ms": ms}}
        case Failed(code, message, kind):
            return {"fail": {"code": code, "message": message, **({"type": kind} if kind else {})}}
        case _:
            assert_never(step)


def editable(arguments: str) -> Any:
    """JSON arguments as an object if nothing is lost by it, else as their text."""
    try:
        parsed = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    compact = json.dumps(parsed, separators=(",", ":"), ensure_ascii=False)
    return parsed if isinstance(parsed, dict) and compact == arguments else arguments


def literal(value: Any) -> Any:
    """The same value, with everything quoted that would be read as a template."""
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
    """A rule for each response, if such rules reproduce every response; None if they do not.

    If several responses share a condition, each rule applies once.
    """
    rules = [_rule(exchange) for exchange in exchanges]
    for attempt in (rules, [{**rule, "times": 1} for rule in rules]):
        if _choices(attempt, exchanges) == list(range(len(exchanges))):
            return attempt
    return None


def _rule(exchange: Exchange) -> Rule:
    """The condition: the function of the last result, and the user's words."""
    when: dict[str, Any] = {}
    if exchange.user_text:
        when["says"] = "^" + _SPECIAL.sub(r"\\\g<0>", exchange.user_text) + "$"
    if exchange.results and exchange.results[-1]:
        when["tool"] = exchange.results[-1]
    return {"when": when} if when else {}


def _choices(rules: Sequence[Rule], exchanges: Sequence[Exchange]) -> list[int | None]:
    """The rule that the mock would choose for each response: first those with a tool result, then in order."""
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
