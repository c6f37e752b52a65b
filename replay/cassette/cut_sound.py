"""Events with sound, read without parsing their sound: most bytes of a recording are sound."""

from __future__ import annotations

from typing import NamedTuple

import orjson
import pybase64

from replay.cassette.json_text import Event

SOUND_FIELDS = {
    "input_audio_buffer.append": "audio",
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
}
"""By type of event: the field with its sound."""


class CutSound(NamedTuple):
    """`event`: an event with an empty text in place of its sound. `sound`: the bytes of that sound."""

    event: Event
    sound: bytes


def cut_sound(data: bytes, field: str) -> CutSound | None:
    """The event in a message and its sound, which is base64 under this key.

    None if the message is not written as the services write it: it then has to be parsed as a whole.
    """
    key = b'"%s"' % field.encode()
    found = data.find(key + b':"')
    begin = found + len(key) + 2
    if found < 0 or (end := data.find(b'"', begin)) < 0:
        return None
    rest = data[:begin] + data[end:]
    if b"\\" in rest or rest.count(key) > 1:
        return None
    try:
        event = orjson.loads(rest)
        if not isinstance(event, dict) or event.get(field) != "":
            return None
        return CutSound(event, pybase64.b64decode(memoryview(data)[begin:end], validate=True))
    except ValueError:
        return None
