"""One response while it is given: steps in, facts out, beat by beat, and cuttable between any two. See playout.py."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

import orjson

from mockserver.audio.codecs import Encoder, encoder_for
from mockserver.audio.formats import Payload
from mockserver.audio.tts.base import Voice
from mockserver.billing.ledger import Ledger
from mockserver.billing.prices import UnknownPrice
from mockserver.dialects.base import Dialect
from mockserver.protocol.commands import Part, Settings, ToolChoice
from mockserver.protocol.conversation import Conversation, Item, Spoken
from mockserver.protocol.facts import (
    ApprovalAsked,
    AudioSent,
    CallEnded,
    CallStarted,
    Fact,
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
from mockserver.protocol.pacing import Sound, Words
from mockserver.responders.base import Call, Fail, Hosted, Pause, Responder, Say, Step, Turn
from mockserver.session.input_audio import SpokenTurn
from mockserver.session.output_audio import Speech, Unspeakable, said_again
from mockserver.session.scheduler import Run


@dataclass(frozen=True, slots=True)
class Stage:
    """What an answer needs of its session."""

    dialect: Dialect
    conversation: Conversation
    ledger: Ledger
    voice: Voice
    pacing: str
    latencies: random.Random
    emit: Callable[[Fact, float], None]
    closed: Callable[[Response, float], None]
    """A response is over, however it ended."""
    ended: Callable[[float], None]
    """An answer came to its own end."""
    left: list[Step] = field(default_factory=list)
    """What a response that ended with a call to an MCP server had yet to do."""
    asked: dict[str, list[Step]] = field(default_factory=dict)
    """Calls that wait for the client's approval, by the item that asks for it, each with what comes after it."""

    def steps(self, responder: Responder, turn: Turn) -> Iterable[Step]:
        """What a response does: what the one before left, unless something new is to be answered."""
        left = list(self.left)
        self.left.clear()
        return left if left and turn.empty else responder.reply(turn)


