"""One realtime conversation. Takes client frames with their arrival times, gives back server frames with theirs.

No sockets, no clock, no randomness of its own, no dialect by name: see connection.py, clock.py, ids.py, dialects/.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterable, Mapping

from mockserver.audio.codecs import encode
from mockserver.audio.tts.base import Voice
from mockserver.audio.vad.detector import Began, Ended, EngineFor, TurnSettings, audio_start_ms
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import (
    AddCall,
    AddMessage,
    AddResult,
    Announce,
    Append,
    Approve,
    Cancel,
    Clear,
    Command,
    Commit,
    Configure,
    Delete,
    Part,
    Rejected,
    Respond,
    Retrieve,
    Settings,
    ToolServer,
    Truncate,
)
from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.facts import (
    Cleared,
    Committed,
    Configured,
    Counts,
    Fact,
    Heard,
    HeardSoFar,
    ItemAdded,
    LimitsUpdated,
    Malformed,
    Opened,
    Reason,
    Refused,
    Response,
    SpeechStarted,
    SpeechStopped,
    TimedOut,
    TranscriptionFailed,
)
from mockserver.protocol.ids import stream
from mockserver.responders.base import UNINTELLIGIBLE, NotTranscribed, Responder, Say, Step, words
from mockserver.session.input_audio import Buffered, InputAudio, SpokenTurn
from mockserver.session.item_requests import items_given, misreferred, taken
from mockserver.session.items import Items
from mockserver.session.mcp import listings
from mockserver.session.pending_input import Inputs
from mockserver.session.response import Answer, Stage
from mockserver.session.resumption import Memory
from mockserver.session.scheduler import Agenda, Run
from mockserver.session.transcription import NOTHING, Hearing
from replay.cassette.frames import Outgoing

ANSWER, HEARING, IDLE, LIMITS = "answer", "hearing", "idle", "limits"


class Session:
    """The state of one connection; a Peer. With `resumed` it goes on where that conversation was, with its responder,
    once the client asks for that. `opened` is the Unix second at which the connection was."""

    def __init__(
        self,
        dialect: Dialect,
        responder: Responder,
        voice: Voice,
        *,
        seed: str,
        pacing: str = "live",
        resumed: Memory | None = None,
        opened: float | None = None,
        snapshot_s: float = 0.0,
        hearing: Hearing = NOTHING,
        engine: EngineFor = EnergyEngine,
    ) -> None:
        self.dialect = dialect
        self.settings = dialect.traits.defaults
        self.conversation = Conversation(resumed.conversation.id if resumed else dialect.ids.conversation)
        self.ledger = Ledger(dialect.prices, dialect.model)
        self._responder = responder
        self._resumed = resumed
        self._history = resumed.history(opened) if resumed else []
        self._opened = opened
        self._snapshot_s = 0.0 if pacing == "burst" else snapshot_s
        latencies = stream(seed, "latency")
        told = self._emit, self._closed, self._ended
        self._stage = Stage(dialect, self.conversation, self.ledger, voice, pacing, latencies, *told)
        self._hearing = hearing
        keep = hearing.listens or dialect.traits.keeps_sound
        self._input = InputAudio(self.settings.input_format, self._turns, keep=keep, engine=engine)
        self._inputs = Inputs()
        self._items = Items(self._stage, self._inputs, lambda turn: words(self._responder.hear(turn)))
        self._agenda = Agenda()
        self._answer: Answer | None = None
        self._asides: dict[str, Answer] = {}
        """Answers outside the conversation, by response id."""
        self._unlimited: list[Response] = []
        """Responses that have yet to be counted against the limits."""
        self._turn: SpokenTurn | None = None
        self._unheard: SpokenTurn | None = None
        self._answer_owed = False
        self._last_end_ms = 0
        self._answered_by_commit = False
        self._out: list[Outgoing] = []
        self._emit(Opened(self.conversation.id), 0.0)
        self._list(self.settings.servers, (), 0.0)

    # The four methods of a peer.

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client frame. What is due by now has happened before it."""
        self._agenda.advance(now)
        if self._unlimited:
            # The way to a client and back is longer than this takes: all that a client does upon a response's end comes
            # later (recordings).
            self._count(now)
        limit = self.dialect.traits.max_frame_bytes
        if len(data) > limit:
            problem = f"The message has {len(data)} bytes; {limit} are allowed. Send audio in chunks of about 100 ms"
            self._obey(Rejected(problem), now)
        else:
            self._obey(self.dialect.parse(data, self.settings), now)

    def lost(self, now: float) -> None:
        """The client is gone: nothing goes on."""
        self._agenda.advance(now)
        self._agenda.clear()
        self.conversation.save(now + self._snapshot_s)

    def next_due(self) -> float | None:
        """When the next beat is due, in seconds since the connection opened."""
        return self._agenda.next_due

    def take_output(self, now: float) -> list[Outgoing]:
        """All frames up to and including `now`, oldest first."""
        self._agenda.advance(now)
        out, self._out = self._out, []
        return out

    @property
    def memory(self) -> Memory:
        """What a later connection needs to resume the conversation."""
        return Memory(self.conversation, self._responder, self._inputs.turns_heard, self._opened)

    def _emit(self, fact: Fact, at: float) -> None:
        self._out.extend([Outgoing(at, frame) for frame in self.dialect.render(fact, at)])

    def _obey(self, command: Command, now: float) -> None:
        match command:
            case Append():
                self._append(command.audio, now)
            case Respond():
                self._respond(command, now)
            case AddMessage() | AddResult() | AddCall() | Approve() | Truncate() | Delete() | Retrieve():
                self._answered_by_commit &= not self._items.obey(command, now)
            case Configure():
                self._configure(command, now)
            case Commit():
                self._commit(command, now)
            case Clear():
                self._clear(now)
            case Cancel():
                self._cancel(command, now)
            case Announce():
                self._announce(command, now)
            case Rejected():
                self._emit(Malformed(command), now)

    # The session itself.

    @property
    def _turns(self) -> TurnSettings:
        detection = self.settings.turn_detection
        return detection.turns if detection else self.dialect.traits.manual_turns

    def _configure(self, command: Configure, now: float) -> None:
        known, self.settings = self.settings.servers, _changed(self.settings, command.changes)
        if "turn_detection" in command.changes:
            self._agenda.drop(IDLE)
        self._input.configure(self.settings.input_format, self._turns)
        if self._resumed is not None and self.settings.resumable:
            self._replay(self._resumed, now)
            self._resumed = None
        self._emit(Configured(command.asked), now)
        self._list(self.settings.servers, known, now)

    def _list(self, servers: Iterable[ToolServer], known: Iterable[ToolServer], now: float) -> None:
        for listed in listings(servers, known, self.conversation, self.dialect, now):
            self._emit(listed, now)

    def _replay(self, remembered: Memory, now: float) -> None:
        """Bring back what was said, and nothing of how the session was set up. Only the assistant's messages show as
        events, under new ids (recordings). A scenario goes on where it was, whatever of the history is missing."""
        self._responder, self._inputs.turns_heard = remembered.responder, remembered.turns_heard
        self.conversation.earlier, self._history = self._history, []
        for item in self.conversation.earlier:
            if item.kind == "call":
                self._inputs.called(item.call_id, item.name)
            if item.kind == "message" and item.role == "assistant" and item.text:
                parts = [Part("text", item.text)]
                again = Item(self.dialect.ids.item(now), "message", "assistant", parts=parts, replayed=True)
                self.conversation.add(again)
                self._emit(ItemAdded(again), now)

    # The caller's voice.

    def _append(self, audio: bytes, now: float) -> None:
        samples, borders = self._input.append(audio)
        self.ledger.heard(samples, self.settings.input_format.rate)
        if self._turn is None and self._answer is not None and self._answer.deafens(now):
            self._input.take()
            return
        if self.settings.turn_detection is None and not self.dialect.traits.speech_reported_in_manual:
            return
        for border in borders:
            if isinstance(border, Began):
                self._speech_began(border, now)
            else:
                self._speech_ended(border, now)

    def _speech_began(self, border: Began, now: float) -> None:
        """Speech that goes on after a pause belongs to the same item, unless that one is answered already."""
        self._agenda.drop(IDLE)
        self._take_stop_back()
        start_ms = audio_start_ms(self._input.at_ms(border.at_ms), self._turns.prefix_padding_ms, self._last_end_ms)
        resumed, announced = self._turn is not None, self.dialect.traits.user_item_at_speech_start
        turn = self._turn = self._turn or SpokenTurn(self._new_item(now), announced, start_ms)
        turn.end_ms = None
        if announced and not resumed:
            self.conversation.add(turn.item)
        self._emit(SpeechStarted(turn.item, start_ms, resumed), now)
        self._interrupt(now)  # after it, as OpenAI does; xAI's order is not recorded
        said = self._responder.hear(self._inputs.turns_heard)
        if isinstance(said, str) and said not in ("", UNINTELLIGIBLE) and not resumed:
            self._emit(HeardSoFar(turn.item, said.split(" ")[0]), now)

    def _take_stop_back(self) -> None:
        """The caller only paused: the turn goes on. A reply that has not spoken yet is dropped without an end (clients'
        live checks), and what it was to answer is answered with the rest."""
        if self.settings.turn_detection is None or not self.dialect.traits.resumes_turn:
            return
        if self._unheard is not None:
            self._agenda.drop(HEARING)
            self._turn, self._unheard = self._unheard, None
        elif self._answer is not None and self._answer.turn is not None and self._answer.unspoken:
            self._agenda.drop(ANSWER)
            self._turn, self._answer = self._answer.turn, None
            self._inputs.give_back()

    def _interrupt(self, now: float) -> None:
        """Speech over a playing answer cuts it. In manual mode it is stopped without being ended (clients' live
        checks): it ends when it is cancelled, or when something else is answered."""
        detection = self.settings.turn_detection
        if detection is None:
            self._agenda.drop(ANSWER)
        elif self._answering and detection.interrupt_response:
            self._cut("turn_detected", now)

    def _speech_ended(self, border: Ended, now: float) -> None:
        if self._turn is None:
            return
        self._last_end_ms = self._turn.end_ms = self._input.at_ms(border.at_ms)
        self._emit(SpeechStopped(self._turn.item, self._last_end_ms), now)
        detection = self.settings.turn_detection
        if detection is not None:
            self._end_turn(self._input.take(), detection.create_response, now)

    def _commit(self, command: Commit, now: float) -> None:
        traits = self.dialect.traits
        if self.settings.turn_detection is not None and traits.commit_ignored_under_vad:
            return
        if (has_ms := self._input.buffered_ms) < traits.least_commit_ms:
            self._emit(Refused("buffer_empty", event_id=command.event_id, has_ms=has_ms), now)
            return
        taken = self._input.take()
        if not taken.ms:
            self._emit(Refused("buffer_empty", event_id=command.event_id), now)
        elif self._turn is not None or not traits.commit_answers:
            self._answered_by_commit = traits.commit_answers
            self._end_turn(taken, traits.commit_answers, now)

    def _clear(self, now: float) -> None:
        self._input.take()
        self._turn = None
        self._answered_by_commit = False
        self._emit(Cleared(), now)

    def _new_item(self, now: float) -> Item:
        return Item(self.dialect.ids.item(now), "message", "user", "in_progress", [Part("input_audio", is_audio=True)])

    def _end_turn(self, taken: Buffered, respond: bool, now: float) -> None:
        self._understand(now)
        clock_ms = round(self._input.clock_ms)
        turn, self._turn = self._turn or SpokenTurn(self._new_item(now), start_ms=clock_ms - round(taken.ms)), None
        if turn.end_ms is None:
            turn.end_ms = self._last_end_ms = clock_ms
        if not turn.announced:
            self.conversation.add(turn.item)
        self._emit(Committed(turn.item, turn.announced), now)
        turn.announced, turn.respond = True, respond
        turn.said, turn.failure = self._understood(taken)
        turn.item.heard_ms = turn.end_ms - turn.start_ms
        if self.dialect.traits.keeps_sound and turn.item.heard_ms and len(taken.sound):
            kept = taken.sound[-round(turn.item.heard_ms * taken.rate / 1000) :]
            self.conversation.hold(turn.item, encode(kept, self.settings.input_format))
        if self.dialect.traits.transcript_before_response:
            self._unheard = turn
            self._agenda.start(HEARING, self._hear(turn, now))
            return
        self._take_in(turn)
        turn.untranscribed = self.settings.transcribe
        if respond:
            self._answer_turn(turn, now)
        self._begin_transcript(turn, now)

    def _listen(self, turn: SpokenTurn, now: float) -> Generator[float, None, float]:
        """A first reading of a turn, and the time until the last one; gives that instant."""
        begun = " ".join(turn.said.split(" ")[:-1])
        if begun and turn.failure is None:
            self._emit(HeardSoFar(turn.item, begun), now)
        if self._stage.pacing != "burst":
            now += self.dialect.traits.rhythm.heard_s
            yield now
        return now

    def _hear(self, turn: SpokenTurn, now: float) -> Run:
        """From the end of a spoken turn to its transcript."""
        now = yield from self._listen(turn, now)
        self._understand(now)
        if turn.respond:
            self._answer_turn(turn, now)

    def _begin_transcript(self, turn: SpokenTurn, now: float) -> None:
        """Begin it, once, where it does not come before the answer but beside it."""
        if turn.untranscribed:
            turn.untranscribed = False
            self._agenda.start(f"{HEARING} {turn.item.id}", self._hear_beside(turn, now))

    def _hear_beside(self, turn: SpokenTurn, now: float) -> Run:
        """The transcript of a turn that is being answered already."""
        if self._stage.pacing != "burst":
            yield now
        now = yield from self._listen(turn, now)
        self._transcribe(turn, now)

    def _understood(self, taken: Buffered) -> tuple[str, NotTranscribed | None]:
        """What the scenario says was said, else what the sound is known or transcribed as; and why it is not told."""
        told = self._responder.hear(self._inputs.turns_heard)
        language, keyterms = self.settings.language, self.settings.keyterms
        said = words(told) or self._hearing.understand(taken.sound, taken.rate, language, keyterms) or UNINTELLIGIBLE
        return said, told if isinstance(told, NotTranscribed) else None

    def _understand(self, now: float) -> None:
        """The turn that is over gets its final transcript."""
        turn, self._unheard = self._unheard, None
        if turn is None:
            return
        self._agenda.drop(HEARING)
        self._take_in(turn)
        self._transcribe(turn, now)

    def _take_in(self, turn: SpokenTurn) -> None:
        """A spoken turn is there to be answered."""
        self._inputs.heard(turn.said, turn.item.heard_ms)

    def _transcribe(self, turn: SpokenTurn, now: float) -> None:
        if turn.failure is not None:
            self._emit(TranscriptionFailed(turn.item, turn.failure.code, turn.failure.message), now)
            return
        turn.item.parts = [Part("input_audio", turn.said, is_audio=True)]
        heard = Heard(turn.item, turn.said)
        self.dialect.charge(heard, self.ledger)
        self._emit(heard, now)

    def _answer_turn(self, turn: SpokenTurn, now: float) -> None:
        """Answer a spoken turn: at once, or after an answer that may not be interrupted."""
        if ANSWER not in self._agenda or self.settings.turn_detection is None:
            self._start_answer(now, turn=turn)
        elif self.dialect.traits.owes_answer:
            self._answer_owed = True
        else:
            self._emit(Refused("response_active", self._running), now)

    def _idle(self, timeout_ms: int, now: float) -> Run:
        """The caller says nothing after an answer: the silent turn is committed and answered. Positions count the
        audio that came; that the item is announced is a guess."""
        played_s = self._answer.played_s if self._answer is not None else now
        now = max(now, played_s) + timeout_ms / 1000
        yield now
        end_ms = max(timeout_ms, round(self._input.clock_ms))
        item = self._new_item(now)
        self._input.take()
        self.conversation.add(item)
        self._emit(TimedOut(item, end_ms - timeout_ms, end_ms), now)
        self._emit(Committed(item, announced=False), now)
        self._start_answer(now, silence=True)

    # Responses.

    @property
    def _answering(self) -> bool:
        return self._answer is not None and self._answer.active

    @property
    def _running(self) -> str:
        """The id of the answer that goes on; empty without one."""
        return self._answer.response.id if self._answer is not None and self._answer.active else ""

    def _respond(self, command: Respond, now: float) -> None:
        if (refused := misreferred(command.given, command.event_id, self.conversation)) is not None:
            self._emit(refused, now)
            return
        if command.aside:
            self._answer_aside(command, now)
            return
        if self._answered_by_commit and self.settings.turn_detection is None:
            return
        if self.settings.turn_detection is None:
            self._understand(now)
        if ANSWER in self._agenda or self._unheard is not None:
            self._emit(Refused("response_active", self._running, command.event_id), now)
        else:
            self._start_answer(now, command)

    def _start_answer(
        self, now: float, command: Respond | None = None, *, turn: SpokenTurn | None = None, silence: bool = False
    ) -> None:
        command = command or Respond()
        instructions = command.instructions or self.settings.instructions
        if command.given is None:
            asked, counts = self._inputs.take(instructions, silence=silence)
        else:
            asked, counts = self._inputs.given(
                items_given(command.given, self.conversation, self.dialect.ids, now), instructions
            )
        response = self._response(command, counts, now)
        self._answer_owed = False

        def steps() -> Iterable[Step]:
            if turn is not None:
                self._begin_transcript(turn, now)  # nothing is told of it before response.created (recordings)
            return self._stage.steps(self._responder, asked)

        self._perform(Answer(self._stage, response, self._inputs.called, turn), steps, now)

    def _answer_aside(self, command: Respond, now: float) -> None:
        """An answer that nobody hears of but who asked: it leaves no trace in the conversation."""
        context = (
            list(self.conversation)
            if command.given is None
            else items_given(command.given, self.conversation, self.dialect.ids, now)
        )
        asked, counts = self._inputs.given(context, command.instructions or self.settings.instructions)
        response = self._response(command, counts, now)
        stage = dataclasses.replace(self._stage, ended=lambda at: None, left=[], asked={})
        answer = self._asides[response.id] = Answer(stage, response, self._inputs.called)
        run = answer.run(lambda: self._responder.reply(asked), response.settings, now)
        self._agenda.start(f"{ANSWER} {response.id}", run)

    def _response(self, command: Respond, counts: Counts, now: float) -> Response:
        if self.dialect.traits.counts_context and not counts.context:
            counts.context = tuple(self.conversation)
        settings = _changed(self.settings, command.changes)
        self._list(settings.servers, self.settings.servers, now)
        response_id = self.dialect.ids.response(now)
        return Response(response_id, command.metadata, counts=counts, settings=settings, aside=command.aside)

    def _announce(self, command: Announce, now: float) -> None:
        if ANSWER in self._agenda:
            self._emit(Refused("response_active", self._answer.response.id if self._answer else ""), now)
            return
        if taken(command.item_id, self.conversation):
            self._emit(Refused("item_exists", command.item_id or ""), now)
            return
        self.ledger.text_items += 1
        response_id = self.dialect.ids.response(now)
        response = Response(response_id, interruptible=command.interruptible, settings=self.settings)
        answer = Answer(self._stage, response, self._inputs.called, message_id=command.item_id)
        self._perform(answer, lambda: [Say(command.text)], now)

    def _perform(self, answer: Answer, steps: Callable[[], Iterable[Step]], now: float) -> None:
        self._agenda.drop(IDLE)
        if self._answering:
            self._cut("turn_detected", now)
        self._answer = answer
        self._agenda.start(ANSWER, answer.run(steps, answer.response.settings, now))

    def _ended(self, now: float) -> None:
        """An answer is over: what waited for that goes on."""
        detection = self.settings.turn_detection
        if self._answer_owed:
            self._start_answer(now)
        elif detection is not None and detection.idle_timeout_ms is not None:
            self._agenda.start(IDLE, self._idle(detection.idle_timeout_ms, now))

    def _closed(self, response: Response, now: float) -> None:
        """A response is over, however it ended."""
        self._asides.pop(response.id, None)
        self.conversation.save(now + self._snapshot_s)
        after_s = self.dialect.traits.limits_after_s
        if after_s is not None:
            self._unlimited.append(response)
            self._agenda.start(LIMITS, self._count_later(now + after_s))

    def _count_later(self, due: float) -> Run:
        yield due
        self._count(due)

    def _count(self, now: float) -> None:
        responses, self._unlimited = self._unlimited, []
        self._agenda.drop(LIMITS)
        for response in responses:
            self._emit(LimitsUpdated(response), now)

    def _cancel(self, command: Cancel, now: float) -> None:
        if command.response_id in self._asides:
            self._agenda.drop(f"{ANSWER} {command.response_id}")
            self._asides[command.response_id].cut("client_cancelled", now)
            return
        mine = self._answer.response.id if self._answer and self._answer.active else None
        if mine is None or command.response_id not in (None, mine):
            self._emit(Refused("nothing_to_cancel", command.response_id or "", command.event_id), now)
        else:
            self._cut("client_cancelled", now)
            self._ended(now)

    def _cut(self, reason: Reason, now: float) -> None:
        """Close the answer with what was sent of it. What comes next is the caller's affair."""
        self._agenda.drop(ANSWER)
        if self._answer is not None:
            self._answer.cut(reason, now)


def _changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    return dataclasses.replace(settings, **changes) if changes else settings  # type: ignore[arg-type]
