"""WebSocket frames as plain values: text, binary, close, reset; and the sound of a call, which is on a track.

No transport and no codec: the text of a frame is kept as it was, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from struct import pack
from typing import Any, NamedTuple

from replay.values import value

TEXT, BINARY = 0x81, 0x82
"""The first bytes of the frames of whole messages (RFC 6455 section 5.2)."""


def header(opcode: int, length: int) -> bytes:
    """The head of an unmasked, unfragmented frame (RFC 6455 section 5.2). `opcode` includes the FIN bit."""
    if length < 126:
        return bytes((opcode, length))
    if length < 1 << 16:
        return pack(">BBH", opcode, 126, length)
    return pack(">BBQ", opcode, 127, length)


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


class Span(NamedTuple):
    """A message in a passage: the type of its event, where its payload begins and ends, and its bytes of audio."""

    type: str
    start: int
    stop: int
    audio: int


@value
class Passage:
    """Text messages that leave together, as the bytes of their frames."""

    wire: bytes
    spans: Sequence[Span]

    @property
    def texts(self) -> list[Text]:
        """The messages, one by one."""
        return [Text(self.wire[span.start : span.stop]) for span in self.spans]


@value
class Outgoing:
    """A frame, a passage of frames, or sound of a call, and its time, in seconds since the connection opened.

    A slow socket may deliver the frame later; `at` does not change. `keep_alive`: it only shows that the connection is
    up, and is no traffic.
    """

    at: float
    frame: Frame | Sound | Passage
    keep_alive: bool = False


def instants_of(outgoing: Iterable[Outgoing]) -> tuple[float, ...]:
    """The time of each message."""
    instants: list[float] = []
    for each in outgoing:
        if isinstance(each.frame, Passage):
            instants += [each.at] * len(each.frame.spans)
        else:
            instants.append(each.at)
    return tuple(instants)


def apart(outgoing: Iterable[Outgoing]) -> list[Outgoing]:
    """The same without passages: each message by itself."""
    single: list[Outgoing] = []
    for each in outgoing:
        if isinstance(each.frame, Passage):
            single += [Outgoing(each.at, text, each.keep_alive) for text in each.frame.texts]
        else:
            single.append(each)
    return single
