"""The check of scenario, fault and accounts files."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import assert_never

from mockserver.documents.problems import DocumentError, Problem
from mockserver.faults import files as fault_files
from mockserver.responders.scenario import Scenario
from mockserver.server import accounts_file
from replay.cli.files import DocumentKind
from replay.cli.usage import Unusable


def problems_of(file: Path, kind: DocumentKind) -> tuple[Problem, ...]:
    """All problems of a scenario, fault or accounts file. Raises Unusable for one that cannot be read."""
    if not file.is_file():
        raise Unusable(f"{file}: there is no such file; give the path of a {kind} file")
    try:
        match kind:
            case "scenario":
                Scenario.load(file)
            case "fault":
                fault_files.load(file)
            case "accounts":
                accounts_file.load(file)
            case _:
                assert_never(kind)
    except DocumentError as bad:
        return bad.problems
    return ()
