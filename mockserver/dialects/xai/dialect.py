"""xAI's Grok Voice Agent API: facts in, server frames out, in the order and with the keys of live recordings.

Key order, constants and oddities are observed unless a comment says otherwise. What a client may send:
client_events.py and parse.py. Usage and prices: usage.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

import orjson
from typing_extensions import assert_never

from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import Opening
from mockserver.dialects.sound_frames import sound_frame
from mockserver.dialects.templates import MS, Blanks, Filling, Template
from mockserver.dialects.xai import parse
from mockserver.dialects.xai.dates import Date
from mockserver.dialects.xai.mcp import hosted_events
from mockserver.dialects.xai.refusals import refusal
from mockserver.dialects.xai.usage import usage
from mockserver.protocol.commands import Append, Command, Rejected, Settings
from mockserver.protocol.conversation import Item
from mockserver.protocol.facts import (
    ApprovalRequested,
    AudioSent,
    CallEnded,
    CallStarted,
    Cleared,
    Committed,
    Configured,
    DigitPressed,
    Expired,
    Fact,
    HostedEnded,
    HostedStarted,
    ItemAdded,
    ItemDeleted,
    ItemRetrieved,
    ItemTruncated,
    KeptAlive,
    LimitsUpdated,
    ListingStarted,
    Malformed,
    MessageEnded,
    MessageStarted,
    Opened,
    PlayoutCleared,
    PlayoutCut,
    PlayoutStarted,
    PlayoutStopped,
    Refused,
    Response,
    ResponseEnded,
    ResponseStarted,
    SpeechStarted,
    SpeechStopped,
    TimedOut,
    ToolsListed,
    TranscriptCompleted,
    TranscriptFailed,
    TranscriptUpdated,
    WordsSent,
)
from mockserver.protocol.ids import LateStream, hex128, stream, uuid4, uuid4s
from replay.billing.prices import PriceTable
from replay.cassette.frames import Binary, Close, Frame, Passage, Sound, Text

Json = dict[str, object]


class XaiIds:
    """UUIDs of version 4, except for the session (32 hex digits) and calls (`call-<uuid4>-N`)."""

    def __init__(self, seed: str, call_id: str | None = None) -> None:
        """The conversation of a call has the call's id (documented)."""
        self._events = uuid4s(LateStream(seed, "event"))
        self.event: Callable[[], str] = self._events.__next__
        """Draws the id of an event."""
        self._items = uuid4s(LateStream(seed, "item"))
        self._responses = uuid4s(LateStream(seed, "response"))
        self._calls = LateStream(seed, "call")
        self.session = hex128(stream(seed, "session"))
        self.conversation = call_id or uuid4(stream(seed, "conversation"))

    def events(self, count: int) -> list[str]:
        """Draws the ids of so many events."""
        return list(islice(self._events, count))

    def item(self, at: float = 0.0) -> str:
        return next(self._items)

    def response(self, at: float = 0.0) -> str:
        return next(self._responses)

    def call(self, index: int) -> str:
        # That the last number counts the calls of a response is a guess; only 0 is recorded.
        return f"call-{uuid4(self._calls.rng)}-{index}"


