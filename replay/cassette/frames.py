"""WebSocket frames as plain values: text, binary, close, reset; and the sound of a call, which is on a track.

No transport and no codec: the text of a frame is kept as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from replay.values import value


@value
class Text:
    """A text message, as the UTF-8 bytes on the wire.

    event: the JSON object in it, if it was at hand; who reads it need not parse the bytes, and must not change it.
    """

    data: bytes
    event: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


@value
class Binary:
    """A binary message."""

    data: bytes


@value
class Sound:
    """Sound on a track of a call: 16-bit little-endian samples, mono, 24 kHz.

    response_id, item_id: the response and the message that the sound belongs to; empty for what the caller says.
    cuts: it has no samples, and ends what is being played.
    """

    data: bytes
    response_id: str = ""
    item_id: str = ""
    cuts: bool = False


@value
class Close:
    """A close frame: code, and reason of at most 123 bytes of UTF-8 (RFC 6455, section 5.5)."""

    code: int = 1000
    reason: str = ""


def may_be_sent(code: int) -> bool:
    """Whether a close frame may hold this code (RFC 6455, section 7.4, and the registry of IANA)."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


@value
class Reset:
    """The TCP connection was lost without a close frame."""


Frame = Text | Binary | Close | Reset


@value
class Outgoing:
    """A frame, or sound of a call, and its time, in seconds since the connection opened.

    A slow socket may deliver the frame later; `at` does not change. `keep_alive`: it only shows that the connection is
    up, and is no traffic.
    """

    at: float
    frame: Frame | Sound
    keep_alive: bool = False
