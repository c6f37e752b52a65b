"""Rules as their author writes them, and as they run: patterns and templates compiled once for all connections.

Patterns are the author's own; their cost on a user's words is not bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from typing_extensions import assert_never

from mockserver.documents.reader import Keys, Where
from mockserver.responders.base import HOSTED_TOOLS, Call, Fail, Hosted, NotTranscribed, Pause, Say, Step
from mockserver.responders.templates import Template, TemplateError, Variables, compiled, filled, is_template

VARIABLES = frozenset({"says", "match", "result", "results", "arguments", "calls", "turn"})
"""What every template may use, besides the named groups of its rule's pattern."""


class ScenarioError(ValueError):
    """A scenario that cannot be used: one line with the place, the expected and the found value."""


@dataclass(frozen=True, slots=True)
class When:
    """The condition of a rule; all given parts must hold. `says` is a regular expression; case does not matter."""

    says: str | None = None
    tool: str | None = None
    """The turn contains a result of this function."""
    silence: bool = False
    """The idle timeout requests the response."""
    always: bool = False
    """Always holds, like no condition."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A response: its steps, its condition, and the transcript (`heard`) of the spoken turn that it answers."""

    reply: Step | Sequence[Step]
    when: When | None = None
    heard: str | NotTranscribed | None = None
    times: int | None = None
    """At most this often in one connection."""


StepMaker = Callable[[Variables], Step]


@dataclass(frozen=True, slots=True)
class CompiledRule:
    """A rule ready to run. `steps` are complete, or are made from the variables of the turn."""

    index: int
    place: str
    rule: Rule
    says: re.Pattern[str] | None
    steps: tuple[Step | StepMaker, ...]

    @property
    def answers_event(self) -> bool:
        """Whether it waits for a tool result or for silence, not for words."""
        return self.rule.when is not None and (self.rule.when.tool is not None or self.rule.when.silence)


class CompiledScenario:
    """A scenario as the responders of all connections share it; immutable."""

    __slots__ = ("heard", "in_sequence", "rules", "tried")

    def __init__(self, rules: Sequence[Rule], root: str, where: Where) -> None:
        """Compile rules. `root` is the key of their list: `turns` or `sequence`. Raises `ScenarioError`."""
        self.in_sequence = root == "sequence"
        self.rules = tuple(_prepare(i, rule, (root, i), where) for i, rule in enumerate(rules))
        self.tried = tuple(sorted(self.rules, key=lambda prepared: not prepared.answers_event))
        """In the order of trying: a catch-all rule cannot match a tool result or silence before the rule for it."""
        self.heard = tuple(rule.heard for rule in rules if rule.heard is not None)


def _prepare(index: int, rule: Rule, keys: Keys, where: Where) -> CompiledRule:
    if not isinstance(rule, Rule):
        raise ScenarioError(f"{where(keys)}: expected a Rule, got {_name(rule)}")
    if keys[0] == "sequence" and (rule.when is not None or rule.times is not None):
        raise ScenarioError(f"{where(keys)}: a sequence answers in order, once each; for conditions write `turns`")
    if rule.times is not None and rule.times < 1:
        raise ScenarioError(f"{where((*keys, 'times'))}: expected at least 1, got {rule.times}")
    says = _condition(rule.when, (*keys, "when"), where) if rule.when is not None else None
    reply = (rule.reply,) if isinstance(rule.reply, Step) else tuple(rule.reply)
    try:
        steps = tuple(_prepare_step(step, (*keys, "reply", i), where) for i, step in enumerate(reply))
    except TemplateError as bad:
        raise ScenarioError(str(bad)) from None
    return CompiledRule(index, where(keys), replace(rule, reply=reply), says, steps)


def _condition(when: When, keys: Keys, where: Where) -> re.Pattern[str] | None:
    if not isinstance(when, When):
        raise ScenarioError(f"{where(keys)}: expected a When, got {_name(when)}")
    given = when.says is not None or when.tool is not None or when.silence
    if when.always and given:
        raise ScenarioError(f"{where(keys)}: `always` stands alone; leave out it or the rest")
    if not when.always and not given:
        raise ScenarioError(
            f"{where(keys)}: expected says, tool, silence or always; to answer anything leave out `when`"
        )
    return None if when.says is None else _pattern(when.says, where((*keys, "says")))


def _pattern(text: str, place: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text, re.IGNORECASE)
    except re.error as bad:
        at = "" if bad.pos is None else f" at character {bad.pos + 1}"
        raise ScenarioError(f"{place}: bad pattern{at}: {bad.msg}") from None
    except (OverflowError, RecursionError, Warning) as bad:
        raise ScenarioError(f"{place}: bad pattern: {bad}") from None
    if taken := VARIABLES & set(pattern.groupindex):
        raise ScenarioError(f"{place}: the group name {min(taken)!r} is a variable already; choose another")
    return pattern


def _prepare_step(step: Step, keys: Keys, where: Where) -> Step | StepMaker:
    if not isinstance(step, Step):
        raise ScenarioError(f"{where(keys)}: expected Say, Call, Hosted, Pause or Fail, got {_name(step)}")
    match step:
        case Say():
            return _prepare_say(step, where((*keys, "say")))
        case Call():
            return _prepare_call(step, (*keys, "call", "arguments"), where)
        case Hosted():
            return _prepare_hosted(step, (*keys, "hosted"), where)
        case Pause() | Fail():
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
    if step.tool != "mcp" and (step.server or step.name or step.error is not None):
        raise ScenarioError(f"{where(keys)}: `server`, `name` and `error` belong to mcp, not to {step.tool}")
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