class Xai:
    """The dialect on one connection."""

    def __init__(self, date: Date, opening: Opening, prices: PriceTable) -> None:
        self.name: str = date.name
        self.traits = replace(date.traits, media=True) if opening.call_id is not None else date.traits
        self.prices = prices
        self.model = date.model(opening.model)
        self.ids: XaiIds | Blanks = XaiIds(opening.seed, opening.call_id)
        self._date, self._opening = date, opening
        self._epoch_ms = round(opening.epoch * 1000)
        self._requested: Json = {}
        self._rids: list[str] = []

    def parse(self, data: str | bytes, settings: Settings) -> Command:
        command = parse.parse(data, settings)
        if self.traits.media and isinstance(command, Append):  # a guess
            return Rejected("Audio cannot be appended on a call: its sound is on the audio track.")
        return command

    def charge(self, fact: ResponseEnded | TranscriptCompleted, ledger: Ledger) -> None:
        """xAI bills seconds and items, which the session counts itself."""

    def blank(self) -> tuple[Xai, Blanks]:
        blank, blanks = Xai(self._date, self._opening, self.prices), Blanks()
        blank.ids, blank._epoch_ms = blanks, MS
        return blank, blanks

    def fits(self, previous: str | None) -> bool:
        return True

    def filled(self, template: Template, response: Response, item: Item, at: float, latency_s: float) -> Passage:
        drawn = self.ids.events(len(template.drawn))
        shown = f"{latency_s:.2f}"
        return template.filled(Filling(item.id, response.id, item.previous, self._unix_ms(at), shown, drawn))

    def event(self, type: str, **fields: object) -> Frame:
        """An event in the usual order: type, event_id, its fields, and a null link."""
        return _text({"type": type, "event_id": self.ids.event(), **fields, "previous_item_id": None})

    def render(self, fact: Fact, at: float) -> Iterator[Frame | Sound]:
        match fact:  # what each turn has comes first: the cases are tried in order
            case AudioSent() if self.traits.media:
                # A guess: nobody has recorded the events of a telephone call.
                self._rid(fact.segment)
                yield Sound(fact.audio.data, fact.response.id, fact.item.id)
            case AudioSent():
                yield self._audio_delta(fact, at)
            case WordsSent():
                yield self._words_delta(fact)
            case ResponseStarted():
                self._rids = []
                yield self.event("response.created", response=self._response(fact.response))
            case MessageStarted():
                yield from self._message_started(fact)
            case MessageEnded():
                yield from self._message_ended(fact)
            case ResponseEnded():
                yield from self._response_ended(fact.response)
            case ItemAdded():
                link = None if fact.item.kind != "message" else fact.item.previous
                yield self._item_added(_item(fact.item), link, replayed=fact.item.replayed)
            case KeptAlive():
                yield self.event("ping", timestamp=self._unix_ms(at))
            case Opened():
                yield from self._greeting(fact, at)
            case Configured():
                self._requested = _merged(self._requested, fact.requested)
                yield self._session_updated()
            case ItemDeleted():
                # Empty as LiveKit's authors found it; the vendor's page shows the id.
                yield self.event("conversation.item.deleted", item_id="")
            case ItemTruncated():
                cut = {"content_index": fact.content_index, "audio_end_ms": fact.audio_end_ms}
                text = fact.item.text
                yield self.event("conversation.item.truncated", item_id=fact.item.id, **cut, transcript=text)
            case SpeechStarted():
                yield self.event("input_audio_buffer.speech_started", item_id=fact.item.id, audio_start_ms=fact.at_ms)
                if fact.shows_item:
                    yield self._item_added(_item(fact.item), fact.item.previous)
            case SpeechStopped():
                yield self.event("input_audio_buffer.speech_stopped", item_id=fact.item.id, audio_end_ms=fact.at_ms)
            case Committed():
                yield self._committed(fact.item)
                if not fact.announced:
                    yield self._item_added(_item(fact.item), fact.item.previous)
            case Cleared():
                yield self.event("input_audio_buffer.cleared")
            case TranscriptUpdated():
                if self._transcribes:
                    yield self._transcription("updated", fact.item, fact.transcript)
                    yield self._transcription("completed", fact.item, fact.transcript, status="in_progress")
            case TranscriptCompleted() | TranscriptFailed():
                # Guesses: that it comes, once, without a transcription model; that it is empty where that fails.
                text = fact.transcript if isinstance(fact, TranscriptCompleted) else ""
                yield self._transcription("completed", fact.item, text, status="completed")
            case TimedOut():
                yield self.event(
                    "input_audio_buffer.timeout_triggered",
                    item_id=fact.item.id,
                    audio_start_ms=fact.start_ms,
                    audio_end_ms=fact.end_ms,
                )
            case CallStarted():
                yield self._output_item("added", fact.response, _call(fact.item, "user"))
                yield self._item_added(_call(fact.item, "tool"), None)
            case CallEnded():
                yield from self._call_ended(fact)
            case HostedStarted() | HostedEnded() | ListingStarted() | ToolsListed():
                for type, fields in hosted_events(fact):
                    yield self.event(type, **fields)
            case Expired():
                yield from self._expired(fact)
            case ItemRetrieved() | ApprovalRequested() | LimitsUpdated():
                pass  # xAI has no such requests and approvals, and reports no limits
            case PlayoutCut():
                yield Sound(b"", cuts=True)
            case PlayoutStarted() | PlayoutStopped() | PlayoutCleared():
                pass  # a guess: the vendor's reference has no such events
            case DigitPressed():
                received_at = self._unix_ms(at) // 1000
                yield self.event("input_audio_buffer.dtmf_event_received", event=fact.digit, received_at=received_at)
            case Refused():
                if (refused := refusal(fact)) is not None:
                    text, code = refused
                    yield self._error("invalid_request_error", text, code=code)
            case Malformed():
                rejected = fact.rejected
                yield self._error(rejected.kind, rejected.message, rejected.param, rejected.code)
            case _:
                assert_never(fact)

    # The connection and the session.

    def _greeting(self, fact: Opened, at: float) -> Iterator[Frame]:
        session = {
            "id": self.ids.session,
            "object": "realtime.session",
            "instructions": "",
            "voice": self._date.voice,
            "modalities": ["audio"],
            "turn_detection": {"type": None},
            "tools": [],
            "model": self.model,
        }
        if self._date.greets:
            yield _text({"type": "session.created", "event_id": self.ids.event(), "session": session})
        conversation = {"id": fact.conversation_id, "object": "realtime.conversation"}
        yield self.event("conversation.created", conversation=conversation)
        yield self.event("ping", timestamp=self._unix_ms(at))

    def _session_updated(self) -> Frame:
        requested = self._requested
        sides = _object(requested.get("audio"))
        input = _object(sides.get("input"))
        session: Json = {
            "instructions": requested.get("instructions") or "",
            "enable_noise_suppression": self._date.noise_suppression,
        }
        if self._date.voice_prefix is not None:
            session = {"instructions": session["instructions"], "voice": self._shown_voice, **session}
        detection = requested.get("turn_detection", {"type": None})
        if detection is not None or self._date.shows_null_detection:
            session["turn_detection"] = _without_nulls(detection) or {"type": None}
        if requested.get("reasoning"):
            session["reasoning"] = requested["reasoning"]
        session["model"] = self.model
        if requested.get("tools"):
            session["tools"] = [_tool(tool) for tool in requested["tools"]]  # type: ignore[attr-defined]
        session |= {
            "keep_context": False,
            "enable_phonetic_spelling": False,
            "input_audio_transcription": input.get("transcription"),
            "modalities": requested.get("modalities") or ["audio"],
            "input_audio_format": "not specified",
            "output_audio_format": "not specified",
            "tool_choice": "auto",
            "temperature": -1.0,
            "max_response_output_tokens": "inf",
        }
        if requested.get("replace"):
            session["replace"] = requested["replace"]  # its place is a guess
        session["audio"] = {"input": _side(input), "output": _side(_object(sides.get("output")))}
        return _text(
            {"session": session, "type": "session.updated", "event_id": self.ids.event(), "previous_item_id": None}
        )

    @property
    def _transcribes(self) -> bool:
        return bool(_object(_object(self._requested.get("audio")).get("input")).get("transcription"))

    def _transcription(self, stage: str, item: Item, transcript: str, **status: str) -> Frame:
        type = f"conversation.item.input_audio_transcription.{stage}"
        return self.event(type, item_id=item.id, transcript=transcript, content_index=0, **status)

    @property
    def _shown_voice(self) -> str:
        """The voice with the prefix that it comes back with. That other voices than the default have it is a guess."""
        requested = self._requested.get("voice")
        return f"{self._date.voice_prefix}{requested.capitalize() if isinstance(requested, str) else 'Ara'}"

    def _committed(self, item: Item) -> Frame:
        link = item.previous if self.traits.turns.linked == "turn" else None
        event: Json = {"type": "input_audio_buffer.committed", "event_id": self.ids.event(), "item_id": item.id}
        return _text({**event, "previous_item_id": link})

    def _marked(self, item: Json, *, replayed: bool = False) -> Json:
        """The item with its last key, which tells whether it repeats one of an earlier connection. True is a guess."""
        return {**item, "replayed": replayed} if self._date.marks_replayed else item

    def _item_added(self, item: Json, link: str | None, *, replayed: bool = False) -> Frame:
        return _text(
            {
                "type": "conversation.item.added",
                "event_id": self.ids.event(),
                "item": self._marked(item, replayed=replayed),
                "previous_item_id": link,
            }
        )

    def _error(self, kind: str, message: str, param: str | None = None, code: str | None = None) -> Frame:
        # No recording holds an error; the order is by analogy. Its inner event_id is xAI's own (clients' live checks).
        event_id = self.ids.event()
        error: Json = {"type": kind, "code": code or kind, "message": message, "param": param, "event_id": event_id}
        return _text({"type": "error", "event_id": event_id, "error": error, "previous_item_id": None})

    def _expired(self, fact: Expired) -> Iterator[Frame]:
        # The error's types are documented. Its words, that a close follows and its code are guesses, made after OpenAI.
        kind, cause = ("timeout", "inactivity") if fact.idle else ("max_duration", "its maximum duration")
        message = f"The session ended after {fact.after_s / 60:g} minutes, {cause}."
        yield self._error(kind, message)
        yield Close(1001, message)

    # A response.

    def _output_item(self, stage: str, response: Response, item: Json) -> Frame:
        shown = self._marked(item)
        return self.event(f"response.output_item.{stage}", item=shown, response_id=response.id, output_index=0)

    def _message_started(self, fact: MessageStarted) -> Iterator[Frame]:
        item = fact.item
        yield self._output_item("added", fact.response, _head(item, "assistant"))
        yield self._item_added({**_head(item, "assistant"), "content": []}, item.previous)
        # The odd place of the link, and the text "0" in it, are real.
        yield _text(
            {
                "type": "response.content_part.added",
                "event_id": self.ids.event(),
                "item_id": item.id,
                "previous_item_id": "0",
                "part": {"type": "audio", "transcript": ""},
                "response_id": fact.response.id,
                "content_index": 0,
                "output_index": 0,
            }
        )

    def _rid(self, segment: int) -> str:
        """A segment's id: that of its transcript delta's event, also for audio that comes before that event."""
        while len(self._rids) <= segment:
            self._rids.append(self.ids.event())
        return self._rids[segment]

    def _audio_delta(self, fact: AudioSent, at: float) -> Frame:
        if fact.binary:
            return Binary(fact.audio.data)
        event = {
            "type": "response.output_audio.delta",
            "event_id": self.ids.event(),
            "item_id": fact.item.id,
            "response_id": fact.response.id,
        }
        after: Json = {"content_index": 0, "output_index": 0, "rid": self._rid(fact.segment)}
        if fact.first_after_s is not None:
            after["latency"] = f"{fact.first_after_s:.2f}"
        after["audio_duration_ms"] = round(fact.duration_s * 1000)
        after["ts"] = self._unix_ms(at)
        after["previous_item_id"] = None
        return sound_frame(event, fact.audio, after)

    def _words_delta(self, fact: WordsSent) -> Frame:
        rid = self._rid(fact.segment)
        return _text(
            {
                "type": "response.output_audio_transcript.delta",
                "event_id": rid,
                "item_id": fact.item.id,
                "response_id": fact.response.id,
                "delta": fact.text,
                "content_index": 0,
                "output_index": 0,
                "rid": rid,
                "start_time": fact.start_s,
                "previous_item_id": None,
            }
        )

    def _message_ended(self, fact: MessageEnded) -> Iterator[Frame]:
        item, place = fact.item, {"response_id": fact.response.id, "content_index": 0, "output_index": 0}
        # xAI closes the transcript first and the audio last. That a cut message closes the same way is a guess.
        yield self.event("response.output_audio_transcript.done", item_id=item.id, transcript=item.text, **place)
        yield self.event("response.content_part.done", item_id=item.id, **place)
        yield self.event("response.output_audio.done", item_id=item.id, **place)
        yield self._output_item("done", fact.response, _head(item, "assistant"))

    def _call_ended(self, fact: CallEnded) -> Iterator[Frame]:
        item, response = fact.item, fact.response
        ids = {"item_id": item.id, "response_id": response.id}
        delta = "response.function_call_arguments.delta"
        yield self.event(delta, **ids, delta=item.arguments, call_id=item.call_id)
        yield self.event(
            "response.function_call_arguments.done",
            **ids,
            output_index=0,
            call_id=item.call_id,
            name=item.name,
            arguments=item.arguments,
        )
        yield self._output_item("done", response, _call(item, "user"))

    def _response_ended(self, response: Response) -> Iterator[Frame]:
        if response.status == "failed":
            # Unrecorded: the vendor's schema has the error type, and no place in the response for a reason.
            yield self._error("internal_error", str(response.error))
        by_audio = self.traits.turns.pushed is not None and response.settings.turn_detection is None
        counted = usage(response, connect_lead_s=self._date.connect_lead_s, by_audio=by_audio)
        yield self.event("response.done", response=self._response(response), response_id=response.id, usage=counted)

    def _response(self, response: Response) -> Json:
        done = response.status != "in_progress"
        shown: Json = {
            "id": response.id,
            "object": "realtime.response",
            "output": [self._marked(_output(item)) for item in response.output] if done else [],
            "status": response.status,
        }
        if response.metadata is not None:
            shown["metadata"] = dict(response.metadata)  # absent unless sent
        return {**shown, "status_details": "unimplemented", "usage": {}}

    def _unix_ms(self, at: float) -> int:
        return self._epoch_ms + round(at * 1000)


