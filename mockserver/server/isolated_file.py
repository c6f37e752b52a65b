"""The body of a request for a namespace, in YAML or JSON: what the namespace has of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field

from mockserver.documents.reader import read_document
from mockserver.documents.validation import Section, check
from mockserver.faults import files as fault_files
from mockserver.responders.scenario import Scenario
from mockserver.server.accounts_file import TeamLimits
from mockserver.server.namespaces import Isolated
from mockserver.server.recordings import AdaptiveReplay, VerbatimReplay
from mockserver.server.session_factory import Content

_NAME = re.compile(r"[\w-]+")
"""A text that is the name of a scenario, and not a scenario."""


class IsolatedSection(Section):
    """What a namespace has of its own. What is left out is as at the server's start."""

    scenario: dict[str, Any] | str | None = Field(
        default=None, description="A scenario, its text in YAML or JSON, or the name of a packaged one."
    )
    faults: dict[str, Any] | list[Any] | str | None = Field(
        default=None, description="The content of a fault file, its text, or a list of faults; [] for none."
    )
    cassette: str | None = Field(default=None, description="The path of a recording on the server's machine.")
    verbatim: bool = Field(default=False, description="With `cassette`: play it frame by frame.")
    speed: float | Literal["inf"] = Field(
        default=1.0, description="With `verbatim`: how many times as fast as recorded; inf is at once."
    )
    allow: list[str] = Field(default_factory=list, description="With `verbatim`: types that may remain unsent.")
    ignore: list[str] = Field(default_factory=list, description="With `cassette`: what may differ in messages.")
    dialect: str | None = Field(default=None, examples=["openai"], description="The dialect, as for `realtape serve`.")
    pacing: Literal["live", "realtime", "burst"] | None = Field(default=None, description="When audio is sent.")
    seed: int | str | None = Field(default=None, description="The seed of identifiers and random choices.")
    clock: str | None = Field(default=None, examples=["manual"], description="wall, wall:RATE, or manual.")
    findings: Literal["off", "warn", "error"] | dict[str, Literal["off", "warn", "error"]] | None = Field(
        default=None, description="The severity of findings: one for all, or one for each rule."
    )
    write_tools: list[str] | None = Field(default=None, description="Tools with side effects.")
    limits: TeamLimits | None = Field(default=None, description="Limits of every team.")


def parse(text: str) -> Isolated:
    """Read a body; an empty one asks for nothing of its own.

    Raises ValueError (DocumentError with places), OSError, BadCassette, UnreadableRecording and EmptyLibrary.
    """
    asked = check(read_document(text if text.strip() else "{}", "<body>"), IsolatedSection)
    if asked.scenario is not None and asked.cassette is not None:
        raise ValueError("scenario and cassette both say what to answer; leave out one of them")
    if asked.cassette is None and asked.verbatim:
        raise ValueError("verbatim plays a cassette; name it with cassette")
    if not asked.verbatim and (asked.allow or asked.speed != 1.0):
        raise ValueError("speed and allow belong to verbatim")
    if asked.cassette is None and asked.ignore:
        raise ValueError("ignore belongs to cassette; without one, there is nothing to differ from")
    return Isolated(
        content=_content(asked),
        faults=None if asked.faults is None else fault_files.parse(_text(asked.faults)),
        dialect=asked.dialect,
        pacing=asked.pacing,
        seed=None if asked.seed is None else str(asked.seed),
        clock=asked.clock,
        findings=asked.findings,
        write_tools=None if asked.write_tools is None else tuple(asked.write_tools),
        limits=asked.limits,
    )


def _content(asked: IsolatedSection) -> Content:
    if asked.cassette is not None:
        if asked.verbatim:
            return VerbatimReplay(asked.cassette, float(asked.speed), asked.allow, asked.ignore)
        return AdaptiveReplay(asked.cassette, asked.ignore)
    if asked.scenario is None:
        return None
    if isinstance(asked.scenario, str) and _NAME.fullmatch(asked.scenario):
        return Scenario.load(Path(asked.scenario))
    return Scenario.parse(_text(asked.scenario), "scenario")


def _text(given: object) -> str:
    return given if isinstance(given, str) else orjson.dumps(given).decode()
