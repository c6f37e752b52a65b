"""A responder that follows the rules of a scenario. It keeps the state of one connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

from mockserver.responders.base import Call, Chat, Fail, HeardText, Hosted, Say, Source, Step, Turn
from mockserver.responders.compiler import CompiledRule, CompiledScenario
from mockserver.responders.conditions import MATCHED_INSTRUCTIONS, Scene
from mockserver.responders.templates import TemplateError, filled

UNMATCHED = "I have no answer to that."
"""Said when no rule answers, since a live model always says something. `Tally.unmatched` has the reason."""
MAX_UNMATCHED = 100
FIRST_DAY = date(2026, 1, 1)
"""The day of a responder that gets none: the day on which a manual clock starts."""


class ScenarioUsage:
    """What clients have used of a scenario, over all connections that share this object."""

    def __init__(self, script: CompiledScenario) -> None:
        self.uses = [0] * len(script.rules)
        """How often each rule has answered, in file order."""
        self.unmatched: list[str] = []
        """Why a turn got the fallback response; the first `MAX_UNMATCHED` are kept."""
        self._script = script

    @property
    def unserved(self) -> list[str]:
        """The places of the rules that have not answered yet; not of a last one that answers anything: it is there for
        what should not happen."""
        unused = [each for each in self._script.rules if not self.uses[each.index]]
        if unused and not self._script.in_sequence and 0 < unused[-1].index == len(self._script.rules) - 1:
            when = unused[-1].rule.when
            if when is None or when.always:
                unused.pop()
        return [each.place for each in unused]

    def unused(self) -> list[str]:
        """Rules that have not answered, and turns that no rule answered, a line each."""
        verb = "was never reached" if self._script.in_sequence else "never answered"
        return [f"{place} {verb}" for place in self.unserved] + self.unmatched


class ScenarioResponder:
    """Answers one connection by a scenario.

    A rule that waits for a tool's result or for silence is tried before one that waits for words or for anything;
    otherwise the first in the file wins. A sequence gives its entries in order.
    """

    def __init__(
        self,
        script: CompiledScenario,
        tally: ScenarioUsage | None = None,
        today: date = FIRST_DAY,
        *,
        chats: bool = False,
        scenario: str = "",
    ) -> None:
        self.scenario = scenario
        """The digest of the scenario."""
        self.uses = [0] * len(script.rules)
        """How often each rule has answered in this connection, in file order."""
        self.tally = tally or ScenarioUsage(script)
        self.source = Source()
        self._script = script
        self._results: dict[str, object] = {}
        self._calls: dict[str, object] = {}
        self._memory: dict[str, object] = {}
        """Captured and remembered values by name; a later value replaces an earlier one."""
        self._today = today
        self._chats = chats

    def state(self) -> Mapping[str, object]:
        """Where it is in the scenario, and what it remembers, as plain data."""
        return {"uses": self.uses, "results": self._results, "calls": self._calls, "memory": self._memory}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was called, on a responder of the same scenario."""
        self.uses = list(state["uses"])
        self._results, self._calls, self._memory = (dict(state[name]) for name in ("results", "calls", "memory"))

    def hear(self, turn_number: int) -> HeardText | None:
        """The nth `heard`, from 0, of the rules that have one, in file order."""
        heard = self._script.heard
        return heard[turn_number] if 0 <= turn_number < len(heard) else None

    def reply(self, turn: Turn) -> Iterable[Step]:
        """The chosen rule's steps, made one by one. A template that fails ends them with a `Fail`, `scenario_error`."""
        for result in turn.results:
            self._results[result.name] = _parsed(result.output)
        scene = Scene(turn, self._results, self._memory, self._day(turn), self._script.choice_words)
        self._memory |= scene.said(self._script.captures)
        chosen = self._chosen(scene)
        if chosen is None and self._chats:
            self.source = Source("the language model")
            return [Chat()]
        if chosen is None:
            self.source = Source("no rule", self._why_unmatched(turn))
            if len(self.tally.unmatched) < MAX_UNMATCHED:
                self.tally.unmatched.append(f"response {turn.number + 1}: {self.source.unmatched}")
            return [Say(UNMATCHED)]
        self.source = Source(chosen.place)
        self.uses[chosen.index] += 1
        self.tally.uses[chosen.index] += 1
        return self._play(chosen, self._variables(chosen, scene))

    def _day(self, turn: Turn) -> date:
        """Today: from the scenario, else from the instructions, else from the server's clock."""
        today = self._script.today
        if isinstance(today, date):
            return today
        found = None if today is None else today.search(turn.instructions[:MATCHED_INSTRUCTIONS])
        try:
            return self._today if found is None else date.fromisoformat(found[1])
        except ValueError:
            return self._today

    def _chosen(self, scene: Scene) -> CompiledRule | None:
        if self._script.in_sequence:
            answered = sum(self.uses)
            return self._script.rules[answered] if answered < len(self._script.rules) else None
        for prepared in self._script.tried:
            times = prepared.rule.times
            if (times is None or self.uses[prepared.index] < times) and (
                prepared.condition is None or prepared.condition.holds(scene)
            ):
                return prepared
        return None

    def _variables(self, chosen: CompiledRule, scene: Scene) -> dict[str, object]:
        turn = scene.turn
        if chosen.condition is not None:
            self._memory |= chosen.condition.said(scene)
        variables: dict[str, object] = {"turn": turn, "results": self._results, "calls": self._calls}
        variables["today"] = self._day(turn).isoformat()
        variables |= self._script.absent | self._memory
        if turn.pressed:
            variables["pressed"] = turn.pressed
        if turn.says is not None:
            variables["says"] = turn.says
            match = chosen.condition.match(scene) if chosen.condition else None
            if match is not None:
                variables["match"] = [match[0], *match.groups()]
                # A named group that took no part in the match stays undefined, so that `default` can fill it.
                variables |= {name: text for name, text in match.groupdict().items() if text is not None}
        # The result of the rule's own tool, else the latest.
        tool = chosen.rule.when.tool if chosen.rule.when else None
        results = (result for result in reversed(turn.results) if tool is None or result.name == tool)
        if (answered := next(results, None)) is not None:
            variables["result"] = self._results[answered.name]
            if answered.name in self._calls:
                variables["arguments"] = self._calls[answered.name]
        return variables

    def _play(self, chosen: CompiledRule, variables: dict[str, object]) -> Iterator[Step]:
        try:
            self._remember(chosen, variables)
        except TemplateError as bad:
            yield Fail("scenario_error", str(bad))
            return
        for made in chosen.steps:
            try:
                step = made(variables) if callable(made) else made
            except TemplateError as bad:
                yield Fail("scenario_error", str(bad))
                return
            if isinstance(step, Call):
                self._calls[step.name] = _parsed(step.arguments)
            elif isinstance(step, Hosted):
                self._results[step.name or step.tool] = step.result
                step = replace(step, answered=partial(self._take, step, variables))
            yield step

    def _take(self, step: Hosted, variables: dict[str, object], output: object) -> None:
        """Let the templates of later steps know the result of a call that the service makes."""
        result = self._results[step.name or step.tool] = _parsed(output)
        if step.tool == "mcp":
            variables["result"] = result

    def _remember(self, chosen: CompiledRule, variables: dict[str, object]) -> None:
        """Apply `remember` and `forget` of a rule. A value of None deletes the name."""
        kept = {name: filled(value, variables) for name, value in chosen.remember.items()}
        for name, value in (kept | dict.fromkeys(chosen.rule.forget)).items():
            if value is None:
                self._memory.pop(name, None)
                variables[name] = self._script.absent[name]
            else:
                self._memory[name] = variables[name] = value

    def _why_unmatched(self, turn: Turn) -> str:
        if self._script.in_sequence:
            return f"the sequence is over, all of its {len(self._script.rules)} entries are used; add one"
        said = [repr(turn.says[:200])] if turn.says else []
        said += [f"the result of {result.name or 'an unknown call'}" for result in turn.results]
        said += [f"the keys {turn.pressed}"] if turn.pressed else []
        otherwise = "silence" if turn.silence else "a turn without words"
        return f"no rule answers {' and '.join(said) or otherwise}; add one, or a last rule without `when`"


def _parsed(output: object) -> object:
    """The parsed value if the text is JSON, else the text."""
    if not isinstance(output, str):
        return output
    try:
        return json.loads(output)
    except (ValueError, RecursionError):
        return output
