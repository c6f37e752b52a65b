"""The transcripts of spoken turns that the server ends, and how they stand to the commit and to the response."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mockserver.protocol.commands import Settings
from mockserver.protocol.facts import Committed
from mockserver.responders.base import HeardText, Transcript
from mockserver.session.context import SessionContext
from mockserver.session.ears import Ears
from mockserver.session.input_audio import Buffered, SpokenTurn
from mockserver.session.pending_input import PendingInput
from mockserver.session.scheduler import Run, Scheduler

TRANSCRIPT = "transcript"
"""The name of the run of the turn that waits, and the beginning of the others' names."""


class Transcripts:
    """The transcripts of one connection."""

    def __init__(
        self,
        session: SessionContext,
        scheduler: Scheduler,
        pending: PendingInput,
        ears: Ears,
        *,
        scripted: Callable[[], HeardText | None],
        settings: Callable[[], Settings],
        answers: Callable[[SpokenTurn, float], None],
    ) -> None:
        """`scripted` gives what the responder knows of the next spoken turn, `settings` those of the session.
        `answers` is called for a turn whose response may begin."""
        self._session = session
        self._scheduler = scheduler
        self._pending = pending
        self._ears = ears
        self._scripted = scripted
        self._settings = settings
        self._answers = answers
        self.waiting: SpokenTurn | None = None
        """The turn that is over and waits for its transcript, or for its response."""

    def recognise(self, turn: SpokenTurn, taken: Buffered, ms: float, now: float) -> None:
        """Find out what was said in a turn of `ms` milliseconds of speech; a transcriber may tell it later."""
        scripted = self._scripted()
        turn.audio = np.concatenate([turn.audio, taken.audio]) if len(turn.audio) else taken.audio
        turn.heard = self._ears.hear(turn.item.id, turn.audio, ms, scripted, self._settings(), now)
        turn.overtaking = scripted.overtakes if isinstance(scripted, Transcript) else None

    def wait(self, turn: SpokenTurn, now: float) -> None:
        """Answer a turn once it is transcribed, or before it is committed."""
        self.waiting = turn
        answered = self._respond_then_commit if turn.uncommitted else self._transcribe_then_respond
        self._scheduler.start(TRANSCRIPT, answered(turn, now))

    def take_back(self) -> SpokenTurn | None:
        """The turn that waits goes on: it does not wait any more."""
        turn, self.waiting = self.waiting, None
        if turn is not None:
            self._scheduler.drop(TRANSCRIPT)
        return turn

    def hand_over(self) -> SpokenTurn | None:
        """Leave the turn that waits to a response that begins now; its transcript comes beside that."""
        if (turn := self.take_back()) is not None:
            self._pending.heard(turn.heard)
            turn.untranscribed = True
        return turn

    def finish(self, now: float) -> None:
        """Give the turn that waits its final transcript."""
        if (turn := self.take_back()) is None:
            return
        self._commit(turn, now)
        self.complete(turn, now)

    def start(self, turn: SpokenTurn, now: float) -> None:
        """Start the transcript of a turn that is answered meanwhile, once; report its commit if that was not done."""

        def run(now: float) -> Run:
            if self._session.pacing != "burst":
                yield now
            now = yield from self._ears.begin_transcript(turn, now)
            self._ears.end_transcript(turn, now)

        self._commit(turn, now)
        if turn.untranscribed:
            turn.untranscribed = False
            self._scheduler.start(f"{TRANSCRIPT} {turn.item.id}", run(now))

    def complete(self, turn: SpokenTurn, now: float) -> None:
        """Report the final transcript of a turn that is yet to be answered, once a transcriber has told it."""
        self._pending.heard(turn.heard)
        if turn.heard.words is None:
            turn.untranscribed = True
            self.start(turn, now)
        else:
            self._ears.end_transcript(turn, now)

    def _respond_then_commit(self, turn: SpokenTurn, now: float) -> Run:
        if self._session.pacing != "burst":
            now += self._session.dialect.traits.turns.commit_s
            yield now
        self.hand_over()
        self._answers(turn, now)
        self.start(turn, now)

    def _transcribe_then_respond(self, turn: SpokenTurn, now: float) -> Run:
        now = yield from self._ears.begin_transcript(turn, now)
        self.finish(now)
        if turn.respond:
            self._answers(turn, now)

    def _commit(self, turn: SpokenTurn, now: float) -> None:
        if turn.uncommitted:
            turn.uncommitted = False
            self._session.emit(Committed(turn.item, announced=True), now)
