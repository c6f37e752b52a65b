"""The cost of a call while it goes on, counted from its frames: enough to stop it in time, not a bill.

Where billing is ambiguous, the higher price is assumed. A call under server VAD costs at least its duration; an unknown
model costs as much as the most expensive one. Where audio costs its tokens, those of a running response are estimated
from its length, because the service reports them at the end.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Any, Literal

from replay.billing.prices import PriceTable, Tokens
from replay.cassette.frames import Binary, Text
from replay.cassette.json_text import Event, event_in, event_type
from replay.cassette.json_values import object_at, value_at
from replay.cassette.opus import packet_ms
from replay.cassette.records import Way

Encoding = Literal["pcm", "pcmu", "pcma", "opus"]

LONGEST_READ = 1 << 20
"""Bytes of a client's message that is read: more would keep other calls waiting. A longer item counts as text."""
_NONE = Fraction(0)
AUDIO_TOKENS_PER_S: Mapping[Way, int] = {"sent": 10, "received": 20}
"""Tokens of OpenAI per second of audio (documented)."""


@lru_cache(maxsize=1024)
def _ratio(numerator: int, denominator: int) -> Fraction:
    """A fraction. Most messages with audio have the same length, and to shorten a fraction takes time."""
    return Fraction(numerator, denominator)


@dataclass(slots=True)
class _Format:
    encoding: Encoding = "pcm"
    rate: int = 24_000

    def seconds(self, data_bytes: int, packet: bytes) -> Fraction:
        if self.encoding == "opus":
            return Fraction(packet_ms(packet)).limit_denominator(10) / 1000
        return _ratio(data_bytes, self.rate * (2 if self.encoding == "pcm" else 1))