def _text(event: Json) -> Text:
    return Text(orjson.dumps(event), event)


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


CLEARED_BY_NULL = {"turn_detection", "replace", "transcription"}
"""Fields that null resets; elsewhere null changes nothing."""


def _merged(old: Json, new: Mapping[str, object]) -> Json:
    """The session after an update. Omitted keys stay, `audio` and its sides are merged, other objects are replaced."""
    sides = _object(old.get("audio"))
    audio = {side: _updated(_object(sides.get(side)), part) for side, part in _object(new.get("audio")).items()}
    return _updated(old, new) | {"audio": {**sides, **audio}}


def _updated(old: Json, new: object) -> Json:
    return old | {key: value for key, value in _object(new).items() if value is not None or key in CLEARED_BY_NULL}


def _without_nulls(value: object) -> Json:
    detection = _object(value)
    return {key: each for key, each in detection.items() if each is not None or key == "type"}


def _side(requested: Json) -> Json:
    known = {"format": requested.get("format") or {"type": "audio/pcm", "rate": 24000}}
    known["transport"] = requested.get("transport") or "json"
    return known | {key: requested[key] for key in ("transcription", "speed") if requested.get(key) is not None}


def _tool(tool: Json) -> Json:
    """Functions come back in the nested form, whichever was sent; other tools as sent (a guess)."""
    if tool.get("type") != "function":
        return tool
    function = _object(tool.get("function")) or tool
    kept = {key: function[key] for key in ("name", "description", "parameters") if key in function}
    return {"type": "function", "function": kept}


