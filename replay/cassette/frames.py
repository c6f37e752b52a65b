"""What crosses a WebSocket, in either direction, as plain values: text, binary, close, reset.

Not a transport and not a codec: a frame's text is carried verbatim, never re-serialised.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """A text message, as the UTF-8 bytes on the wire."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Binary:
    """A binary message."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """A close frame: code and reason (at most 123 bytes of UTF-8, RFC 6455 section 5.5)."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """The TCP connection is torn down without a close frame."""


Frame = Text | Binary | Close | Reset


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A frame and the instant it happened, in seconds since the connection opened.

    A stalled socket may deliver it later; `at` does not move.
    """

    at: float
    frame: Frame
