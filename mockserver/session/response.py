"""A response while it runs: steps in, facts out, piece by piece of output. It can be cut between any two pieces."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal

import orjson
from typing_extensions import assert_never

from mockserver.audio.codecs import Encoder, encoder_for
from mockserver.dialects.base import Templated, templated
from mockserver.protocol.commands import Part
from mockserver.protocol.conversation import Item, SpokenSegment, ToolError
from mockserver.protocol.facts import (
    ApprovalRequested,
    AudioSent,
    CallEnded,
    CallStarted,
    EarlyEnd,
    Failure,
    HostedEnded,
    HostedStarted,
    MessageEnded,
    MessageStarted,
    Reason,
    Response,
    ResponseEnded,
    ResponseStarted,
    Status,
    WordsSent,
)
from mockserver.protocol.pacing import PacedAudio, PacedText
from mockserver.protocol.requests import (
    ChatCall,
    ChatEnded,
    ChatText,
    Complete,
    Failed,
    ToolAnswered,
    ToolsFound,
    Transcribed,
)
from mockserver.responders.base import Call, Chat, Fail, Hosted, Pause, Say, Step
from mockserver.session.chat import choice, functions, messages, sentences, with_servers
from mockserver.session.context import SessionContext
from mockserver.session.input_audio import SpokenTurn
from mockserver.session.output_audio import Speech, Unspeakable, audio_of
from mockserver.session.pending_input import Question
from mockserver.session.rehearsal import Rehearsal
from mockserver.session.scheduler import Run
from mockserver.session.score import Score, Sound, WholeMessage, Words, sound_of
from mockserver.session.steps import Agenda, allowed, joined
from mockserver.session.transcription import known
from replay.billing.prices import UnknownPrice

MOST_ROUNDS = 8
"""Answers of the language model in one response: more than one if it calls tools of MCP servers."""


class ChatFailure(Exception):
    """The language model did not answer."""


class RunningResponse:
    """A response from its creation to its end."""

    def __init__(
        self,
        session: SessionContext,
        response: Response,
        called: Callable[[str, str], None],
        turn: SpokenTurn | None = None,
        message_id: str | None = None,
    ) -> None:
        """`called` is given the id and name of each function call. `turn` is the spoken turn that is answered without
        a request of the client. `message_id` is the client's id for the message."""
        self.response = response
        self.turn = turn
        self._called = called
        self._message_id = message_id
        self._session = session
        self._traits = session.dialect.traits.responses
        self._message: Item | None = None
        self._open: list[Item] = []
        self._calls = 0
        self._in_text_run = False
        self._segments = 0
        self._phase = ""
        self._full = False
        """The next piece of output would exceed the limit of output tokens."""
        self._started_s = 0.0
        self._first_audio_s: float | None = None
        self._instructions = ""
        self._rounds = 0
        self._chat_at = 0.0
        self._keeps_audio = session.dialect.traits.items.keeps_audio and not response.aside

    @property
    def active(self) -> bool:
        """Whether it still goes on."""
        return self.response.status == "in_progress"

    @property
    def unheard(self) -> bool:
        """Whether it goes on, and has sent neither audio nor a call yet."""
        return self.active and self._first_audio_s is None and not self._calls

    def blocks_speech(self, now: float) -> bool:
        """Whether the user cannot speak over it: until a message that may not be interrupted has been played."""
        if self.response.interruptible:
            return False
        return self.active or now < self.played_s

    @property
    def _asked_s(self) -> float:
        """The instant from which the service counts the latency."""
        stopped_s = None if self.turn is None or self._traits.latency == "start" else self.turn.stopped_s
        return self._started_s if stopped_s is None else stopped_s

    @property
    def played_s(self) -> float:
        """When a client that plays audio as it arrives has played all of it; 0.0 without audio."""
        if self._first_audio_s is None:
            return 0.0
        return self._first_audio_s + self.response.counts.audio_seconds

    def run(self, steps: Callable[[], Iterable[Step]], now: float, question: Question | None = None) -> Run:
        """The whole response as a run. `steps` is called once the response has started, so that it may fail in it, and
        once the words of the question are known."""
        session, settings, at = self._session, self.response.settings, now
        self._started_s = now
        session.emit(ResponseStarted(self.response), now)
        if question is not None:
            self._instructions = question.instructions
            at = yield from known(question.heard, at)
        encoder = encoder_for(settings.output_format)
        if not self.response.aside:
            at = yield from session.servers.settled(at)
        coming = Agenda(joined(allowed(steps(), settings.tool_choice), self._traits.phases))
        if session.breath_s:
            at += session.breath_s
            yield at
        before: Step | None = None
        for step in coming:
            if self._must_end:
                break
            previous, before = before, step
            match step:
                case Say():
                    if self._opens_message(previous, step):
                        self._leave_message(at)
                    # A search has no item as a rule: texts around it belong to one message.
                    following = coming.following()
                    search = isinstance(following, Hosted) and not (following.server or self._shows(following))
                    another = isinstance(following, Say) and self._opens_message(step, following)
                    last = another or not (isinstance(following, Say | Pause) or search)
                    goes_on = another or (isinstance(following, Call | Hosted) and last)
                    self._phase = step.phase or ("commentary" if goes_on else "final_answer")
                    try:
                        at = yield from self._say(step, encoder, at, last=last, ends=following is None)
                    except Unspeakable as problem:
                        self._fail(Failure("unspeakable", str(problem)), at)
                        return
                case Pause():
                    at += step.ms / 1000
                    if self._first_audio_s is not None:
                        self._first_audio_s += step.ms / 1000
                    yield at
                case Call():
                    self._call(step, at)
                case Hosted():
                    server = next((each for each in settings.servers if each.label == step.server), None)
                    if step.server and server and server.needs_approval(step.name) and not step.request_id:
                        self._request_approval(step, coming, at)
                        session.ended(at)
                        return
                    try:
                        session.ledger.hosted(step.tool, step.calls)
                    except UnknownPrice as unpriced:
                        self._fail(Failure("scenario_error", str(unpriced)), at)
                        return
                    item = self._host(step, at)
                    if step.server and session.dialect.traits.items.mcp == "items":
                        session.unfinished.append(coming)
                        self._end("completed", "", at)
                        session.servers.finish_later(item, self._answer(step, item, at))
                        session.ended(at)
                        return
                    at = yield from self._answer(step, item, at)
                case Fail():
                    self._fail(Failure(step.code, step.message, step.type), at)
                    return
                case Chat():
                    try:
                        at, then = yield from self._chat(step, encoder, at)
                    except (Unspeakable, ChatFailure) as failure:
                        code = "unspeakable" if isinstance(failure, Unspeakable) else "server_error"
                        self._fail(Failure(code, str(failure)), self._chat_at)
                        return
                    coming.put_first(then)
                case _:
                    assert_never(step)
        if (early := self.response.early_end) is not None:
            self.response.error = early.error
            self._end(early.status, early.reason, at)
        elif self._must_end:
            self._end("incomplete", "max_output_tokens", at)
        else:
            self._end("completed", "", at)
        session.ended(at)

    def cut(self, reason: Reason, now: float) -> None:
        """Close it as cancelled, with what was sent so far."""
        self._end("cancelled", reason, now)
        if reason == "client_cancelled" and self._session.dialect.traits.items.cancelled == "removed":
            for item in self.response.output:
                self._session.conversation.remove(item.id)

    def _fail(self, failure: Failure, at: float) -> None:
        self.response.error = failure
        self._end("failed", "failed", at)
        self._session.ended(at)

    def _end(self, status: Status, reason: Reason, at: float) -> None:
        self._close("completed" if status == "completed" else "incomplete", at)
        self.response.status, self.response.reason = status, reason
        counts = self.response.counts
        counts.input_audio_s = float(self._session.ledger.audio_in_s)
        counts.output_audio_s = float(self._session.ledger.audio_out_s)
        if self._first_audio_s is None:
            counts.elapsed_s = at
        ended = ResponseEnded(self.response)
        self._session.dialect.charge(ended, self._session.ledger)
        self._session.emit(ended, at)
        self._session.closed(self.response, at)

    @property
    def _must_end(self) -> bool:
        """Whether it ends early, or has sent as much as it may."""
        limit = self.response.settings.max_output_tokens
        return self.response.early_end is not None or (limit is not None and (self._full or self._room(limit) <= 0))

    def _room(self, limit: int, texts: int = 0, runs: int = 0) -> int:
        """How many tokens it may still send after so many further texts in so many further runs."""
        counted = self._traits.counted_output
        counts = self.response.counts
        return limit - (counts.segments + texts if counted is None else counted(self.response, texts, runs))

    def _fitting(self, piece: PacedText | PacedAudio) -> PacedText | PacedAudio | None:
        """As much of a piece as the limit of output tokens leaves room for; None if that is nothing."""
        limit = self.response.settings.max_output_tokens
        if limit is None:
            return piece
        if isinstance(piece, PacedText):
            self._full = self._room(limit, 1, int(not self._in_text_run)) < 0
            return None if self._full else piece
        if self._traits.counted_output is None:
            return piece
        fits = self._room(limit) * self._traits.rhythm.unit  # a token of audio is a unit of it
        self._full = fits < piece.stop - piece.start
        if not self._full:
            return piece
        return PacedAudio(piece.gap_s, piece.segment, piece.start, piece.start + fits)

    def _opens_message(self, before: Step | None, step: Say) -> bool:
        """Whether a text opens a message of its own: as its step says, else after a text where messages have phases."""
        return step.item == "new" or (step.item == "" and self._traits.phases and isinstance(before, Say))

    def _chat(self, step: Chat, encoder: Encoder, at: float) -> Generator[float, None, tuple[float, list[Step]]]:
        """Let the language model answer: each sentence is spoken once the next one has begun. Returns the instant at
        which it is over, and the steps that follow: its calls to MCP servers, then the model again. Raises
        ChatFailure."""
        session, settings, self._chat_at = self._session, self.response.settings, at
        self._rounds += 1
        if self._rounds > MOST_ROUNDS:
            raise ChatFailure(f"The model called tools in {MOST_ROUNDS} answers on end.")
        items = session.servers.with_calls(self.response.counts.context or session.conversation)
        instructions = "\n\n".join(filter(None, (self._instructions, step.instructions)))
        said = messages(items, instructions, session.words())
        own, allows = functions(settings.declared), settings.tool_choice
        offered = session.servers.offered(settings.servers, allows, own)
        chosen, tools = choice(allows, offered, self._rounds), with_servers(own, offered, allows)
        asked = session.requests.ask(lambda id: Complete(id, said, tools, chosen, settings.max_output_tokens))
        then: list[Step] = []
        text, cut, over, calls = "", False, False, self._calls
        try:
            while not over and not self._must_end:
                at, result = yield from asked.next(at)
                complete: list[str] = []
                called: Call | None = None
                match result:
                    case ChatText():
                        complete, text = sentences(text + result.text)
                    case ChatCall() if (tool := offered.get(result.name)) is not None:
                        complete, text = [text], ""
                        then.append(Hosted("mcp", result.arguments, server=tool.server, name=tool.tool.name))
                    case ChatCall():
                        complete, text, called = [text], "", Call(result.name, result.arguments)
                    case ChatEnded():
                        complete, text, cut, over = [text], "", result.cut, True
                    case Failed():
                        self._chat_at = at
                        raise ChatFailure("The model could not answer.")
                    case Transcribed() | ToolsFound() | ToolAnswered():
                        raise AssertionError(result)
                    case _:
                        assert_never(result)
                for each in filter(str.strip, complete):
                    self._phase = "commentary" if called or then else "final_answer"
                    at = yield from self._say(Say(each.strip()), encoder, at, last=called is not None or over)
                if called is not None:
                    self._call(called, at)
        finally:
            session.requests.withdraw(asked)
        if cut:
            self.response.early_end = EarlyEnd("incomplete", "max_output_tokens")
        # The result of a function comes before a later response: then the model goes on there.
        return at, [*then, step] if then and self._calls == calls else then

    def _say(
        self, step: Say, encoder: Encoder, at: float, *, last: bool, ends: bool = False
    ) -> Generator[float, None, float]:
        """Speak one text in its time, the `last` of its message or not; returns when it is over. `ends`: nothing comes
        after it. Raises Unspeakable."""
        session, settings, traits = self._session, self.response.settings, self._traits
        follows = self._message is not None and bool(self._message.spoken)
        offset_s = self.response.counts.audio_seconds
        line = session.scores.line(step, settings, traits, session.voice, offset_s, follows=follows, last=last)
        speech, texts = line.speech, line.speech.texts
        if not texts:
            return at
        if ends and line.score is not None and (whole := self._whole(step, line.score)) is not None:
            self._send_whole(*whole, speech, at)
            return at
        item = self._message
        if item is None and traits.output == "one_by_one":
            if (due := self._message_due(at)) > at:
                at = due
                yield at
            item = self._open_message(at)
        base, sent = self._segments, [SpokenSegment() for _ in texts]
        self._segments += len(texts)
        first, opening_s = None, None if self._must_end else self._opening_s()
        if opening_s is not None:
            if settings.speaks and line.score is None:
                speech.prepare(0)
            if opening_s > at:
                at = opening_s
                yield at
        for piece, written in line.notes:
            if self._must_end:
                return at
            due_s, opening_s = self._due(piece, at) if opening_s is None else opening_s, None
            if due_s > at:
                at = due_s
                yield at
                if self._must_end:
                    return at
            if (fitting := self._fitting(piece)) is None:
                return at
            piece = fitting
            if item is None:
                item = self._open_message(at)
            if first is None:
                first = len(item.spoken)
                if self._keeps_audio:
                    self._keep_audio(item, speech, sent)
            while len(item.spoken) <= first + piece.segment:
                item.spoken += (sent[len(item.spoken) - first],)
            segment = sent[piece.segment]
            match written or line.made(piece, encoder):
                case Words() as words:
                    segment.text += words.text
                    self._send_text(item, words, base + piece.segment, at)
                case Sound() as sound:
                    self._send_audio(item, segment, sound, base + piece.segment, at)
                case _ as never:
                    assert_never(never)
        session.scores.said(line)
        if item is not None and line.score is None:
            self._send_audio(item, sent[-1], sound_of(encoder.finish()), self._segments - 1, at)
        return at

    def _whole(self, step: Say, score: Score) -> tuple[WholeMessage, Templated] | None:
        """The text as the whole answer, and what fills it in; None if it is said piece by piece."""
        session, response = self._session, self.response
        if session.pacing != "burst" or response.output or response.aside or response.settings.binary_output:
            return None
        if self._must_end or not session.joins():
            return None
        service = templated(session.dialect)
        if service is None or not service.fits(session.conversation.last_id):
            return None
        whole = score.whole(session.dialect.name, step.phase, lambda: self._rehearsed(step, service))
        return None if whole is None else (whole, service)

    def _rehearsed(self, step: Say, service: Templated) -> WholeMessage:
        rehearsal = Rehearsal(self._session, service, self.response.settings)
        running = RunningResponse(rehearsal.session, rehearsal.response, self._called)
        for _ in running.run(lambda: [step], 0.0):
            raise AssertionError("a rehearsal waits for nothing")
        return rehearsal.message()

    def _send_whole(self, whole: WholeMessage, service: Templated, speech: Speech, at: float) -> None:
        """Send the whole answer at one instant."""
        session, counts = self._session, self.response.counts
        item = self._new_message(at)
        item.status, item.parts, item.spoken = "completed", list(whole.parts), whole.spoken
        if self._keeps_audio:
            self._keep_audio(item, speech, whole.spoken)
        for rate, samples in whole.samples.items():
            session.ledger.spoke(samples, rate)
            self._first_audio_s = counts.elapsed_s = at
        counts.segments, counts.runs, counts.audio_seconds = whole.segments, whole.runs, whole.audio_seconds
        session.send(service.filled(whole.template, self.response, item, at, at - self._asked_s), at)

    def _keep_audio(self, item: Item, speech: Speech, spoken: Sequence[SpokenSegment]) -> None:
        form = self.response.settings.output_format
        item.audio_parts += (partial(audio_of, speech.copy(), spoken),)
        item.bytes_per_ms = form.rate * form.bytes_per_sample / 1000

    def _opening_s(self) -> float | None:
        """When the first piece of a response leaves, by the pacing preset; None once something has left."""
        begun = self._traits.output == "together" and self.response.output
        if self._session.pacing == "burst" or self._first_audio_s is not None or begun:
            return None
        return self._started_s + self._session.latencies.rng.choice(self._traits.rhythm.first_audio_s)

    def _due(self, piece: PacedText | PacedAudio, at: float) -> float:
        """When a piece leaves, by the pacing preset."""
        if self._session.pacing == "burst":
            return at
        if (opening_s := self._opening_s()) is not None:
            return opening_s
        if self._session.pacing == "realtime":
            return max(at, self.played_s) if isinstance(piece, PacedAudio) else at
        return at + piece.gap_s

    def _send_text(self, item: Item, words: Words, segment: int, at: float) -> None:
        speaks = self.response.settings.speaks
        self.response.counts.segments += 1
        self.response.counts.runs += not self._in_text_run
        self._in_text_run = True
        if not item.truncated:
            item.parts = [Part("audio" if speaks else "text", item.text + words.text, is_audio=speaks)]
        self._session.emit(WordsSent(self.response, item, words.text, segment, words.start_s), at)

    def _send_audio(self, item: Item, spoken: SpokenSegment, sound: Sound, segment: int, at: float) -> None:
        """Send audio at one instant. What the encoder still holds is neither sent nor counted."""
        session, counts, settings = self._session, self.response.counts, self.response.settings
        rate = settings.output_format.rate
        for audio, samples in sound.messages:
            latency, self._in_text_run = None, False
            if self._first_audio_s is None:
                self._first_audio_s, latency = at, at - self._asked_s
            spoken.ms += samples * 1000 / rate
            session.ledger.spoke(samples, rate)
            counts.audio_seconds += samples / rate
            counts.elapsed_s = at
            fact = AudioSent(self.response, item, audio, samples / rate, segment, latency, settings.binary_output)
            session.emit(fact, at)

    def _new_message(self, at: float) -> Item:
        item_id, self._message_id = self._message_id or self._session.dialect.ids.item(at), None
        phase = self._phase if self._traits.phases else ""
        item = Item(item_id, "message", "assistant", "in_progress", phase=phase)
        self._put_out(item)
        return item

    def _open_message(self, at: float) -> Item:
        item = self._new_message(at)
        self._open.append(item)
        self._message = item
        self._session.emit(MessageStarted(self.response, item), at)
        return item

    def _message_due(self, at: float) -> float:
        """When a message opens that is to come next: the first one of a response later than the response."""
        delays_s = self._traits.rhythm.message_s
        if self._session.pacing == "burst" or not delays_s or self.response.output:
            return at
        return max(at, self._started_s + self._session.latencies.rng.choice(delays_s))

    def _put_out(self, item: Item) -> None:
        if not self.response.aside:
            self._session.conversation.add(item)
        self.response.output.append(item)

    def _leave_message(self, at: float) -> None:
        """What comes next is not part of the message so far, which closes here if items close one by one."""
        self._message = None
        if self._traits.output == "one_by_one":
            self._close("completed", at)

    def _close(self, status: Literal["completed", "incomplete"], at: float) -> None:
        """Close what is open, in the order in which it was opened."""
        items, self._open, self._message = self._open, [], None
        for item in items:
            item.status = status
            ended = MessageEnded if item.kind == "message" else CallEnded
            self._session.emit(ended(self.response, item), at)

    def _call(self, step: Call, at: float) -> None:
        item = self._start_call("call", step.name, _as_text(step.arguments), at)
        self._called(item.call_id, item.name)

    def _start_call(self, kind: Literal["call", "hosted"], name: str, arguments: str, at: float) -> Item:
        """A call of a function as an item of the output, whole at once: the client's to answer, or `hosted`."""
        self._leave_message(at)
        ids = self._session.dialect.ids
        item = Item(ids.item(at), kind, status="in_progress", call_id=ids.call(self._calls), name=name)
        self._calls += 1
        self._put_out(item)
        self._open.append(item)
        self._session.emit(CallStarted(self.response, item, arguments), at)
        item.arguments = arguments
        self._leave_message(at)
        return item

    def _shows(self, step: Hosted) -> bool:
        """Whether a hosted tool shows as a call of a function. OpenAI has items of its own for its tools."""
        return bool(step.events) and self._session.dialect.traits.items.mcp == "events"

    def _host(self, step: Hosted, at: float) -> Item:
        """Start a call that the service makes itself. Searches have no item, unless they show as calls of functions."""
        arguments = _as_text(step.arguments)
        if self._shows(step):
            return self._start_call("hosted", step.name or step.tool, arguments, at)
        if not step.server:
            item = Item("", "hosted", status="in_progress", name=step.tool)
        else:
            self._leave_message(at)
            ids = self._session.dialect.ids
            item = Item(ids.item(at), "hosted", status="in_progress", name=step.name, server=step.server)
            item.call_id, item.request_id = ids.call(self._calls), step.request_id
            self._calls += 1
            if self._session.dialect.traits.items.mcp == "items":
                self._put_out(item)
            else:
                self._session.servers.keep(item)
        self._session.emit(HostedStarted(self.response, item, arguments), at)
        item.arguments = arguments
        return item

    def _answer(self, step: Hosted, item: Item, at: float) -> Generator[float, None, float]:
        """Complete a call that the service makes itself: with what a server answers, or with what the step says."""
        session = self._session
        if step.server and session.servers.live:
            at, answer = yield from session.servers.call(item, self.response.settings.servers, at)
            item.output, item.error = answer.output, answer.error
        else:
            item.output = "" if step.result is None else _as_text(step.result)
            item.error = ToolError(step.error) if step.error else None
        item.status = "incomplete" if item.error else "completed"
        if step.answered is not None:
            step.answered({"error": item.error.message} if item.error else item.output)
        session.emit(HostedEnded(self.response, item), at)
        return at

    def _request_approval(self, step: Hosted, then: Iterator[Step], at: float) -> None:
        """End the response with the question whether a call may be made."""
        self._message = None
        item = Item(self._session.dialect.ids.item(at), "request", name=step.name, server=step.server)
        item.arguments = _as_text(step.arguments)
        self._put_out(item)
        self._session.emit(ApprovalRequested(self.response, item), at)
        self._session.awaiting_approval[item.id] = (step, then)
        self._end("completed", "", at)


def _as_text(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()
