"""What a recording says, apart from how the wire said it: per response the words, the calls, the pauses and the sound.

For those who give the conversation again in other frames: scenarios.py writes it down, the mock re-enacts it. Both
services name these events alike, so nothing here asks which one it was.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from replay.cassette.frames import Binary
from replay.cassette.json_text import Event
from replay.cassette.json_values import text_at, value_at
from replay.cassette.recording import Moment, Recording

LEAST_PAUSE_S = 0.1
"""A shorter gap between two steps of an answer is the wire's, not the speaker's."""
WHOLE = 0.9
"""Of its announced length: sound that is shorter was cut by whoever kept it, and is no use."""

_HEARD = "conversation.item.input_audio_transcription.completed"
_WORDS = ("response.output_audio_transcript.delta", "response.output_text.delta")
_SOUND = "response.output_audio.delta"


@dataclass(frozen=True, slots=True)
class Format:
    """How output sound was encoded: the media type as services write it, and the rate in Hz where one is given."""

    type: str = "audio/pcm"
    rate: int | None = 24_000


@dataclass(slots=True)
class Piece:
    """A part of what was spoken that has its own text: `text` and the encoded messages of sound."""

    text: str = ""
    sound: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Spoken:
    """One message. `pieces` are cut as the service had cut them, where it shows that, else it is one piece.

    `whole` says whether all of the sound is there.
    """

    pieces: list[Piece] = field(default_factory=list)
    format: Format = Format()
    whole: bool = True

    @property
    def text(self) -> str:
        """All of its words."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Called:
    """A function call; `arguments` is the JSON text as it was."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Silence between two steps, in milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The response ended as failed."""

    code: str
    message: str


ResponseStep = Spoken | Called | Paused | Failed


@dataclass(slots=True)
class Exchange:
    """One response and what was new to it: texts typed, spoken turns as understood (None: not), results by function."""

    typed: list[str] = field(default_factory=list)
    heard: list[str | None] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    steps: list[ResponseStep] = field(default_factory=list)

    @property
    def user_text(self) -> str | None:
        """All that the caller wrote or said; None if there was nothing, or something that nobody understood."""
        words = [*self.typed, *self.heard]
        return None if None in words or not words else " ".join(word for word in words if word)


@dataclass(slots=True)
class RecordedConversation:
    """The responses of one conversation, over all connections that took it up. `heard` has its spoken turns."""

    exchanges: list[Exchange] = field(default_factory=list)
    heard: list[str | None] = field(default_factory=list)


def recorded_conversations(recording: Recording) -> list[RecordedConversation]:
    """The conversations of a recording. A connection that resumes a conversation continues it."""
    found: dict[str, RecordedConversation] = {}
    order: list[RecordedConversation] = []
    for number, line in enumerate(recording.lines):
        if line.refused:
            continue
        name = _conversation(line.moments) or f"connection {number}"
        if name not in found:
            found[name] = RecordedConversation()
            order.append(found[name])
        _Reader(found[name]).read(line.moments)
    return order


def _conversation(moments: tuple[Moment, ...]) -> str | None:
    created = (each.event for each in moments if each.type == "conversation.created" and each.event)
    return next((text_at(event, "conversation", "id") for event in created), None) or None


