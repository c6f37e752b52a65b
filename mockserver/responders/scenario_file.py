"""What a scenario file may contain, as models that check it and explain its mistakes."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, ValidationInfo, field_validator, model_validator
from typing_extensions import Self

from mockserver.audio.names import near_voice
from mockserver.audio.wav import read_wav
from mockserver.documents.durations import milliseconds
from mockserver.documents.problems import Keys, Problem, described, quoted
from mockserver.documents.validation import Findings, Section, flow, refusal
from mockserver.responders.base import (
    HOSTED_TOOLS,
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
from mockserver.responders.compiler import Rule
from mockserver.responders.conditions import When


class _Pause(Section):
    synonyms: ClassVar[Mapping[str, str]] = {"milliseconds": "ms", "millis": "ms", "duration": "ms", "time": "ms"}
    ms: int = Field(ge=0, le=600_000, examples=[500], description="Milliseconds, at most 600000.")

    @model_validator(mode="before")
    @classmethod
    def _with_unit(cls, data: object, info: ValidationInfo) -> object:
        """`500ms` and `2s` are read as in a fault file."""
        if isinstance(data, str):
            return {"ms": milliseconds(data, "pause")}
        if isinstance(data, (int, float)) and not isinstance(data, bool):
            right = [f"pause: {data}ms", f"pause: {{ms: {data}}}"] if isinstance(data, int) else [f"pause: {data}s"]
            raise refusal(f"{data} of what? A time needs its unit", fix=right)
        match data:
            case {"ms": str(text), **rest} if not rest:
                ms = milliseconds(text, "pause")
                raise refusal("expected a whole number of milliseconds, without a unit", "ms", [f"pause: {{ms: {ms}}}"])
            case {**given} if len(given) == 1 and (key := next(iter(given))) in ("s", "sec", "seconds"):
                number = given[key]
                if isinstance(number, int | float) and not isinstance(number, bool):
                    return {"ms": round(number * 1000)}
                return data
            case _:
                return data


class _Fail(Section):
    nullable: ClassVar[frozenset[str]] = frozenset({"code"})
    synonyms: ClassVar[Mapping[str, str]] = {"error": "code", "reason": "message", "text": "message"}
    code: str | None = Field(examples=["server_error"], description="The error's code, or null.")
    message: str = Field(default="", description="The error's message.")
    type: str = Field(default="", min_length=1, description="The error's type; default that of the code.")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        message = flow(given) if isinstance(given, str) else '"The model is overloaded."'
        return (f"fail: {{code: server_error, message: {message}}}",)

    @model_validator(mode="before")
    @classmethod
    def _no_status(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        key = "status" if "status" in data else "code"
        if isinstance(status := data.get(key), int) and 400 <= status <= 599:
            raise refusal(
                f"{status} is an HTTP status, and a response has none; a fault file refuses a connection with it",
                key,
                ["fail: {code: server_error}", f"faults: [{{at: handshake, do: {{status: {status}}}}}]"],
            )
        return data


class _Chat(Section):
    instructions: str = Field(default="", description="Added to the instructions of the session.")


class _Arguments(Section):
    synonyms: ClassVar[Mapping[str, str]] = {"args": "arguments", "params": "arguments", "parameters": "arguments"}
    arguments: dict[str, Any] | str = Field(
        default_factory=dict, description="A mapping of arguments, or a text to be sent as it is."
    )

    @field_validator("arguments", mode="before")
    @classmethod
    def _object_or_text(cls, value: object) -> object:
        if not isinstance(value, (dict, str)):
            fix = ["arguments: {service: cleaning}"]
            raise refusal(f"expected a mapping, or a text to be sent as it is, got {described(value)}", fix=fix)
        return value


class _Call(_Arguments):
    synonyms: ClassVar[Mapping[str, str]] = {**_Arguments.synonyms, "function": "name", "tool": "name"}
    name: str = Field(min_length=1, examples=["look_up"], description="The name of the client's function.")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        return (f"call: {{name: {given}, arguments: {{}}}}",) if isinstance(given, str) else ()


class _Hosted(_Arguments):
    tool: str = Field(examples=["web_search"], description=f"One of {', '.join(HOSTED_TOOLS)}.")
    result: Any = Field(default=None, description="The tool's result, any value.")
    error: str | None = Field(default=None, description="For mcp, instead of result: the call fails with this text.")
    calls: int = Field(default=1, ge=0, le=1000, description="Number of billed calls.")
    server: str = Field(default="", description="For mcp: the label of the server.")
    name: str = Field(default="", description="For mcp: the name of its tool.")
    events: Literal["function_call"] | None = Field(
        default=None, description="Whether the call shows as one of a function (xAI), under `name`."
    )

    def step(self) -> Hosted:
        shown = self.events or ""
        return Hosted(self.tool, self.arguments, self.result, self.error, self.calls, self.server, self.name, shown)


_KINDS = ("say", "call", "hosted", "pause", "fail", "chat")


_INSIDE = {
    **dict.fromkeys(("arguments", "args"), "call"),
    **dict.fromkeys(("code", "message"), "fail"),
    "ms": "pause",
    "instructions": "chat",
}
"""Keys that people write beside the step to which they belong."""


def _report_inner(data: dict[str, object], info: ValidationInfo) -> None:
    """Report the keys beside a step that belong into it."""
    assert isinstance(info.context, Findings)
    for key, value in data.items():
        if (kind := _INSIDE.get(key, "")) in data:
            inside = data[kind] if isinstance(data[kind], dict) else {"name": data[kind]} if kind == "call" else {}
            assert isinstance(inside, dict)
            right = f"{kind}: {flow({**inside, key: value})}"
            info.context.report(data, f"{quoted(key)} belongs into `{kind}`", right, key=key, at_key=True)


class _Step(Section):
    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("speak", "text", "message", "respond", "answer", "reply", "content"), "say"),
        **dict.fromkeys(("tool", "function", "function_call", "tool_call", "tool_calls"), "call"),
        **dict.fromkeys(("wait", "sleep", "delay", "ms"), "pause"),
        **dict.fromkeys(("error", "failure"), "fail"),
        "llm": "chat",
    }
    say: str | None = Field(default=None, description="Speak this text, a template.")
    voice: str | None = Field(default=None, description="Beside say: the voice, instead of the session's.")
    speed: float | None = Field(default=None, gt=0, le=4, description="Beside say: the speed; 1 is normal.")
    audio: str | None = Field(default=None, description="Beside say: a WAV file to play, relative to this file.")
    item: Literal["new", "same"] | None = Field(default=None, description="Beside say: a message of its own, or not.")
    phase: Literal["commentary", "final_answer"] | None = Field(default=None, description="Beside say: its phase.")
    call: _Call | None = Field(default=None, description="Call a function of the client.")
    hosted: _Hosted | None = Field(default=None, description="The service runs a tool of its own.")
    pause: _Pause | None = Field(default=None, description="Wait: 500ms, 2s or {ms: 500}.")
    fail: _Fail | None = Field(default=None, description="End the response as failed.")
    chat: _Chat | None = Field(default=None, description="Let a language model answer (serve --chat).")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        if not isinstance(given, str):
            return ()
        kind, colon, rest = given.partition(":")  # `- say:hello`, without a space
        return (f"- say: {flow(rest.strip() if colon and kind in _KINDS else given)}",)

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, data: object, info: ValidationInfo) -> object:
        if not isinstance(data, dict):
            return data
        if not set(data) <= set(cls.model_fields):
            _report_inner(data, info)
            return data
        kinds = [kind for kind in _KINDS if kind in data]
        if len(kinds) != 1:
            said = f"a step is one of say, call, hosted, pause, fail or chat, got {' and '.join(kinds) or 'none'}"
            raise refusal(said, fix=[f"- {kind}: {flow(data[kind])}" for kind in kinds])
        assert isinstance(info.context, Findings)
        if isinstance(voice := data.get("voice"), str) and (near := near_voice(voice)):
            said = f"unknown voice {quoted(voice)}; did you mean {quoted(near)}?"
            info.context.report(data, said, f"voice: {near}", key="voice")
        for key in data:
            if key in ("voice", "speed", "audio", "item", "phase") and kinds != ["say"]:
                info.context.report(data, f"'{key}' belongs to a say, not to a {kinds[0]}", key=key, at_key=True)
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
    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("text", "matches", "match", "regex", "pattern", "contains", "user", "heard", "input"), "says"),
        **dict.fromkeys(("function", "result", "tool_result", "call"), "tool"),
        **dict.fromkeys(("error", "fails"), "failed"),
        **dict.fromkeys(("remembered", "has"), "known"),
        **dict.fromkeys(("unless", "none"), "not"),
        **dict.fromkeys(("or", "all_of", "any_of"), "any"),
        **dict.fromkeys(("timeout", "idle", "silent"), "silence"),
        **dict.fromkeys(("default", "anything", "else", "otherwise"), "always"),
        **dict.fromkeys(("prompt", "system"), "instructions"),
        **dict.fromkeys(("key", "keys", "digit", "digits", "dtmf"), "pressed"),
    }
    says: str | None = Field(default=None, description="A pattern that the user's words match, ignoring case.")
    tool: str | None = Field(default=None, min_length=1, description="This turn has a result of this function.")
    silence: Literal[True] | None = Field(default=None, description="The idle timeout triggered.")
    always: Literal[True] | None = Field(default=None, description="Always holds.")
    failed: bool | str | None = Field(
        default=None, description="Beside tool: whether, or with what, the result failed."
    )
    captures: dict[str, Any] | list[str] = Field(default_factory=list, description="Values said now.")
    known: dict[str, Any] | list[str] = Field(default_factory=list, description="Values remembered.")
    instructions: str | None = Field(default=None, description="A pattern that the instructions match.")
    unless: _When | None = Field(default=None, alias="not", description="A condition that does not hold.")
    any: list[_When] = Field(default_factory=list, description="Conditions of which one holds.")
    pressed: bool | str | None = Field(
        default=None, description="The keys of the telephone that the caller pressed; true is any."
    )

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        match given:
            case "silence" | "always":
                return (f"when: {{{given}: true}}",)
            case str():
                return (f"when: {{says: {flow(given)}}}",)
            case True:
                return ("when: {always: true}",)
            case list():
                each = [flow({"says": text} if isinstance(text, str) else text) for text in given[:3]]
                return (f"when: {{any: [{', '.join(each)}]}}",)
            case _:
                return ('when: {says: "hello"}',)

    @field_validator("failed", mode="before")
    @classmethod
    def _error(cls, value: object) -> object:
        if not isinstance(value, (bool, str)):
            raise refusal("expected true, false or a pattern that the error's text has")
        return value

    @field_validator("pressed", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        if isinstance(value, bool | str):
            return value
        instead = f'write "{value}" in quotes' if isinstance(value, int) else 'such as "1"'
        raise refusal(f"expected true or the keys as a text; {instead}")

    @field_validator("captures", "known", mode="before")
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
            self.captures or (),
            self.known or (),
            self.instructions,
            None if self.unless is None else self.unless.condition(),
            tuple(each.condition() for each in self.any),
            self.pressed,
        )


class _Misheard(Section):
    fail: _Fail = Field(description="The transcription fails with this error.")
    says: str = Field(default="", description="What the rules match.")


class _Transcribed(Section):
    says: str = Field(description="The transcript.")
    overtakes: bool = Field(description="Whether the final transcript comes before the interim one (xAI).")


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


def _steps(value: object) -> object:
    """A reply as it is, or a refusal with the list that it should be."""
    match value:
        case list():
            return value
        case str():
            fix = ["reply:", f"  - say: {flow(value)}"]
        case dict() if value.keys() & set(_KINDS):
            fix = ["reply:", *(f"  - {kind}: {flow(value[kind])}" for kind in _KINDS if kind in value)]
        case _:
            fix = ["reply:", '  - say: "Hello"']
    raise refusal(f"expected a list of steps, got {described(value)}", fix=fix)


_Reply = Annotated[list[_Step], BeforeValidator(_steps)]
_EXAMPLE = [{"say": "Hello"}]
_ANSWERS = ("response", "responses", "answer", "answers", "then", "steps", "do", "replies", "output", "say")


class _Entry(Section):
    synonyms: ClassVar[Mapping[str, str]] = dict.fromkeys(_ANSWERS, "reply")
    heard: _Heard | None = Field(default=None, description="The transcript of a spoken turn.")
    reply: _Reply = Field(examples=[_EXAMPLE], description="The steps of the response.")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        return (f"- - say: {flow(given)}",) if isinstance(given, str) else ()

    @model_validator(mode="before")
    @classmethod
    def _bare_steps(cls, data: object) -> object:
        if isinstance(data, dict) and not data.keys().isdisjoint(_KINDS):
            said = "expected a list of steps, or a mapping with `reply`; put the step into a list"
            raise refusal(said, fix=[f"- [{flow(data)}]"])
        return {"reply": data} if isinstance(data, list) else data

    def rule(self, base: Path) -> Rule:
        return Rule([step.step(base) for step in self.reply], heard=_heard(self.heard))


class _Rule(Section):
    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(_ANSWERS, "reply"),
        **dict.fromkeys(("if", "match", "condition", "on", "user", "says", "trigger", "tool"), "when"),
        **dict.fromkeys(("transcript", "hears", "hear"), "heard"),
        **dict.fromkeys(("limit", "count", "max"), "times"),
        **dict.fromkeys(("set", "store", "save"), "remember"),
        **dict.fromkeys(("unset", "delete", "clear"), "forget"),
    }
    when: _When | None = Field(default=None, description="The condition; without one the rule always matches.")
    heard: _Heard | None = Field(default=None, description="The transcript of a spoken turn, if nothing else tells it.")
    reply: _Reply = Field(examples=[_EXAMPLE], description="The steps of the response.")
    times: int | None = Field(default=None, ge=1, description="The rule matches at most this often per connection.")
    remember: dict[str, Any] = Field(default_factory=dict, description="Values to store, by name.")
    forget: list[str] = Field(default_factory=list, description="Names whose values are deleted.")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        match given:
            case str():
                return ("- reply:", f"    - say: {flow(given)}")
            case list():
                return (f"- reply: {flow(given)}",) if len(flow(given)) < 80 else ("- reply:",)
            case _:
                return ("- reply:", '    - say: "Hello"')

    @model_validator(mode="before")
    @classmethod
    def _not_a_condition(cls, data: object, info: ValidationInfo) -> object:
        if isinstance(data, dict) and (short := [key for key in ("says", "tool", "silence", "always") if key in data]):
            assert isinstance(info.context, Findings)
            condition = {key: data[key] for key in short}
            said = f"'{short[0]}' is a condition, and belongs into `when`"
            info.context.report(data, said, f"when: {flow(condition)}", key=short[0], at_key=True)
            for key in short[1:]:
                info.context.reported.add((id(data), key))
        return data

    def rule(self, base: Path) -> Rule:
        when = None if self.when is None else self.when.condition()
        steps = [step.step(base) for step in self.reply]
        return Rule(steps, when, _heard(self.heard), self.times, self.remember, tuple(self.forget))


class _Clip(Section):
    synonyms: ClassVar[Mapping[str, str]] = {"file": "audio", "wav": "audio", "says": "text", "transcript": "text"}
    audio: str = Field(examples=["hello.wav"], description="A WAV file, relative to this file.")
    text: str = Field(examples=["hello"], description="Its transcript.")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        return (f"- {{audio: {given}, text: hello}}",) if isinstance(given, str) else ()


class ScenarioFile(Section):
    """What a scenario file may contain."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("rules", "flows", "scenario", "steps", "dialog", "dialogue", "responses"), "turns"),
        **dict.fromkeys(("clips", "audio", "heard"), "hears"),
        **dict.fromkeys(("title", "id"), "name"),
        **dict.fromkeys(("date", "now"), "today"),
        **dict.fromkeys(("slots", "entities", "variables"), "captures"),
    }
    name: str = Field(default="", description="A name for reports.")
    turns: list[_Rule] | None = Field(default=None, description="Rules; the first that matches responds.")
    sequence: list[_Entry] | None = Field(default=None, description="The first entry is the first response, and so on.")
    hears: list[_Clip] = Field(default_factory=list, description="Known clips and their transcripts.")
    hearing: Literal["auto", "script"] = Field(default="auto", description="What decides the words of a spoken turn.")
    captures: dict[str, Any] = Field(default_factory=dict, description="Values to read from every turn, by name.")
    today: Any = Field(default=None, description="A date, or {instructions: PATTERN} with the date in a group.")

    @classmethod
    def instead(cls, given: object) -> Sequence[str]:
        return ("turns:", '  - reply: [{say: "Hello"}]')

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
    def _one_form(self, info: ValidationInfo) -> Self:
        assert isinstance(info.context, Findings)
        meant = not info.context.suggested.isdisjoint(("turns", "sequence"))
        if (self.turns is None) == (self.sequence is None) and not meant:
            raise refusal("expected either `turns` or `sequence`", fix=["turns:", '  - reply: [{say: "Hello"}]'])
        return self

    def rules(self, base: Path) -> list[Rule]:
        """The rules of `turns`; `base` holds the audio files."""
        return [rule.rule(base) for rule in self.turns or ()]

    def entries(self, base: Path) -> list[Rule]:
        """The entries of `sequence`."""
        return [entry.rule(base) for entry in self.sequence or ()]


def bad_audio(file: ScenarioFile, base: Path) -> Iterator[Problem]:
    """The problems of the audio files that a scenario names."""
    for keys, audio in _audio(file):
        path = base / audio
        if not os.path.isfile(path):
            yield Problem(keys, f"there is no file {str(path)!r}")
            continue
        try:
            read_wav(path)
        except (OSError, ValueError) as problem:
            yield Problem(keys, str(problem))


def _audio(file: ScenarioFile) -> Iterator[tuple[Keys, str]]:
    for i, clip in enumerate(file.hears):
        yield ("hears", i, "audio"), clip.audio
    replies = [("turns", i, rule.reply) for i, rule in enumerate(file.turns or ())]
    replies += [("sequence", i, entry.reply) for i, entry in enumerate(file.sequence or ())]
    for root, i, reply in replies:
        for j, step in enumerate(reply):
            if step.audio is not None:
                yield (root, i, "reply", j, "audio"), step.audio
