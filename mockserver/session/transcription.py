"""What a spoken turn says, by evidence first: a known clip, a transcriber, the scenario's `heard`, else nothing.

A transcriber is asked through the session (`Requests`), so the words of a turn may come after the turn.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from mockserver.audio.clip_matching import SHORTEST_S, ClipMatcher, KnownClip
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.audio.speech_evidence import could_be_speech
from mockserver.audio.wav import read_wav
from mockserver.protocol.requests import Transcribed
from mockserver.responders.base import UNINTELLIGIBLE, HeardBy, HeardText, NotTranscribed, words
from mockserver.responders.scenario import Scenario
from mockserver.session.scheduler import NEVER

Order = Literal["auto", "script"]
"""Which evidence comes first: `auto`: clip, transcriber, script; `script`: the scenario's `heard` before all."""


@dataclass(slots=True, eq=False)
class Heard:
    """What one spoken turn says.

    ms: milliseconds of its speech.
    words: None while a transcriber is asked.
    by: what decided it.
    scripted: what the scenario says that it is, if nothing better is known.
    failure: why it is not transcribed.
    known_at: the second at which the words were known, if a transcriber was asked.
    """

    ms: float = 0.0
    words: str | None = UNINTELLIGIBLE
    by: HeardBy = "nobody"
    scripted: str | None = None
    failure: NotTranscribed | None = None
    known_at: float = 0.0

    def settle(self, answer: Transcribed, now: float) -> None:
        """The transcriber has answered. For speech without words, or after a failure, what is scripted counts."""
        self.known_at = now
        if answer.text:
            self.words, self.by = answer.text, "transcriber"
        elif answer.speech and self.scripted is not None:
            self.words, self.by = self.scripted, "script"
        else:
            self.words, self.by = UNINTELLIGIBLE, "nobody"


def known(heard: Iterable[Heard], now: float) -> Generator[float, None, float]:
    """Wait until the words of all these turns are known; returns the instant at which the waiting run goes on."""
    for each in heard:
        while each.words is None:
            yield NEVER
        now = max(now, each.known_at)
    return now


@dataclass(slots=True)
class Hearing:
    """What decides the words of spoken turns, for all sessions of a server.

    clips: the known clips.
    transcribes: whether a transcriber can be asked.
    order: which evidence comes first.
    scripted: whether a scenario has `heard` at all.
    recognised: the texts of the known clips that were heard so far.
    """

    clips: ClipMatcher | None = None
    transcribes: bool = False
    order: Order = "auto"
    scripted: bool = False
    recognised: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, scenario: Scenario, *, transcribes: bool = False, order: Order | None = None) -> Hearing:
        """Read a scenario's known clips (`hears`). `order` overrides the scenario's own. Raises OSError, and ValueError
        for a clip that cannot be used."""
        clips = [(*read_wav(clip.audio), clip.text) for clip in scenario.hears]
        matcher = ClipMatcher(clips) if clips else None
        return cls(matcher, transcribes, order or scenario.hearing, scenario.has_heard)

    def also(self, clips: Iterable[KnownClip]) -> Hearing:
        """The same for a session whose caller is known to play these clips. Those that the matcher cannot use, such as
        very short ones, are left out."""
        matcher = (self.clips or ClipMatcher(())).joined(clips)
        return replace(self, clips=matcher)

    @property
    def listens(self) -> bool:
        """Whether it needs audio; if not, the session keeps none."""
        return self.clips is not None or self.transcribes or (self.scripted and self.order == "auto")

    def judge(self, samples: Samples, form: AudioFormat, scripted: HeardText | None) -> Heard:
        """What one turn says, as far as it shows without a transcriber; with one its words may be None."""
        failure = scripted if isinstance(scripted, NotTranscribed) else None
        told = words(scripted) or None
        if self.order == "script" and told is not None:
            return Heard(words=told, by="script", failure=failure)
        if self.clips is not None and (match := self.clips.match(samples, form.rate)):
            self.recognised.add(match.text)
            return Heard(words=match.text, by="clip", failure=failure)
        if self.transcribes and len(samples) >= SHORTEST_S * form.rate:
            return Heard(words=None, scripted=told, failure=failure)  # whoever transcribes looks at the sound
        if told is None or not could_be_speech(samples, form):
            return Heard(failure=failure)
        return Heard(words=told, by="script", failure=failure)


NOTHING = Hearing(order="script")
"""Recognises nothing, and believes the script."""