class _Reader:
    """Goes through one connection."""

    def __init__(self, conversation: RecordedConversation) -> None:
        self._conversation = conversation
        self._new = Exchange()
        self._responses: dict[str, Exchange] = {}
        self._spoken: dict[str, Spoken] = {}
        self._pieces: dict[str, Piece] = {}
        self._turns: dict[str, tuple[list[str | None], int, int]] = {}
        self._silent: set[str] = set()
        self._names: dict[str, str] = {}
        self._announced = 0
        self._format = Format()
        self._current: Spoken | None = None
        self._ms: dict[int, list[float]] = {}
        self._last_s: dict[str, float] = {}

    def read(self, moments: tuple[Moment, ...]) -> None:
        for moment in moments:
            if moment.way == "received" and isinstance(moment.frame, Binary) and self._current is not None:
                self._sound(self._current, "", moment.frame.data)
            elif moment.event is not None:
                (self._sent if moment.way == "sent" else self._received)(moment.event, moment.at_s)
        for spoken in self._spoken.values():
            spoken.whole = self._is_whole(spoken)

    def _sent(self, event: Event, at_s: float) -> None:
        match event:
            case {"type": "session.update", "session": Mapping() as session}:
                self._configure(session)
            case {"type": "conversation.item.create", "item": {"type": "message", "role": "user"} as item}:
                self._user(item)
            case {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant"}}:
                self._new.typed.clear()  # it answers what was typed before it
            case {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": call_id}}:
                self._new.results.append(self._names.get(str(call_id), ""))
            case {"type": "conversation.item.create", "item": {"type": "function_call", "call_id": call_id, **rest}}:
                self._names[str(call_id)] = str(rest.get("name", ""))
            case {"type": "conversation.item.create", "item": {"type": "force_message"}}:
                self._announced += 1

    def _received(self, event: Event, at_s: float) -> None:
        kind, response_id = str(event.get("type")), str(event.get("response_id", ""))
        match kind:
            case "session.created" | "session.updated":
                self._configure(event.get("session"))
            case "input_audio_buffer.timeout_triggered":
                self._silent.add(str(event.get("item_id", "")))
            case "input_audio_buffer.committed":
                self._committed(str(event.get("item_id", "")))
            case "response.created":
                self._begin(text_at(event, "response", "id"), at_s)
            case "response.done":
                self._end(event.get("response"))
            case "response.output_item.added" if response_id in self._responses:
                self._pause(response_id, at_s)
                if text_at(event, "item", "type") == "message":
                    self._message(response_id, text_at(event, "item", "id"))
            case "response.function_call_arguments.done" if response_id in self._responses:
                self._call(self._responses[response_id], event)
            case _ if kind == _HEARD and event.get("status", "completed") == "completed":
                self._understood(str(event.get("item_id", "")), text_at(event, "transcript"))
            case _ if kind in _WORDS and response_id in self._responses:
                self._words(self._message(response_id, str(event.get("item_id", ""))), event)
            case _ if kind == _SOUND and response_id in self._responses:
                self._sound_event(self._message(response_id, str(event.get("item_id", ""))), event)
        if response_id in self._responses:
            self._last_s[response_id] = at_s

    def _configure(self, session: object) -> None:
        form = value_at(session, "audio", "output", "format")
        if isinstance(form, Mapping) and isinstance(form.get("type"), str):
            rate = form.get("rate")
            self._format = Format(form["type"], rate if isinstance(rate, int) else None)

    # The caller.

    def _user(self, item: Mapping[str, Any]) -> None:
        if text := "".join(_texts(item.get("content"))):
            self._new.typed.append(text)
        elif any(text_at(part, "type") == "input_audio" for part in _parts(item.get("content"))):
            self._new.heard.append(None)
            self._conversation.heard.append(None)

    def _committed(self, item_id: str) -> None:
        if item_id in self._silent or item_id in self._turns:  # nobody spoke, or went on after a pause
            return
        self._new.heard.append(None)
        self._conversation.heard.append(None)
        self._turns[item_id] = self._new.heard, len(self._new.heard) - 1, len(self._conversation.heard) - 1

    def _understood(self, item_id: str, transcript: str) -> None:
        """The transcript may come after the response has begun."""
        if item_id in self._turns:
            heard, here, overall = self._turns[item_id]
            heard[here] = self._conversation.heard[overall] = transcript

    # A response.

    def _begin(self, response_id: str, at_s: float) -> None:
        if self._announced:
            self._announced -= 1  # the client's own words, not an answer
            return
        exchange, self._new = self._new, Exchange()
        self._responses[response_id] = exchange
        self._conversation.exchanges.append(exchange)

    def _pause(self, response_id: str, at_s: float) -> None:
        exchange, gap_s = self._responses[response_id], at_s - self._last_s.get(response_id, at_s)
        if exchange.steps and gap_s >= LEAST_PAUSE_S:
            exchange.steps.append(Paused(round(gap_s * 1000)))

    def _message(self, response_id: str, item_id: str) -> Spoken:
        if item_id not in self._spoken:
            self._spoken[item_id] = Spoken(format=self._format)
            self._responses[response_id].steps.append(self._spoken[item_id])
        self._current = self._spoken[item_id]
        return self._current

    def _piece(self, spoken: Spoken, segment: str) -> Piece:
        """xAI names the segment that text and sound belong to; without a name there is one piece for all."""
        if segment in self._pieces and any(piece is self._pieces[segment] for piece in spoken.pieces):
            return self._pieces[segment]
        if not segment and spoken.pieces:
            return spoken.pieces[-1]
        piece = Piece()
        spoken.pieces.append(piece)
        self._pieces[segment] = piece
        return piece

    def _words(self, spoken: Spoken, event: Event) -> None:
        self._piece(spoken, text_at(event, "rid")).text += text_at(event, "delta")

    def _sound_event(self, spoken: Spoken, event: Event) -> None:
        try:
            data = b64decode(text_at(event, "delta"))
        except ValueError:
            return
        self._sound(spoken, text_at(event, "rid"), data)
        if isinstance(ms := event.get("audio_duration_ms"), int | float):
            self._ms.setdefault(id(spoken), []).append(ms)

    def _sound(self, spoken: Spoken, segment: str, data: bytes) -> None:
        self._piece(spoken, segment).sound.append(data)

    def _is_whole(self, spoken: Spoken) -> bool:
        """Whether the sound is as long as the service said, or, where it does not say, as its words may need."""
        size = sum(len(data) for piece in spoken.pieces for data in piece.sound)
        bytes_per_ms = 2 * (spoken.format.rate or 24_000) / 1000 if spoken.format.type == "audio/pcm" else 8.0
        if announced := self._ms.get(id(spoken)):
            return size >= WHOLE * sum(announced) * bytes_per_ms or spoken.format.type == "audio/opus"
        return size >= _LEAST_MS_PER_CHARACTER * len(spoken.text) * bytes_per_ms

    def _call(self, exchange: Exchange, event: Event) -> None:
        name = text_at(event, "name")
        self._names[text_at(event, "call_id")] = name
        exchange.steps.append(Called(name, text_at(event, "arguments")))

    def _end(self, response: Any) -> None:
        exchange = self._responses.get(text_at(response, "id"))
        if exchange is not None and text_at(response, "status") == "failed":
            error = value_at(response, "status_details", "error")
            exchange.steps.append(Failed(text_at(error, "code") or "failed", text_at(error, "message")))


_LEAST_MS_PER_CHARACTER = 15
"""Nobody speaks 60 characters a second; where the service does not tell how long its sound is, this shows a cut."""


def _texts(content: object) -> Iterator[str]:
    """What a message says, part by part."""
    for part in _parts(content):
        yield text_at(part, "text") or text_at(part, "transcript")


def _parts(content: object) -> list[Any]:
    return content if isinstance(content, list) else []
