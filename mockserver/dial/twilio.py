"""Twilio Media Streams, bidirectional: the messages of a stream that <Connect><Stream> opens.

Keys, order and types are those of Twilio's page "Media Streams - WebSocket Messages"; what it does not say is marked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mockserver.audio.formats import AudioFormat
from mockserver.dial.provider import (
    Clear,
    Command,
    Play,
    Wrong,
    compact,
    encoded,
    read_name,
    read_object,
    read_payload,
    shown,
)
from mockserver.protocol.ids import hex128, stream


class Twilio:
    """One stream. parameters: those that the TwiML gives it."""

    name = "twilio"
    title = "Twilio Media Streams"
    format = AudioFormat("pcmu", 8000)
    clear_returns_marks = True

    def __init__(self, seed: str = "0", parameters: Mapping[str, str] | None = None, account: str = "") -> None:
        draws = stream(seed, "twilio")
        self.call_id, self.stream_id, own = (f"{kind}{hex128(draws)}" for kind in ("CA", "MZ", "AC"))
        self.account = account or own
        self.parameters = dict(parameters or {})
        self._sequence = 0
        self._chunk = 0

    def webhook_form(self, caller: str, called: str) -> dict[str, str]:
        """The form that Twilio posts to the address of a number that rings."""
        return {
            "AccountSid": self.account,
            "ApiVersion": "2010-04-01",
            "CallSid": self.call_id,
            "CallStatus": "ringing",
            "Called": called,
            "Caller": caller,
            "Direction": "inbound",
            "From": caller,
            "To": called,
        }

    def opening(self) -> list[str]:
        start = {
            "accountSid": self.account,
            "streamSid": self.stream_id,
            "callSid": self.call_id,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": self.parameters,
        }
        connected = compact({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return [connected, self._message("start", start=start)]

    def media(self, sound: bytes, at_s: float) -> str:
        self._chunk += 1
        media = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(round(at_s * 1000)),
            "payload": encoded(sound),
        }
        return self._message("media", media=media)

    def digit(self, digit: str, at_s: float) -> str:
        return self._message("dtmf", dtmf={"track": "inbound_track", "digit": digit})

    def played(self, mark: str) -> str:
        return self._message("mark", mark={"name": mark})

    def cleared(self) -> list[str]:
        return []

    def closing(self) -> list[str]:
        return [self._message("stop", stop={"accountSid": self.account, "callSid": self.call_id})]

    def read(self, data: str | bytes) -> Command:
        message = read_object(data)
        if isinstance(message, Wrong):
            return message
        event = message["event"]
        if event not in ("media", "mark", "clear"):
            return Wrong(
                "unknown-event", f"Twilio takes media, mark and clear, not {shown(event)!r}; it ends the stream (31924)"
            )
        if message.get("streamSid") != self.stream_id:
            # A guess: Twilio's page does not say what it does with such a message. Here it has no effect.
            return Wrong(
                "wrong-stream-id", f"`{event}` names stream {message.get('streamSid')!r}, not {self.stream_id}"
            )
        match event:
            case "media":
                sound = read_payload(message)
                return sound if isinstance(sound, Wrong) else Play(sound)
            case "mark":
                mark = message.get("mark")
                return read_name(mark.get("name") if isinstance(mark, dict) else None)
            case _:
                return Clear()

    def _message(self, event: str, **rest: Any) -> str:
        """Sequence numbers count from 1, in the order in which Twilio sends."""
        self._sequence += 1
        message = {"event": event, "sequenceNumber": str(self._sequence), **rest, "streamSid": self.stream_id}
        return compact(message)
