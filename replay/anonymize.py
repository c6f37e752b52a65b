"""Anonymizes a recording: the user's voice, and all text.

`without_voice` keeps the envelope. Every 20 ms are as loud as before: a hum of constant pitch for voice, a hiss for
consonants and noise. Sizes stay the same to the byte, so the bill does too, and energy-based turn detection finds the
same turns. Words and speaker cannot be restored; the timing of the speech can.

`without_words` replaces every letter by x and every digit by 0, in what was said, typed, and passed to and from tools.
Words, spaces and punctuation keep their places, so deltas still add up to their text. Instructions, tool names and
schemas stay, because they are the developer's. Secrets are the business of scrub.py.
"""

from __future__ import annotations

import json
import math
import random
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

from replay.billing.meter import Encoding, Meter
from replay.cassette import g711, json_text
from replay.cassette.frames import Binary, Text
from replay.cassette.records import Content, Dropped, Record, StrippedAudio, StrippedMessage

_FRAME_S = 0.02
_PITCH_HZ = 125
_HARMONICS = ((1, 0.5), (2, 0.6), (3, 0.8), (4, 1.0), (5, 0.8), (6, 0.5), (8, 0.3), (10, 0.35), (12, 0.3), (18, 0.15))
"""Amplitudes of the hum's partials. Two broad maxima, as in a vowel, so that voice detectors take it for speech."""
_HISS = 0.32
"""Zero crossings per sample above which a frame becomes hiss. At 24 kHz this is around 3.8 kHz."""
_HISS_LENGTH = 16384

_WORDS = ("transcript", "text", "arguments", "output")
_MARK = b"~sound %d~"


def without_voice(records: Iterable[Record]) -> Iterator[Record]:
    """The records with other audio in place of the user's voice. Opus is not decoded here, so it is dropped, with a
    reason.
    """
    lines: dict[int, _Line] = {}
    for record in records:
        line = lines.setdefault(record.connection, _Line())
        content = line.take(record)
        yield record if content is record.content else replace(record, content=content)


def without_words(records: Iterable[Record]) -> Iterator[Record]:
    """The records with all text masked."""
    for record in records:
        match record.content:
            case Text(data):
                yield replace(record, content=Text(_masked_event(data)))
            case StrippedMessage("text"):
                yield replace(record, content=_masked_outline(record.content))
            case _:
                yield record


class _Line:
    """One connection: the encoding of its audio, and one continuous voice for it."""

    def __init__(self) -> None:
        self._meter = Meter(None)
        self._voice = Voice()

    def take(self, record: Record) -> Content:
        content = record.content
        if not isinstance(content, Text | Binary):
            return content
        seconds = float(self._meter.count(record.way, content))
        if record.way != "sent":
            return content
        encoding = self._meter.encoding("sent")
        if isinstance(content, Binary):
            return self._binary(content, encoding, seconds)
        if b"audio" not in content.data:
            return content
        return self._text(content, encoding, seconds)

    def _binary(self, frame: Binary, encoding: Encoding, seconds: float) -> Binary | Dropped:
        if encoding == "opus":
            return Dropped("binary", len(frame.data), "the voice in opus cannot be replaced; record as PCM")
        return Binary(self._voice.over(frame.data, encoding, _rate(frame.data, encoding, seconds)))

    def _text(self, frame: Text, encoding: Encoding, seconds: float) -> Text | Dropped:
        text = frame.data.decode("latin-1")  # one character per byte, so that positions are byte offsets
        parts: list[str] = []
        done = 0
        for value in json_text.values(text):
            if value.number or value.keys[-1:] != ("audio",):
                continue
            if encoding == "opus":
                return Dropped("text", len(frame.data), "the voice in opus cannot be replaced; record as PCM")
            try:
                data = b64decode(text[value.start : value.end].replace("\\", ""))
            except ValueError:
                return Dropped("text", len(frame.data), "its audio is not base64, so the voice cannot be replaced")
            other = self._voice.over(data, encoding, _rate(data, encoding, seconds))
            parts += (text[done : value.start], b64encode(other).decode())
            done = value.end
        return Text("".join((*parts, text[done:])).encode("latin-1")) if parts else frame


