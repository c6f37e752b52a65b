"""OpenAI's Realtime API: facts in, server frames out, in the order and with the keys of live recordings.

Key order and oddities are observed unless a comment says otherwise. The objects inside the events: objects.py. What a
client may send: client_events.py and parse.py. The session object: session_object.py. Usage and prices: usage.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

import orjson
from typing_extensions import assert_never

from mockserver.audio.vad.detector import OPENAI_TURNS
from mockserver.billing.ledger import Ledger
from mockserver.dialects.base import ItemTraits, Opening, ResponseTraits, Traits, TurnTraits
from mockserver.dialects.names import DialectName
from mockserver.dialects.openai import chunking, parse, session_object
from mockserver.dialects.openai.ids import Digits, OpenAIIds
from mockserver.dialects.openai.objects import item_begun, item_retrieved, item_shown, part_shown, response_shown
from mockserver.dialects.openai.parse import SessionState
from mockserver.dialects.openai.refusals import refusal
from mockserver.dialects.openai.session_object import Json, Model, streams
from mockserver.dialects.openai.usage import (
    Reading,
    counts_tokens,
    output_tokens,
    tokens_of,
    total,
    transcribed_seconds,
    transcription_tokens,
    transcription_usage,
)
from mockserver.dialects.plain_append import plain_append
from mockserver.dialects.sound_frames import sound_frame
from mockserver.dialects.templates import Blanks, Filling, Template
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
from mockserver.protocol.ids import LateStream
from mockserver.protocol.limits import Limits
from replay.billing.prices import PriceTable
from replay.cassette.frames import Close, Frame, Passage, Sound, Text


@dataclass(frozen=True, slots=True)
class Date:
    """What differs between the dates of the service, and where it is hosted.

    checks: `ItemTraits.checks`. An id that was taken was accepted in a live test of an older date.
    update_named: how the refusal of an update for the other type of session names it.
    hosted_by_azure: each part comes twice, as `part` and as `content`; a response that reasons tells so even if the
        count is 0 (of a related service; a guess here).
    """

    name: DialectName
    checks: Literal["references", "both"] = "both"
    update_named: str = "update"
    hosted_by_azure: bool = False


OPENAI_2026_08 = Date("openai@2026-08", checks="references", update_named="update event")
OPENAI_2026_10 = Date("openai@2026-10")
AZURE_2026_10 = Date("azure@2026-10", hosted_by_azure=True)


@lru_cache
def traits_of(date: Date, model: Model, kind: str) -> Traits:
    """How sessions of a model behave; `kind` is `realtime` or `transcription`."""
    fresh = session_object.fresh(model, "", 0) if kind == "realtime" else session_object.fresh_transcription("", 0)
    return Traits(
        defaults=Settings(**session_object.changes_of(fresh)),  # type: ignore[arg-type]
        turns=TurnTraits(
            item_added="commit",
            answered="at_once",
            during_response="refused",
            resumes=False,
            commit="ends_turn",
            min_commit_ms=100.0,
            manual=OPENAI_TURNS,
            manual_events=False,
            idle_note=IDLE_NOTE,
        ),
        items=ItemTraits(checks=date.checks, truncation="all", keeps_audio=True, mcp="items"),
        responses=ResponseTraits(
            output="together",
            phases=model.reasons,
            counted_input="whole",
            rate_limits_after_s=0.043 if kind == "realtime" else None,
            segments=chunking.sentences,
            spoken=chunking.plan,
            written=chunking.written,
            rhythm=chunking.REASONING if model.reasons else chunking.RHYTHM,
            breath_s=0.01,
            counted_output=lambda response, texts, runs: total(output_tokens(response, model, texts, runs)),
        ),
        max_frame_bytes=21 << 20,  # 15 MiB of audio in base64 and its envelope
        ping_s=20.26,
        limits=Limits(
            max_sessions=100,  # a guess; the service's limit is one of tokens
            session_minutes=session_object.SESSION_S / 60,
            resumption_minutes=0,
            secret_seconds=600,
            secret_max_seconds=7200,
        ),
    )


class OpenAI:
    """The dialect on one connection."""

    def __init__(self, date: Date, opening: Opening, prices: PriceTable) -> None:
        query = dict(opening.query)
        secret = opening.secret or {}
        transcribes = query.get("intent") == "transcription" or secret.get("type") == "transcription"
        self._model = Model(opening.model or secret.get("model") or DEFAULT_MODEL)
        self.name: str = date.name
        self._date, self._opening = date, opening
        self.prices = prices
        listed = prices.resolved(self._model.name)
        # Guess: a model without a price costs what the default model costs.
        self.model = listed if listed in prices.per_million_tokens else DEFAULT_MODEL
        self.ids: OpenAIIds | Blanks = OpenAIIds(opening.seed, opening.epoch, opening.call_id)
        expires_at = int(opening.epoch) + int(opening.session_s or session_object.SESSION_S)
        if transcribes:
            session = session_object.fresh_transcription(self.ids.session, expires_at)
        else:
            session = session_object.fresh(self._model, self.ids.session, expires_at)
        self._session = session_object.merged(session, secret, self._model)
        defaults = Settings(**session_object.changes_of(self._session))  # type: ignore[arg-type]
        self.traits = replace(
            traits_of(date, self._model, self._session["type"]), defaults=defaults, media=opening.call_id is not None
        )
        self._epoch = opening.epoch
        self._playout_ids = LateStream(opening.seed, "playout")
        self._obfuscation: Digits | Blanks = Digits(LateStream(opening.seed, "obfuscation"))
        self._logprob_values = LateStream(opening.seed, "logprobs")
        self._conversation_id = self.ids.conversation
        self._first_item_id: str | None = None
        self._has_spoken = False
        self._last_tokens = 0
        self._reading = Reading(self._model)
        self._pieces_sent: dict[str, int] = {}
        """How many pieces of a spoken turn's transcript have left, by item id."""

    def parse(self, data: str | bytes, settings: Settings) -> Command:
        media = self.traits.media
        if not media and isinstance(data, str) and (sound := plain_append(data)):
            return Append(sound)
        return parse.parse(
            data, SessionState(self._session, self._model, self._has_spoken, self._date.update_named, media)
        )

    def charge(self, fact: ResponseEnded | TranscriptCompleted, ledger: Ledger) -> None:
        match fact:
            case ResponseEnded():
                response = fact.response
                response.tokens = tokens_of(response, self._session, self._model, self._last_tokens, self._reading)
                self._last_tokens = total(response.tokens) or self._last_tokens
                ledger.used(self.model, response.tokens)
            case TranscriptCompleted():
                if (transcriber := self._transcriber) is None:
                    return
                if counts_tokens(transcriber):
                    counted = transcription_tokens(fact.item.heard_ms, len(self._pieces(fact.transcript)))
                    ledger.used(self.prices.resolved(transcriber), counted)
                else:
                    known = self.prices.resolved(transcriber)
                    name = known if known in self.prices.per_transcribed_minute else UNKNOWN_TRANSCRIBER
                    heard_ms = fact.item.heard_ms if fact.transcript else 0
                    ledger.transcribed(name, Fraction(transcribed_seconds(heard_ms)))
            case _:
                assert_never(fact)

    def blank(self) -> tuple[OpenAI, Blanks]:
        blank, blanks = OpenAI(self._date, self._opening, self.prices), Blanks()
        blank.ids = blank._obfuscation = blanks
        return blank, blanks

    def fits(self, previous: str | None) -> bool:
        # The links of a conversation's first two items are special: see _begun and _finished.
        return previous is not None and previous != self._first_item_id

    def filled(self, template: Template, response: Response, item: Item, at: float, latency_s: float) -> Passage:
        events = iter(self.ids.events(template.drawn.count(0), at))
        padding = self._obfuscation.draw
        drawn = [padding(each) if each else next(events) for each in template.drawn]
        self._has_spoken = self._has_spoken or template.speaks
        return template.filled(Filling(item.id, response.id, item.previous, 0, "", drawn))

    def event(self, at: float, type: str, **fields: object) -> Frame:
        """An event in the usual order: type, event_id, its fields."""
        event = {"type": type, "event_id": self.ids.event(at), **fields}
        return Text(orjson.dumps(event), event)

    def render(self, fact: Fact, at: float) -> Iterator[Frame | Sound]:
        match fact:  # what each turn has comes first: the cases are tried in order
            case AudioSent():
                self._has_spoken = True
                if self.traits.media:
                    yield Sound(fact.audio.data, fact.response.id, fact.item.id)
                    return
                event = {"type": "response.output_audio.delta", "event_id": self.ids.event(at)}
                yield sound_frame({**event, **_place(fact.response, fact.item)}, fact.audio)
            case WordsSent():
                name = "output_audio_transcript" if fact.response.settings.speaks else "output_text"
                place = _place(fact.response, fact.item)
                yield self._delta(at, f"response.{name}.delta", fact.text, **place)
            case ResponseStarted():
                yield self.event(at, "response.created", response=self._response(fact.response))
            case MessageStarted():
                yield from self._message_started(fact, at)
            case MessageEnded():
                yield from self._message_ended(fact, at)
            case ResponseEnded():
                yield self.event(at, "response.done", response=self._response(fact.response))
            case LimitsUpdated():
                yield from self._limits(fact.response, at)
            case ItemAdded():
                yield from self._item_entered(fact.item, at)
            case KeptAlive():
                pass  # OpenAI pings on the level of WebSocket
            case Opened():
                self._conversation_id = fact.conversation_id
                yield self.event(at, "session.created", session=self._session)
            case Configured():
                self._session = dict(fact.requested)
                yield self.event(at, "session.updated", session=self._session)
            case ItemDeleted():
                yield self.event(at, "conversation.item.deleted", item_id=fact.item_id)
            case ItemRetrieved():
                yield self.event(at, "conversation.item.retrieved", item=item_retrieved(fact.item))
            case ItemTruncated():
                self._reading.recount()
                cut = {"content_index": fact.content_index, "audio_end_ms": fact.audio_end_ms}
                yield self.event(at, "conversation.item.truncated", item_id=fact.item.id, **cut)
            case SpeechStarted():
                place = {"audio_start_ms": fact.at_ms, "item_id": fact.item.id}
                yield self.event(at, "input_audio_buffer.speech_started", **place)
            case SpeechStopped():
                place = {"audio_end_ms": fact.at_ms, "item_id": fact.item.id}
                yield self.event(at, "input_audio_buffer.speech_stopped", **place)
            case Committed():
                place = {"previous_item_id": fact.item.previous, "item_id": fact.item.id}
                yield self.event(at, "input_audio_buffer.committed", **place)
                yield from self._item_entered(fact.item, at)
            case Cleared():
                yield self.event(at, "input_audio_buffer.cleared")
            case TranscriptUpdated():
                if streams(self._transcriber):
                    yield from self._transcript_deltas(fact.item, fact.transcript, at)
            case TranscriptCompleted():
                if self._transcriber is not None:
                    yield from self._transcript_deltas(fact.item, fact.transcript, at)
                    yield self._transcript_completed(fact, at)
            case TranscriptFailed():
                yield self._transcript_failed(fact, at)
            case TimedOut():
                place = {"audio_start_ms": fact.start_ms, "audio_end_ms": fact.end_ms, "item_id": fact.item.id}
                yield self.event(at, "input_audio_buffer.timeout_triggered", **place)
            case CallStarted():
                yield from self._call_started(fact, at)
            case CallEnded():
                yield from self._call_ended(fact, at)
            case ListingStarted():
                yield from self._listing_started(fact.item, at)
            case ToolsListed():
                yield from self._tools_listed(fact.item, at)
            case ApprovalRequested():
                yield from self._begun(fact.response, fact.item, at)
                yield from self._finished(fact.response, fact.item, at)
            case HostedStarted():
                # This API has no tools but those on MCP servers: that others show no events is a guess.
                if fact.item.server:
                    yield from self._mcp_call_started(fact, at)
            case HostedEnded():
                if fact.item.server:
                    yield from self._mcp_call_ended(fact, at)
            case Expired():
                # The beta sent the error, today's API sends the close frame: this serves clients of either.
                message = (IDLE if fact.idle else EXPIRED).format(minutes=fact.after_s / 60)
                yield self._error(Rejected(message, code="session_expired"), at)
                yield Close(1001, message)
            case PlayoutCut():
                yield Sound(b"", cuts=True)
            case PlayoutStarted() | PlayoutStopped() | PlayoutCleared():
                yield self._playout(fact)
            case DigitPressed():
                # The SDK's type of this event has no event_id.
                pressed = {"event": fact.digit, "received_at": int(self._epoch + at)}
                yield Text(orjson.dumps({"type": "input_audio_buffer.dtmf_event_received", **pressed}))
            case Refused():
                yield self._error(refusal(fact), at)
            case Malformed():
                yield self._error(fact.rejected, at)
            case _:
                assert_never(fact)

    def _playout(self, fact: PlayoutStarted | PlayoutStopped | PlayoutCleared) -> Frame:
        """The ids of these events have a form of their own (recordings of sidebands)."""
        match fact:
            case PlayoutStarted():
                what = "started"
            case PlayoutStopped():
                what = "stopped"
            case PlayoutCleared():
                what = "cleared"
            case _:
                assert_never(fact)
        event_id = f"event_{self._playout_ids.rng.getrandbits(64):016x}"
        event = {"type": f"output_audio_buffer.{what}", "event_id": event_id, "response_id": fact.response_id}
        return Text(orjson.dumps(event), event)

    # The conversation.

    def _item_entered(self, item: Item, at: float) -> Iterator[Frame]:
        """An item that is complete when it is added: added and done at once, with the same link."""
        if item.previous is None:
            self._first_item_id = item.id
        shown = {"previous_item_id": item.previous, "item": item_shown(item)}
        yield self.event(at, "conversation.item.added", **shown)
        yield self.event(at, "conversation.item.done", **shown)

    @property
    def _transcriber(self) -> str | None:
        transcription = self._session["audio"]["input"]["transcription"]
        return None if transcription is None else transcription.get("model") or DEFAULT_TRANSCRIBER

    def _pieces(self, transcript: str) -> tuple[str, ...]:
        """A transcript as deltas. A streaming model's begin with a space (recordings of gpt-realtime-whisper), and
        whisper-1 sends one delta (documented)."""
        if not transcript:
            return ()
        if self._transcriber == "whisper-1":
            return (transcript,)
        return chunking.pieces(f" {transcript}" if streams(self._transcriber) else transcript)

    def _transcript_deltas(self, item: Item, transcript: str, at: float) -> Iterator[Frame]:
        pieces = self._pieces(transcript)
        for piece in pieces[self._pieces_sent.get(item.id, 0) :]:
            type = "conversation.item.input_audio_transcription.delta"
            yield self._delta(at, type, piece, self._logprobs([piece]), item_id=item.id, content_index=0)
        self._pieces_sent[item.id] = len(pieces)

    def _transcript_completed(self, fact: TranscriptCompleted, at: float) -> Frame:
        pieces, heard_ms = self._pieces_sent.pop(fact.item.id, 0), fact.item.heard_ms if fact.transcript else 0
        return self.event(
            at,
            "conversation.item.input_audio_transcription.completed",
            item_id=fact.item.id,
            content_index=0,
            transcript=fact.transcript,
            usage=transcription_usage(self._transcriber or "", heard_ms, pieces),
            **self._logprobs(self._pieces(fact.transcript)),
        )

    def _transcript_failed(self, fact: TranscriptFailed, at: float) -> Frame:
        """Logs of clients show the type `server_error`; the vendor documents another for audio that is not understood.
        What the message says beside the item's id is a guess."""
        failure = fact.failure
        documented = "transcription_error" if failure.code == "audio_unintelligible" else "server_error"
        message = failure.message or f"Input transcription failed for item '{fact.item.id}'."
        error = {"type": failure.type or documented, "code": failure.code, "message": message, "param": None}
        type = "conversation.item.input_audio_transcription.failed"
        return self.event(at, type, item_id=fact.item.id, content_index=0, error=error)

    def _logprobs(self, pieces: Sequence[str]) -> Json:
        """Log probabilities, if the session includes them and the model has them (documented). Random values."""
        if not self._session["include"] or not counts_tokens(self._transcriber or ""):
            return {}
        logprobs = [
            {"token": piece, "logprob": -self._logprob_values.rng.random() / 10, "bytes": list(piece.encode())}
            for piece in pieces
        ]
        return {"logprobs": logprobs}

    # A response.

    def _response(self, response: Response) -> Json:
        return response_shown(response, self._conversation_id, zero=self._date.hosted_by_azure and self._model.reasons)

    def _delta(
        self, at: float, type: str, delta: str, more: Mapping[str, object] = MappingProxyType({}), **place: object
    ) -> Frame:
        """A delta of text, padded to hide its length: to 16 characters, or to a multiple of 16 (a guess)."""
        filled = {"delta": delta, "obfuscation": self._obfuscation.draw(-len(delta) % 16)}
        return self.event(at, type, **place, **filled, **more)

    def _begun(self, response: Response, item: Item, at: float) -> Iterator[Frame]:
        shown = item_begun(item)
        index = response.output.index(item)
        yield self.event(at, "response.output_item.added", response_id=response.id, output_index=index, item=shown)
        if not response.aside:
            if item.previous is None:
                self._first_item_id = item.id
            yield self.event(at, "conversation.item.added", previous_item_id=item.previous, item=shown)

    def _finished(self, response: Response, item: Item, at: float) -> Iterator[Frame]:
        """The conversation's event comes before the response's; when an item begins, the order is reversed."""
        shown = item_shown(item)
        if not response.aside:
            # The second item of a conversation has a null link (17 of 17 recorded; 0 of 16 other items).
            link = None if item.previous == self._first_item_id else item.previous
            yield self.event(at, "conversation.item.done", previous_item_id=link, item=shown)
        index = response.output.index(item)
        yield self.event(at, "response.output_item.done", response_id=response.id, output_index=index, item=shown)

    def _message_started(self, fact: MessageStarted, at: float) -> Iterator[Frame]:
        response, item = fact.response, fact.item
        yield from self._begun(response, item, at)
        part = self._part(response, "")
        yield self.event(at, "response.content_part.added", **_place(response, item), **part)

    def _message_ended(self, fact: MessageEnded, at: float) -> Iterator[Frame]:
        # That a cut message closes in the same order is a guess.
        response, item = fact.response, fact.item
        place = _place(response, item)
        if response.settings.speaks:
            yield self.event(at, "response.output_audio.done", **place)
            yield self.event(at, "response.output_audio_transcript.done", **place, transcript=item.text)
        else:
            yield self.event(at, "response.output_text.done", **place, text=item.text)
        yield self.event(at, "response.content_part.done", **place, **self._part(response, item.text))
        yield from self._finished(response, item, at)

    def _part(self, response: Response, text: str) -> Json:
        part = part_shown(spoken=response.settings.speaks, text=text)
        return {"part": part, "content": part} if self._date.hosted_by_azure else {"part": part}

    def _call_started(self, fact: CallStarted, at: float) -> Iterator[Frame]:
        yield from self._begun(fact.response, fact.item, at)
        place = _call_place(fact.response, fact.item)
        for piece in chunking.pieces(fact.arguments):
            yield self._delta(at, "response.function_call_arguments.delta", piece, **place)

    def _call_ended(self, fact: CallEnded, at: float) -> Iterator[Frame]:
        item, place = fact.item, _call_place(fact.response, fact.item)
        whole = {"name": item.name, "arguments": item.arguments}
        yield self.event(at, "response.function_call_arguments.done", **place, **whole)
        yield from self._finished(fact.response, item, at)

    # Tools that the service runs itself. The fields are documented. The order is known from live tests of a client,
    # unless a comment calls it a guess.

    def _mcp_call_started(self, fact: HostedStarted, at: float) -> Iterator[Frame]:
        response, item = fact.response, fact.item
        yield from self._begun(response, item, at)
        index = response.output.index(item)
        place: Json = {"response_id": response.id, "item_id": item.id, "output_index": index}
        for piece in chunking.pieces(fact.arguments):
            yield self._delta(at, "response.mcp_call_arguments.delta", piece, **place)
        yield self.event(at, "response.mcp_call_arguments.done", **place, arguments=fact.arguments)
        yield self.event(at, "response.mcp_call.in_progress", output_index=index, item_id=item.id)

    def _mcp_call_ended(self, fact: HostedEnded, at: float) -> Iterator[Frame]:
        response, item = fact.response, fact.item
        end = "failed" if item.error else "completed"
        yield self.event(at, f"response.mcp_call.{end}", output_index=response.output.index(item), item_id=item.id)
        yield from self._finished(response, item, at)  # that the item closes after it is a guess

    def _listing_started(self, item: Item, at: float) -> Iterator[Frame]:
        if item.previous is None:
            self._first_item_id = item.id
        # That the item comes empty, and is not closed when the listing fails, is a guess.
        yield self.event(at, "conversation.item.added", previous_item_id=item.previous, item=item_shown(item))
        yield self.event(at, "mcp_list_tools.in_progress", item_id=item.id)

    def _tools_listed(self, item: Item, at: float) -> Iterator[Frame]:
        yield self.event(at, f"mcp_list_tools.{'failed' if item.error else 'completed'}", item_id=item.id)
        if not item.error:
            link = {"previous_item_id": item.previous}
            yield self.event(at, "conversation.item.done", **link, item=item_shown(item))

    def _limits(self, response: Response, at: float) -> Iterator[Frame]:
        """Not after a response that only called a function: none came in the one recording of it (gpt-realtime)."""
        if response.output and all(item.kind == "call" for item in response.output):
            return
        used = USED[self._model.reasons, response.settings.speaks]
        entry = {
            "name": "tokens",
            "limit": LIMIT,
            "remaining": LIMIT - used,
            "reset_seconds": used * 60_000 // LIMIT / 1000,
        }
        yield self.event(at, "rate_limits.updated", rate_limits=[entry])

    def _error(self, rejected: Rejected, at: float) -> Frame:
        error: Json = {
            "type": rejected.kind,
            "code": rejected.code,
            "message": rejected.message,
            "param": rejected.param,
            "event_id": rejected.event_id,
        }
        return self.event(at, "error", error=error)


