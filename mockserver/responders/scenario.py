"""Scenario files: YAML or JSON to rules, and the same in Python. The models here define what a file may contain."""

from __future__ import annotations

import os.path
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator

from mockserver.audio.wav import read_wav
from mockserver.documents.reader import DocumentError, Keys, Where, dotted, read_document, read_text
from mockserver.documents.validation import Section, check, refusal
from mockserver.responders.base import (
    Call,
    Chat,
    Fail,
    HeardText,
    Hosted,
    NotTranscribed,
    Pause,
    Say,
    Step,
    Transcript,
)
from mockserver.responders.compiler import CompiledScenario, Rule
from mockserver.responders.conditions import ScenarioError, When
from mockserver.responders.scripted import FIRST_DAY, ScenarioResponder, ScenarioUsage

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

    def responder(
        self, tally: ScenarioUsage | None = None, today: date = FIRST_DAY, *, chats: bool = False
    ) -> ScenarioResponder:
        """A responder for one connection that opens on the day `today`. It counts in `tally` what it uses. `chats`: a
        language model answers what no rule does."""
        return ScenarioResponder(self._script, tally, today, chats=chats)

    @property
    def has_heard(self) -> bool:
        """Whether a rule has the transcript of a spoken turn."""
        return bool(self._script.heard)

    def tally(self) -> ScenarioUsage:
        """A count of what the clients of a server use."""
        return ScenarioUsage(self._script)

    def unheard(self, recognised: Collection[str]) -> list[str]:
        """The clips whose text is not in `recognised`, a line each."""
        clips = [(i, clip.text) for i, clip in enumerate(self.hears) if clip.text not in recognised]
        return [f"{self.where(('hears', i))} ({text!r}) was never heard" for i, text in clips]

    @classmethod
    def load(cls, path: str | Path) -> Scenario:
        """Read a file. Audio files are named relative to it. Raises `ScenarioError` reading `booking.yaml:12: …`."""
        try:
            text = read_text(Path(path))
        except DocumentError as bad:
            raise ScenarioError(str(bad)) from None
        return cls.parse(text, source=str(path), base=Path(path).parent)

    @classmethod
    def parse(cls, text: str, source: str = "<text>", base: str | Path = ".") -> Scenario:
        """Read YAML or JSON. `source` names it in errors, `base` holds its audio files. Raises `ScenarioError`."""
        try:
            document = read_document(text, source)
            file = check(document, _File)
        except DocumentError as bad:
            raise ScenarioError(str(bad)) from None
        for keys, audio in _audio(file):
            path = Path(base) / audio
            if not os.path.isfile(path):
                raise ScenarioError(f"{document.where(keys)}: there is no file {str(path)!r}")
            try:
                read_wav(path)
            except (OSError, ValueError) as problem:
                raise ScenarioError(f"{document.where(keys)}: {problem}") from problem
        return file.scenario(document.where, Path(base))


class _Pause(Section):
    ms: int = Field(ge=0, le=600_000)


class _Fail(Section):
    nullable: ClassVar[frozenset[str]] = frozenset({"code"})
    code: str | None
    message: str = ""
    type: str = Field(default="", min_length=1)


class _Chat(Section):
    instructions: str = ""


class _Arguments(Section):
    arguments: Any = Field(default_factory=dict)

    @field_validator("arguments")
    @classmethod
    def _object_or_text(cls, value: object) -> object:
        if not isinstance(value, (dict, str)):
            raise refusal("expected a mapping, or a text to be sent as it is")
        return value


class _Call(_Arguments):
    name: str = Field(min_length=1)


class _Hosted(_Arguments):
    tool: str
    result: Any = None
    error: str | None = None
    calls: int = Field(default=1, ge=0, le=1000)
    server: str = ""
    name: str = ""
    events: Literal["function_call"] | None = None

    def step(self) -> Hosted:
        shown = self.events or ""
        return Hosted(self.tool, self.arguments, self.result, self.error, self.calls, self.server, self.name, shown)


_KINDS = ("say", "call", "hosted", "pause", "fail", "chat")


class _Step(Section):
    say: str | None = None
    voice: str | None = None
    speed: float | None = Field(default=None, gt=0, le=4)
    audio: str | None = None
    item: Literal["new", "same"] | None = None
    phase: Literal["commentary", "final_answer"] | None = None
    call: _Call | None = None
    hosted: _Hosted | None = None
    pause: _Pause | None = None
    fail: _Fail | None = None
    chat: _Chat | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, data: object) -> object:
        if not isinstance(data, dict) or not set(data) <= set(cls.model_fields):
            return data
        kinds = [kind for kind in _KINDS if kind in data]
        if len(kinds) != 1:
            raise refusal(
                f"a step is one of say, call, hosted, pause, fail or chat, got {' and '.join(kinds) or 'none'}"
            )
        for key in data:
            if key in ("voice", "speed", "audio", "item", "phase") and kinds != ["say"]:
                raise refusal(f"{key!r} belongs to a say, not to a {kinds[0]}", key)
        return data

    def step(self, base: Path) -> Step:
        if self.call is not None:
            return Call(self.call.name, self.call.arguments)
        if self.hosted is not None:
            return self.hosted.step()
        if self.pause is not None:
            return Pause(self.pause.ms)
        if self.fail is not None:
            return Fail(self.fail.code, self.fail.message, self.fail.type)
        if self.chat is not None:
            return Chat(self.chat.instructions)
        audio = None if self.audio is None else str(base / self.audio)
        item, phase = self.item or "", self.phase or ""
        return Say(self.say or "", self.voice, self.speed, audio, item=item, phase=phase)