def _head(item: Item, role: str) -> Json:
    kind = {"message": "message", "result": "function_call_output"}.get(item.kind, "function_call")
    return {"id": item.id, "object": "realtime.item", "type": kind, "status": item.status, "role": role}


def _call(item: Item, role: str) -> Json:
    """The role of a call differs between the conversation (`tool`) and the response (`user`)."""
    return {**_head(item, role), "call_id": item.call_id, "name": item.name, "arguments": item.arguments}


def _item(item: Item) -> Json:
    """An item as `conversation.item.added` shows it."""
    if item.kind == "call":
        return {**_call(item, "tool"), "arguments": ""}  # also of a call that the client adds (recordings)
    if item.kind == "result":
        return {**_head(item, "tool"), "call_id": item.call_id, "output": item.output}
    return {**_head(item, item.role), "content": [_part(part.kind, part.text, part.is_audio) for part in item.parts]}


def _part(kind: str, text: str, is_audio: bool) -> Json:
    return {"type": kind, "transcript" if is_audio else "text": text}


def _output(item: Item) -> Json:
    if item.kind in ("call", "hosted"):  # a hosted tool that shows as a call of a function is reported by clients
        return _call(item, "user")
    return {**_head(item, "assistant"), "content": [_part("audio", item.text, True)]}
