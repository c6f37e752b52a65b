"""Has the spoken turns of one session understood: by evidence at once (transcription.py), or by a transcriber later."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass

from mockserver.audio.codecs import decoder_for
from mockserver.audio.formats import Samples
from mockserver.protocol.commands import Part, Settings
from mockserver.protocol.facts import Failure, TranscriptCompleted, TranscriptFailed, TranscriptUpdated
from mockserver.protocol.requests import Transcribe, Transcribed
from mockserver.responders.base import UNINTELLIGIBLE, HeardBy, HeardText
from mockserver.session.asking import Requests
from mockserver.session.context import SessionContext
from mockserver.session.input_audio import InputBuffer, SpokenTurn
from mockserver.session.scheduler import Run, Scheduler
from mockserver.session.transcription import Heard, Hearing, known

HEARING, SO_FAR = "hearing", "hearing so far"
"""Names of runs that wait for a transcriber."""
SO_FAR_MS = 1000
"""Milliseconds of audio after which a turn that goes on is transcribed again. A guess: no recorded rhythm shows it."""
MOST_HEARD = 1000
"""Spoken turns of which a session keeps what decided their words."""


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """What a spoken turn was taken to say at second `at`, and what decided that."""

    item_id: str
    at: float
    words: str
    heard_by: HeardBy


class Ears:
    """The hearing of one session."""

    def __init__(self, session: SessionContext, hearing: Hearing, requests: Requests, scheduler: Scheduler) -> None:
        self.heard: deque[HeardTurn] = deque(maxlen=MOST_HEARD)
        """What the last turns were taken to say, oldest first."""
        self._session = session
        self._hearing = hearing
        self._requests = requests
        self._scheduler = scheduler

    def hear(
        self,
        item_id: str,
        audio: Samples,
        ms: float,
        scripted: HeardText | None,
        settings: Settings,
        now: float,
    ) -> Heard:
        """What a turn of `ms` milliseconds of speech says. If a transcriber is asked, a run waits for it."""
        self._scheduler.drop(SO_FAR)
        heard = self._hearing.judge(audio, settings.input_format, scripted)
        heard.ms = ms

        def listen(now: float) -> Run:
            asked = self._requests.ask(lambda id: _transcribe(id, audio, settings))
            try:
                at, result = yield from asked.next(now)
            finally:
                self._requests.withdraw(asked)
            answer = result if isinstance(result, Transcribed) else Transcribed(asked.id, "")
            heard.settle(answer, at)
            self._note(item_id, heard, at)

        if heard.words is None:
            self._scheduler.start(f"{HEARING} {item_id}", listen(now))
        else:
            self._note(item_id, heard, now)
        return heard

    def hear_message(
        self, item_id: str, sound: bytes, scripted: HeardText | None, settings: Settings, now: float
    ) -> Heard:
        """What the audio of a message says that the client added."""
        audio = decoder_for(settings.input_format).push(sound)
        return self.hear(item_id, audio, 0.0, scripted, settings, now)

    def so_far(self, audio: Samples, scripted: HeardText | None, settings: Settings) -> str | None:
        """What a turn that goes on says so far, as far as it shows without a transcriber; None if nothing shows."""
        heard = self._hearing.judge(audio, settings.input_format, scripted)
        return None if heard.by == "nobody" or heard.failure is not None else heard.words

    def hear_so_far(self, turn: SpokenTurn, input: InputBuffer, settings: Settings, now: float) -> None:
        """Have a turn that goes on transcribed, each time that `SO_FAR_MS` more of it have come."""

        def listen(audio: Samples, now: float) -> Run:
            asked = self._requests.ask(lambda id: _transcribe(id, audio, settings, so_far=True))
            try:
                at, result = yield from asked.next(now)
            finally:
                self._requests.withdraw(asked)
            if isinstance(result, Transcribed) and result.text not in ("", turn.shown):
                turn.shown = result.text
                self._session.emit(TranscriptUpdated(turn.item, result.text), at)

        if not self._hearing.transcribes or not turn.announced or turn.end_ms is not None:
            return
        if SO_FAR in self._scheduler or input.kept_ms < turn.asked_ms + SO_FAR_MS:
            return
        turn.asked_ms, audio = input.kept_ms, input.so_far()
        self._scheduler.start(SO_FAR, listen(audio, now))

    def give_up(self, item_id: str) -> None:
        """The turn of this item goes on: what it said so far is not asked for any more."""
        self._scheduler.drop(f"{HEARING} {item_id}")

    def begin_transcript(self, turn: SpokenTurn, now: float) -> Generator[float, None, float]:
        """A first version of the transcript, then the time until the final one; returns that instant."""
        now = yield from known([turn.heard], now)
        begun = " ".join((turn.heard.words or "").split(" ")[:-1])
        if begun and turn.heard.failure is None:
            self._session.emit(TranscriptUpdated(turn.item, begun), now)
        if self._session.pacing != "burst":
            now += self._session.dialect.traits.responses.rhythm.transcript_s
            yield now
        return now

    def end_transcript(self, turn: SpokenTurn, now: float) -> None:
        """The final transcript, or that there is none."""
        if (failure := turn.heard.failure) is not None:
            failed = Failure(failure.code, failure.message, failure.type)
            self._session.emit(TranscriptFailed(turn.item, failed), now)
            return
        said = UNINTELLIGIBLE if turn.heard.words is None else turn.heard.words
        turn.item.parts = [Part("input_audio", said, is_audio=True)]
        heard = TranscriptCompleted(turn.item, said)
        self._session.dialect.charge(heard, self._session.ledger)
        self._session.emit(heard, now)

    def _note(self, item_id: str, heard: Heard, now: float) -> None:
        self.heard.append(HeardTurn(item_id, now, heard.words or UNINTELLIGIBLE, heard.by))


def _transcribe(id: str, audio: Samples, settings: Settings, *, so_far: bool = False) -> Transcribe:
    form, prompt = settings.input_format, settings.transcription_prompt
    return Transcribe(id, audio, form, settings.language, settings.keyterms, prompt, so_far)
