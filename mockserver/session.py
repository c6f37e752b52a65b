"""One realtime conversation. Takes client frames with their arrival times, gives back server frames with theirs.

No sockets, no clock, no randomness of its own, no dialect by name: see connection.py, clock.py, ids.py, dialects/.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping

from mockserver.answer import Answer, Stage
from mockserver.brains import UNINTELLIGIBLE, Brain, Say, Step
from mockserver.commands import (
    AddCall,
    AddMessage,
    AddResult,
    Announce,
    Append,
    Cancel,
    Clear,
    Command,
    Commit,
    Configure,
    Delete,
    Part,
    Rejected,
    Respond,
    Settings,
    Truncate,
)
from mockserver.conversation import Conversation, Item
from mockserver.dialect import Dialect
from mockserver.facts import (
    Cleared,
    Committed,
    Configured,
    Fact,
    Heard,
    HeardSoFar,
    ItemAdded,
    ItemDeleted,
    ItemTruncated,
    Malformed,
    Opened,
    Reason,
    Refused,
    Response,
    SpeechStarted,
    SpeechStopped,
    TimedOut,
)
from mockserver.ids import stream
from mockserver.inputs import Inputs
from mockserver.ledger import Ledger
from mockserver.listening import InputAudio
from mockserver.playout import Agenda, Run
from mockserver.vad import Began, Ended, TurnSettings, audio_start_ms
from mockserver.voices import Voice
from replay.frames import Outgoing

ANSWER, HEARING, IDLE = "answer", "hearing", "idle"


@dataclasses.dataclass(frozen=True, slots=True)
class SpokenTurn:
    """A turn that is over but not yet understood."""

    item: Item
    ms: int
    """From where its audio starts, padding included, to its end."""
    respond: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Memory:
    """What outlives a connection, for one that resumes its conversation."""

    conversation: Conversation
    brain: Brain
    turns_heard: int


class Session:
    """The state of one connection; a Peer. With `resumed` it goes on where that conversation was, `brain` included."""

    def __init__(
        self,
        dialect: Dialect,
        brain: Brain,
        voice: Voice,
        *,
        seed: str,
        pacing: str = "live",
        resumed: Memory | None = None,
    ) -> None:
        self.dialect = dialect
        self.settings = dialect.traits.defaults
        self.conversation = Conversation(resumed.conversation.id if resumed else dialect.ids.conversation)
        self.ledger = Ledger(dialect.prices, dialect.model)
        self._brain = resumed.brain if resumed else brain
        self._resumed = resumed.conversation if resumed else None
        latencies = stream(seed, "latency")
        self._stage = Stage(dialect, self.conversation, self.ledger, voice, pacing, latencies, self._state, self._ended)
        self._input = InputAudio(self.settings.input_format, self._turns)
        self._inputs = Inputs()
        self._agenda = Agenda()
        self._answer: Answer | None = None
        self._turn: Item | None = None
        self._unheard: SpokenTurn | None = None
        self._answer_owed = False
        self._turns_heard = resumed.turns_heard if resumed else 0
        self._turn_start_ms = 0
        self._last_end_ms = 0
        self._answered_by_commit = False
        self._out: list[Outgoing] = []
        self._state(Opened(self.conversation.id), 0.0)

    # The four methods of a peer.

    def receive(self, data: str | bytes, now: float) -> None:
        """Take a client frame. What is due by now has happened before it."""
        self._agenda.advance(now)
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
        return Memory(self.conversation, self._brain, self._turns_heard)

    def _state(self, fact: Fact, at: float) -> None:
        self._out.extend([Outgoing(at, frame) for frame in self.dialect.render(fact, at)])

    def _obey(self, command: Command, now: float) -> None:
        match command:
            case Append():
                self._append(command.audio, now)
            case Respond():
                self._respond(command, now)
            case AddMessage():
                self._add_message(command, now)
            case AddResult():
                self._add_result(command, now)
            case AddCall():
                self._add_call(command, now)
            case Configure():
                self._configure(command, now)
            case Commit():
                self._commit(command, now)
            case Clear():
                self._clear(now)
            case Cancel():
                self._cancel(command, now)
            case Truncate():
                self._truncate(command, now)
            case Delete():
                self._delete(command, now)
            case Announce():
                self._announce(command, now)
            case Rejected():
                self._state(Malformed(command), now)

    # The session itself.

    @property
    def _turns(self) -> TurnSettings:
        detection = self.settings.turn_detection
        return detection.turns if detection else self.dialect.traits.manual_turns

    def _configure(self, command: Configure, now: float) -> None:
        self.settings = _changed(self.settings, command.changes)
        self._input.configure(self.settings.input_format, self._turns)
        if self._resumed is not None and self.settings.resumable:
            self._replay(self._resumed, now)
            self._resumed = None
        self._state(Configured(command.asked), now)

    def _replay(self, remembered: Conversation, now: float) -> None:
        """Bring back what was said. Only the assistant's messages show as events, under new ids (recordings)."""
        self.conversation.earlier = [*remembered.earlier, *remembered]
        for item in self.conversation.earlier:
            if item.kind == "message" and item.role == "assistant" and item.text:
                again = Item(self.dialect.ids.item(), "message", "assistant", parts=[Part("text", item.text)])
                self.conversation.add(again)
                self._state(ItemAdded(again), now)

    # Items.

    def _add(self, item: Item, after: str | None, event_id: str | None, now: float) -> bool:
        if self.conversation.get(item.id) is not None:
            self._state(Refused("item_exists", item.id, event_id), now)
            return False
        self.conversation.add(item, after)
        self._state(ItemAdded(item), now)
        self._answered_by_commit = False
        return True

    def _add_message(self, command: AddMessage, now: float) -> None:
        item = Item(command.item_id or self.dialect.ids.item(), "message", command.role, parts=list(command.parts))
        if not self._add(item, command.after, command.event_id, now):
            return
        if not any(part.is_audio for part in command.parts):
            self.ledger.text_items += 1
        if command.role == "user":
            self._inputs.typed(item.text)
        elif command.role == "assistant":
            self._inputs.answered()

    def _add_call(self, command: AddCall, now: float) -> None:
        ids = self.dialect.ids
        call_id = command.call_id or ids.call(0)
        item_id = command.item_id or ids.item()
        item = Item(item_id, "call", call_id=call_id, name=command.name, arguments=command.arguments)
        if self._add(item, command.after, command.event_id, now):
            self.ledger.text_items += 1
            self._inputs.called(call_id, command.name)

    def _add_result(self, command: AddResult, now: float) -> None:
        item_id = command.item_id or self.dialect.ids.item()
        item = Item(item_id, "result", call_id=command.call_id, output=command.output)
        if self._add(item, command.after, command.event_id, now):
            self._inputs.result(command.call_id, command.output)

    def _delete(self, command: Delete, now: float) -> None:
        if self.conversation.remove(command.item_id) is None:
            self._state(Refused("delete_unknown", command.item_id, command.event_id), now)
        else:
            self._state(ItemDeleted(command.item_id), now)

    def _truncate(self, command: Truncate, now: float) -> None:
        item = self.conversation.get(command.item_id)
        if item is None or item.role != "assistant" or item.kind != "message":
            self._state(Refused("truncate_unknown", command.item_id, command.event_id), now)
            return
        item.keep(command.audio_end_ms)
        self._state(ItemTruncated(item, command.content_index, command.audio_end_ms), now)

    # The caller's voice.

    def _append(self, audio: bytes, now: float) -> None:
        samples, borders = self._input.append(audio)
        self.ledger.heard(samples, self.settings.input_format.rate)
        if not borders or (self._answer is not None and self._answer.deafens(now)):
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
        self._interrupt(now)
        resumed = self._turn is not None
        item = self._turn = self._turn or self._new_turn()
        if not resumed and self.dialect.traits.user_item_at_speech_start:
            self.conversation.add(item)
        start_ms = audio_start_ms(self._input.at_ms(border.at_ms), self._turns.prefix_padding_ms, self._last_end_ms)
        if not resumed:
            self._turn_start_ms = start_ms
        self._state(SpeechStarted(item, start_ms, resumed), now)
        said = self._brain.hear(self._turns_heard)
        if said and not resumed:
            self._state(HeardSoFar(item, said.split(" ")[0]), now)

    def _take_stop_back(self) -> None:
        """The caller only paused: the turn that was about to be understood goes on."""
        if self._unheard and self.settings.turn_detection and self.dialect.traits.resumes_turn:
            self._agenda.drop(HEARING)
            self._turn, self._unheard = self._unheard.item, None

    def _interrupt(self, now: float) -> None:
        """Speech over a playing answer cuts it. In manual mode it is stopped without being ended (clients' live
        checks): it ends when it is cancelled, or when the next turn is answered."""
        if not self._answering:
            return
        detection = self.settings.turn_detection
        if detection is None:
            self._agenda.drop(ANSWER)
        elif detection.interrupt_response:
            self._cut("turn_detected", now)

    def _speech_ended(self, border: Ended, now: float) -> None:
        if self._turn is None:
            return
        self._last_end_ms = self._input.at_ms(border.at_ms)
        self._state(SpeechStopped(self._turn, self._last_end_ms), now)
        detection = self.settings.turn_detection
        if detection is not None:
            self._input.take()
            self._end_turn(self._last_end_ms, detection.create_response, now)

    def _commit(self, command: Commit, now: float) -> None:
        traits = self.dialect.traits
        if self.settings.turn_detection is not None and traits.commit_ignored_under_vad:
            return
        end_ms = round(self._input.clock_ms) if self._input.speaking else self._last_end_ms
        taken = self._input.take()
        if not taken.ms:
            self._state(Refused("buffer_empty", event_id=command.event_id), now)
        elif taken.speech_ms or not traits.commit_answers:
            self._answered_by_commit = traits.commit_answers
            self._end_turn(end_ms, traits.commit_answers, now)

    def _clear(self, now: float) -> None:
        self._input.take()
        self._turn = None
        self._answered_by_commit = False
        self._state(Cleared(), now)

    def _new_turn(self) -> Item:
        return Item(self.dialect.ids.item(), "message", "user", "in_progress", [Part("input_audio", is_audio=True)])

    def _end_turn(self, end_ms: int, respond: bool, now: float) -> None:
        self._understand(now)
        item, self._turn = self._turn or self._new_turn(), None
        announced = self.conversation.get(item.id) is not None
        if not announced:
            self.conversation.add(item)
        self._state(Committed(item, announced), now)
        self._unheard = SpokenTurn(item, end_ms - self._turn_start_ms, respond)
        self._agenda.start(HEARING, self._hear(item, now))

    def _hear(self, item: Item, now: float) -> Run:
        """From the end of a spoken turn to its transcript."""
        begun = " ".join(self._said.split(" ")[:-1])
        if begun:
            self._state(HeardSoFar(item, begun), now)
        if self._stage.pacing != "burst":
            now += self.dialect.traits.rhythm.heard_s
            yield now
        respond = self._unheard is not None and self._unheard.respond
        self._understand(now)
        if respond:
            self._answer_turn(now)

    @property
    def _said(self) -> str:
        return self._brain.hear(self._turns_heard) or UNINTELLIGIBLE

    def _understand(self, now: float) -> None:
        """The turn that is over gets its final transcript."""
        turn, self._unheard = self._unheard, None
        if turn is None:
            return
        said = self._said
        self._turns_heard += 1
        self._inputs.heard(said, turn.ms)
        turn.item.parts = [Part("input_audio", said, is_audio=True)]
        self._state(Heard(turn.item, said), now)

    def _answer_turn(self, now: float) -> None:
        """Answer a spoken turn: at once, or after an answer that may not be interrupted."""
        detection = self.settings.turn_detection
        if self._answering and detection is not None and not detection.interrupt_response:
            self._answer_owed = True
        else:
            self._start_answer(now)

    def _idle(self, timeout_ms: int, now: float) -> Run:
        """The caller says nothing after an answer: the silent turn is committed and answered. Positions count the
        audio that came; that the item is announced is a guess."""
        played_s = self._answer.played_s if self._answer is not None else now
        now = max(now, played_s) + timeout_ms / 1000
        yield now
        end_ms = round(self._input.clock_ms)
        item = self._new_turn()
        self._input.take()
        self.conversation.add(item)
        self._state(TimedOut(item, max(0, end_ms - timeout_ms), end_ms), now)
        self._state(Committed(item, announced=False), now)
        self._start_answer(now, silence=True)

    # Responses.

    @property
    def _answering(self) -> bool:
        return self._answer is not None and self._answer.active

    def _respond(self, command: Respond, now: float) -> None:
        if self._answered_by_commit and self.settings.turn_detection is None:
            return
        if self._answering or self._unheard is not None:
            running = self._answer.response.id if self._answer is not None else ""
            self._state(Refused("response_active", running, command.event_id), now)
        else:
            self._start_answer(now, command)

    def _start_answer(self, now: float, command: Respond | None = None, *, silence: bool = False) -> None:
        command = command or Respond()
        turn, counts = self._inputs.take(command.instructions or self.settings.instructions, silence=silence)
        response = Response(self.dialect.ids.response(), command.metadata, counts=counts)
        self._perform(response, lambda: self._brain.reply(turn), now)

    def _announce(self, command: Announce, now: float) -> None:
        self.ledger.text_items += 1
        if self._answering:
            self._state(Refused("response_active"), now)
            return
        response = Response(self.dialect.ids.response(), interruptible=command.interruptible)
        self._perform(response, lambda: [Say(command.text)], now)

    def _perform(self, response: Response, steps: Callable[[], Iterable[Step]], now: float) -> None:
        self._agenda.drop(IDLE)
        if self._answering:
            self._cut("turn_detected", now)
        self._answer = Answer(self._stage, response, self._inputs.called)
        self._agenda.start(ANSWER, self._answer.run(steps, self.settings, now))

    def _ended(self, now: float) -> None:
        """A response is closed: what waited for it goes on."""
        detection = self.settings.turn_detection
        if self._answer_owed:
            self._answer_owed = False
            self._start_answer(now)
        elif detection is not None and detection.idle_timeout_ms is not None:
            self._agenda.start(IDLE, self._idle(detection.idle_timeout_ms, now))

    def _cancel(self, command: Cancel, now: float) -> None:
        mine = self._answer.response.id if self._answer and self._answer.active else None
        if mine is None or command.response_id not in (None, mine):
            self._state(Refused("nothing_to_cancel", command.response_id or "", command.event_id), now)
        else:
            self._cut("client_cancelled", now)

    def _cut(self, reason: Reason, now: float) -> None:
        self._agenda.drop(ANSWER)
        if self._answer is not None:
            self._answer.cut(reason, now)


def _changed(settings: Settings, changes: Mapping[str, object]) -> Settings:
    return dataclasses.replace(settings, **changes)  # type: ignore[arg-type]
