"""Rules as their author writes them, and as they run: patterns and templates compiled once for all connections.

Patterns are the author's own; their cost on a user's words is not bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain

from typing_extensions import assert_never

from mockserver.documents.reader import Keys, Where
from mockserver.responders.base import HOSTED_TOOLS, Call, Chat, Fail, HeardText, Hosted, Pause, Say, Step
from mockserver.responders.captures.kinds import Kind
from mockserver.responders.conditions import (
    Condition,
    ScenarioError,
    When,
    capture_names,
    check_name,
    kinds,
    pattern,
    prepared,
    words_of_choices,
)
from mockserver.responders.templates import (
    Template,
    TemplateError,
    Variables,
    absent,
    compiled,
    filled,
    is_template,
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A response: its steps, its condition, and the transcript (`heard`) of the spoken turn that it answers."""

    reply: Step | Sequence[Step]
    when: When | None = None
    heard: HeardText | None = None
    times: int | None = None
    """At most this often in one connection."""
    remember: Mapping[str, object] = field(default_factory=dict)
    """Values to store by name for later rules and templates of the connection; texts are templates."""
    forget: Sequence[str] = ()
    """Names whose values are deleted."""


StepMaker = Callable[[Variables], Step]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to run. `steps` are complete, or are made from the variables of the turn."""

    index: int
    place: str
    rule: Rule
    condition: Condition | None
    steps: tuple[Step | StepMaker, ...]
    remember: Mapping[str, object]

    @property
    def answers_event(self) -> bool:
        """Whether it waits for a tool result or for silence, not for words."""
        return self.condition is not None and self.condition.answers_event


class CompiledScenario:
    """A scenario as the responders of all connections share it; immutable."""

    __slots__ = ("absent", "captures", "choice_words", "heard", "in_sequence", "rules", "today", "tried")

    def __init__(
        self,
        rules: Sequence[Rule],
        root: str,
        where: Where,
        captures: Mapping[str, object],
        today: date | str | None,
    ) -> None:
        """Compile rules. `root` is the key of their list: `turns` or `sequence`. Raises `ScenarioError`.

        `today` is a day, or a pattern whose first group matches the day in the instructions.
        """
        self.in_sequence = root == "sequence"
        self.captures = kinds(captures, ("captures",), where)
        """Kinds by name: the values that are read from every turn."""
        self.today = pattern(today, where(("today",))) if isinstance(today, str) else today
        if isinstance(self.today, re.Pattern) and self.today.groups < 1:
            raise ScenarioError(
                f"{where(('today',))}: expected a pattern with the date in a group, such as (\\d{{4}}-\\d\\d-\\d\\d)"
            )
        for i, rule in enumerate(rules):
            if not isinstance(rule, Rule):
                raise ScenarioError(f"{where((root, i))}: expected a Rule, got {_name(rule)}")
        captured = (capture_names(rule.when) for rule in rules)
        known = frozenset(chain(self.captures, *captured, *(rule.remember for rule in rules)))
        self.absent = {name: absent(name) for name in known}
        """Template variables for values that are not remembered yet."""
        self.rules = tuple(_prepare(i, rule, (root, i), where, self.captures, known) for i, rule in enumerate(rules))
        conditions = [prepared.condition for prepared in self.rules if prepared.condition is not None]
        self.choice_words = words_of_choices(
            chain(self.captures.values(), *(condition.kinds() for condition in conditions))
        )
        self.tried = tuple(sorted(self.rules, key=lambda prepared: not prepared.answers_event))
        """In the order of trying: a catch-all rule cannot match a tool result or silence before the rule for it."""
        self.heard = tuple(rule.heard for rule in rules if rule.heard is not None)


def _prepare(
    index: int, rule: Rule, keys: Keys, where: Where, captures: Mapping[str, Kind], known: frozenset[str]
) -> CompiledRule:
    if keys[0] == "sequence" and (rule.when is not None or rule.times is not None):
        raise ScenarioError(f"{where(keys)}: a sequence answers in order, once each; for conditions write `turns`")
    if rule.times is not None and rule.times < 1:
        raise ScenarioError(f"{where((*keys, 'times'))}: expected at least 1, got {rule.times}")
    condition = None
    if rule.when is not None:
        condition = prepared(rule.when, (*keys, "when"), where, captures, known)
    for name in rule.remember:
        check_name(name, where((*keys, "remember", name)))
    for i, name in enumerate(rule.forget):
        if name not in known:
            raise ScenarioError(f"{where((*keys, 'forget', i))}: nothing remembers {name!r}")
    reply = (rule.reply,) if isinstance(rule.reply, Step) else tuple(rule.reply)
    try:
        steps = tuple(_prepare_step(step, (*keys, "reply", i), where) for i, step in enumerate(reply))
        remember = {name: compiled(value, (*keys, "remember", name), where) for name, value in rule.remember.items()}
    except TemplateError as bad:
        raise ScenarioError(str(bad)) from None
    return CompiledRule(index, where(keys), replace(rule, reply=reply), condition, steps, remember)


def _prepare_step(step: Step, keys: Keys, where: Where) -> Step | StepMaker:
    if not isinstance(step, Step):
        raise ScenarioError(f"{where(keys)}: expected Say, Call, Hosted, Pause, Fail or Chat, got {_name(step)}")
    match step:
        case Say():
            return _prepare_say(step, where((*keys, "say")))
        case Call():
            return _prepare_call(step, (*keys, "call", "arguments"), where)
        case Hosted():
            return _prepare_hosted(step, (*keys, "hosted"), where)
        case Pause() | Fail() | Chat():
            return step
        case _:
            assert_never(step)


def _prepare_say(step: Say, place: str) -> Step | StepMaker:
    if not isinstance(step.text, str):
        raise ScenarioError(f"{place}: expected a text, got {_name(step.text)}")
    if not is_template(step.text):
        return step
    template = Template(step.text, place)
    return lambda variables: replace(step, text=template.text(variables))


def _prepare_call(step: Call, keys: Keys, where: Where) -> Callable[[Variables], Call]:
    place, tree = where(keys), compiled(step.arguments, keys, where)

    def make(variables: Variables) -> Call:
        arguments = filled(tree, variables)
        if not isinstance(arguments, (Mapping, str)):
            raise TemplateError(f"{place}: expected a mapping or a text, got {_name(arguments)}")
        return Call(step.name, arguments)

    return make


def _prepare_hosted(step: Hosted, keys: Keys, where: Where) -> StepMaker:
    if step.tool not in HOSTED_TOOLS:
        raise ScenarioError(f"{where((*keys, 'tool'))}: expected one of {', '.join(HOSTED_TOOLS)}, got {step.tool!r}")
    if step.tool == "mcp" and not (step.server and step.name):
        raise ScenarioError(f"{where(keys)}: mcp needs `server`, the label of the server, and `name`, that of its tool")
    if step.tool == "mcp" and step.events:
        raise ScenarioError(f"{where((*keys, 'events'))}: `events` belongs to the other tools; mcp always has its own")
    if step.tool != "mcp" and (step.server or (step.name and not step.events) or step.error is not None):
        raise ScenarioError(
            f"{where(keys)}: `server`, `name` and `error` belong to mcp, not to {step.tool}; `name` also to `events`"
        )
    if step.error is not None and step.result is not None:
        raise ScenarioError(f"{where(keys)}: a call has a `result` or an `error`, not both")
    if step.calls < 0:
        raise ScenarioError(f"{where((*keys, 'calls'))}: expected 0 or more, got {step.calls}")
    call = _prepare_call(Call(step.name, step.arguments), (*keys, "arguments"), where)
    result = compiled(step.result, (*keys, "result"), where)
    error = compiled(step.error, (*keys, "error"), where)

    def make(variables: Variables) -> Hosted:
        failed = filled(error, variables)
        return replace(
            step,
            arguments=call(variables).arguments,
            result=filled(result, variables),
            error=None if failed is None else str(failed),
        )

    return make


def _name(value: object) -> str:
    return type(value).__name__
