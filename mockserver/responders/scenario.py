"""Scenarios: YAML or JSON files to rules, and the same in Python. What a file may contain: scenario_file.py."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal

from mockserver.documents.problems import DocumentError, Keys, Problem, Problems, dotted
from mockserver.documents.reader import Document, Where, read_document, read_text
from mockserver.documents.validation import validated
from mockserver.responders.base import (
    Step,
)
from mockserver.responders.compiler import CompiledScenario, Rule
from mockserver.responders.conditions import ScenarioError, When, pattern
from mockserver.responders.packaged import find
from mockserver.responders.reach import unreachable
from mockserver.responders.scenario_file import ScenarioFile, bad_audio
from mockserver.responders.scripted import FIRST_DAY, ScenarioResponder, ScenarioUsage
from mockserver.responders.templates import compiled

__all__ = ["Clip", "Rule", "Scenario", "ScenarioError", "When"]


@dataclass(frozen=True, slots=True)
class Clip:
    """A WAV file and its transcript."""

    audio: str
    text: str


@dataclass(frozen=True, slots=True)
class Scenario:
    """The content of responses: rules (`turns`; the first match answers) or a `sequence` (the nth entry answers nth).

    `Scenario([Rule(Say("Hello."), When(says="hi")), Rule(Say("Pardon?"))])`
    `Scenario(sequence=[Say("Hello."), [Say("One moment."), Call("look_up", {"name": "Ada"})]])`

    Checked and compiled here, unchangeable afterwards; raises `ScenarioError`. `where` names places in error messages.
    """

    turns: Sequence[Rule] = ()
    sequence: Sequence[Rule | Step | Sequence[Step]] = ()
    hears: Sequence[Clip] = ()
    name: str = ""
    captures: Mapping[str, object] = field(default_factory=dict, kw_only=True)
    """Kinds by name: the values that are read from every turn, and remembered."""
    today: date | str | None = field(default=None, kw_only=True)
    """The day from which "tomorrow" is counted, or a pattern that matches it in the instructions; else the server's."""
    hearing: Literal["auto", "script"] = field(default="auto", kw_only=True)
    """What decides the words of a spoken turn: `auto`: a known clip, a transcriber, `heard`, in this order; `script`:
    `heard` before all."""
    where: Where = field(default=dotted, repr=False, compare=False)
    document: object = field(default=None, repr=False, compare=False, kw_only=True)
    """What it was read from, as plain data; None if a program made it."""
    digest: str = field(default="", init=False, repr=False, compare=False)
    """Equal for equal scenarios: a server knows by it that a conversation of another server goes on with its own."""
    _script: CompiledScenario = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.turns and self.sequence:
            raise ScenarioError("a scenario has `turns` or a `sequence`, not both; a sequence is the shorter form")
        entries = [entry if isinstance(entry, Rule) else Rule(entry) for entry in self.sequence]
        script = CompiledScenario(
            entries or self.turns, "sequence" if entries else "turns", self.where, self.captures, self.today
        )
        settled = tuple(prepared.rule for prepared in script.rules)
        object.__setattr__(self, "turns", () if entries else settled)
        object.__setattr__(self, "sequence", settled if entries else ())
        object.__setattr__(self, "hears", tuple(self.hears))
        object.__setattr__(self, "_script", script)
        said = repr(self) if self.document is None else repr(self.document)
        object.__setattr__(self, "digest", hashlib.sha256(said.encode(errors="surrogatepass")).hexdigest())

    def responder(
        self, tally: ScenarioUsage | None = None, today: date = FIRST_DAY, *, chats: bool = False
    ) -> ScenarioResponder:
        """A responder for one connection that opens on the day `today`. It counts in `tally` what it uses. `chats`: a
        language model answers what no rule does."""
        return ScenarioResponder(self._script, tally, today, chats=chats, scenario=self.digest)

    @property
    def has_heard(self) -> bool:
        """Whether a rule has the transcript of a spoken turn."""
        return bool(self._script.heard)

    def tally(self) -> ScenarioUsage:
        """A count of what the clients of a server use."""
        return ScenarioUsage(self._script)

    def unreachable(self, *, chats: bool = False) -> list[str]:
        """The rules that no turn can reach, a line each. `chats`: a language model answers what no rule does."""
        return list(unreachable(self._script, chats=chats))

    def unheard(self, recognised: Collection[str]) -> list[str]:
        """The clips whose text is not in `recognised`, a line each."""
        clips = [(i, clip.text) for i, clip in enumerate(self.hears) if clip.text not in recognised]
        return [f"{self.where(('hears', i))} ({text!r}) was never heard" for i, text in clips]

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a file, or a packaged scenario by its name, such as `clinic`. A path that exists wins.

        Audio files are named relative to the file. Raises `ScenarioError` with lines such as `booking.yaml:12:9: …`.
        """
        path = find(path)
        try:
            text = read_text(Path(path))
        except DocumentError as bad:
            raise ScenarioError.of(bad.problems) from None
        return cls.parse(text, source=str(path), base=Path(path).parent)

    @classmethod
    def parse(cls, text: str, source: str = "<text>", base: str | Path = ".") -> Scenario:
        """Read YAML or JSON. `source` names it in errors, `base` holds its audio files. Raises `ScenarioError`."""
        try:
            document = read_document(text, source)
        except DocumentError as bad:
            raise ScenarioError.of(bad.problems) from None
        file, problems = validated(document, ScenarioFile)
        if file is None:
            document.refuse([*problems, *_scanned(document)], ScenarioError)
        assert file is not None
        scenario = None
        problems = list(bad_audio(file, Path(base)))
        try:
            scenario = cls(
                file.rules(Path(base)),
                file.entries(Path(base)),
                [Clip(str(Path(base) / clip.audio), clip.text) for clip in file.hears],
                file.name,
                captures=file.captures,
                today=file.today,
                hearing=file.hearing,
                where=document.where,
                document=document.data,
            )
        except ScenarioError as bad:
            problems += bad.problems
        document.refuse(problems, ScenarioError)
        assert scenario is not None
        return scenario


def _scanned(document: Document) -> list[Problem]:
    """The bad patterns and templates of a file whose form is wrong, so that they are told at once with that."""
    problems = Problems()

    def scan(value: object, keys: Keys, part: str) -> None:
        if isinstance(value, dict):
            for key, each in value.items():
                is_rule = key in ("when", "reply", "remember") and part in ("", "reply")
                scan(each, (*keys, key), key if is_rule and len(keys) < 3 else part)
        elif isinstance(value, list):
            for i, each in enumerate(value):
                scan(each, (*keys, i), part or ("reply" if isinstance(each, list) and keys == ("sequence",) else ""))
        elif isinstance(value, str):
            if part == "when" and keys[-1] in ("says", "instructions", "failed"):
                pattern(value, keys, problems)
            elif part in ("reply", "remember"):
                compiled(value, keys, document.where, problems)

    scan(document.data, (), "")
    return problems.found