def session_for(requested: Mapping[str, Any], seed: str) -> Json:
    """The session that the answer to a client secret's request shows. Its `expires_at` is 0 (recordings)."""
    session_id = OpenAIIds(seed, 0.0).session
    model = Model(requested.get("model") or DEFAULT_MODEL)
    if requested.get("type") == "transcription":
        return session_object.merged(session_object.fresh_transcription(session_id, 0), requested, model)
    return session_object.merged(session_object.fresh(model, session_id, 0), requested, model)


EXPIRED = "Your session hit the maximum duration of {minutes:g} minutes."
IDLE = "Your session was idle for {minutes:g} minutes."
"""The service keeps idle sessions open and has no such text: an idle limit is an option of the mock."""
IDLE_NOTE = "The user has said nothing for a while. Say something fitting, or ask whether they are still there."
"""That there is such a message is recorded; its words are a guess."""
DEFAULT_MODEL = "gpt-realtime-2.1"
DEFAULT_TRANSCRIBER = "gpt-4o-mini-transcribe"
UNKNOWN_TRANSCRIBER = "gpt-realtime-whisper"
"""The model at whose price an unknown transcription model is billed: the dearest of those by the minute."""
USED = {(False, False): 285, (False, True): 650, (True, False): 1046, (True, True): 2270}
"""Tokens that a response is counted as against the account's limit, by whether the model reasons and whether it speaks:
about those recorded."""
LIMIT = 15_000_000
"""Tokens a minute of the recorded account. What counts for a response is an estimate of the service's own."""


def _place(response: Response, item: Item) -> Json:
    index = response.output.index(item)
    return {"response_id": response.id, "item_id": item.id, "output_index": index, "content_index": 0}


def _call_place(response: Response, item: Item) -> Json:
    index = response.output.index(item)
    return {"response_id": response.id, "item_id": item.id, "output_index": index, "call_id": item.call_id}
