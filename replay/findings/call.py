"""The state of one connection, as far as its frames show it: configuration, tools, responses, items, playback,
transcripts.

Rules read it; it judges nothing. Everything that grows is bounded, because a call may last for hours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from replay.cassette.json_text import Event
from replay.cassette.json_values import NOTHING, number_at, object_at, object_in, objects, text_at, text_in
from replay.cassette.records import Way
from replay.findings.input_audio import NO_AUDIO, InputAudio
from replay.values import value

OPENED, TICK, CLOSED = "(opened)", "(tick)", "(closed)"
"""Types of steps that are no frames: the handshake, time passing, the end of the connection."""
ACCEPTED = 101
"""HTTP status of an accepted WebSocket handshake."""
APPEND = "input_audio_buffer.append"
ITEM = "conversation.item.create"
COMMITS = ("input_audio_buffer.commit", "conversation.item.commit")
DELTA = "response.output_audio.delta"
_VENDORS: Mapping[str, Literal["xai", "openai"]] = {"xai": "xai", "openai": "openai", "azure": "openai"}
"""By the name of a service, without its date."""
HOSTED_FUNCTIONS = (
    "web_search",
    "browse_page",
    "x_keyword_search",
    "x_semantic_search",
    "x_user_search",
    "x_thread_fetch",
    "collections_search",
    "file_search",
)
"""Names of functions that xAI runs itself, as others found them; two clients report calls of them on the wire."""
INTERRUPTED_S = 1.0
"""Seconds of unplayed audio from which an interruption counts."""
MOST = 500
"""Calls, items and texts kept, each. The oldest are dropped first."""


class CallStep(NamedTuple):
    """One thing that happened in a call: a frame, or OPENED, TICK, CLOSED.

    `at`: seconds since the connection opened. `type`: the event's type. `event`: the event, empty for a step without
    one. `number`: the frame's number, counted from 0 over both directions.
    """

    at: float
    way: Way
    type: str
    event: Event = NOTHING
    number: int = 0

    @property
    def item(self) -> Event:
        """The event's `item`, or an empty object."""
        return object_in(self.event, "item")


@value
class Handshake:
    """A client's handshake. Credentials are kept by kind and place, never by value.

    `query`: harmless query parameters. `origin`: the Origin header. `beta`: the OpenAI-Beta header. `offered`: kinds of
    credential, `secret` or `key`, in places that only browsers use. `secrets`: names of query parameters that hold a
    credential. `who`: a name for the client, equal for equal credentials.
    """

    query: Mapping[str, str] = field(default_factory=dict)
    origin: str | None = None
    beta: str | None = None
    offered: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    who: str = ""


@dataclass(slots=True)
class ToolCall:
    """A function call that the model made, or that the client put into the history.

    `awaited`: the model waits for the result, because the client did not create the call, its response was not cut off,
    and the service does not run the tool itself, which is `hosted`. `response`: the number of the response that made
    the call, from 1. `at` and `answered_at` are seconds since the connection opened, `number` and `answered_number` are
    frames. `cut_at`: when its response was cancelled.
    """

    id: str
    name: str
    arguments: str
    at: float
    number: int
    awaited: bool = True
    hosted: bool = False
    output: str | None = None
    answered_at: float = 0.0
    answered_number: int = 0
    response: int = 0
    cut_at: float | None = None


@dataclass(slots=True)
class AssistantAudio:
    """Audio of an assistant item so far: when it began, its length in seconds, and the number of deltas.

    `response_id`: of its response. `plays_since`: when the service began to play that response to a caller.
    """

    id: str
    first_at: float
    seconds: float = 0.0
    deltas: int = 0
    response_id: str = ""
    plays_since: float | None = None


@dataclass(slots=True)
class Pending:
    """A client's request without an answer so far."""

    at: float
    number: int
    event: Event


@dataclass(frozen=True, slots=True)
class Interruption:
    """The user spoke at second `at`, frame `number`, over `seconds` of audio that was still to play."""

    at: float
    number: int
    seconds: float


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """A call that the client answered, at a second of the clock that all connections share."""

    name: str
    arguments: str
    output: str
    at: float


def remember(kept: dict[str, Any], key: str, value: object) -> None:
    """Keep a value; the oldest one is dropped when there are more than MOST."""
    kept[key] = value
    if len(kept) > MOST:
        del kept[next(iter(kept))]


