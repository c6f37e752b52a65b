"""Recording without sound: what was said is left out of a message, its length, hash and loudness stay.

Everything around the sound stays as it was on the wire, byte for byte and in order. `restore` puts a tone of the same
length, encoding and loudness where sound was, the same for the same hash. What was said cannot be got back.
"""

from __future__ import annotations

import math
import re
from array import array
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import sha256

from replay.cassette import g711, json_text
from replay.cassette.frames import Binary, Text
from replay.cassette.records import StrippedAudio, StrippedMessage

_BASE64 = re.compile(r"(?:[A-Za-z0-9+]|\\?/){16,}={0,2}")
RATE = 24_000
"""Hz that a restored PCM tone is made for; at another rate it is as long and only of another pitch."""


def strip_audio(frame: Text | Binary, encoding: str) -> Text | Binary | StrippedMessage:
    """The message without its sound, or as it is when it has none. `encoding` is `pcm`, `pcmu`, `pcma` or `opus`.

    Sound is a binary message, and in text each string of base64 under a key `audio`, or `delta` of an event of audio.
    """
    if isinstance(frame, Binary):
        return StrippedMessage("binary", (_sound(frame.data, encoding),))
    text = frame.data.decode("latin-1")
    names = ("audio", "delta") if json_text.event_type(frame.data).endswith("audio.delta") else ("audio",)
    parts: list[bytes | StrippedAudio] = []
    done = 0
    for value in json_text.values(text):
        raw = text[value.start : value.end]
        if value.keys[-1:] and value.keys[-1] in names and not value.number and _BASE64.fullmatch(raw):
            parts += [frame.data[done : value.start], _sound(_decoded(raw), encoding)]
            done = value.end
    return StrippedMessage("text", (*parts, frame.data[done:])) if parts else frame


def restore_audio(outlined: StrippedMessage) -> Text | Binary:
    """The message with a tone where sound was: keys, order and seconds are those of the recording."""
    if outlined.kind == "binary":
        return Binary(b"".join(part if isinstance(part, bytes) else tone(part) for part in outlined.parts))
    return Text(b"".join(part if isinstance(part, bytes) else b64encode(tone(part)) for part in outlined.parts))


def tone(sound: StrippedAudio) -> bytes:
    """A tone of the sound's length in its encoding; silence stays silence. Opus packets come back as silence too.

    How strange the tone of other encodings sounds does not matter; that it is as loud as the sound was, does.
    """
    if sound.encoding == "opus":
        # 20 ms of silence in a mono packet is 3 bytes; longer ones are padded as RFC 6716 section 3.2.5 has it not,
        # so a player may refuse them. Their number and length are what counts here.
        return (b"\xf8\xff\xfe" + bytes(sound.length))[: sound.length]
    hertz = 220 + 20 * (sound.sha256[0] % 16) if sound.sha256 else 220
    if (law := g711.law_of(sound.encoding)) is not None:
        return _square_wave(sound.length, sound.peak, hertz, law)
    period = _period(hertz, sound.peak)
    repeats = sound.length // 2 // len(period) + 1
    return g711.little_endian(period * repeats)[: sound.length]


def _sound(data: bytes, encoding: str) -> StrippedAudio:
    return StrippedAudio(len(data), sha256(data).digest(), encoding, peak(data, encoding))


def _decoded(raw: str) -> bytes:
    plain = raw.replace("\\", "").rstrip("=")
    return b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "==")


def peak(data: bytes, encoding: str) -> int:
    """The largest sample, 0 to 32767; of Opus it is not known without a decoder and taken as half."""
    if encoding == "opus" or not data:
        return 16384 if data else 0
    if (law := g711.law_of(encoding)) is not None:
        return max(map(_magnitudes(law).__getitem__, data))
    samples = g711.from_little_endian(data)
    return min(32767, max(max(samples), -min(samples))) if samples else 0


@lru_cache(maxsize=256)
def _period(hertz: int, peak: int) -> array[int]:
    length = RATE // hertz
    return array("h", [round(peak * math.sin(2 * math.pi * n / length)) for n in range(length)])


def _square_wave(count: int, peak: int, hertz: int, law: g711.Law) -> bytes:
    """A square wave: the loudest code not above the peak, in both polarities."""
    table = _magnitudes(law)
    code = min(range(128), key=lambda code: abs(table[code] - peak))
    half = 8000 // hertz // 2
    wave = (bytes([code]) * half + bytes([code | 0x80]) * half) * (count // (2 * half) + 1)
    return wave[:count]


@lru_cache(maxsize=2)
def _magnitudes(law: g711.Law) -> tuple[int, ...]:
    """The size of the sample of each code, 0 to 32767."""
    return tuple(map(abs, g711.decode(bytes(range(256)), law)))
