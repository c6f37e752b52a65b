"""Recording without sound: what was said is left out of a message, its length, hash and loudness stay.

Everything around the sound stays as it was on the wire, byte for byte and in order. `restore` puts a tone of the same
length, encoding and loudness where sound was, the same for the same hash. What was said cannot be got back.
"""

from __future__ import annotations

import math
import re
import sys
from array import array
from base64 import b64decode, b64encode
from functools import lru_cache
from hashlib import sha256

from replay.cassette import json_text
from replay.cassette.frames import Binary, Text
from replay.cassette.records import Outline, Sound

_BASE64 = re.compile(r"(?:[A-Za-z0-9+]|\\?/){16,}={0,2}")
RATE = 24_000
"""Hz that a restored PCM tone is made for; at another rate it is as long and only of another pitch."""


def outline(frame: Text | Binary, encoding: str) -> Text | Binary | Outline:
    """The message without its sound, or as it is when it has none. `encoding` is `pcm`, `pcmu`, `pcma` or `opus`.

    Sound is a binary message, and in text each string of base64 under a key `audio`, or `delta` of an event of audio.
    """
    if isinstance(frame, Binary):
        return Outline("binary", (_sound(frame.data, encoding),))
    text = frame.data.decode("latin-1")
    names = ("audio", "delta") if json_text.event_type(frame.data).endswith("audio.delta") else ("audio",)
    parts: list[bytes | Sound] = []
    done = 0
    for value in json_text.values(text):
        raw = text[value.start : value.end]
        if value.keys[-1:] and value.keys[-1] in names and not value.number and _BASE64.fullmatch(raw):
            parts += [frame.data[done : value.start], _sound(_decoded(raw), encoding)]
            done = value.end
    return Outline("text", (*parts, frame.data[done:])) if parts else frame


def restore(outlined: Outline) -> Text | Binary:
    """The message with a tone where sound was: keys, order and seconds are those of the recording."""
    if outlined.kind == "binary":
        return Binary(b"".join(part if isinstance(part, bytes) else tone(part) for part in outlined.parts))
    return Text(b"".join(part if isinstance(part, bytes) else b64encode(tone(part)) for part in outlined.parts))


def tone(sound: Sound) -> bytes:
    """A tone of the sound's length in its encoding; silence stays silence. Opus packets come back as silence too.

    How strange the tone of other encodings sounds does not matter; that it is as loud as the sound was, does.
    """
    if sound.encoding == "opus":
        # 20 ms of silence in a mono packet is 3 bytes; longer ones are padded as RFC 6716 section 3.2.5 has it not,
        # so a player may refuse them. Their number and length are what counts here.
        return (b"\xf8\xff\xfe" + bytes(sound.length))[: sound.length]
    hertz = 220 + 20 * (sound.sha256[0] % 16) if sound.sha256 else 220
    if sound.encoding in ("pcmu", "pcma"):
        return _companded(sound.length, sound.peak, hertz, sound.encoding)
    samples = _sine(sound.length // 2 + 1, sound.peak, hertz)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()[: sound.length]


def _sound(data: bytes, encoding: str) -> Sound:
    return Sound(len(data), sha256(data).digest(), encoding, peak(data, encoding))


def _decoded(raw: str) -> bytes:
    plain = raw.replace("\\", "").rstrip("=")
    return b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "==")


def peak(data: bytes, encoding: str) -> int:
    """The largest sample, 0 to 32767; of Opus it is not known without a decoder and taken as half."""
    if encoding == "opus" or not data:
        return 16384 if data else 0
    if encoding in ("pcmu", "pcma"):
        return max(map(_expanded(encoding).__getitem__, data))
    samples = array("h", data[: len(data) // 2 * 2])
    if sys.byteorder == "big":
        samples.byteswap()
    return min(32767, max(max(samples), -min(samples))) if samples else 0


def _sine(count: int, peak: int, hertz: int) -> array[int]:
    period = _period(hertz, peak)
    return (period * (count // len(period) + 1))[:count]


@lru_cache(maxsize=256)
def _period(hertz: int, peak: int) -> array[int]:
    length = RATE // hertz
    return array("h", [round(peak * math.sin(2 * math.pi * n / length)) for n in range(length)])


def _companded(count: int, peak: int, hertz: int, encoding: str) -> bytes:
    """A square wave: the loudest code not above the peak, in both polarities."""
    table = _expanded(encoding)
    code = min(range(128), key=lambda code: abs(table[code] - peak))
    half = 8000 // hertz // 2
    wave = (bytes([code]) * half + bytes([code | 0x80]) * half) * (count // (2 * half) + 1)
    return wave[:count]


@lru_cache(maxsize=2)
def _expanded(encoding: str) -> tuple[int, ...]:
    """Loudness of each code, without its sign (ITU-T G.711)."""
    return tuple(_ulaw(code) if encoding == "pcmu" else _alaw(code) for code in range(256))


def _ulaw(code: int) -> int:
    code = ~code & 0x7F
    return (((code & 0x0F) << 3) + 0x84 << (code >> 4)) - 0x84


def _alaw(code: int) -> int:
    code = (code ^ 0x55) & 0x7F
    low, segment = (code & 0x0F) << 4, code >> 4
    return low + 8 if segment == 0 else low + 0x108 << segment - 1
