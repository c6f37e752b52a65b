"""The fields of the services that hold sound, images or sealed bytes. Their base64 is not text, whatever it spells."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping

import pybase64

_TYPES: Mapping[str, frozenset[str]] = {
    "audio": frozenset({"input_audio_buffer.append", "input_audio", "output_audio", "audio"}),
    "delta": frozenset({"response.output_audio.delta", "response.audio.delta"}),
    "data": frozenset({"input_audio", "audio", "image", "input_image"}),
}
"""By key: the types of the objects in which it holds base64 (the services' references; MCP for `data`)."""
_SEALED = frozenset({"encrypted_content", "audio_wav_base64"})
_DATA_URL = re.compile(r"data:(?:image|audio|video)/[\w.+-]{1,60}(?:;[\w.+=-]{1,60}){0,4};base64,", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_MAGIC = ("UklGR", "T2dnU", "SUQz", "iVBORw0KGgo", "/9j/", "R0lGOD", "ZkxhQ")
"""How base64 of WAV and WebP, Ogg, MP3, PNG, JPEG, GIF and FLAC begins."""
LEAST_MAGIC = 64
_LONG = 256
"""Characters from which decoding is quicker than matching."""


def may_hold(key: str) -> bool:
    """Whether the type of the object decides if this field holds sound or an image."""
    return key in _TYPES


def holds(key: str, type: str) -> bool:
    """Whether this field of an object of this type holds sound or an image."""
    return type in _TYPES[key]


def is_media(key: str, raw: str) -> bool:
    """Whether a string is sound, an image or sealed, whatever object it is in."""
    if key in _SEALED:
        return is_base64(raw)
    if len(raw) >= LEAST_MAGIC and raw.startswith(_MAGIC):
        return is_base64(raw)
    if raw[:5].lower() == "data:" and (found := _DATA_URL.match(raw.replace("\\/", "/"))):
        return is_base64(raw.replace("\\/", "/")[found.end() :])
    return False


def is_base64(raw: str) -> bool:
    """Whether the raw text of a JSON string is base64. `/` may be escaped."""
    if "\\" in raw:
        raw = raw.replace("\\/", "/")
    if len(raw) >= _LONG:
        with contextlib.suppress(ValueError):
            pybase64.b64decode_as_bytearray(raw, validate=True)
            return True
    return _BASE64.fullmatch(raw) is not None  # it may lack its last characters
