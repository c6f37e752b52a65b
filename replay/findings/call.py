"""One connection as far as its frames tell: configuration, tools, responses, items, what plays and what was heard.

The rules ask it; it judges nothing. Everything that grows is bounded, for a call may last for hours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from replay.findings.sound import Sound

if TYPE_CHECKING:
    from replay.cassette.records import Way
    from replay.findings.visits import Visit

Event = dict[str, Any]
NOTHING: Event = {}
"""Not to be changed."""

OPENED, TICK, CLOSED = "(opened)", "(tick)", "(closed)"
"""Steps that are no frames: the handshake, time passing, the end."""
APPEND = "input_audio_buffer.append"
COMMITS = ("input_audio_buffer.commit", "conversation.item.commit")
DELTA = "response.output_audio.delta"
_HUGE = 1e15
MOST = 500
"""Calls, items and texts remembered, each; the oldest go first."""


class Step(NamedTuple):
    """One thing that happened, as an event or as OPENED, TICK, CLOSED. `number` is its frame, counted from 0."""

    at: float
    way: Way
    type: str
    event: Event = NOTHING
    number: int = 0

    @property
    def item(self) -> Event:
        """The item of an event that has one."""
        item = self.event.get("item")
        return item if isinstance(item, dict) else NOTHING


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a connection was asked for. Values of credentials are not kept, only what they are."""

    query: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    beta: str | None = None
    offered: tuple[str, ...] = ()
    """Kinds of credential where only browsers put them: `secret` or `key`."""
    secrets: tuple[str, ...] = ()
    """Query parameters that hold a credential, by name."""
    who: str = ""
    """The same for the same client."""


@dataclass(slots=True)
class ToolCall:
    """A function call that the service asked for, or that the client put into the history."""

    id: str
    name: str
    arguments: str
    at: float
    number: int
    awaited: bool = True
    """The model waits for its result: the client did not seed it, and its response was not cut off."""
    output: str | None = None
    answered_at: float = 0.0
    answered_number: int = 0
    response: int = 0
    """Which response asked for it, counted from 1."""


@dataclass(slots=True)
class Spoken:
    """An assistant's item while it is spoken: how much of it was sent, since when, in how many messages."""

    id: str
    first_at: float
    seconds: float = 0.0
    deltas: int = 0


@dataclass(slots=True)
class Pending:
    """A client's request whose answer is awaited."""

    at: float
    number: int
    event: Event


def part(value: object, *path: str) -> Event:
    """What stands at a path of nested objects; empty where there is no object."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else NOTHING


def objects(value: object) -> list[Event]:
    """The objects of a list; nothing of anything else."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text(value: object) -> str:
    """A string, or an empty one for anything else."""
    return value if isinstance(value, str) else ""


