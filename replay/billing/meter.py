"""The cost of a call while it goes on, counted from its frames: enough to stop it in time, not a bill.

Where billing is ambiguous, the higher price is assumed. A call under server VAD costs at least its duration; an unknown
model costs as much as the most expensive one. The service's own `usage` is not used, because it comes too late.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, Literal

from replay.cassette.frames import Binary, Text
from replay.cassette.json_text import Event, event_in, event_type
from replay.cassette.json_values import object_at, value_at
from replay.cassette.opus import packet_ms
from replay.cassette.records import Way

Encoding = Literal["pcm", "pcmu", "pcma", "opus"]


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of one service from one day on, in USD. Audio is billed in both directions, and so is a typed item."""

    since: date
    source: str
    per_audio_minute: Mapping[str, Fraction]
    per_text_item: Fraction

    def minute(self, model: str | None) -> Fraction:
        """USD per minute of audio. For an unknown model the highest price."""
        listed = self.per_audio_minute.get(model or "")
        return max(self.per_audio_minute.values()) if listed is None else listed


_FAST_1, _FAST_2 = Fraction("0.05"), Fraction("0.08")
_XAI = "docs.x.ai: pages of the models and of pricing, July and August 2026"
PRICES: Mapping[str, tuple[Prices, ...]] = {
    "xai": (
        Prices(
            date(2026, 7, 1),
            _XAI,
            {
                "grok-voice-think-fast-1.0": _FAST_1,
                "grok-voice-think-fast-2.0": _FAST_2,
                "grok-voice-latest": _FAST_1,
            },
            Fraction("0.004"),
        ),
        Prices(
            date(2026, 8, 5),
            _XAI,
            {
                "grok-voice-think-fast-1.0": _FAST_1,
                "grok-voice-think-fast-2.0": _FAST_2,
                "grok-voice-latest": _FAST_2,
            },
            Fraction("0.004"),
        ),
    )
}
"""By service, oldest first. Services that bill by tokens are not here: frames do not show their price."""


def prices(dialect: str, on: date) -> Prices | None:
    """The prices of a dialect's service on a day, or None if they are not known. Before the first table, the first one
    holds.
    """
    tables = PRICES.get(dialect.partition("@")[0])
    return None if tables is None else next((table for table in reversed(tables) if table.since <= on), tables[0])


@dataclass(slots=True)
class _Format:
    encoding: Encoding = "pcm"
    rate: int = 24_000

    def seconds(self, data_bytes: int, packet: bytes) -> Fraction:
        if self.encoding == "opus":
            return Fraction(packet_ms(packet)).limit_denominator(10) / 1000
        return Fraction(data_bytes, self.rate * (2 if self.encoding == "pcm" else 1))


class Meter:
    """Counts one connection. Give it every message in both directions; `usd` can be called at any time.

    `model`: the model that the client asked for; the session's own model replaces it.
    """

    def __init__(self, model: str | None) -> None:
        self.model = model
        self.audio_s = {"sent": Fraction(0), "received": Fraction(0)}
        self.text_items = 0
        self.by_duration = False
        """Under server VAD the service may bill a call by its duration (price pages of September 2026)."""
        self._formats = {"sent": _Format(), "received": _Format()}

    def encoding(self, way: Way) -> Encoding:
        """The encoding of audio in this direction, as the session last declared it."""
        return self._formats[way].encoding

    def usd(self, table: Prices, lasted_s: float) -> Fraction:
        """The cost after this many seconds."""
        seconds = sum(self.audio_s.values(), Fraction(0))
        if self.by_duration:
            seconds = max(seconds, Fraction(lasted_s).limit_denominator(1000))
        return seconds / 60 * table.minute(self.model) + self.text_items * table.per_text_item

    def count(self, way: Way, frame: Text | Binary) -> None:
        """Count a message. One that cannot be read costs nothing."""
        if isinstance(frame, Binary):
            self.audio_s[way] += self._formats[way].seconds(len(frame.data), frame.data)
            return
        match way, event_type(frame.data):
            case "sent", "input_audio_buffer.append":
                self._sound(way, frame.data, b"audio")
            case "received", "response.output_audio.delta" | "response.audio.delta":
                self._sound(way, frame.data, b"delta")
            case "sent", "conversation.item.create":
                self._item((event_in(frame.data) or {}).get("item"))
            case ("sent", "session.update") | ("received", "session.created" | "session.updated"):
                self._declare((event_in(frame.data) or {}).get("session"))
            case _:
                pass

    def _sound(self, way: Way, data: bytes, key: bytes) -> None:
        if (found := data.rfind(b'"' + key + b'"')) < 0:
            return
        begin = data.find(b'"', data.find(b":", found + len(key) + 2)) + 1
        end = data.find(b'"', begin)
        if 0 < begin <= end:
            payload = data[begin:end]
            chars = len(payload) - payload.count(b"=") - payload.count(b"\\")
            self.audio_s[way] += self._formats[way].seconds(chars * 3 // 4, _first_bytes(payload))

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
        return b64decode(payload[:4])
    except ValueError:
        return b""