class Answer:
    """A response from its creation to its end."""

    def __init__(
        self,
        stage: Stage,
        response: Response,
        called: Callable[[str, str], None],
        turn: SpokenTurn | None = None,
        message_id: str | None = None,
    ) -> None:
        """`called` is told each function call's id and name. `turn` is the spoken turn that it answers by itself;
        `message_id` the client's name for the message."""
        self.response = response
        self.turn = turn
        self._called = called
        self._message_id = message_id
        self._stage = stage
        self._message: Item | None = None
        self._open: list[Item] = []
        self._calls = 0
        self._telling = False
        self._segments = 0
        self._phase = ""
        self._started_s = 0.0
        self._first_sound_s: float | None = None
        self._keeps = stage.dialect.traits.keeps_sound and not response.aside

    @property
    def active(self) -> bool:
        """Whether it still goes on."""
        return self.response.status == "in_progress"

    @property
    def unspoken(self) -> bool:
        """Whether it goes on and nothing of it was heard yet."""
        return self.active and self._first_sound_s is None and not self._calls

    def deafens(self, now: float) -> bool:
        """Whether the caller cannot speak over it: until a message that may not be interrupted has been played."""
        if self.response.interruptible:
            return False
        return self.active or now < self.played_s

    @property
    def played_s(self) -> float:
        """When a client that plays it as it comes has played it all; 0.0 without sound."""
        if self._first_sound_s is None:
            return 0.0
        return self._first_sound_s + self.response.counts.audio_seconds

    def run(self, steps: Callable[[], Iterable[Step]], settings: Settings, now: float) -> Run:
        """The whole response as a run. `steps` is called once it has started, so that it fails inside of it."""
        self._started_s = now
        self._stage.emit(ResponseStarted(self.response), now)
        at, encoder = now, encoder_for(settings.output_format)
        coming = _with_next(_joined(_allowed(steps(), settings.tool_choice)))
        for step, following in coming:
            if self._spent(settings):
                break
            match step:
                case Say():
                    last = not (isinstance(following, Say | Pause) or _is_search(following))
                    calls = isinstance(following, Call | Hosted) and last
                    self._phase = "commentary" if calls else "final_answer"
                    try:
                        for due in self._say(step, settings, encoder, at, last=last):
                            if due > at:
                                yield due
                                at = due
                    except Unspeakable as problem:
                        self._fail("unspeakable", str(problem), at)
                        return
                case Pause():
                    at += step.ms / 1000
                    if self._first_sound_s is not None:
                        self._first_sound_s += step.ms / 1000
                    yield at
                case Call():
                    self._call(step, at)
                case Hosted() if self._asks(step, settings):
                    self._ask(step, [each for each, _ in coming], at)
                    self._stage.ended(at)
                    return
                case Hosted():
                    try:
                        self._stage.ledger.hosted(step.tool, step.calls)
                    except UnknownPrice as problem:
                        self._fail("scenario_error", str(problem), at)
                        return
                    item = self._host(step, at)
                    if step.server and self._stage.dialect.traits.ends_with_mcp:
                        self._stage.left.extend(each for each, _ in coming)
                        self._end("completed", "", at)
                        self._host_answered(step, item, at)
                        self._stage.ended(at)
                        return
                    self._host_answered(step, item, at)
                case Fail():
                    self._fail(step.code, step.message, at)
                    return
        self._finish(settings, at)

    def cut(self, reason: Reason, now: float) -> None:
        """Close it as cancelled, with what was sent so far."""
        self._end("cancelled", reason, now)

    def _finish(self, settings: Settings, at: float) -> None:
        """It has said all, or as much as it may."""
        if (doom := self.response.doom) is not None:
            self.response.error = doom.error
            self._end(doom.status, doom.reason, at)
        elif self._spent(settings):
            self._end("incomplete", "max_output_tokens", at)
        else:
            self._end("completed", "", at)
        self._stage.ended(at)

    def _fail(self, code: str, message: str, at: float) -> None:
        self.response.error = f"{code}: {message}"
        self._end("failed", "failed", at)
        self._stage.ended(at)

    def _end(self, status: Status, reason: Reason, at: float) -> None:
        self._close("completed" if status == "completed" else "incomplete", at)
        self.response.status, self.response.reason = status, reason
        counts = self.response.counts
        counts.input_audio_s = float(self._stage.ledger.audio_in_s)
        if self._first_sound_s is None:
            counts.elapsed_s = at
        ended = ResponseEnded(self.response)
        self._stage.dialect.charge(ended, self._stage.ledger)
        self._stage.emit(ended, at)
        self._stage.closed(self.response, at)

    def _spent(self, settings: Settings) -> bool:
        """Whether it has told as much as it may."""
        limit = settings.max_output_tokens
        return self.response.doom is not None or (limit is not None and self.response.counts.segments >= limit)

    def _say(self, step: Say, settings: Settings, encoder: Encoder, at: float, *, last: bool) -> Iterator[float]:
        """Speak one text, the `last` of its message or not. Yields when each beat is due; the beat happens when it is
        resumed."""
        stage, traits = self._stage, self._stage.dialect.traits
        texts = [segment.text for segment in step.segments]
        texts = texts or (traits.segments(step.text) if step.audio is None else [step.text])
        if not texts:
            return
        item = self._message
        if item is None and not traits.opens_with_output:
            item = self._open_message(at)
        if item is not None and item.spoken and not texts[0][0].isspace():
            texts[0] = f" {texts[0]}"
        unit, offset_s = traits.rhythm.unit, self.response.counts.audio_seconds
        speech = Speech(texts, step, settings, stage.voice, unit, offset_s, last and not traits.rhythm.pads_end)
        base, told = self._segments, [Spoken() for _ in texts]
        self._segments += len(texts)
        plan, first = traits.plan if settings.speaks else traits.written, None
        for beat in plan(traits.rhythm, texts, speech.length, last=last):
            if self._spent(settings):
                return
            at = max(at, self._due(beat, at))
            yield at
            if self._spent(settings):
                return
            item = item or self._open_message(at)
            if first is None:
                first = len(item.spoken)
                if self._keeps:
                    form = settings.output_format
                    item.sounds.append(partial(said_again, speech.anew(), told))
                    item.bytes_per_ms = form.rate * form.bytes_per_sample / 1000
            while len(item.spoken) <= first + beat.segment:
                item.spoken.append(told[len(item.spoken) - first])
            spoken = told[beat.segment]
            if isinstance(beat, Words):
                text = texts[beat.segment] if beat.piece is None else beat.piece
                spoken.text += text
                start_s = speech.start_s(beat.segment) if beat.piece is None else 0.0
                self._tell(item, text, base + beat.segment, start_s, at, settings)
            else:
                payloads = encoder.push(speech.sound(beat.segment, beat.start, beat.stop))
                self._sound(item, spoken, payloads, base + beat.segment, settings, at)
        if item is not None:
            self._sound(item, told[-1], encoder.finish(), self._segments - 1, settings, at)

    def _due(self, beat: Words | Sound, at: float) -> float:
        """When a beat leaves, by the pacing preset."""
        if self._stage.pacing == "burst":
            return at
        traits = self._stage.dialect.traits
        begun = traits.opens_with_output and self.response.output
        if self._first_sound_s is None and not begun:
            return self._started_s + self._stage.latencies.choice(traits.rhythm.first_audio_s)
        if self._stage.pacing == "realtime":
            return max(at, self.played_s) if isinstance(beat, Sound) else at
        return at + beat.gap_s

    def _tell(self, item: Item, text: str, segment: int, start_s: float, at: float, settings: Settings) -> None:
        self.response.counts.segments += 1
        self.response.counts.runs += not self._telling
        self._telling = True
        if not item.truncated:
            item.parts = [Part("audio" if settings.speaks else "text", item.text + text, is_audio=settings.speaks)]
        self._stage.emit(WordsSent(self.response, item, text, segment, start_s), at)

    def _sound(
        self, item: Item, spoken: Spoken, payloads: list[Payload], segment: int, settings: Settings, at: float
    ) -> None:
        """Send sound at one instant. What a codec still holds is neither sent nor counted."""
        stage, counts, rate = self._stage, self.response.counts, settings.output_format.rate
        for audio, samples in payloads:
            latency, self._telling = None, False
            if self._first_sound_s is None:
                self._first_sound_s, latency = at, at - self._started_s
            spoken.ms += samples * 1000 / rate
            stage.ledger.spoke(samples, rate)
            counts.audio_seconds += samples / rate
            counts.elapsed_s = at
            fact = AudioSent(self.response, item, audio, samples / rate, segment, latency, settings.binary_output)
            stage.emit(fact, at)

    def _open_message(self, at: float) -> Item:
        item_id, self._message_id = self._message_id or self._stage.dialect.ids.item(at), None
        phase = self._phase if self._stage.dialect.traits.names_phases else ""
        item = Item(item_id, "message", "assistant", "in_progress", phase=phase)
        self._put_out(item)
        self._open.append(item)
        self._message = item
        self._stage.emit(MessageStarted(self.response, item), at)
        return item

    def _put_out(self, item: Item) -> None:
        if not self.response.aside:
            self._stage.conversation.add(item)
        self.response.output.append(item)

    def _close(self, status: Literal["completed", "incomplete"], at: float) -> None:
        """Close what is open, in the order in which it was opened."""
        items, self._open, self._message = self._open, [], None
        for item in items:
            item.status = status
            ended = MessageEnded if item.kind == "message" else CallEnded
            self._stage.emit(ended(self.response, item), at)

    def _call(self, step: Call, at: float) -> None:
        ids, together = self._stage.dialect.ids, self._stage.dialect.traits.closes_together
        self._message = None
        if not together:
            self._close("completed", at)
        arguments = _written(step.arguments)
        item = Item(ids.item(at), "call", status="in_progress", call_id=ids.call(self._calls), name=step.name)
        self._calls += 1
        self._called(item.call_id, item.name)
        self._put_out(item)
        self._open.append(item)
        self._stage.emit(CallStarted(self.response, item, arguments), at)
        item.arguments = arguments
        if not together:
            self._close("completed", at)

    def _host(self, step: Hosted, at: float) -> Item:
        """The service calls a tool by itself. A search leaves no item and does not part what is said around it."""
        traits, arguments = self._stage.dialect.traits, _written(step.arguments)
        if not step.server:
            item = Item("", "hosted", status="in_progress", name=step.tool)
        else:
            self._message = None
            if not traits.closes_together:
                self._close("completed", at)
            ids = self._stage.dialect.ids
            item = Item(ids.item(at), "hosted", status="in_progress", name=step.name, server=step.server)
            item.call_id, item.request_id = ids.call(self._calls), step.request_id
            self._calls += 1
            if traits.keeps_hosted:
                self._put_out(item)
        self._stage.emit(HostedStarted(self.response, item, arguments), at)
        item.arguments = arguments
        return item

    def _asks(self, step: Hosted, settings: Settings) -> bool:
        """Whether the client wants to be asked before this call, and was not yet."""
        server = next((each for each in settings.servers if each.label == step.server), None)
        return bool(step.server and server and server.asks_for(step.name) and not step.request_id)

    def _ask(self, step: Hosted, then: list[Step], at: float) -> None:
        """End the response with the question whether a call may be made."""
        self._message = None
        item = Item(self._stage.dialect.ids.item(at), "request", name=step.name, server=step.server)
        item.arguments = _written(step.arguments)
        self._put_out(item)
        self._stage.emit(ApprovalAsked(self.response, item), at)
        self._stage.asked[item.id] = [step, *then]
        self._end("completed", "", at)

    def _host_answered(self, step: Hosted, item: Item, at: float) -> None:
        item.status = "incomplete" if step.error else "completed"
        item.output, item.error = "" if step.result is None else _written(step.result), step.error or ""
        self._stage.emit(HostedEnded(self.response, item), at)


