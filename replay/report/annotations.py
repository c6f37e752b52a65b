"""Results of `lint`, `check` and `diff` as other programs show them: annotations of GitHub Actions, and SARIF 2.1.0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["warning", "error"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """One result. `rule` names its kind, `file` the file that it is about. `line` and `column` count from 1; 0 is
    unknown."""

    severity: Severity
    file: str
    rule: str
    message: str
    line: int = 0
    column: int = 0


def github(annotations: Sequence[Annotation]) -> str:
    """Workflow commands, one a line: GitHub Actions shows each at its file."""
    return "\n".join(
        f"::{each.severity} file={_property(each.file)}{_place(each)},title={_property(each.rule)}::"
        f"{_data(each.message)}"
        for each in annotations
    )


def sarif(annotations: Sequence[Annotation], version: str) -> dict[str, Any]:
    """A SARIF log with one run. `version`: that of realtape."""
    rules = list(dict.fromkeys(each.rule for each in annotations))
    driver = {"name": "realtape", "version": version, "rules": [{"id": rule} for rule in rules]}
    results = [
        {
            "ruleId": each.rule,
            "ruleIndex": rules.index(each.rule),
            "level": each.severity,
            "message": {"text": each.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": each.file.replace("\\", "/")},
                        **({"region": {"startLine": each.line, "startColumn": each.column}} if each.line else {}),
                    }
                }
            ],
        }
        for each in annotations
    ]
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return {"version": "2.1.0", "$schema": schema, "runs": [{"tool": {"driver": driver}, "results": results}]}


def _place(each: Annotation) -> str:
    return f",line={each.line},col={each.column}" if each.line else ""


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
