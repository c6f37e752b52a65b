"""A scenario that is being written: its mistakes, from the validator that `realtape scenario check` has."""

from __future__ import annotations

from collections.abc import Mapping

from mockserver.documents.problems import SHOWN, Problem
from mockserver.responders.scenario import Scenario, ScenarioError

SOURCE = "scenario.yaml"


def checked(text: str) -> Mapping[str, object]:
    """The mistakes, and what a scenario without any contains: its name, the number of its rules or entries, and the
    rules that no turn can reach."""
    try:
        scenario = Scenario.parse(text, SOURCE)
    except ScenarioError as bad:
        return {"problems": [_shown(each) for each in bad.problems[:SHOWN]], "more": max(0, len(bad.problems) - SHOWN)}
    return {
        "problems": [],
        "more": 0,
        "name": scenario.name,
        "rules": len(scenario.turns) + len(scenario.sequence),
        "unreachable": scenario.unreachable(),
    }


def _shown(problem: Problem) -> Mapping[str, object]:
    """`line` and `column` count from 1; both are 0 for a mistake of the whole text."""
    return {"line": problem.line, "column": problem.column, "message": problem.head, "fix": list(problem.fix)}