class Meter:
    """Counts one connection. Give it every message in both directions; `usd` can be called at any time.

    `model`: the model that the client requested; the session's own model replaces it.
    """

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.audio_s = {"sent": Fraction(0), "received": Fraction(0)}
        self.text_items = 0
        self.tokens: dict[str, Tokens] = {}
        """By model, as the service reported them."""
        self.transcribed_s: dict[str, Fraction] = {}
        """By transcription model, where the service reported seconds."""
        self.transcriber = ""
        """The transcription model that the session last declared."""
        self.by_duration = False
        """Under server VAD the service may bill a call by its duration (price pages of September 2026)."""
        self._formats = {"sent": _Format(), "received": _Format()}
        self._reported_s = {"sent": Fraction(0), "received": Fraction(0)}
        """The seconds of audio whose tokens the service has reported."""

    def encoding(self, way: Way) -> Encoding:
        """The encoding of audio in this direction, as the session last declared it."""
        return self._formats[way].encoding

    def usd(self, table: PriceTable, lasted_s: float) -> Fraction:
        """The cost in USD after this many seconds."""
        seconds = sum(self.audio_s.values(), Fraction(0))
        if self.by_duration:
            seconds = max(seconds, Fraction(lasted_s).limit_denominator(1000))
        usd = seconds / 60 * Fraction(table.highest_minute(self.model))
        usd += self.text_items * Fraction(table.per_text_item)
        return usd + self._usd_of_tokens(table) if table.per_million_tokens else usd

    def _usd_of_tokens(self, table: PriceTable) -> Fraction:
        estimated = Tokens(audio=self._unreported("sent"), audio_out=self._unreported("received"))
        usd = table.highest_tokens(self.model).of(estimated)
        for model, tokens in self.tokens.items():
            usd += table.highest_tokens(model).of(tokens)
        for model, seconds in self.transcribed_s.items():
            usd += Fraction(table.highest_transcribed_minute(model)) * seconds / 60
        return usd

    def _unreported(self, way: Way) -> int:
        return ceil((self.audio_s[way] - self._reported_s[way]) * AUDIO_TOKENS_PER_S[way])

    def count(self, way: Way, frame: Text | Binary) -> Fraction:
        """Count a message. Returns the seconds of audio in it. One that cannot be read costs nothing."""
        if isinstance(frame, Binary):
            return self._heard(way, len(frame.data), frame.data)
        match way, event_type(frame.data):
            case "sent", "input_audio_buffer.append":
                return self._sound(way, frame.data, b"audio")
            case "received", "response.output_audio.delta" | "response.audio.delta":
                return self._sound(way, frame.data, b"delta")
            case "sent", "conversation.item.create" if len(frame.data) > LONGEST_READ:
                self.text_items += 1
            case "sent", "session.update" if len(frame.data) > LONGEST_READ:
                pass  # the service's answer says the same
            case "sent", "conversation.item.create":
                self._item((event_in(frame.data) or {}).get("item"))
            case ("sent", "session.update") | ("received", "session.created" | "session.updated"):
                self._declare((event_in(frame.data) or {}).get("session"))
            case "received", "response.done":
                self._reported(event_in(frame.data) or {})
            case "received", "conversation.item.input_audio_transcription.completed":
                self._transcribed((event_in(frame.data) or {}).get("usage"))
            case _:
                pass
        return _NONE

    def seconds_of(self, way: Way, sound: bytes) -> Fraction:
        """The seconds that sound lasts in the format of this direction. It is not counted."""
        return self._formats[way].seconds(len(sound), sound)

    def _sound(self, way: Way, data: bytes, key: bytes) -> Fraction:
        if (found := data.rfind(b'"' + key + b'"')) < 0:
            return _NONE
        begin = data.find(b'"', data.find(b":", found + len(key) + 2)) + 1
        end = data.find(b'"', begin)
        if not 0 < begin <= end:
            return _NONE
        chars = end - begin
        for beside in (b"=", b"\\"):  # not sound: padding, and the escape of a slash
            if (first := data.find(beside, begin, end)) >= 0:
                chars -= data.count(beside, first, end)
        return self._heard(way, chars * 3 // 4, _first_bytes(data[begin : min(end, begin + 4)]))

    def _heard(self, way: Way, data_bytes: int, packet: bytes) -> Fraction:
        seconds = self._formats[way].seconds(data_bytes, packet)
        self.audio_s[way] += seconds
        return seconds

    def _reported(self, event: Event) -> None:
        self._reported_s = dict(self.audio_s)
        if (tokens := tokens_of(event)) != Tokens():
            self.tokens[self.model or ""] = self.tokens.get(self.model or "", Tokens()) + tokens

    def _transcribed(self, usage: Any) -> None:
        """By tokens or by seconds, as the service reports them."""
        match usage:
            case {"type": "tokens", "input_tokens": int(heard), "output_tokens": int(written)}:
                tokens = self.tokens.get(self.transcriber, Tokens())
                self.tokens[self.transcriber] = tokens + Tokens(audio=heard, text_out=written)
            case {"type": "duration", "seconds": int() | float() as seconds}:
                known = self.transcribed_s.get(self.transcriber, Fraction(0))
                self.transcribed_s[self.transcriber] = known + Fraction(seconds).limit_denominator(1000)
            case _:
                pass

    def _item(self, item: Any) -> None:
        """Tool results and audio items are not billed as text."""
        if not isinstance(item, dict) or item.get("type") == "function_call_output":
            return
        content = item.get("content")
        kinds = {part.get("type") for part in content if isinstance(part, dict)} if isinstance(content, list) else set()
        if not kinds & {"input_audio", "audio"}:
            self.text_items += 1

    def _declare(self, session: Any) -> None:
        if not isinstance(session, dict):
            return
        for way, key, older in (("sent", "input", "input_audio_format"), ("received", "output", "output_audio_format")):
            side = object_at(session, "audio", key)
            self._set_format(self._formats[way], side.get("format", session.get(older)))
            self._turns(side)
            if isinstance(transcriber := value_at(side, "transcription", "model"), str):
                self.transcriber = transcriber
        self._turns(session)
        if isinstance(session.get("model"), str):
            self.model = session["model"]

    def _turns(self, settings: Event) -> None:
        if "turn_detection" in settings:
            self.by_duration = bool(value_at(settings, "turn_detection", "type"))

    def _set_format(self, known: _Format, declared: Any) -> None:
        kind, rate = (declared, None) if isinstance(declared, str) else (None, None)
        if isinstance(declared, dict):
            kind, rate = declared.get("type"), declared.get("rate")
        match kind:
            case "audio/pcm" | "pcm16" | "pcm":
                known.encoding, known.rate = "pcm", 24_000
            case "audio/pcmu" | "g711_ulaw" | "pcmu":
                known.encoding, known.rate = "pcmu", 8000
            case "audio/pcma" | "g711_alaw" | "pcma":
                known.encoding, known.rate = "pcma", 8000
            case "audio/opus" | "opus":
                known.encoding, known.rate = "opus", 24_000
            case _:
                return
        if isinstance(rate, int) and 1000 <= rate <= 192_000:
            known.rate = rate


def _first_bytes(payload: bytes) -> bytes:
    try:
        return b64decode(payload)
    except ValueError:
        return b""


def tokens_of(event: Event) -> Tokens:
    """The tokens that a `response.done` reports in `response.usage`; none if it has no numbers there."""
    given = object_at(event, "response", "usage", "input_token_details")
    made = object_at(event, "response", "usage", "output_token_details")
    cached = object_at(given, "cached_tokens_details")

    def count(details: Event, name: str) -> int:
        value = details.get(name)
        return value if isinstance(value, int) else 0

    hit = {kind: count(cached, f"{kind}_tokens") for kind in ("text", "audio", "image")}
    return Tokens(
        text=count(given, "text_tokens") - hit["text"],
        cached_text=hit["text"],
        audio=count(given, "audio_tokens") - hit["audio"],
        cached_audio=hit["audio"],
        text_out=count(made, "text_tokens"),  # reasoning tokens are part of them (recordings)
        audio_out=count(made, "audio_tokens"),
        image=count(given, "image_tokens") - hit["image"],
        cached_image=hit["image"],
    )
