"""The sound of a call as the events that carry it on a WebSocket, so that a call is recorded and shown as any other."""

from __future__ import annotations

import base64

import orjson

from replay.cassette.frames import Sound


def appended(data: bytes) -> str:
    """What the caller says, as a client's event."""
    return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(data).decode()}"}}'


def sent(sound: Sound) -> bytes:
    """What the service says, as its event. It has no id: on a call no such event crosses the wire."""
    place = {"response_id": sound.response_id, "item_id": sound.item_id, "output_index": 0, "content_index": 0}
    delta = base64.b64encode(sound.data).decode()
    return orjson.dumps({"type": "response.output_audio.delta", **place, "delta": delta})