@dataclass(slots=True)
class Attempt:
    """One attempt to connect, and what became of it. Times are seconds on the clock that all connections share.

    `turns`: the user's turns that got a response. `hung_up`: the client closed the connection while it waited for
    nothing. `left`: the client closed the connection. `carried_out`: the calls that the client answered.
    """

    handshake: Handshake
    at: float
    status: int = ACCEPTED
    retry_after_s: float | None = None
    conversation: str = ""
    closed_at: float | None = None
    turns: int = 0
    hung_up: bool = False
    left: bool = False
    carried_out: list[CarriedOut] = field(default_factory=list)

    @property
    def rate_limited(self) -> bool:
        """Whether the server refused the attempt because there were too many."""
        return self.status == 429

    def end(self, at: float, call: CallState) -> None:
        """The connection ended, `at` seconds after it opened."""
        self.closed_at, self.turns = self.at + at, call.turns
        self.left = self.hung_up
        self.hung_up = self.hung_up and call.active is None and call.requested is None
        self.conversation = call.conversation or self.conversation
        if not call.responses and call.last_error.get("code") == "rate_limit_exceeded":
            self.status = 429  # OpenAI opens the socket to say so


@dataclass(slots=True, eq=False)
class CallState:
    """What the frames of one connection have shown so far.

    `service`: made with the name of a dialect, or None if it is not known. `timed`: whether the times of the steps were
    measured. `write_tools`: patterns of tools with side effects; None guesses them from the tools' names.
    """

    service: str | None
    """The vendor alone, once it is made."""
    handshake: Handshake
    timed: bool = True
    write_tools: tuple[str, ...] | None = None
    month: str = ""
    """The month of a dated dialect, as in `2026-09`; empty if the dialect has no date."""
    model: str = ""
    """The model that the client asked for, else the one that the server named."""
    # Configuration.
    update: Pending | None = None
    """The latest session.update without an answer."""
    update_refused: Pending | None = None
    updates: int = 0
    configured_at: float | None = None
    detection: Event = field(default_factory=lambda: NOTHING)
    vad: bool = False
    """The server detects turns."""
    manual: bool = False
    """The client set turn detection to null, so that it ends turns itself."""
    audio: InputAudio = field(default_factory=InputAudio)
    # Tools.
    functions: frozenset[str] = frozenset()
    """The names of the functions that the client declared."""
    calls: dict[str, ToolCall] = field(default_factory=dict)
    declared: frozenset[str] | None = None
    """The functions that the client declared; None while that is not known."""
    results: list[ToolCall] = field(default_factory=list)
    """Calls answered since the last response began or was requested."""
    continues: bool = False
    """A result was sent since then, for a known call or not."""
    continued: bool = False
    """The requested response continues after a result."""
    # Responses.
    responses: int = 0
    turns: int = 0
    """Responses, without those that continue after a tool's result."""
    active: str | None = None
    """The id of the response in progress."""
    active_since: float = 0.0
    done_at: float = 0.0
    requested: Pending | None = None
    """A response.create without an answer so far."""
    new_inputs: int = 0
    """Inputs since the last response was requested or began."""
    committed: bool = False
    """The last input is a manual commit."""
    taken: int = 0
    """Commits of the input buffer by either side, and clears by the client."""
    over: dict[str, str] = field(default_factory=dict)
    """How each response ended, by id."""
    asked: bool = False
    """The client has sent an event besides audio and session.update."""
    unmatched: Callable[[], str] = str
    """Why no rule of the scenario answered the last turn; empty if one did, or if nobody knows."""
    unrecorded: Callable[[], str] = str
    """How the client left the words of the recording that answers it, in the last turn; empty if it did not."""
    # Audio.
    plays_until: float = 0.0
    spoken: dict[str, AssistantAudio] = field(default_factory=dict)
    speaking: AssistantAudio | None = None
    speech_at: float | None = None
    """When the user began to speak, by the server's events."""
    stopped: tuple[float, float] | None = None
    """The last end of speech: the time of the event, in seconds, and its position in the audio, in milliseconds."""
    sent_at: float = 0.0
    """When the client last sent anything but audio."""
    interrupted: Interruption | None = None
    """The last interruption, until the client says what was heard."""
    # Items and errors.
    item_ids: dict[str, bool] = field(default_factory=dict)
    unanswered: Pending | None = None
    """The last message of the user, until a response is requested or begins."""
    item_sent: Pending | None = None
    """The last item without an answer so far."""
    item_refused: Pending | None = None
    """The last item that was refused, until another input follows."""
    errors: dict[str, int] = field(default_factory=dict)
    transcripts: dict[str, list[str]] = field(default_factory=dict)
    """Successive transcripts of the user's audio, by item."""
    billable: list[float] = field(default_factory=list)
    """`billable_audio_seconds` of each response: running totals."""
    last_error: Event = field(default_factory=lambda: NOTHING)
    early_appends: int = 0
    """Audio messages before the latest session.update."""
    conversation: str = ""
    # Other connections.
    opened_at: float = 0.0
    """Seconds on the clock that all connections share."""
    earlier_attempts: Sequence[Attempt] = ()
    carried_out_before: tuple[CarriedOut, ...] = ()
    """What the client carried out in connections that this one continues."""
    carried_out: list[CarriedOut] = field(default_factory=list)

    def __post_init__(self) -> None:
        name, _, self.month = (self.service or "").partition("@")
        self.service = _VENDORS.get(name)
        self.model = self.handshake.query.get("model", "")

    @property
    def resumed(self) -> bool:
        """Whether the client resumes a conversation."""
        return "conversation_id" in self.handshake.query

    @property
    def over_tracks(self) -> bool:
        """Whether it is a call over the telephone or WebRTC: its sound is on tracks, and the service plays it."""
        return "call_id" in self.handshake.query

    @property
    def microphone(self) -> bool:
        """Whether the client streams audio as a microphone does."""
        return self.timed and self.vad and self.audio.streamed_s > 2.0

    def playing(self, at: float) -> float:
        """Seconds of output audio that a client has still to play, if it plays all of it."""
        return max(0.0, self.plays_until - at) if self.timed else 0.0

    def call_of(self, call_id: str) -> ToolCall | None:
        """The call with this id, or with an id of which this is the 32-digit short form."""
        if (known := self.calls.get(call_id)) is not None or len(call_id) != 32:
            return known
        return next((call for id, call in self.calls.items() if shortened(id) == call_id), None)

    def take(self, step: CallStep) -> None:
        """Update the state. The rules have seen the step before."""
        if step.way == "sent":
            self.sent_at = step.at
            self.asked = self.asked or step.type != "session.update"
        if (fold := (_SENT if step.way == "sent" else _RECEIVED).get(step.type)) is not None:
            fold(self, step)

    def close(self) -> None:
        """Drop what only mattered during the call."""
        self.calls.clear()
        self.spoken.clear()
        self.errors.clear()
        self.item_ids.clear()
        self.over.clear()
        self.results, self.speaking, self.requested, self.update = [], None, None, None
        self.audio = NO_AUDIO
        self.unmatched = self.unrecorded = str  # they hold the session

    def output_audio(self, at: float, seconds: float) -> None:
        """Output audio of this length arrived."""
        self.plays_until = max(at, self.plays_until) + seconds
        if self.speaking is not None:
            if not self.speaking.deltas:
                self.speaking.first_at = at
            self.speaking.seconds += seconds
            self.speaking.deltas += 1


