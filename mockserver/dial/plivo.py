"""Plivo Audio Streams, bidirectional: the messages of a stream that <Stream bidirectional="true"> opens.

Keys and types are those of Plivo's page "Audio Streaming Protocol Reference"; what it does not say is marked.
"""

from __future__ import annotations

from typing import Any

from mockserver.audio.formats import AudioFormat
from mockserver.dial.provider import (
    Clear,
    Command,
    Play,
    SendDigits,
    Wrong,
    compact,
    encoded,
    read_name,
    read_object,
    read_payload,
    shown,
)
from mockserver.protocol.ids import stream, uuid4

CONTENT_TYPES = {
    "audio/x-mulaw;rate=8000": AudioFormat("pcmu", 8000),
    "audio/x-l16;rate=8000": AudioFormat("pcm", 8000),
    "audio/x-l16;rate=16000": AudioFormat("pcm", 16000),
}
"""The formats of a stream, by the `contentType` of its XML."""


class Plivo:
    """One stream. extra_headers: as the XML has them. opened_unix_s: the Unix second at which the stream begins."""

    name = "plivo"
    title = "Plivo Audio Streams"
    clear_returns_marks = False  # their page: a checkpoint is acknowledged only if what is before it was played

    def __init__(
        self,
        seed: str = "0",
        extra_headers: str = "",
        content_type: str = "audio/x-mulaw;rate=8000",
        account: str = "",
        opened_unix_s: float = 0.0,
    ) -> None:
        draws = stream(seed, "plivo")
        self.call_id, self.stream_id = uuid4(draws), uuid4(draws)
        self.account = account or f"MA{''.join(draws.choices('ABCDEFGHJKLMNPQRSTUVWXYZ0123456789', k=18))}"
        self.format = CONTENT_TYPES[content_type]
        self._encoding = content_type.partition(";")[0]
        self._extra_headers = extra_headers
        self._opened_unix_s = opened_unix_s
        self._sequence = 0
        self._chunk = 0

    def webhook_form(self, caller: str, called: str) -> dict[str, str]:
        """The form that Plivo posts to the answer URL. That its numbers have no plus sign is a guess."""
        return {
            "CallStatus": "ringing",
            "CallUUID": self.call_id,
            "Direction": "inbound",
            "From": caller.removeprefix("+"),
            "To": called.removeprefix("+"),
        }

    def opening(self) -> list[str]:
        self._sequence += 1
        start = {
            "callId": self.call_id,
            "streamId": self.stream_id,
            "accountId": self.account,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": self._encoding, "sampleRate": self.format.rate},
        }
        return [
            compact(
                {
                    "event": "start",
                    "sequenceNumber": self._sequence,
                    "start": start,
                    "extra_headers": self._extra_headers,
                }
            )
        ]

    def media(self, sound: bytes, at_s: float) -> str:
        self._chunk += 1
        media = {
            "track": "inbound",
            "timestamp": self._timestamp(at_s),
            "chunk": self._chunk,
            "payload": encoded(sound),
        }
        return self._message("media", media=media, extra_headers=self._extra_headers)

    def digit(self, digit: str, at_s: float) -> str:
        dtmf = {"track": "inbound", "digit": digit, "timestamp": self._timestamp(at_s)}
        return self._message("dtmf", dtmf=dtmf, extra_headers=self._extra_headers)

    def played(self, mark: str) -> str:
        return self._message("playedStream", name=mark)

    def cleared(self) -> list[str]:
        return [self._message("clearedAudio")]

    def closing(self) -> list[str]:
        # A guess: the guide names a `stop` event and shows none; the reference ends with the connection.
        return [self._message("stop")]

    def read(self, data: str | bytes) -> Command:
        message = read_object(data)
        if isinstance(message, Wrong):
            return message
        match event := message["event"]:
            case "playAudio":
                return self._sound(message)
            case "checkpoint":
                return self._checked(message) or read_name(message.get("name"))
            case "clearAudio":
                return self._checked(message) or Clear()
            case "sendDTMF":
                digits = message.get("dtmf")
                return SendDigits(digits if isinstance(digits, str) else "")
            case _:
                known = "playAudio, checkpoint, clearAudio and sendDTMF"
                return Wrong("unknown-event", f"Plivo takes {known}, not {shown(event)!r}")

    def _sound(self, message: dict[str, Any]) -> Play | Wrong:
        media = message.get("media")
        if isinstance(media, dict):
            found = f"{media.get('contentType')} at {media.get('sampleRate')} Hz"
            wanted = f"{self._encoding} at {self.format.rate} Hz"
            if found != wanted:
                return Wrong("wrong-format", f"playAudio has {found}; the stream has {wanted}")
        sound = read_payload(message)
        return sound if isinstance(sound, Wrong) else Play(sound)

    def _checked(self, message: dict[str, Any]) -> Wrong | None:
        """A guess: Plivo's samples leave `streamId` out of clearAudio, so a missing one is taken, a wrong one not."""
        found = message.get("streamId", self.stream_id)
        if found == self.stream_id:
            return None
        return Wrong("wrong-stream-id", f"`{message['event']}` names stream {found!r}, not {self.stream_id}")

    def _timestamp(self, at_s: float) -> str:
        return str(round((self._opened_unix_s + at_s) * 1000))

    def _message(self, event: str, **rest: Any) -> str:
        self._sequence += 1
        message = {"event": event, "sequenceNumber": self._sequence, "streamId": self.stream_id, **rest}
        return compact(message)
