"""The seam between a call and a phone company's protocol: what the bridge asked for, and who writes the messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import pybase64

from mockserver.audio.formats import AudioFormat

FILE_HEADERS = (b"RIFF", b"ID3", b"OggS", b"fLaC")
"""How sound files begin: WAV, MP3, Ogg, FLAC."""
LONGEST_NAME = 1000
"""Characters of a mark's name."""
SHOWN = 80
"""Characters of a message that a mistake shows."""


@dataclass(frozen=True, slots=True, eq=False)
class Play:
    """Sound for the caller: its bytes on the wire, in the format of the stream."""

    data: bytes


@dataclass(frozen=True, slots=True)
class SetMark:
    """A mark behind the sound that was sent so far."""

    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    """Drop the sound that has not been played."""


@dataclass(frozen=True, slots=True)
class SendDigits:
    """Keys that the bridge presses for the caller to hear."""

    digits: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """A message that the phone company does not take: the rule that it breaks, and how."""

    rule: str
    message: str


Command = Play | SetMark | Clear | SendDigits | Wrong


class Provider(Protocol):
    """A phone company's protocol on one stream. `at_s`: seconds since the stream began."""

    name: str
    title: str
    """The product, as its company spells it."""
    call_id: str
    stream_id: str
    format: AudioFormat
    """Of the sound in both directions."""
    clear_returns_marks: bool
    """Whether marks that wait when the sound is cleared are sent back."""

    def opening(self) -> list[str]:
        """The messages with which a stream begins."""

    def media(self, sound: bytes, at_s: float) -> str:
        """20 ms of the caller, in the stream's format."""

    def digit(self, digit: str, at_s: float) -> str:
        """The caller has pressed a key."""

    def played(self, mark: str) -> str:
        """The sound before a mark has been played, or was cleared."""

    def cleared(self) -> list[str]:
        """The answer to a `Clear`, before any marks."""

    def closing(self) -> list[str]:
        """The messages with which a stream ends."""

    def read(self, data: str | bytes) -> Command:
        """What a message of the bridge asks for. Never raises."""


def read_object(data: str | bytes) -> dict[str, Any] | Wrong:
    """A message of the bridge as a JSON object with an `event`."""
    if isinstance(data, bytes):
        return Wrong("not-json", f"a binary frame of {len(data)} bytes came, where text frames are expected")
    try:
        message = orjson.loads(data)
    except ValueError:
        return Wrong("not-json", f"a message is no JSON: {shown(data)}")
    if not isinstance(message, dict) or not isinstance(message.get("event"), str):
        return Wrong("unknown-event", f"a message has no `event`: {shown(data)}")
    return message


def read_payload(message: dict[str, Any]) -> bytes | Wrong:
    """The sound in `media.payload`."""
    media = message.get("media")
    payload = media.get("payload") if isinstance(media, dict) else None
    if not isinstance(payload, str) or not payload:
        return Wrong("no-payload", f"`{message['event']}` has no media.payload: {shown(compact(message))}")
    try:
        data = pybase64.b64decode(payload, validate=True)
    except ValueError:
        return Wrong("not-base64", f"media.payload is no base64: {shown(payload)}")
    if data.startswith(FILE_HEADERS):
        return Wrong("file-header", f"media.payload begins with {data[:4].decode('latin-1')!r}, as a sound file does")
    return data


def read_name(name: object) -> SetMark | Wrong:
    """The mark of that name."""
    if not isinstance(name, str) or not name:
        return Wrong("no-name", "a mark has no name")
    if len(name) > LONGEST_NAME:
        return Wrong("no-name", f"a mark's name has {len(name)} characters, more than {LONGEST_NAME}")
    return SetMark(name)


def shown(text: str) -> str:
    """The beginning of a message, on one line."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text[: 2 * SHOWN]).split())
    return line if len(line) <= SHOWN and len(text) <= 2 * SHOWN else f"{line[:SHOWN]}..."


def encoded(sound: bytes) -> str:
    """Sound as base64."""
    return pybase64.b64encode(sound).decode("ascii")


def compact(message: dict[str, Any]) -> str:
    """A message as it is sent."""
    return orjson.dumps(message).decode()
