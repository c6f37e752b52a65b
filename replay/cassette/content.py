"""The content of a recording, independent of its frames: text, function calls, pauses and audio of each response.

as_scenario.py writes it as a scenario; the mock replays it adaptively. Both services use the same event names, so
nothing here depends on the service.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from replay.cassette.base64_text import decoded
from replay.cassette.frames import Binary
from replay.cassette.json_text import Event
from replay.cassette.json_values import text_at, value_at
from replay.cassette.recording import Line, Moment, Recording, cut, typed

LEAST_PAUSE_S = 0.1
"""Shorter gaps between two steps of a response come from the network, not from the model. Seconds."""
WHOLE = 0.9
"""Share of the announced length. Less audio than this means that the recording cut it."""
_LEAST_MS_PER_CHARACTER = 15
"""Nobody speaks 60 characters a second. If no length was announced, this shows that audio was cut."""

_HEARD = "conversation.item.input_audio_transcription.completed"
_WORDS = ("response.output_audio_transcript.delta", "response.output_text.delta")
_SOUND = "response.output_audio.delta"


@dataclass(frozen=True, slots=True)
class Format:
    """Encoding of output audio: the media type as services write it, and the rate in Hz if one is given."""

    type: str = "audio/pcm"
    rate: int | None = 24_000


@dataclass(frozen=True, slots=True)
class AudioMessage:
    """A message with audio: where it is. A conversation has more audio than fits into memory."""

    moments: Sequence[Moment]
    at: int

    def read(self) -> bytes:
        """The encoded audio."""
        return sound_of(self.moments[self.at])


def sound_of(moment: Moment) -> bytes:
    """The encoded audio of a message of the service. Raises ValueError for what is no base64."""
    if isinstance(moment.frame, Binary):
        return moment.frame.data
    return decoded(text_at(moment.event, "delta"))


@dataclass(slots=True)
class Piece:
    """A part of a spoken message with its own text: `text`, and `sound`, the audio messages."""

    text: str = ""
    sound: list[AudioMessage] = field(default_factory=list)


@dataclass(slots=True)
class Spoken:
    """One spoken message.

    `pieces`: the segments as the service cut them, if the wire shows them, else one. `format`: the audio format.
    `whole`: whether all of the audio was recorded.
    """

    pieces: list[Piece] = field(default_factory=list)
    format: Format = Format()
    whole: bool = True

    @property
    def text(self) -> str:
        """The text of all pieces."""
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Called:
    """A function call. `arguments` is the JSON text as recorded."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Silence between two steps, in milliseconds."""

    ms: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The response ended as failed."""

    code: str | None
    message: str
    type: str = ""


ResponseStep = Spoken | Called | Paused | Failed


@dataclass(slots=True)
class Exchange:
    """One response, and the input since the response before it.

    `typed`: texts. `heard`: transcripts of spoken turns, None for a turn without one. `results`: the names of the
    functions whose results were sent. `steps`: the response itself.
    """

    typed: list[str] = field(default_factory=list)
    heard: list[str | None] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    steps: list[ResponseStep] = field(default_factory=list)

    @property
    def user_text(self) -> str | None:
        """All that the user typed and said. None if there was nothing, or if a turn has no transcript."""
        words = [*self.typed, *self.heard]
        return None if None in words or not words else " ".join(word for word in words if word)


@dataclass(slots=True)
class RecordedConversation:
    """The responses of one conversation, over all connections that resumed it. `heard`: transcripts of its spoken
    turns. `lines`: these connections.
    """

    exchanges: list[Exchange] = field(default_factory=list)
    heard: list[str | None] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)


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
        found[name].lines.append(line)
        _Reader(found[name]).read(line.moments)
    return order


def _conversation(moments: Sequence[Moment]) -> str | None:
    found = (each for _, each in typed(moments, "conversation.created".__eq__))
    created = (each.event for each in found if each.type == "conversation.created" and each.event)
    return next((text_at(event, "conversation", "id") for event in created), None) or None


class _Reader:
    """Reads one connection."""

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
        self._bytes: dict[int, int] = {}
        self._last_s: dict[str, float] = {}

    def read(self, moments: Sequence[Moment]) -> None:
        for at, moment, size in cut(moments, "input_audio_buffer.append".__ne__):  # most frames are appends
            if moment.way == "received" and isinstance(moment.frame, Binary) and self._current is not None:
                self._sound(self._current, "", len(moment.frame.data), AudioMessage(moments, at))
            elif moment.event is not None and moment.way == "sent":
                self._sent(moment.event)
            elif moment.event is not None:
                self._received(moment, moment.event, size, AudioMessage(moments, at))
        for spoken in self._spoken.values():
            # As long as the service announced. Without an announcement: as long as its text needs.
            size = self._bytes.get(id(spoken), 0)
            bytes_per_ms = 2 * (spoken.format.rate or 24_000) / 1000 if spoken.format.type == "audio/pcm" else 8.0
            if announced := self._ms.get(id(spoken)):
                spoken.whole = size >= WHOLE * sum(announced) * bytes_per_ms or spoken.format.type == "audio/opus"
            else:
                spoken.whole = size >= _LEAST_MS_PER_CHARACTER * len(spoken.text) * bytes_per_ms

    def _sent(self, event: Event) -> None:
        match event:
            case {"type": "session.update", "session": Mapping() as session}:
                self._configure(session)
            case {"type": "conversation.item.create", "item": {"type": "message", "role": "user"} as item}:
                parts = item["content"] if isinstance(item.get("content"), list) else []
                if text := "".join(text_at(part, "text") or text_at(part, "transcript") for part in parts):
                    self._new.typed.append(text)
                elif any(text_at(part, "type") == "input_audio" for part in parts):
                    self._new.heard.append(None)
                    self._conversation.heard.append(None)
            case {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant"}}:
                self._new.typed.clear()  # the assistant item answers the text typed before it
            case {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": call_id}}:
                self._new.results.append(self._names.get(str(call_id), ""))
            case {"type": "conversation.item.create", "item": {"type": "function_call", "call_id": call_id, **rest}}:
                self._names[str(call_id)] = str(rest.get("name", ""))
            case {"type": "conversation.item.create", "item": {"type": "force_message"}}:
                self._announced += 1
            case _:
                pass

    def _received(self, moment: Moment, event: Event, size: int, sound: AudioMessage) -> None:
        """Take an event of the service. `size`: bytes of sound that were cut from it."""
        at_s = moment.at_s
        kind, item_id, exchange = str(event.get("type")), str(event.get("item_id", "")), None
        if (response_id := str(event.get("response_id", ""))) in self._responses:
            exchange = self._responses[response_id]
        match kind:
            case "session.created" | "session.updated":
                self._configure(event.get("session"))
            case "input_audio_buffer.timeout_triggered":
                self._silent.add(item_id)
            case "input_audio_buffer.committed":
                if item_id not in self._silent and item_id not in self._turns:  # else a known turn goes on, or silence
                    self._new.heard.append(None)
                    self._conversation.heard.append(None)
                    self._turns[item_id] = self._new.heard, len(self._new.heard) - 1, len(self._conversation.heard) - 1
            case _ if kind == _HEARD and event.get("status", "completed") == "completed":
                if item_id in self._turns:  # the transcript may come after the response has begun
                    heard, here, overall = self._turns[item_id]
                    heard[here] = self._conversation.heard[overall] = text_at(event, "transcript")
            case "response.created" if self._announced:
                self._announced -= 1  # the client's own text, not a response of the model
            case "response.created":
                self._responses[text_at(event, "response", "id")] = self._new
                self._conversation.exchanges.append(self._new)
                self._new = Exchange()
            case "response.output_item.added" if exchange is not None:
                gap_s = at_s - self._last_s.get(response_id, at_s)
                if exchange.steps and gap_s >= LEAST_PAUSE_S:
                    exchange.steps.append(Paused(round(gap_s * 1000)))
                if text_at(event, "item", "type") == "message":
                    self._message(exchange, text_at(event, "item", "id"))
            case "response.function_call_arguments.done" if exchange is not None:
                self._names[text_at(event, "call_id")] = name = text_at(event, "name")
                exchange.steps.append(Called(name, text_at(event, "arguments")))
            case _ if kind in _WORDS and exchange is not None:
                piece = self._piece(self._message(exchange, item_id), text_at(event, "rid"))
                piece.text += text_at(event, "delta")
            case _ if kind == _SOUND and exchange is not None:
                spoken = self._message(exchange, item_id)
                with contextlib.suppress(ValueError):  # what is no base64 has no audio
                    self._sound(spoken, text_at(event, "rid"), size or len(sound_of(moment)), sound)
                    if isinstance(ms := event.get("audio_duration_ms"), int | float):
                        self._ms.setdefault(id(spoken), []).append(ms)
            case "response.done" if text_at(event, "response", "status") == "failed":
                error = value_at(event, "response", "status_details", "error")
                if (failed := self._responses.get(text_at(event, "response", "id"))) is not None:
                    code, kind = text_at(error, "code"), text_at(error, "type")
                    failed.steps.append(Failed(code or (None if kind else "failed"), text_at(error, "message"), kind))
        if exchange is not None:
            self._last_s[response_id] = at_s

    def _configure(self, session: object) -> None:
        form = value_at(session, "audio", "output", "format")
        if isinstance(form, Mapping) and isinstance(form.get("type"), str):
            rate = form.get("rate")
            self._format = Format(form["type"], rate if isinstance(rate, int) else None)

    def _message(self, exchange: Exchange, item_id: str) -> Spoken:
        if item_id not in self._spoken:
            self._spoken[item_id] = Spoken(format=self._format)
            exchange.steps.append(self._spoken[item_id])
        self._current = self._spoken[item_id]
        return self._current

    def _piece(self, spoken: Spoken, segment: str) -> Piece:
        """The piece of a segment. xAI names the segment of text and audio; without a name there is one piece."""
        if segment in self._pieces and any(piece is self._pieces[segment] for piece in spoken.pieces):
            return self._pieces[segment]
        if not segment and spoken.pieces:
            return spoken.pieces[-1]
        piece = Piece()
        spoken.pieces.append(piece)
        self._pieces[segment] = piece
        return piece

    def _sound(self, spoken: Spoken, segment: str, size: int, sound: AudioMessage) -> None:
        self._bytes[id(spoken)] = self._bytes.get(id(spoken), 0) + size
        self._piece(spoken, segment).sound.append(sound)
