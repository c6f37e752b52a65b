"""One realtime conversation. Takes client frames with their arrival times, returns server frames with theirs.

No sockets, no clock, no unseeded randomness, and no dialect by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from mockserver.audio.codecs import encode
from mockserver.audio.formats import Samples
from mockserver.audio.tts.base import Synthesizer
from mockserver.audio.vad.detector import Border, EngineFactory, TurnBegan, TurnEnded, TurnSettings, audio_start_ms
from mockserver.audio.vad.energy import EnergyEngine
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Dialect
from mockserver.protocol import commands, facts
from mockserver.protocol.commands import Command, Part
from mockserver.protocol.conversation import Conversation, Item
from mockserver.protocol.facts import Fact, Reason, Response
from mockserver.protocol.ids import LateStream
from mockserver.protocol.observer import FactObserver
from mockserver.protocol.peer import LONG_MESSAGE, QUIET, Quiet, Rest
from mockserver.protocol.requests import Request, Result
from mockserver.responders.base import UNINTELLIGIBLE, HeardText, NotTranscribed, Responder, Say, Step, words
from mockserver.session.asides import Asides
from mockserver.session.asking import Requests
from mockserver.session.context import SessionContext, new_response
from mockserver.session.ears import Ears, HeardTurn
from mockserver.session.idle import keep_alive, silent_turn
from mockserver.session.input_audio import Buffered, InputBuffer, SpokenTurn
from mockserver.session.item_requests import input_items, refusal_of_input
from mockserver.session.items import Items
from mockserver.session.keys import Keys
from mockserver.session.pending_input import PendingInput, Question
from mockserver.session.pushed_turns import PushedTurns
from mockserver.session.rate_limits import RateLimitReports
from mockserver.session.response import RunningResponse
from mockserver.session.resumption import Memory, bring_back
from mockserver.session.scheduler import IDLE, KEEP_ALIVE, RESPONSE, Run, Scheduler
from mockserver.session.score import Scores
from mockserver.session.tool_servers import ToolServers
from mockserver.session.transcription import NOTHING, Heard, Hearing
from mockserver.session.transcripts import Transcripts
from replay.cassette.frames import Outgoing, apart


class Session:
    """The state of one connection; a Peer.

    dialect: the service on this connection.
    responder: decides what is said.
    voice: synthesizes what is said.
    seed: names the session's random stream.
    pacing: one of `PRESETS`.
    resumed: the conversation that goes on here, with its responder, once the client enables resumption.
    opened: Unix second at which the connection opened; None if that is unknown.
    snapshot_s: seconds after a response until a resuming connection gets its items.
    hearing: recognises what the user says.
    engine: detects speech at a sampling rate.
    breath_s: with the pacing `burst`, seconds between the start of a response and its first output: what the client
        sends in one breath then meets a response that goes on.
    asks_servers: MCP servers that the client declares are really asked.
    scores: those of the voice, which sessions share; without any, the session has its own.
    """

    __deletable__ = "_asides", "_context", "_ears", "_items", "_keys", "_limits", "_pushed", "_running", "_transcripts"

    def __init__(
        self,
        dialect: Dialect,
        responder: Responder,
        voice: Synthesizer,
        *,
        seed: str,
        pacing: str = "live",
        resumed: Memory | None = None,
        opened: float | None = None,
        snapshot_s: float = 0.0,
        hearing: Hearing = NOTHING,
        engine: EngineFactory = EnergyEngine,
        breath_s: float = 0.0,
        asks_servers: bool = False,
        scores: Scores | None = None,
    ) -> None:
        self.dialect, self.settings = dialect, dialect.traits.settings()
        self.conversation = Conversation(resumed.conversation.id if resumed else dialect.ids.conversation)
        self.ledger = Ledger(dialect.prices, dialect.model)
        self.observer: FactObserver | None = None
        """Sees each fact, and may end responses early."""
        self.joins = False  # whether `take_output` may give passages: who takes it only writes it
        self._turn_traits, self._hearing, self.responder = dialect.traits.turns, hearing, responder
        self._resumed, self._opened, self._history = resumed, opened, resumed.history(opened) if resumed else []
        self._snapshot_s = 0.0 if pacing == "burst" else snapshot_s
        self._scheduler, self._requests = Scheduler(), Requests()
        servers = ToolServers(dialect, self.conversation, self._requests, self._scheduler, self._emit, asks_servers)
        self._context = SessionContext(
            dialect,
            self.conversation,
            self.ledger,
            voice,
            pacing,
            latencies=LateStream(seed, "latency"),
            emit=self._emit,
            send=lambda passage, at: self._out.append(Outgoing(at, passage)),
            joins=lambda: self.joins and self.observer is None,
            closed=self._response_closed,
            ended=self._response_ended,
            requests=self._requests,
            servers=servers,
            words=lambda: {turn.item_id: turn.words for turn in self.heard},
            breath_s=breath_s if pacing == "burst" else 0.0,
            scores=scores or Scores(),
        )
        form, keep = self.settings.input_format, hearing.listens or dialect.traits.items.keeps_audio
        self._input = InputBuffer(form, self._vad_settings, keep=keep, engine=engine, heard=self.ledger.heard)
        self._pending = PendingInput()
        parts = self._context, self._scheduler, self._pending
        self._ears = Ears(self._context, hearing, self._requests, self._scheduler)
        self._keys = Keys(*parts, self._answer_keys)
        self._limits = RateLimitReports(self._context, self._scheduler)
        self._items = Items(
            self._context,
            self._pending,
            lambda id, sound, now: self._ears.hear_message(id, sound, self._scripted(), self.settings, now),
        )
        self._running: RunningResponse | None = None  # the conversation's last response, whether it goes on or not
        self._asides = Asides(*parts)
        self._turn: SpokenTurn | None = None  # that the user is speaking, or has not committed yet
        self._response_queued = self._detection_chosen = self._answered_by_commit = False
        self._vad_took_turn = False  # turn detection has committed a turn, and goes on
        self._last_end_ms = 0
        self._last_spoken: str | None = None
        self._transcripts = Transcripts(
            *parts, self._ears, scripted=self._scripted, settings=lambda: self.settings, answers=self._answer_turn
        )
        self._pushed: PushedTurns | None = None
        if (pushed := self._turn_traits.pushed) is not None:
            late, ends = LateStream(seed, "transcript"), self._transcripts.complete
            self._pushed = PushedTurns(pushed, *parts, late, self._interrupt, self._enter, ends, self._answer_turn)
        self._out: list[Outgoing] = []
        self._emit(facts.Opened(self.conversation.id), 0.0)
        if (interval_s := dialect.traits.keep_alive_s) is not None:
            self._scheduler.start(KEEP_ALIVE, keep_alive(interval_s, self._emit))
        self._context.servers.list(self.settings.servers, (), 0.0)

    # The methods of a peer.

    def receive(self, data: str | bytes, now: float) -> Rest | Quiet | None:
        """Take a client frame. What is due by `now` happens before it."""
        scheduler = self._scheduler
        scheduler.advance(now)
        if self._limits.due:
            # What a client does upon a response's end comes after the count, since its way is longer (recordings).
            self._limits.report(now)
        due = scheduler.first
        rest = self._take(data, now) if len(data) <= LONG_MESSAGE else self._take_long(data, now)
        if rest is not None and (left := scheduler.begin(rest)) is not None:
            return left
        return None if self._out or self._requests.stated or scheduler.first != due else QUIET

    def lost(self, now: float) -> None:
        """The client is gone: nothing goes on."""
        if self.dialect.traits.media:
            self.ledger.connected_s = now
        self._scheduler.abandon()
        self._scheduler.advance(now)
        self._scheduler.clear()
        self._input.release()
        self._pending.clear()
        self.conversation.save(now + self._snapshot_s)

    def release(self) -> None:
        """Free the memory of a session that is lost: its parts refer to it. Only `memory` may be asked for then."""
        del self._asides, self._context, self._ears, self._items, self._keys  # mypyc wants them in `__deletable__`
        del self._limits, self._pushed, self._running, self._transcripts

    def next_due(self, *, keep_alive: bool = True) -> float | None:
        """When something happens next, in seconds since the connection opened; with or without keep-alive events."""
        return self._scheduler.next_due() if keep_alive else self._scheduler.next_due(KEEP_ALIVE)

    def take_output(self, now: float) -> list[Outgoing]:
        """All frames up to and including `now`, oldest first."""
        self._scheduler.advance(now)
        out, self._out = self._out, []
        return out if self.joins else apart(out)

    def take_requests(self) -> list[Request]:
        """What the session asks of the world around it since the last call."""
        return self._requests.take()

    def deliver(self, result: Result, now: float) -> None:
        """Take a result. What is due by `now` happens before it."""
        self._scheduler.advance(now)
        if self._requests.arrived(result, now):
            self._scheduler.wake(now)

    def hear(self, samples: Samples, now: float) -> None:
        """Take sound of the caller's track. What is due by `now` happens before it."""
        self.ledger.connected_s = now
        self._scheduler.advance(now)
        if (rest := self._append(samples, now)) is not None:
            self._scheduler.begin(rest)

    def press(self, digit: str, now: float) -> None:
        """Take a key of the telephone."""
        self._scheduler.advance(now)
        self._keys.press(digit, now)

    def truncate(self, item_id: str, played_ms: int, now: float) -> None:
        """Truncate a message that the service itself was playing."""
        self._scheduler.advance(now)
        if self.conversation.get(item_id) is not None:
            self._items.obey(commands.TruncateItem(item_id, 0, played_ms), now)

    @property
    def heard(self) -> Sequence[HeardTurn]:
        """What the last spoken turns were taken to say, and what decided that, oldest first."""
        return self._ears.heard

    @property
    def memory(self) -> Memory:
        """What a later connection needs to resume the conversation."""
        return Memory(self.conversation, self.responder, self._pending.turns_heard, self._opened)

    def _emit(self, fact: Fact, at: float) -> None:
        keep_alive = isinstance(fact, facts.KeptAlive)
        if (observer := self.observer) is None:
            return self._out.extend([Outgoing(at, frame, keep_alive) for frame in self.dialect.render(fact, at)])
        observer.before(fact, at)
        for frame in self.dialect.render(fact, at):
            self._out.append(Outgoing(at, frame, keep_alive))
            observer.after(fact, frame, at)

    def _take_long(self, data: str | bytes, now: float) -> Rest:
        yield
        yield from self._take(data, now) or ()

    def _take(self, data: str | bytes, now: float) -> Rest | None:
        """Take a client frame; returns what is left to do."""
        if len(data) > (limit := self.dialect.traits.max_frame_bytes):
            problem = f"The message has {len(data)} bytes; {limit} are allowed. Send audio in chunks of about 100 ms"
            return self._obey(commands.Rejected(problem), now)
        return self._obey(self.dialect.parse(data, self.settings), now)

    def _obey(self, command: Command, now: float) -> Rest | None:
        match command:
            case commands.Append():
                return self._append(command.audio, now)
            case commands.Respond():
                self._respond(command, now)
            case commands.Configure():
                self._configure(command, now)
            case commands.Commit():
                self._commit(command, now)
            case commands.Clear():
                self._input.take()
                self._turn = None
                if self._pushed is not None:
                    self._pushed.forget()
                self._answered_by_commit = False
                self._emit(facts.Cleared(), now)
            case commands.Cancel():
                self._cancel(command, now)
            case commands.ClearOutput():
                self._emit(facts.PlayoutCut(), now)
            case commands.Announce():
                self._announce(command, now)
            case commands.Rejected():
                self._emit(facts.Malformed(command), now)
            case _:
                self._answered_by_commit &= not self._items.obey(command, now)
        return None

    @property
    def _vad_settings(self) -> TurnSettings:
        detection = self.settings.turn_detection
        return detection.turns if detection else self._turn_traits.manual

    def _configure(self, command: commands.Configure, now: float) -> None:
        known, self.settings = self.settings.servers, self._context.changed(self.settings, command.changes)
        if "turn_detection" in command.changes:
            self._scheduler.drop(IDLE)
            self._detection_chosen = True
            if self._pushed is not None and self._pushed.spoken is not None:
                self._pushed.forget()
            self._vad_took_turn &= self.settings.turn_detection is not None
        self._input.configure(self.settings.input_format, self._vad_settings)
        self._input.measures_sound = self._pushed is not None and self.settings.turn_detection is None
        if self._resumed is not None and self.settings.resumable:
            self.responder, self._pending.turns_heard = self._resumed.responder, self._resumed.turns_heard
            for item in bring_back(self._history, self.conversation, self._pending, self.dialect.ids, now):
                self._emit(facts.ItemAdded(item), now)
            self._resumed, self._history = None, []
        self._emit(facts.Configured(command.requested), now)
        self._context.servers.list(self.settings.servers, known, now)

    # The user's speech.

    def _append(self, audio: bytes | Samples, now: float) -> Rest | None:
        """Take audio; returns what is left to do of a long one, and while the user's speech is transcribed."""
        pieces = self._input.pieces(audio)
        borders = self._input.append(pieces[0])
        blocked = self._turn is None and self._running is not None and self._running.blocks_speech(now)
        if not (borders or blocked or len(pieces) > 1 or (self._turn is not None and self._hearing.transcribes)):
            return None  # most appends
        return self._append_rest(pieces, borders, blocked, now)

    def _append_rest(self, pieces: Sequence[bytes | Samples], borders: list[Border], blocked: bool, now: float) -> Rest:
        """Go on after the first piece and its borders. Speech that is `blocked` is dropped."""
        for piece in pieces[1:]:
            yield
            borders += self._input.append(piece)
        if blocked:
            self._input.take()
            return
        if self.settings.turn_detection is None and not self._turn_traits.manual_events:
            return
        if self.settings.turn_detection is None and self._pushed is not None:
            if any(isinstance(border, TurnBegan) for border in borders):
                self._pushed.heard(self._new_item(now), self._heard_so_far, now, interim=self._detection_chosen)
            return
        for border in borders:
            if isinstance(border, TurnBegan):
                self._speech_began(border, now)
            else:
                self._speech_ended(border, now)
            if len(pieces) > 1:
                yield
        if self._turn is not None:
            self._ears.hear_so_far(self._turn, self._input, self.settings, now)

    def _speech_began(self, border: TurnBegan, now: float) -> None:
        """Speech after a pause belongs to the same item, unless that item is answered already."""
        self._scheduler.drop(IDLE)
        self._keys.speaks(now)
        self._take_stop_back()
        start_ms = audio_start_ms(
            self._input.at_ms(border.at_ms), self._vad_settings.prefix_padding_ms, self._last_end_ms
        )
        resumed, announced = self._turn is not None, self._turn_traits.item_added == "speech_start"
        turn = self._turn = self._turn or SpokenTurn(self._new_item(now), announced, start_ms)
        turn.end_ms = None
        if announced and not resumed:
            self._enter(turn.item)
        position_ms = start_ms if self._turn_traits.positions == "audio" else round(now * 1000)
        self._emit(facts.SpeechStarted(turn.item, position_ms, shows_item=announced and not resumed), now)
        self._interrupt(now)  # after it, as OpenAI does; xAI's order is not recorded
        scripted = self._scripted() if self._hearing.order == "script" else None
        said = None if isinstance(scripted, NotTranscribed) else words(scripted)
        if said and said != UNINTELLIGIBLE and not resumed:
            self._emit(facts.TranscriptUpdated(turn.item, said.split(" ")[0]), now)

    def _take_stop_back(self) -> None:
        """The user only paused: the turn goes on. A response that was not heard yet is dropped without an end (clients'
        live checks), and its input is answered with the rest of the turn."""
        if self.settings.turn_detection is None or not self._turn_traits.resumes:
            return
        if (waiting := self._transcripts.take_back()) is not None:
            self._turn = waiting
            self._ears.give_up(waiting.item.id)
        elif self._running is not None and self._running.turn is not None and self._running.unheard:
            self._scheduler.drop(RESPONSE)
            self._turn, self._running = self._running.turn, None
            self._ears.give_up(self._turn.item.id)
            self._pending.give_back()

    def _interrupt(self, now: float) -> None:
        """Speech over a response cuts it. In manual mode it stops without an end (clients' live checks): it ends when
        the client cancels it, or when another response begins."""
        detection = self.settings.turn_detection
        if self.dialect.traits.media and (detection is None or detection.interrupt_response):
            self._emit(facts.PlayoutCut(), now)
        if detection is None:
            self._scheduler.drop(RESPONSE)
        elif self._running_id and detection.interrupt_response:
            self._cut("turn_detected", now)

    def _speech_ended(self, border: TurnEnded, now: float) -> None:
        if self._turn is None:
            return
        self._last_end_ms = self._turn.end_ms = self._input.at_ms(border.at_ms)
        self._turn.stopped_s = now
        position_ms = self._last_end_ms if self._turn_traits.positions == "audio" else round(now * 1000)
        self._emit(facts.SpeechStopped(self._turn.item, position_ms), now)
        detection = self.settings.turn_detection
        if detection is not None:
            self._end_turn(self._input.take(), detection.create_response, now)
            self._vad_took_turn = True

    def _commit(self, command: commands.Commit, now: float) -> None:
        traits = self._turn_traits
        answers = traits.commit == "answers"
        if self.settings.turn_detection is not None and answers:
            return
        # What turn detection leaves behind a turn is silence, and not in the buffer (clients' reports).
        silent = self._vad_took_turn and self._turn is None
        if (has_ms := 0.0 if silent else self._input.buffered_ms) < traits.min_commit_ms:
            self._emit(facts.Refused("buffer_empty", event_id=command.event_id, has_ms=has_ms), now)
            return
        taken = self._input.take()
        if not taken.ms:
            self._emit(facts.Refused("buffer_empty", event_id=command.event_id), now)
        elif self._pushed is not None:
            self._answered_by_commit |= self._pushed.commit(taken, self._transcripts.recognise, now)
        elif self._turn is not None or not answers:
            self._answered_by_commit = answers
            self._end_turn(taken, answers, now)

    def _new_item(self, now: float) -> Item:
        return Item(self.dialect.ids.item(now), "message", "user", "in_progress", [Part("input_audio", is_audio=True)])

    def _end_turn(self, taken: Buffered, respond: bool, now: float) -> None:
        self._transcripts.finish(now)
        clock_ms = round(self._input.clock_ms)
        turn, self._turn = self._turn or SpokenTurn(self._new_item(now), start_ms=clock_ms - round(taken.ms)), None
        if turn.end_ms is None:
            turn.end_ms = self._last_end_ms = clock_ms
        if not turn.announced:
            self._enter(turn.item)
        turn.uncommitted = self._turn_traits.answered == "before_commit"
        if not turn.uncommitted:
            self._emit(facts.Committed(turn.item, turn.announced), now)
        turn.announced, turn.respond = True, respond
        self._transcripts.recognise(turn, taken, turn.end_ms - turn.start_ms, now)
        turn.item.heard_ms = float(turn.end_ms - turn.start_ms)
        if self.dialect.traits.items.keeps_audio and turn.item.heard_ms and len(taken.audio):
            kept = taken.audio[-round(turn.item.heard_ms * taken.rate / 1000) :]
            self.conversation.keep_audio(turn.item, encode(kept, self.settings.input_format))
        if self._turn_traits.answered != "at_once":
            self._transcripts.wait(turn, now)
            return
        self._pending.heard(turn.heard)
        turn.untranscribed = self.settings.transcribe
        if respond:
            self._answer_turn(turn, now)
        self._transcripts.start(turn, now)

    def _heard_so_far(self) -> str | None:
        """What the turn that goes on says so far, as far as it shows without a transcriber."""
        return self._ears.so_far(self._input.so_far(), self._scripted(), self.settings)

    def _scripted(self) -> HeardText | None:
        """What the responder takes the next spoken turn to say."""
        return self.responder.hear(self._pending.turns_heard)

    def _enter(self, item: Item) -> None:
        """The item of a spoken turn joins the conversation."""
        self.conversation.add(item)
        if self._turn_traits.linked == "turn":
            item.previous, self._last_spoken = self._last_spoken, item.id

    def _answer_turn(self, turn: SpokenTurn, now: float) -> None:
        """Answer a spoken turn: at once, or after a response that may not be interrupted."""
        if RESPONSE not in self._scheduler or self.settings.turn_detection is None:
            self._start_response(now, turn=turn)
        elif self._turn_traits.during_response == "queued":
            self._response_queued = True
        else:
            self._emit(facts.Refused("response_active", self._running_id), now)

    def _answer_keys(self, now: float) -> None:
        """Answer pressed keys, with the spoken turn that waits for its answer, else after the response that goes on."""
        if RESPONSE in self._scheduler:
            self._response_queued = True
        elif self._transcripts.waiting is None:
            self._start_response(now)

    def _idle(self, timeout_ms: int, now: float) -> Run:
        """The user says nothing after a response: the silent turn is committed and answered."""
        wait = silent_turn(self._context, self._input, self._running, timeout_ms, now, new_item=self._new_item)
        item, now = yield from wait
        self._start_response(now, silence=True)
        if self._turn_traits.idle_note:
            turn = SpokenTurn(item, heard=Heard(words=""), untranscribed=self.settings.transcribe)
            self._transcripts.start(turn, now)

    # Responses.

    @property
    def _running_id(self) -> str:
        """The id of the response that goes on; empty without one."""
        return self._running.response.id if self._running is not None and self._running.active else ""

    def _respond(self, command: commands.Respond, now: float) -> None:
        if (refused := refusal_of_input(command.input, command.event_id, self.conversation)) is not None:
            self._emit(refused, now)
            return
        if command.aside:
            self._asides.respond(command, self.settings, lambda turn: self.responder.reply(turn), now)
            return
        if self._answered_by_commit and self.settings.turn_detection is None:
            return
        if self.settings.turn_detection is None:
            self._transcripts.finish(now)
            if self._pushed is not None:
                self._pushed.finish(now, respond=False)
        if RESPONSE not in self._scheduler and self._transcripts.waiting is None:
            self._start_response(now, command)
        elif self.dialect.traits.responses.overlap == "replaces":
            turn = self._transcripts.hand_over()
            self._replace(now)
            self._start_response(now, command, turn=turn)
        else:
            self._emit(facts.Refused("response_active", self._running_id, command.event_id), now)

    def _replace(self, now: float) -> None:
        """Cancel the running response for another one, which answers its input if nothing is new."""
        if self._running_id:
            self._cut("client_cancelled", now)
            self._pending.restore()

    def _start_response(
        self,
        now: float,
        command: commands.Respond | None = None,
        *,
        turn: SpokenTurn | None = None,
        silence: bool = False,
    ) -> None:
        command = command or commands.Respond()
        instructions = command.instructions or self.settings.instructions
        if command.input is None:
            question = self._pending.take(instructions, silence=silence)
        else:
            items = input_items(command.input, self.conversation, self.dialect.ids, now)
            question = self._pending.of_items(items, instructions)
        response = new_response(self._context, self.settings, command, question.counts, now)
        self._response_queued = False
        if turn is not None and self._pushed is not None and self.settings.turn_detection is None:
            # What was typed meanwhile is not counted (recordings).
            question.counts.typed, question.counts.pushed = [], True

        def steps() -> Iterable[Step]:
            if turn is not None:
                self._transcripts.start(turn, now)  # none of it comes before response.created (recordings)
                if self._pushed is not None:
                    self._pushed.show_overtaken(turn, now)
            return self._context.steps(self.responder, question.turn())

        self._run(RunningResponse(self._context, response, self._pending.called, turn), steps, now, question)

    def _announce(self, command: commands.Announce, now: float) -> None:
        if RESPONSE in self._scheduler and self.dialect.traits.responses.overlap == "replaces":
            self._replace(now)
        if RESPONSE in self._scheduler:
            self._emit(facts.Refused("response_active", self._running.response.id if self._running else ""), now)
            return
        if command.item_id is not None and self.conversation.get(command.item_id) is not None:
            self._emit(facts.Refused("item_exists", command.item_id), now)
            return
        self.ledger.text_items += 1
        response = Response(self.dialect.ids.response(now), interruptible=command.interruptible, settings=self.settings)
        running = RunningResponse(self._context, response, self._pending.called, message_id=command.item_id)
        self._run(running, lambda: [Say(command.text)], now)

    def _run(
        self,
        running: RunningResponse,
        steps: Callable[[], Iterable[Step]],
        now: float,
        question: Question | None = None,
    ) -> None:
        self._scheduler.drop(IDLE)
        if self._running_id and (self._pushed is None or RESPONSE in self._scheduler):
            self._cut("turn_detected", now)  # what speech stopped in a manual turn gets no end (clients' live checks)
        self._running = running
        self._scheduler.start(RESPONSE, running.run(steps, now, question))

    def _response_ended(self, now: float) -> None:
        """A response came to its end: a queued turn is answered, or the idle time begins."""
        detection = self.settings.turn_detection
        if self._response_queued:
            self._start_response(now)
        elif detection is not None and detection.idle_timeout_ms is not None:
            self._scheduler.start(IDLE, self._idle(detection.idle_timeout_ms, now))

    def _response_closed(self, response: Response, now: float) -> None:
        """A response is over, however it ended."""
        self._asides.closed(response.id)
        self.conversation.save(now + self._snapshot_s)
        self._limits.closed(response, now)

    def _cancel(self, command: commands.Cancel, now: float) -> None:
        if self._asides.cancel(command.response_id, now):
            return
        if (running_id := self._running_id or None) is None:
            self._emit(facts.Refused("nothing_to_cancel", command.response_id or "", command.event_id), now)
        elif command.response_id not in (None, running_id):
            self._emit(facts.Refused("cancel_of_another", command.response_id or "", command.event_id), now)
        else:
            self._answered_by_commit &= self._pushed is None  # of September's service (clients' live checks)
            self._cut("client_cancelled", now)
            self._response_ended(now)

    def _cut(self, reason: Reason, now: float) -> None:
        """Close the running response with what was sent of it. What comes next is up to the caller."""
        self._scheduler.drop(RESPONSE)
        if self._running is not None:
            self._running.cut(reason, now)