def _written(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _allowed(steps: Iterable[Step], choice: ToolChoice) -> Iterable[Step]:
    """Without the calls that the client does not allow. One that it demands is not made up."""

    def fits(step: Step) -> bool:
        match step:
            case Call(name):
                return choice.kind == "function" and choice.name == name
            case Hosted():
                fitting = choice.server == step.server and choice.name in ("", step.name)
                return choice.kind == "server" and fitting
            case _:
                return True

    return steps if choice.kind == "any" else filter(fits, steps)


def _is_search(step: Step | None) -> bool:
    return isinstance(step, Hosted) and not step.server


def _joined(steps: Iterable[Step]) -> Iterator[Step]:
    """Texts that follow each other in one voice are one text."""
    held: Say | None = None
    for step in steps:
        if isinstance(step, Say) and held is not None and _alike(held, step):
            held = replace(held, text=f"{held.text.rstrip()} {step.text.lstrip()}")
            continue
        if held is not None:
            yield held
        held = step if isinstance(step, Say) else None
        if held is None:
            yield step
    if held is not None:
        yield held


def _alike(one: Say, other: Say) -> bool:
    made = one.audio is other.audio is None and not (one.segments or other.segments)
    return made and (one.voice, one.speed) == (other.voice, other.speed)


def _with_next(steps: Iterator[Step]) -> Iterator[tuple[Step, Step | None]]:
    """Each step with the one that follows it."""
    step = next(steps, None)
    while step is not None:
        following = next(steps, None)
        yield step, following
        step = following
