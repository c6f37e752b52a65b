"""A long message of sound, read without a parser: one would take its 20 MB apart twice."""

from __future__ import annotations

import binascii
import re

import pybase64

from mockserver.protocol.peer import LONG_MESSAGE

_HEAD = re.compile(r'\s*\{\s*"type"\s*:\s*"input_audio_buffer\.append"\s*,\s*"audio"\s*:\s*"')
_TAIL = re.compile(r'"\s*\}\s*')
_TAIL_WINDOW = 16


def long_sound(data: str) -> bytes | None:
    """The audio of an append above `LONG_MESSAGE` of which type and audio are all there is; None for any other text."""
    if len(data) <= LONG_MESSAGE or (head := _HEAD.match(data)) is None:
        return None
    end = data.find('"', max(head.end(), len(data) - _TAIL_WINDOW))
    if end < 0 or _TAIL.fullmatch(data, end) is None:
        return None
    try:
        return pybase64.b64decode(data[head.end() : end], validate=True)
    except (binascii.Error, ValueError):
        return None
