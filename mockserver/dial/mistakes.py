"""Mistakes of a bridge, in plain words: the rule, what happened and what to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from replay.outlets import clean

Level = Literal["error", "warn"]

FIXES: dict[str, str] = {
    "not-json": "Send each message as one JSON object in a text frame: ws.send(json.dumps(message)).",
    "unknown-event": "Send only the events of the phone company; translate those of the realtime service.",
    "wrong-stream-id": "Take the stream's id from the `start` event of this connection, and put it into each message.",
    "no-payload": "Put the sound into media.payload, as a string in base64.",
    "not-base64": "Encode the bytes of the sound once: base64.b64encode(sound).decode().",
    "file-header": "Send bare samples: leave out the header of the WAV file, or ask the synthesizer for raw µ-law.",
    "pcm-as-mulaw": "Ask the realtime service for audio/pcmu, or convert: resample to 8 kHz, then encode as µ-law.",
    "zeros-as-silence": "Fill silence with 0xFF bytes; in µ-law a zero byte is the loudest sample.",
    "wrong-format": "Send the content type and the sample rate that the answer's <Stream> element names.",
    "no-name": "Give each mark (checkpoint) a name; the phone company sends it back when the sound was played.",
    "too-much": "Send sound as it is needed, and `clear` what nobody will hear.",
    "too-large": "Send sound as it comes, in messages of a second at most.",
    "not-reading": "Read the phone's messages while you send: two tasks, one for each direction.",
    "not-wss": "Answer with wss://; take the scheme from X-Forwarded-Proto behind a tunnel.",
    "one-way": "Answer with <Connect><Stream>; a stream of <Start> takes no sound.",
    "no-answer": "Look at the bridge's log: does it pass on the caller's sound, and the deltas to this stream?",
    "barge-in-ignored": "On input_audio_buffer.speech_started send `clear` (Plivo: `clearAudio`) to the phone company.",
    "sound-after-clear": "After `clear`, drop deltas of the interrupted response until the next response.created.",
    "half-sample": "Send whole samples: an even number of bytes of L16.",
    "too-long": "Let the bridge come to an end, or give the call more time: --max-seconds.",
    "closed": "Look at the bridge's log for the exception; close with 1000 when the call is over.",
}
"""What to do about each mistake, by rule."""

_WARNINGS = {"not-wss", "zeros-as-silence", "sound-after-clear", "no-name"}


@dataclass(slots=True)
class Mistake:
    """Something that the bridge did wrong. at_s: its first time, in seconds of the stream. count: how often."""

    rule: str
    at_s: float
    message: str
    count: int = 1

    @property
    def fix(self) -> str:
        """What to do."""
        return FIXES[self.rule]

    @property
    def level(self) -> Level:
        """`error`, or `warn` for what callers may not notice."""
        return "warn" if self.rule in _WARNINGS else "error"

    def __str__(self) -> str:
        again = f" ({self.count} times)" if self.count > 1 else ""
        return f"{self.level} {self.rule} at {self.at_s:.2f} s: {self.message}{again}. {self.fix}"


class Mistakes:
    """The mistakes of one call: each rule once, with the words of its first time and its count."""

    def __init__(self) -> None:
        self._found: dict[str, Mistake] = {}

    def add(self, rule: str, at_s: float, message: str) -> None:
        """Note a mistake."""
        if rule in self._found:
            self._found[rule].count += 1
        else:
            self._found[rule] = Mistake(rule, at_s, message)

    def all(self) -> list[Mistake]:
        """By their first time, and without secrets: some quote what the bridge sent."""
        found = [replace(each, message=clean(each.message)) for each in self._found.values()]
        return sorted(found, key=lambda each: each.at_s)
