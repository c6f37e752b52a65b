"""Which rules of a scenario no turn can reach, as far as the file alone shows it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches

from mockserver.responders.base import Call, Chat, Hosted, Step
from mockserver.responders.compiler import CompiledRule, CompiledScenario
from mockserver.responders.conditions import When

_ALWAYS = replace(When(), always=True)


def unreachable(script: CompiledScenario, *, chats: bool) -> Iterator[str]:
    """A line for each rule that no turn can reach. `chats`: a language model answers what no rule does, and may call
    any function."""
    if script.in_sequence:
        return
    replies = [each.rule.reply for each in script.rules]
    steps = [step for reply in replies for step in ([reply] if isinstance(reply, Step) else reply)]
    called = {step.name for step in steps if isinstance(step, Call | Hosted)}
    chats = chats or any(isinstance(step, Chat) for step in steps)
    tried: list[CompiledRule] = []
    for each in script.tried:
        tool = each.rule.when.tool if each.rule.when is not None else None
        if (before := next((other for other in tried if _answers_all_of(other, each)), None)) is not None:
            yield f"{each.place}: no turn can reach this rule: {before.place} answers first"
        elif tool is not None and tool not in called and not chats:
            near = get_close_matches(tool, called, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            yield f"{each.place}: no turn can reach this rule: no step calls {tool!r}{hint}"
        tried.append(each)


def _answers_all_of(earlier: CompiledRule, later: CompiledRule) -> bool:
    """Whether the earlier rule answers whatever the later one would."""
    if earlier.rule.times is not None:
        return False
    when = earlier.rule.when
    return when is None or when == _ALWAYS or when == later.rule.when
