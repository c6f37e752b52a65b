"""An append of sound, read without a parser: one would take each message apart twice, and a long one of 20 MB too."""

from __future__ import annotations

import binascii
import re

import pybase64

from mockserver.protocol.peer import LONG_MESSAGE

_HEADS = ('{"type": "input_audio_buffer.append", "audio": "', '{"type":"input_audio_buffer.append","audio":"')
"""How nearly all clients write it: as Python's json and as JSON.stringify do."""
_SPACED, _COMPACT = map(len, _HEADS)
_HEAD = re.compile(r'\s*\{\s*"type"\s*:\s*"input_audio_buffer\.append"\s*,\s*"audio"\s*:\s*"')
_TAIL = re.compile(r'"\s*\}\s*')
_TAIL_WINDOW = 16


def plain_append(data: str) -> bytes | None:
    """The audio of an append that has a type and audio alone, written in one of the two usual ways. Above
    `LONG_MESSAGE` it may be written in any.

    None for any other text, and for audio that is empty or not valid base64: the parser decides about these.
    """
    if data.startswith(_HEADS) and data.endswith('"}'):
        coded = data[_COMPACT if data[8] == '"' else _SPACED : -2]
    elif len(data) <= LONG_MESSAGE or (head := _HEAD.match(data)) is None:
        return None
    else:
        end = data.find('"', max(head.end(), len(data) - _TAIL_WINDOW))
        if end < 0 or _TAIL.fullmatch(data, end) is None:
            return None
        coded = data[head.end() : end]
    try:
        return pybase64.b64decode(coded, validate=True) if coded else None
    except (binascii.Error, ValueError):
        return None