def shortened(call_id: str) -> str:
    """The short form of a call id that LiveKit sends back for ids longer than OpenAI accepts."""
    return hashlib.sha256(call_id.encode(errors="replace")).hexdigest()[:32]


# How each type of step changes the state.


def _created(call: CallState, step: CallStep) -> None:
    _effective(call, step)
    call.model = call.model or text_at(step.event, "session", "model")
    call.service = call.service or ("openai" if text_in(step.event, "event_id").startswith("event_") else "xai")


def _effective(call: CallState, step: CallStep) -> None:
    session = object_in(step.event, "session")
    audio = object_in(session, "audio")
    # xAI leaves the key out if the client set it to null (recordings of September 2026).
    asked = object_in(call.update.event, "session") if call.update is not None else NOTHING
    kept = asked.get("turn_detection", call.detection)
    wished = asked if "turn_detection" in asked else object_in(object_in(asked, "audio"), "input")
    if "turn_detection" in wished:
        call.manual = not text_in(object_in(wished, "turn_detection"), "type")
    detection = session.get("turn_detection", object_in(audio, "input").get("turn_detection", kept))
    call.detection = detection if isinstance(detection, dict) else NOTHING
    call.vad = bool(text_in(call.detection, "type"))
    call.audio.configure(audio)
    if "tools" in session:
        tools = objects(session["tools"])
        call.functions = frozenset(text_in(tool, "name") or text_at(tool, "function", "name") for tool in tools)
        call.declared = frozenset(text_in(tool, "name") for tool in tools)