def number(value: object) -> float | None:
    """A number, or None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(min(max(value, -_HUGE), _HUGE))


def remember(kept: dict[str, Any], key: str, value: object) -> None:
    """Keep a value; the oldest goes."""
    kept[key] = value
    if len(kept) > MOST:
        del kept[next(iter(kept))]


class Call:
    """What is known of one connection. `timed` tells whether the steps' times mean anything."""

    def __init__(
        self,
        service: str | None,
        handshake: Handshake,
        *,
        timed: bool = True,
        write_tools: tuple[str, ...] | None = None,
    ) -> None:
        self.service: Literal["xai", "openai"] | None = (
            "xai" if (service or "").startswith("xai") else "openai" if (service or "").startswith("openai") else None
        )
        self.handshake = handshake
        self.timed = timed
        # Configuration.
        self.update: Pending | None = None
        """The latest session.update, until it is answered."""
        self.update_refused: Pending | None = None
        self.updates = 0
        self.configured_at: float | None = None
        self.detection: Event = NOTHING
        self.vad = False
        """The service finds the turns."""
        self.sound = Sound()
        # Tools.
        self.write_tools = write_tools
        """Patterns of those that change something; None where nobody said so."""
        self.calls: dict[str, ToolCall] = {}
        self.results: list[ToolCall] = []
        """Answered since the last response began or was asked for."""
        self.continues = False
        """A result was sent since then, be it for a call that is known."""
        self.continued = False
        """The response that was asked for goes on after a result."""
        # Responses.
        self.responses = 0
        self.turns = 0
        """Responses, but for those that go on after a tool's result."""
        self.active: str | None = None
        """The id of the response that is being given."""
        self.active_since = 0.0
        self.done_at = 0.0
        self.asked: Pending | None = None
        """A response.create that was not answered yet."""
        self.fresh = 0
        """Inputs since the last response was asked for or began."""
        self.committed = False
        """The last of them is a commit by hand."""
        # Sound.
        self.plays_until = 0.0
        self.spoken: dict[str, Spoken] = {}
        self.speaking: Spoken | None = None
        self.speech_at: float | None = None
        """Since when the caller speaks, as the service says."""
        self.stopped: tuple[float, float] | None = None
        """When speech stopped last: the step's time, and milliseconds of audio."""
        # Items and errors.
        self.errors: dict[str, int] = {}
        self.heard: dict[str, list[str]] = {}
        """Readings of the caller's words, by item."""
        self.billable: list[float] = []
        """`billable_audio_seconds` of each response: running totals."""
        self.last_error: Event = NOTHING
        self.early_appends = 0
        """Messages of audio before the latest session.update."""
        self.conversation = ""
        # Other connections.
        self.opened = 0.0
        """On the clock that they share."""
        self.earlier: tuple[Visit, ...] = ()

    @property
    def resumed(self) -> bool:
        return "conversation_id" in self.handshake.query

    @property
    def microphone(self) -> bool:
        """The client streams as a microphone does."""
        return self.timed and self.vad and self.sound.streamed_s > 2.0

    def playing(self, at: float) -> float:
        """Seconds of the answer that a client which plays it has still before it."""
        return max(0.0, self.plays_until - at) if self.timed else 0.0

    def call_of(self, call_id: str) -> ToolCall | None:
        """By its id, or by the 32 digits that some clients make of a long one."""
        if (known := self.calls.get(call_id)) is not None or len(call_id) != 32:
            return known
        return next((call for id, call in self.calls.items() if shortened(id) == call_id), None)

    def take(self, step: Step) -> None:
        """Fold a step in. The rules have seen it before."""
        if (fold := _FOLDS[step.way].get(step.type)) is not None:
            fold(self, step)

    def close(self) -> None:
        """Let go of what only mattered while it went on."""
        self.calls.clear()
        self.spoken.clear()
        self.errors.clear()
        self.results, self.speaking, self.asked, self.update = [], None, None, None
        self.sound = Sound()

    def sounded(self, at: float, seconds: float) -> None:
        """A piece of the answer's sound came."""
        self.plays_until = max(at, self.plays_until) + seconds
        if self.speaking is not None:
            if not self.speaking.deltas:
                self.speaking.first_at = at
            self.speaking.seconds += seconds
            self.speaking.deltas += 1


def shortened(call_id: str) -> str:
    """How LiveKit sends back an id that is longer than OpenAI takes."""
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:32]


# What each step changes. One function a type.


def _created(call: Call, step: Step) -> None:
    session = part(step.event, "session")
    _effective(call, session)
    call.service = call.service or ("openai" if text(step.event.get("event_id")).startswith("event_") else "xai")


def _effective(call: Call, session: Event) -> None:
    detection = session.get("turn_detection", part(session, "audio", "input").get("turn_detection", call.detection))
    call.detection = detection if isinstance(detection, dict) else NOTHING
    call.vad = bool(text(call.detection.get("type")))
    call.sound.configure(part(session, "audio"))


def _update(call: Call, step: Step) -> None:
    call.update, call.updates = Pending(step.at, step.number, step.event), call.updates + 1
    call.update_refused, call.early_appends = None, call.sound.appends
    call.fresh += 1


def _updated(call: Call, step: Step) -> None:
    _effective(call, part(step.event, "session"))
    call.update = call.update_refused = None
    call.configured_at = step.at if call.configured_at is None else call.configured_at


def _item_sent(call: Call, step: Step) -> None:
    item = step.item
    match item.get("type"):
        case "function_call_output":
            _answered(call, step, item)
            call.fresh += 1
            call.continues = True
        case "function_call":
            _called(call, step, item, awaited=False)
        case "force_message":
            pass
        case _ if item.get("role") != "assistant":
            call.fresh += 1
            call.committed = False


def said_in(item: Event) -> str:
    """The words of a message, a result or a call."""
    parts = objects(item.get("content"))
    words = [text(each.get("text")) or text(each.get("transcript")) for each in parts]
    return " ".join(word for word in (*words, text(item.get("output"))) if word)


def _answered(call: Call, step: Step, item: Event) -> None:
    known = call.call_of(text(item.get("call_id")))
    if known is not None and known.output is None:
        known.output, known.answered_at, known.answered_number = text(item.get("output")), step.at, step.number
        if known.awaited:
            call.results = [*call.results[-MOST:], known]


def _called(call: Call, step: Step, item: Event, awaited: bool = True) -> None:
    call_id = text(item.get("call_id"))
    known = call.calls.get(call_id)
    arguments = text(item.get("arguments"))
    if known is not None:
        known.name, known.arguments = known.name or text(item.get("name")), known.arguments or arguments
    elif call_id:
        made = ToolCall(call_id, text(item.get("name")), arguments, step.at, step.number, awaited)
        made.response = call.responses
        remember(call.calls, call_id, made)