class Voice:
    """A hum and a hiss as loud as the audio that they replace, continuous over chunks."""

    def __init__(self) -> None:
        self._phase = 0
        self._gain = 0.0

    def over(self, data: bytes, encoding: Encoding, rate: int) -> bytes:
        """Other audio with the same number of bytes, as long and as loud. `encoding` is not `opus`."""
        if encoding == "pcmu" or encoding == "pcma":
            return g711.encode(self._over(g711.decode(data, encoding), rate), encoding)
        return g711.little_endian(self._over(g711.from_little_endian(data), rate)) + data[len(data) // 2 * 2 :]

    def _over(self, samples: array[int], rate: int) -> array[int]:
        made = array("h")
        step = max(1, round(rate * _FRAME_S))
        for start in range(0, len(samples), step):
            made.extend(self._frame(samples[start : start + step], rate))
        return made

    def _frame(self, samples: array[int], rate: int) -> Iterator[int]:
        count = len(samples)
        power = math.sqrt(sum(sample * sample for sample in samples) / count)
        if power < 1:
            self._gain = 0.0
            return iter(array("h", bytes(2 * count)))
        crossings = sum((one < 0) != (other < 0) for one, other in pairwise(samples))
        wave = _hiss() if crossings / count > _HISS * 24_000 / max(rate, 24_000) else _hum(rate)
        start, self._phase = self._phase, self._phase + count
        before, self._gain = self._gain, power
        slope = (power - before) / count
        return (_clipped(wave[(start + place) % len(wave)] * (before + slope * (place + 1))) for place in range(count))


def _clipped(sample: float) -> int:
    return max(-32768, min(32767, round(sample)))


@lru_cache(maxsize=8)
def _hum(rate: int) -> tuple[float, ...]:
    """One period, with a mean power of 1."""
    length = rate // _PITCH_HZ
    turn = 2 * math.pi / length
    wave = [
        sum(
            strength * math.sin(partial * turn * place + partial * partial)
            for partial, strength in _HARMONICS
            if 2 * partial < length
        )
        for place in range(length)
    ]
    return _even(wave)


@lru_cache(maxsize=1)
def _hiss() -> tuple[float, ...]:
    noise = random.Random("hiss")
    return _even([noise.uniform(-1, 1) for _ in range(_HISS_LENGTH)])


def _even(wave: list[float]) -> tuple[float, ...]:
    power = math.sqrt(sum(sample * sample for sample in wave) / len(wave))
    return tuple(sample / power for sample in wave)


def _rate(data: bytes, encoding: Encoding, seconds: float) -> int:
    """The sample rate by which the meter counted the message, in Hz."""
    samples = len(data) // 2 if encoding == "pcm" else len(data)
    return round(samples / seconds) if seconds else 24_000


def _masked_event(data: bytes) -> bytes:
    """The event with its text masked; all other bytes stay."""
    text = data.decode("latin-1")
    kind = json_text.event_type(data)
    words = (*_WORDS, "delta") if kind.endswith(("transcript.delta", "text.delta", "arguments.delta")) else _WORDS
    parts: list[str] = []
    done = 0
    for value in json_text.values(text):
        if value.number or not value.keys or value.keys[-1] not in words or "session" in value.keys:
            continue
        raw = text[value.start : value.end]
        parts += (text[done : value.start], _masked_raw(raw))
        done = value.end
    return "".join((*parts, text[done:])).encode("latin-1") if parts else data


def _masked_outline(outline: StrippedMessage) -> StrippedMessage:
    """With a marker in place of each removed audio, so that the message can be read as one text."""
    sounds = [part for part in outline.parts if isinstance(part, StrippedAudio)]
    marks = iter(range(len(sounds)))
    whole = b"".join(part if isinstance(part, bytes) else _MARK % next(marks) for part in outline.parts)
    parts: list[bytes | StrippedAudio] = []
    rest = _masked_event(whole)
    for number, sound in enumerate(sounds):
        before, _, rest = rest.partition(_MARK % number)
        parts += (before, sound)
    return StrippedMessage("text", (*parts, rest))


def _masked_raw(raw: str) -> str:
    """The raw text of a JSON string, masked. One character is one byte of UTF-8."""
    try:
        plain = json.loads(f'"{raw.encode("latin-1").decode()}"', strict=False)
    except ValueError:  # not UTF-8 or not a JSON string: no client could read it either
        return "x" * len(raw)
    return json.dumps(_masked(plain), ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass").decode("latin-1")


def _masked(text: str) -> str:
    """Arguments and results of tools are JSON in a string; their keys stay."""
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json.dumps(_masked_value(json.loads(text)), ensure_ascii=False, separators=_separators(text))
        except (ValueError, RecursionError):
            pass
    return "".join(_mask(character) for character in text)


def _masked_value(value: Any) -> Any:
    match value:
        case dict():
            return {key: _masked_value(part) for key, part in value.items()}
        case list():
            return [_masked_value(part) for part in value]
        case str():
            return _masked(value)
        case bool() | None:
            return value
        case int():
            return int("1" * len(str(abs(value)))) * (-1 if value < 0 else 1)
        case _:
            return 1.5


def _mask(character: str) -> str:
    if character.isalpha():
        return "X" if character.isupper() else "x"
    return "0" if character.isdigit() else character


def _separators(text: str) -> tuple[str, str]:
    return (", ", ": ") if '": ' in text else (",", ":")