def _update(call: CallState, step: CallStep) -> None:
    call.update, call.updates = Pending(step.at, step.number, step.event), call.updates + 1
    call.update_refused, call.early_appends = None, call.audio.appends
    call.new_inputs += 1


def _updated(call: CallState, step: CallStep) -> None:
    _effective(call, step)
    asked = object_at(call.update.event, "session").get("tools") if call.update is not None else None
    if isinstance(asked, list):
        call.declared = frozenset(text_in(tool, "name") for tool in objects(asked))
    call.update = call.update_refused = None
    call.configured_at = step.at if call.configured_at is None else call.configured_at


def _item_sent(call: CallState, step: CallStep) -> None:
    item, call.item_refused = step.item, None
    call.item_sent = Pending(step.at, step.number, step.event)
    if item_id := text_in(item, "id"):
        remember(call.item_ids, item_id, True)
    match item.get("type"):
        case "function_call_output":
            known = call.call_of(text_in(item, "call_id"))
            if known is not None and known.output is None:
                known.output, known.answered_at, known.answered_number = text_in(item, "output"), step.at, step.number
                if known.awaited:
                    call.results = [*call.results[-MOST:], known]
                    if len(call.carried_out) < MOST:
                        at = call.opened_at + step.at
                        call.carried_out.append(CarriedOut(known.name, known.arguments, known.output, at))
            call.new_inputs += 1
            call.continues = True
        case "function_call":
            _called(call, step, item, awaited=False)
        case "force_message":
            pass
        case _ if item.get("role") != "assistant":
            call.new_inputs += 1
            call.committed = False
            if item.get("role") == "user":
                call.unanswered = Pending(step.at, step.number, step.event)


def said_in(item: Event) -> str:
    """The text of a message, a tool result or a function call."""
    parts = objects(item.get("content"))
    words = [text_at(each, "text") or text_at(each, "transcript") for each in parts]
    return " ".join(word for word in (*words, text_in(item, "output")) if word)


def _called(call: CallState, step: CallStep, item: Event | None = None, awaited: bool = True) -> None:
    item = step.event if item is None else item
    call_id = text_in(item, "call_id")
    known = call.calls.get(call_id)
    arguments = text_in(item, "arguments")
    if known is not None:
        known.name, known.arguments = known.name or text_in(item, "name"), known.arguments or arguments
    elif call_id:
        name = text_in(item, "name")
        hosted = awaited and call.service == "xai" and name in HOSTED_FUNCTIONS and name not in call.functions
        made = ToolCall(call_id, name, arguments, step.at, step.number, awaited and not hosted, hosted)
        made.response = call.responses
        remember(call.calls, call_id, made)


def _output_added(call: CallState, step: CallStep) -> None:
    item = step.item
    if item.get("type") == "message":
        call.speaking = AssistantAudio(text_in(item, "id"), step.at, response_id=text_in(step.event, "response_id"))
        remember(call.spoken, call.speaking.id, call.speaking)


def _played(call: CallState, step: CallStep) -> None:
    """The service begins to play a response to the caller."""
    for spoken in call.spoken.values():
        if spoken.response_id == text_in(step.event, "response_id"):
            spoken.plays_since = step.at


def _item_shown(call: CallState, step: CallStep) -> None:
    call.item_sent = None
    if item_id := text_in(step.item, "id"):
        remember(call.item_ids, item_id, True)


def _response_requested(call: CallState, step: CallStep) -> None:
    call.unanswered = None
    tools = object_in(step.event, "response").get("tools")
    if isinstance(tools, list):
        call.declared = (call.declared or frozenset()) | {text_in(tool, "name") for tool in objects(tools)}
    if object_in(step.event, "response").get("conversation") != "none":
        call.requested, call.new_inputs, call.committed = Pending(step.at, step.number, step.event), 0, False
        call.continued = call.continues
        call.results, call.continues = [], False


def _begun(call: CallState, step: CallStep) -> None:
    response = object_in(step.event, "response")
    if call.service == "openai" and response.get("conversation_id", "") is None:
        return
    call.active, call.active_since, call.requested = text_in(response, "id"), step.at, None
    call.unanswered = call.interrupted = None
    call.responses += 1
    call.turns += not (call.continued or call.continues)
    call.continued = False
    call.new_inputs = 0
    call.results, call.continues = [], False