def _arguments_done(call: Call, step: Step) -> None:
    _called(call, step, step.event)


def _output_added(call: Call, step: Step) -> None:
    item = step.item
    if item.get("type") == "message":
        call.speaking = Spoken(text(item.get("id")), step.at)
        remember(call.spoken, call.speaking.id, call.speaking)


def _asked_response(call: Call, step: Step) -> None:
    if part(step.event, "response").get("conversation") != "none":
        call.asked, call.fresh, call.committed = Pending(step.at, step.number, step.event), 0, False
        call.continued = call.continues
        call.results, call.continues = [], False


def _begun(call: Call, step: Step) -> None:
    response = part(step.event, "response")
    if call.service == "openai" and response.get("conversation_id", "") is None:
        return
    call.active, call.active_since, call.asked = text(response.get("id")), step.at, None
    call.responses += 1
    call.turns += not (call.continued or call.continues)
    call.continued = False
    call.fresh = 0
    call.results, call.continues = [], False


def _done(call: Call, step: Step) -> None:
    response = part(step.event, "response")
    for item in objects(response.get("output")):
        if item.get("type") == "function_call":
            _called(call, step, item)
    if response.get("status") in ("cancelled", "failed", "incomplete"):
        _withdraw(call)
    if call.active == text(response.get("id")):
        call.active, call.done_at = None, step.at
    seconds = number(part(step.event, "usage").get("billable_audio_seconds"))
    if seconds is not None and len(call.billable) < MOST:
        call.billable.append(seconds)


def _withdraw(call: Call) -> None:
    """Nobody waits for the results of a response that was cut off."""
    for known in call.calls.values():
        if known.response == call.responses and known.output is None:
            known.awaited = False


def _silenced(call: Call, step: Step) -> None:
    """The client stops playing."""
    call.plays_until = min(call.plays_until, step.at)


def _commit(call: Call, step: Step) -> None:
    call.fresh += 1
    call.committed = True
    call.sound.taken()


def _clear(call: Call, step: Step) -> None:
    call.fresh += 1
    call.sound.taken()


def _speech(call: Call, step: Step) -> None:
    call.speech_at = step.at
    call.plays_until = min(call.plays_until, step.at)


def _stopped(call: Call, step: Step) -> None:
    call.speech_at = None
    call.stopped = (step.at, number(step.event.get("audio_end_ms")) or 0.0)


def _committed(call: Call, step: Step) -> None:
    call.fresh += 1
    call.sound.taken()


def _transcript(call: Call, step: Step) -> None:
    item, words = text(step.event.get("item_id")), text(step.event.get("transcript"))
    readings = call.heard.get(item, [])
    if words and words not in readings[-1:] and len(readings) < 64:
        remember(call.heard, item, [*readings, words])


def _error(call: Call, step: Step) -> None:
    error = call.last_error = part(step.event, "error")
    meant, asked = text(error.get("event_id")), call.update
    if asked is not None and (call.service == "xai" or meant in ("", text(asked.event.get("event_id")))):
        call.update, call.update_refused = None, Pending(step.at, step.number, step.event)
    call.asked = None
    message = text(error.get("message"))
    remember(call.errors, message, call.errors.get(message, 0) + 1)


def _conversation(call: Call, step: Step) -> None:
    call.conversation = text(part(step.event, "conversation").get("id"))


_TRANSCRIPTS = "conversation.item.input_audio_transcription"
Fold = Callable[[Call, Step], None]
_SENT: dict[str, Fold] = {
    "session.update": _update,
    "conversation.item.create": _item_sent,
    "response.create": _asked_response,
    "response.cancel": _silenced,
    "conversation.item.truncate": _silenced,
    **dict.fromkeys(COMMITS, _commit),
    "input_audio_buffer.clear": _clear,
}
_RECEIVED: dict[str, Fold] = {
    "session.created": _created,
    "session.updated": _updated,
    "conversation.created": _conversation,
    "response.function_call_arguments.done": _arguments_done,
    "response.output_item.added": _output_added,
    "response.created": _begun,
    "response.done": _done,
    "input_audio_buffer.speech_started": _speech,
    "input_audio_buffer.speech_stopped": _stopped,
    "input_audio_buffer.committed": _committed,
    f"{_TRANSCRIPTS}.updated": _transcript,
    f"{_TRANSCRIPTS}.completed": _transcript,
    "error": _error,
}
_FOLDS = {"sent": _SENT, "received": _RECEIVED}
READ = frozenset(_RECEIVED)
"""What is read of what the service sends, beside what rules ask for."""
