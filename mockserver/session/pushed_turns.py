"""Spoken turns that the client ends itself, where the service reports speech and its end at a pace of its own.

Speech starts when it is heard and never stops before the commit. The interim transcript comes before the commit if the
client waits, else after it; the final one may overtake it, and then the item is shown twice (recordings, 2026-09).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace

from mockserver.dialects.base import PushedTurnTraits
from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import Committed, ItemAdded, SpeechStarted, SpeechStopped, TranscriptUpdated
from mockserver.protocol.ids import LateStream
from mockserver.responders.base import UNINTELLIGIBLE
from mockserver.session.context import SessionContext
from mockserver.session.input_audio import Buffered, SpokenTurn
from mockserver.session.pending_input import PendingInput
from mockserver.session.scheduler import NEVER, Run, Scheduler

COURSE, OVERTAKEN = "pushed turn", "overtaken transcript"
"""Names of the runs."""


class PushedTurns:
    """The pushed turns of one connection, one after the other."""

    def __init__(
        self,
        traits: PushedTurnTraits,
        session: SessionContext,
        scheduler: Scheduler,
        pending: PendingInput,
        chances: LateStream,
        begins: Callable[[float], None],
        enters: Callable[[Item], None],
        completes: Callable[[SpokenTurn, float], None],
        answers: Callable[[SpokenTurn, float], None],
    ) -> None:
        """`chances` decides which transcripts are overtaken. Called with an instant: `begins` when speech is reported,
        `enters` when an item joins the conversation, `completes` for the final transcript, `answers` for the response.
        """
        self._traits = traits
        self._session = session
        self._scheduler = scheduler
        self._pending = pending
        self._chances = chances
        self._begins = begins
        self._enters = enters
        self._completes = completes
        self._answers = answers
        self._hurried_s: float | None = None
        self._responds = True
        self.spoken: SpokenTurn | None = None
        """The turn that the client has not committed yet."""

    def heard(self, item: Item, so_far: Callable[[], str | None], now: float, *, interim: bool) -> None:
        """Speech is in the buffer. Speech after a pause belongs to the same turn. `interim`: the text `so_far` is
        shown before the commit."""
        if self.spoken is None:
            self.finish(now)
            self.spoken = SpokenTurn(item, heard_s=now)
            self._scheduler.start(COURSE, self._listen(self.spoken, so_far, now, interim=interim))

    def commit(
        self, taken: Buffered, recognise: Callable[[SpokenTurn, Buffered, float, float], None], now: float
    ) -> bool:
        """The client ends the turn; returns whether there was speech."""
        turn, self.spoken = self.spoken, None
        if turn is None:
            return False
        self._scheduler.drop(COURSE)
        recognise(turn, taken, taken.sounding_ms, now)
        turn.item.heard_ms = taken.sounding_ms
        self._scheduler.start(COURSE, self._end(turn, now, speaking=taken.speaking))
        return True

    def finish(self, now: float, *, respond: bool = True) -> None:
        """Report the rest of a committed turn now; `respond`: and answer it."""
        if self.spoken is not None or COURSE not in self._scheduler:
            return
        self._hurried_s, self._responds = now, respond
        self._scheduler.finish(COURSE)
        self._hurried_s, self._responds = None, True

    def forget(self) -> None:
        """The client cleared the buffer: the turn is dropped, and its answer if that has not begun."""
        self.spoken = None
        self._scheduler.drop(COURSE)

    def _until(self, due: float, now: float) -> Generator[float, None, float]:
        """Wait; returns the instant at which it goes on."""
        if self._hurried_s is None and self._session.pacing != "burst":
            yield max(due, now)
            now = max(due, now)
        return now if self._hurried_s is None else self._hurried_s

    def _listen(self, turn: SpokenTurn, so_far: Callable[[], str | None], now: float, *, interim: bool) -> Run:
        now = yield from self._until(turn.heard_s + self._traits.start_s, now)
        self._start(turn, now)
        if not interim:
            return
        now = max(now, turn.heard_s + self._traits.interim_s)
        yield now  # in every pacing: only a client that waits gets the text before its commit
        said = so_far()
        self._enters(turn.item)
        self._show(turn, turn.item, said, now)

    def _start(self, turn: SpokenTurn, now: float) -> None:
        turn.started_s = now
        self._session.emit(SpeechStarted(turn.item, round(now * 1000), shows_item=False), now)
        self._begins(now)

    def _show(self, turn: SpokenTurn, item: Item, said: str | None, now: float) -> None:
        """The item, and the interim transcript where the words are known: all but the last one."""
        turn.announced = True
        self._session.emit(ItemAdded(item), now)
        if said and turn.heard.failure is None:
            self._session.emit(TranscriptUpdated(item, said.rpartition(" ")[0] or said), now)

    def _end(self, turn: SpokenTurn, now: float, *, speaking: bool) -> Run:
        traits, item, committed_s = self._traits, turn.item, now
        if turn.started_s is None:
            now = yield from self._until(turn.heard_s + traits.start_s, now)
            self._start(turn, now)
        spoke_s = now if turn.started_s is None else turn.started_s
        now = yield from self._until(max(committed_s + traits.stop_s, spoke_s + traits.spoken_s), now)
        turn.stopped_s = now
        self._session.emit(SpeechStopped(item, round(now * 1000)), now)
        if not turn.announced:
            self._enters(item)
        self._session.emit(Committed(item, announced=True), now)
        while turn.heard.words is None and self._hurried_s is None:
            yield NEVER  # until the transcriber has answered
        now = max(now, turn.heard.known_at)
        if not turn.announced and self._overtakes(turn, speaking=speaking):
            now = yield from self._until(now + traits.overtaking_s, now)
            empty = replace(item, parts=list(item.parts))
            item.status, item.parts = (
                "completed",
                [Part("input_audio", turn.heard.words or UNINTELLIGIBLE, is_audio=True)],
            )
            self._session.emit(ItemAdded(item), now)
            self._completes(turn, now)
            turn.overtaken = empty
        else:
            if not turn.announced:
                now = yield from self._until(now + traits.item_s, now)
                self._show(turn, item, turn.heard.words, now)
            now = yield from self._until(now + traits.final_s, now)
            self._completes(turn, now)
        if self._responds:
            self._answers(turn, now)
        self.show_overtaken(turn, now)

    def show_overtaken(self, turn: SpokenTurn, now: float) -> None:
        """Show the item a second time with the interim transcript that the final one has overtaken, once."""

        def run(empty: Item, now: float) -> Run:
            now = yield from self._until(now + self._traits.overtaken_s, now)
            self._show(turn, empty, turn.heard.words, now)

        empty, turn.overtaken = turn.overtaken, None
        if empty is not None:
            self._scheduler.start(OVERTAKEN, run(empty, now))

    def _overtakes(self, turn: SpokenTurn, *, speaking: bool) -> bool:
        """Whether the final transcript overtakes the interim one. A guess that fits 7 of 7 turns committed at once:
        always where the user had stopped speaking before the commit, else by chance."""
        if turn.heard.failure is not None:
            return False
        if turn.overtaking is not None:
            return turn.overtaking
        by_chance = self._session.pacing != "burst" and self._chances.rng.random() < self._traits.overtakes
        return not speaking or by_chance