def _done(call: CallState, step: CallStep) -> None:
    response = object_in(step.event, "response")
    for item in objects(response.get("output")):
        if item.get("type") == "function_call":
            _called(call, step, item)
    response_id, status = text_in(response, "id"), text_in(response, "status")
    if status in ("cancelled", "failed", "incomplete"):
        for known in call.calls.values():  # the model no longer awaits their results
            if known.response == call.responses and known.output is None:
                known.awaited = False
                known.cut_at = step.at if status == "cancelled" else None
    if response_id:
        remember(call.over, response_id, status or "over")
    if call.active == response_id:
        call.active, call.done_at = None, step.at
    seconds = number_at(step.event, "usage", "billable_audio_seconds")
    if seconds is not None and len(call.billable) < MOST:
        call.billable.append(seconds)


def _silenced(call: CallState, step: CallStep) -> None:
    """The client stops playback."""
    call.interrupted = None
    call.plays_until = min(call.plays_until, step.at)


def _item_deleted(call: CallState, step: CallStep) -> None:
    call.item_ids.pop(text_in(step.event, "item_id"), None)


def _buffer_taken(call: CallState, step: CallStep) -> None:
    call.new_inputs += 1
    call.item_refused = None
    call.committed = call.committed or step.type in COMMITS
    call.taken += 1
    call.audio.taken()


def _speech(call: CallState, step: CallStep) -> None:
    if step.type == "input_audio_buffer.speech_started":
        call.speech_at = step.at
        if (left := call.playing(step.at)) >= INTERRUPTED_S:
            call.interrupted = Interruption(step.at, step.number, left)
        call.plays_until = min(call.plays_until, step.at)
    else:
        call.speech_at = None
        call.stopped = (step.at, number_at(step.event, "audio_end_ms") or 0.0)


def _transcript(call: CallState, step: CallStep) -> None:
    item, words = text_in(step.event, "item_id"), text_in(step.event, "transcript")
    readings = call.transcripts.get(item, [])
    if words and words not in readings[-1:] and len(readings) < 64:
        remember(call.transcripts, item, [*readings, words])


def _error(call: CallState, step: CallStep) -> None:
    error = call.last_error = object_in(step.event, "error")
    request_id, update = text_in(error, "event_id"), call.update
    if update is not None and (call.service == "xai" or request_id in ("", text_at(update.event, "event_id"))):
        call.update, call.update_refused = None, Pending(step.at, step.number, step.event)
    elif (sent := call.item_sent) is not None and (
        call.service == "xai" or request_id in ("", text_at(sent.event, "event_id"))
    ):
        call.item_sent, call.item_refused = None, Pending(step.at, step.number, step.event)
        call.item_ids.pop(text_at(sent.event, "item", "id"), None)
    call.requested = None
    message = text_in(error, "message")
    remember(call.errors, message, call.errors.get(message, 0) + 1)


def _conversation(call: CallState, step: CallStep) -> None:
    call.conversation = text_at(step.event, "conversation", "id")


_TRANSCRIPTS = "conversation.item.input_audio_transcription"
Fold = Callable[[CallState, CallStep], None]
_SENT: dict[str, Fold] = {
    "session.update": _update,
    "conversation.item.create": _item_sent,
    "response.create": _response_requested,
    "response.cancel": _silenced,
    "conversation.item.truncate": _silenced,
    "conversation.item.delete": _item_deleted,
    **dict.fromkeys(COMMITS, _buffer_taken),
    "input_audio_buffer.clear": _buffer_taken,
}
_RECEIVED: dict[str, Fold] = {
    "session.created": _created,
    "session.updated": _updated,
    "conversation.created": _conversation,
    "response.function_call_arguments.done": _called,
    "response.output_item.added": _output_added,
    "output_audio_buffer.started": _played,
    "conversation.item.added": _item_shown,
    "response.created": _begun,
    "response.done": _done,
    "input_audio_buffer.speech_started": _speech,
    "input_audio_buffer.speech_stopped": _speech,
    "input_audio_buffer.committed": _buffer_taken,
    f"{_TRANSCRIPTS}.updated": _transcript,
    f"{_TRANSCRIPTS}.completed": _transcript,
    "error": _error,
}
READ = frozenset(_RECEIVED)
"""Server events that the state needs, besides those that rules ask for."""
