"""Cassettes without audio: a message keeps everything but its audio, of which length, hash and peak level remain.

The bytes around the audio stay as they were on the wire. `restore_audio` puts a tone of the same length, encoding and
peak level in the audio's place; equal hashes give equal tones. The audio itself cannot be restored.
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
"""Sample rate of a restored PCM tone, in Hz. Played at another rate it has another pitch and the right number
of bytes."""


def strip_audio(frame: Text | Binary, encoding: str) -> Text | Binary | StrippedMessage:
    """The message without its audio, or the same message if it has none.

    `encoding`: `pcm`, `pcmu`, `pcma` or `opus`. Audio is a binary message. In text it is a base64 string under the key
    `audio`, or under `delta` in an audio delta.
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
            plain = raw.replace("\\", "").rstrip("=")
            data = b64decode(plain[: len(plain) - (len(plain) % 4 == 1)] + "==")
            parts += [frame.data[done : value.start], _sound(data, encoding)]
            done = value.end
    return StrippedMessage("text", (*parts, frame.data[done:])) if parts else frame


def restore_audio(outlined: StrippedMessage) -> Text | Binary:
    """The message with a tone in place of its audio. Keys, order and durations are those of the recording."""
    if outlined.kind == "binary":
        return Binary(b"".join(part if isinstance(part, bytes) else tone(part) for part in outlined.parts))
    return Text(b"".join(part if isinstance(part, bytes) else b64encode(tone(part)) for part in outlined.parts))


def tone(sound: StrippedAudio) -> bytes:
    """A tone with the length, encoding and peak level of the audio; silence stays silence. For Opus: packets of
    silence.
    """
    if sound.encoding == "opus":
        # A mono packet of 20 ms of silence has 3 bytes. Longer ones are padded, against RFC 6716 section 3.2.5, so a
        # player may refuse them. Only their number and length matter here.
        return (b"\xf8\xff\xfe" + bytes(sound.length))[: sound.length]
    hertz = 220 + 20 * (sound.sha256[0] % 16) if sound.sha256 else 220
    if (law := g711.law_of(sound.encoding)) is not None:
        return _square_wave(sound.length, sound.peak, hertz, law)
    period = _period(hertz, sound.peak)
    repeats = sound.length // 2 // len(period) + 1
    return g711.little_endian(period * repeats)[: sound.length]


def _sound(data: bytes, encoding: str) -> StrippedAudio:
    return StrippedAudio(len(data), sha256(data).digest(), encoding, peak(data, encoding))


def peak(data: bytes, encoding: str) -> int:
    """The largest sample, 0 to 32767. Opus is not decoded: 16384 stands for any packet."""
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
    """The code whose size is nearest to the peak, in both polarities."""
    table = _magnitudes(law)
    code = min(range(128), key=lambda code: abs(table[code] - peak))
    half = 8000 // hertz // 2
    wave = (bytes([code]) * half + bytes([code | 0x80]) * half) * (count // (2 * half) + 1)
    return wave[:count]


@lru_cache(maxsize=2)
def _magnitudes(law: g711.Law) -> tuple[int, ...]:
    """The size of the sample of each code, 0 to 32767."""
    return tuple(map(abs, g711.decode(bytes(range(256)), law)))
