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

from mockserver.documents.problems import Keys, Problems, advice, quoted
from mockserver.documents.reader import Where
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
        """Whether it waits for a tool result, for silence or for keys, not for words."""
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
        """Compile rules. `root` is the key of their list: `turns` or `sequence`. Raises `ScenarioError` about all
        problems, whose places are keys. `where` names a place for reports.

        `today` is a day, or a pattern whose first group matches the day in the instructions.
        """
        self.in_sequence = root == "sequence"
        problems = Problems()
        self.captures = kinds(captures, ("captures",), problems)
        """Kinds by name: the values that are read from every turn."""
        self.today = pattern(today, ("today",), problems) if isinstance(today, str) else today
        if isinstance(self.today, re.Pattern) and self.today.groups < 1:
            said = "expected a pattern with the date in a group, such as (\\d{4}-\\d\\d-\\d\\d)"
            problems.add(("today",), said)
        for i, rule in enumerate(rules):
            if not isinstance(rule, Rule):
                problems.add((root, i), f"expected a Rule, got {_name(rule)}")
        if not all(isinstance(rule, Rule) for rule in rules):
            problems.settle(ScenarioError)
        captured = (capture_names(rule.when) for rule in rules)
        known = frozenset(chain(self.captures, *captured, *(rule.remember for rule in rules)))
        self.absent = {name: absent(name) for name in known}
        """Template variables for values that are not remembered yet."""
        self.rules = tuple(
            _prepare(i, rule, (root, i), _Context(where, problems, self.captures, known))
            for i, rule in enumerate(rules)
        )
        problems.settle(ScenarioError)
        conditions = [prepared.condition for prepared in self.rules if prepared.condition is not None]
        self.choice_words = words_of_choices(
            chain(self.captures.values(), *(condition.kinds() for condition in conditions))
        )
        self.tried = tuple(sorted(self.rules, key=lambda prepared: not prepared.answers_event))
        """In the order of trying: a catch-all rule cannot match a tool result or silence before the rule for it."""
        self.heard = tuple(rule.heard for rule in rules if rule.heard is not None)


@dataclass(frozen=True, slots=True)
class _Context:
    """What compiling a rule needs to know, and where it reports problems."""

    where: Where
    problems: Problems
    captures: Mapping[str, Kind]
    known: frozenset[str]

    def tree(self, value: object, keys: Keys) -> object:
        """JSON data with its templates compiled."""
        return compiled(value, keys, self.where, self.problems)


def _prepare(index: int, rule: Rule, keys: Keys, context: _Context) -> CompiledRule:
    problems = context.problems
    if keys[0] == "sequence" and (rule.when is not None or rule.times is not None):
        problems.add(keys, "a sequence answers in order, once each; for conditions write `turns`")
    if rule.times is not None and rule.times < 1:
        problems.add((*keys, "times"), f"expected at least 1, got {rule.times}")
    condition = None
    if rule.when is not None:
        condition = prepared(rule.when, (*keys, "when"), problems, context.captures, context.known)
    for name in rule.remember:
        check_name(name, (*keys, "remember", name), problems)
    for i, name in enumerate(rule.forget):
        if name not in context.known:
            near = advice(name, sorted(context.known)) if context.known else ""
            hint = f"; {near}" if near.startswith("did") else ""
            problems.add((*keys, "forget", i), f"nothing remembers {quoted(name)}{hint}")
    reply = (rule.reply,) if isinstance(rule.reply, Step) else tuple(rule.reply)
    steps = tuple(_prepare_step(step, (*keys, "reply", i), context) for i, step in enumerate(reply))
    remember = {name: context.tree(value, (*keys, "remember", name)) for name, value in rule.remember.items()}
    return CompiledRule(index, context.where(keys), replace(rule, reply=reply), condition, steps, remember)


def _prepare_step(step: Step, keys: Keys, context: _Context) -> Step | StepMaker:
    if not isinstance(step, Step):
        context.problems.add(keys, f"expected Say, Call, Hosted, Pause, Fail or Chat, got {_name(step)}")
        return step
    match step:
        case Say():
            return _prepare_say(step, (*keys, "say"), context)
        case Call():
            return _prepare_call(step, (*keys, "call", "arguments"), context)
        case Hosted():
            return _prepare_hosted(step, (*keys, "hosted"), context)
        case Pause() | Fail() | Chat():
            return step
        case _:
            assert_never(step)


def _prepare_say(step: Say, keys: Keys, context: _Context) -> Step | StepMaker:
    if not isinstance(step.text, str):
        context.problems.add(keys, f"expected a text, got {_name(step.text)}")
        return step
    if not is_template(step.text):
        return step
    template = context.tree(step.text, keys)
    return lambda variables: replace(step, text=template.text(variables) if isinstance(template, Template) else "")


def _prepare_call(step: Call, keys: Keys, context: _Context) -> Callable[[Variables], Call]:
    place, tree = context.where(keys), context.tree(step.arguments, keys)

    def make(variables: Variables) -> Call:
        arguments = filled(tree, variables)
        if not isinstance(arguments, (Mapping, str)):
            raise TemplateError(f"{place}: expected a mapping or a text, got {_name(arguments)}")
        return Call(step.name, arguments)

    return make


def _prepare_hosted(step: Hosted, keys: Keys, context: _Context) -> StepMaker:
    problems = context.problems
    if step.tool not in HOSTED_TOOLS:
        near = advice(step.tool, HOSTED_TOOLS)
        hint = f"; {near}" if near.startswith("did") else ""
        expected = f"expected one of {', '.join(HOSTED_TOOLS)}, got {quoted(step.tool)}{hint}"
        problems.add((*keys, "tool"), expected)
    elif step.tool == "mcp" and not (step.server and step.name):
        problems.add(keys, "mcp needs `server`, the label of the server, and `name`, that of its tool")
    elif step.tool == "mcp" and step.events:
        problems.add((*keys, "events"), "`events` belongs to the other tools; mcp always has its own")
    elif step.tool != "mcp" and (step.server or (step.name and not step.events) or step.error is not None):
        said = f"`server`, `name` and `error` belong to mcp, not to {step.tool}; `name` also to `events`"
        problems.add(keys, said)
    if step.error is not None and step.result is not None:
        problems.add(keys, "a call has a `result` or an `error`, not both")
    if step.calls < 0:
        problems.add((*keys, "calls"), f"expected 0 or more, got {step.calls}")
    call = _prepare_call(Call(step.name, step.arguments), (*keys, "arguments"), context)
    result = context.tree(step.result, (*keys, "result"))
    error = context.tree(step.error, (*keys, "error"))

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