class _When(Section):
    says: str | None = None
    tool: str | None = Field(default=None, min_length=1)
    silence: Literal[True] | None = None
    always: Literal[True] | None = None
    failed: Any = None
    captures: Any = ()
    known: Any = ()
    instructions: str | None = None
    unless: _When | None = Field(default=None, alias="not")
    any: list[_When] = Field(default_factory=list)

    @field_validator("failed")
    @classmethod
    def _error(cls, value: object) -> object:
        if not isinstance(value, (bool, str)):
            raise refusal("expected true, false or a pattern that the error's text has")
        return value

    @field_validator("captures", "known")
    @classmethod
    def _named(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, dict) or (isinstance(value, list) and all(isinstance(name, str) for name in value)):
            return value
        rest = "what each is, such as {day: date}" if info.field_name == "captures" else "their values"
        raise refusal(f"expected a list of names, or a mapping of names to {rest}")

    def condition(self) -> When:
        return When(
            self.says,
            self.tool,
            bool(self.silence),
            bool(self.always),
            self.failed,
            self.captures,
            self.known,
            self.instructions,
            None if self.unless is None else self.unless.condition(),
            tuple(each.condition() for each in self.any),
        )


class _Misheard(Section):
    fail: _Fail
    says: str = ""


class _Transcribed(Section):
    says: str
    overtakes: bool


def _form(heard: object) -> str:
    if isinstance(heard, _Transcribed) or (isinstance(heard, dict) and "overtakes" in heard):
        return "course"
    return "failure" if isinstance(heard, (dict, _Misheard)) else "text"


_Heard = Annotated[
    Annotated[str, Tag("text")] | Annotated[_Misheard, Tag("failure")] | Annotated[_Transcribed, Tag("course")],
    Discriminator(_form),
]


def _heard(given: str | _Misheard | _Transcribed | None) -> HeardText | None:
    if isinstance(given, _Transcribed):
        return Transcript(given.says, given.overtakes)
    if not isinstance(given, _Misheard):
        return given
    return NotTranscribed(given.fail.code, given.fail.message, given.says, given.fail.type)


class _Entry(Section):
    heard: _Heard | None = None
    reply: list[_Step]

    @model_validator(mode="before")
    @classmethod
    def _bare_steps(cls, data: object) -> object:
        if isinstance(data, dict) and not data.keys().isdisjoint(_KINDS):
            raise refusal("expected a list of steps, or a mapping with `reply`; put the step into a list")
        return {"reply": data} if isinstance(data, list) else data

    def rule(self, base: Path) -> Rule:
        return Rule([step.step(base) for step in self.reply], heard=_heard(self.heard))


class _Rule(Section):
    when: _When | None = None
    heard: _Heard | None = None
    reply: list[_Step]
    times: int | None = Field(default=None, ge=1)
    remember: dict[str, Any] = Field(default_factory=dict)
    forget: list[str] = Field(default_factory=list)

    def rule(self, base: Path) -> Rule:
        when = None if self.when is None else self.when.condition()
        steps = [step.step(base) for step in self.reply]
        return Rule(steps, when, _heard(self.heard), self.times, self.remember, tuple(self.forget))


class _Clip(Section):
    audio: str
    text: str


class _File(Section):
    name: str = ""
    turns: list[_Rule] | None = None
    sequence: list[_Entry] | None = None
    hears: list[_Clip] = Field(default_factory=list)
    hearing: Literal["auto", "script"] = "auto"
    captures: dict[str, Any] = Field(default_factory=dict)
    today: Any = None

    @field_validator("today")
    @classmethod
    def _a_day(cls, value: object) -> object:
        match value:
            case {"instructions": str(pattern), **rest} if not rest:
                return pattern
            case str():
                with suppress(ValueError):
                    return date.fromisoformat(value)
            case _:
                pass
        raise refusal("expected a date such as 2026-07-01, or {instructions: PATTERN} with the date in its first group")

    @model_validator(mode="after")
    def _one_form(self) -> _File:
        if (self.turns is None) == (self.sequence is None):
            raise refusal("expected either `turns` or `sequence`")
        return self

    def scenario(self, where: Where, base: Path) -> Scenario:
        turns = [rule.rule(base) for rule in self.turns or ()]
        sequence = [entry.rule(base) for entry in self.sequence or ()]
        hears = [Clip(str(base / clip.audio), clip.text) for clip in self.hears]
        return Scenario(
            turns,
            sequence,
            hears,
            self.name,
            captures=self.captures,
            today=self.today,
            hearing=self.hearing,
            where=where,
        )


def _audio(file: _File) -> Iterator[tuple[Keys, str]]:
    for i, clip in enumerate(file.hears):
        yield ("hears", i, "audio"), clip.audio
    replies = [("turns", i, rule.reply) for i, rule in enumerate(file.turns or ())]
    replies += [("sequence", i, entry.reply) for i, entry in enumerate(file.sequence or ())]
    for root, i, reply in replies:
        for j, step in enumerate(reply):
            if step.audio is not None:
                yield (root, i, "reply", j, "audio"), step.audio
