"""Scripts of a caller, as people write them: words, sound files, and what the caller does between them."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import Self, assert_never

from mockserver.audio.codecs import resample
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.wav import read_wav
from mockserver.calls.caller import DIGITS, HangUp, Interrupt, Listen, Pause, Press, Speak, Step
from mockserver.documents.durations import seconds_of
from mockserver.documents.problems import DocumentError
from mockserver.documents.reader import Document
from mockserver.documents.validation import Section, refusal, validated

Entry = str | os.PathLike[str] | bytes | Step | Mapping[str, Any]
"""Words; the path or the bytes of a WAV file; a step; or a mapping as the control plane takes it."""
SPEAKER = "leo"
"""The voice of a caller, unless a script names one."""
MOST_ENTRIES = 200
MOST_SOUND_S = 600.0
"""Seconds of a script that are spoken, at most."""


def script(entries: Sequence[Entry], voice: Synthesizer, *, rate: int = 8000, speaker: str = SPEAKER) -> list[Step]:
    """The steps of a caller, with samples at `rate` Hz; `voice` says the words as `speaker`.

    After words, sound or keys the caller listens, unless the script says what comes next: a pause, an interruption, the
    hanging up. Raises ValueError (DocumentError with places) for an entry that is none, OSError for a file.
    """
    if len(entries) > MOST_ENTRIES:
        raise ValueError(f"the script has {len(entries)} entries, more than {MOST_ENTRIES}; shorten it")
    steps: list[Step] = []
    spoken_s = 0.0
    for number, entry in enumerate(entries):
        if steps and _awaits_answer(steps[-1], entry):
            steps.append(Listen())
        steps.append(step := _step(entry, number, voice, rate, speaker))
        if isinstance(step, Speak):
            spoken_s += len(step.samples) / rate
            if spoken_s > MOST_SOUND_S:
                raise ValueError(f"the script is spoken for more than {MOST_SOUND_S:g} s; shorten it")
    if steps and _awaits_answer(steps[-1], ""):
        steps.append(Listen())
    return steps


def _awaits_answer(before: Step, entry: Entry) -> bool:
    """Whether the caller listens between a step and the next entry, though the script does not say so."""
    if not isinstance(before, Speak | Press):
        return False
    if isinstance(entry, Mapping):
        return bool({"say", "audio", "press"} & set(entry))
    return not isinstance(entry, Listen | Interrupt | Pause | HangUp)


def _step(entry: Entry, number: int, voice: Synthesizer, rate: int, speaker: str) -> Step:
    match entry:
        case Speak() | Pause() | Press() | Listen() | Interrupt() | HangUp():
            return _pressable(entry)
        case str():
            return _spoken(entry, voice, rate, speaker, 1.0)
        case bytes() | os.PathLike():
            return sound(entry, rate)
        case Mapping():
            section, problems = validated(Document(dict(entry), "", {}), StepSection)
            if section is None:
                places = [replace(each, keys=("script", number, *each.keys)) for each in problems]
                raise DocumentError.of(places)
            return section.step(voice, rate, speaker)
        case _:
            assert_never(entry)


def _pressable(step: Step) -> Step:
    if isinstance(step, Press) and (strange := set(step.digits) - set(DIGITS)):
        raise ValueError(f"{''.join(sorted(strange))!r} is on no key of a telephone; use 0 to 9, *, #, A to D")
    return step


def _spoken(words: str, voice: Synthesizer, rate: int, speaker: str, speed: float) -> Speak:
    if not words.strip():
        raise ValueError("there are no words to say; use a pause for silence")
    clip = voice.speak(words, voice=speaker, speed=speed)
    return Speak(resample(clip.samples, clip.rate, rate), words)


def sound(source: os.PathLike[str] | bytes, rate: int, words: str = "") -> Speak:
    """The step of a WAV file, at `rate` Hz. Raises ValueError and OSError."""
    samples, own_rate = read_wav(source)
    if not len(samples):
        raise ValueError(f"{'WAV data' if isinstance(source, bytes) else os.fspath(source)}: it holds no sound")
    if (seconds := len(samples) / own_rate) > MOST_SOUND_S:  # resampled, it may not fit into memory
        raise ValueError(f"the sound lasts {seconds:.0f} s, more than {MOST_SOUND_S:g} s; shorten it")
    return Speak(resample(samples, own_rate, rate), words)


def _duration(name: str) -> BeforeValidator:
    return BeforeValidator(partial(seconds_of, name=name))


class ListenSection(Section):
    """How long the caller waits for an answer."""

    quiet: Annotated[float, _duration("quiet"), Field(ge=0, le=60)] = 1.0
    at_most: Annotated[float, _duration("at_most"), Field(ge=0, le=600)] = 15.0


class StepSection(Section):
    """One entry of a script: exactly one of say, audio, pause, press, listen, interrupt, hang_up."""

    synonyms: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("text", "words", "speak"), "say"),
        **dict.fromkeys(("digits", "dtmf", "keys", "key"), "press"),
        **dict.fromkeys(("wait", "hear"), "listen"),
        **dict.fromkeys(("hangup", "hang-up", "end"), "hang_up"),
        **dict.fromkeys(("barge_in", "interrupt_after"), "interrupt"),
        **dict.fromkeys(("silence", "sleep"), "pause"),
        "wav": "audio",
    }
    say: str | None = Field(default=None, description="Words that the caller says.")
    voice: str | None = Field(default=None, description="With `say`: the id of the caller's voice.")
    speed: float = Field(default=1.0, description="With `say`: 1.0 is the normal rate.")
    audio: str | None = Field(default=None, description="A WAV file in base64 that the caller plays.")
    words: str = Field(default="", max_length=4000, description="With `audio`: its words.")
    pause: Annotated[float | None, _duration("pause"), Field(ge=0, le=3600)] = None
    press: str | None = Field(default=None, description="Keys that the caller presses: 0 to 9, *, #, A to D.")
    listen: ListenSection | None = Field(default=None, description="Waits until the agent has answered.")
    interrupt: Annotated[float | None, _duration("interrupt"), Field(ge=0, le=600)] = None
    hang_up: bool | None = Field(default=None, description="The caller hangs up.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        found = list(self._actions())
        if len(found) != 1:
            has = " and ".join(found) or "none"
            raise refusal(f"expected one of say, audio, pause, press, listen, interrupt, hang_up; got {has}")
        return self

    def _actions(self) -> Iterator[str]:
        for name in ("say", "audio", "pause", "press", "listen", "interrupt", "hang_up"):
            if getattr(self, name) is not None:
                yield name

    def step(self, voice: Synthesizer, rate: int, speaker: str) -> Step:
        """The step, with samples at `rate` Hz. Raises ValueError."""
        if self.say is not None:
            return _spoken(self.say, voice, rate, self.voice or speaker, self.speed)
        if self.audio is not None:
            return sound(wav_of(self.audio), rate, self.words)
        if self.pause is not None:
            return Pause(self.pause)
        if self.press is not None:
            return _pressable(Press(self.press))
        if self.listen is not None:
            return Listen(self.listen.quiet, self.listen.at_most)
        if self.interrupt is not None:
            return Interrupt(self.interrupt)
        return HangUp()


def wav_of(text: str) -> bytes:
    """The bytes of a WAV file in base64. Raises ValueError."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("audio is no base64; give the bytes of a WAV file in base64") from None
