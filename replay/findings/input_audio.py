"""The client's audio: how much, how fast, how loud, and whether it has the declared encoding.

Cheap, because a server does this for every message. It looks at the length of each message, at a few samples while
nothing but silence has come, and at the whole first second of loud audio, once per declared format.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from replay.cassette import g711
from replay.findings.encodings import likely_encoding
from replay.kept import KeptByHash

if TYPE_CHECKING:
    from replay.findings.speed import Speed  # loads numpy

LOUD = 200
"""Of 32767. The noise of a quiet room stays below, a voice is far above."""
QUIET = 8
"""Of 32767. Dither and the offset of a muted source stay below."""
JUDGED_S = 1.0
"""Seconds of loud audio from which the encoding is guessed."""
MOST_JUDGED_S = 1.0
"""Seconds of one message that are listened to."""
SPEED_AT_S = (1.0, 2.0)
"""Seconds of audio, from the first loud message on, at which its speed is estimated; the last estimate counts."""
SOON_S = 1.8
"""Seconds of an unbroken stream after which its pace counts, if the sound agrees."""
NEAR = 0.25
"""Distance of ln(rate) below which a rate is about the one that the sound shows."""
LIKELY = 0.8
"""How certain a wrong speed is, at least, to agree with the pace."""
_SLIVER = 88
"""Characters of base64: 33 samples of PCM16."""
_SHORTEST = 128
"""Bytes. Shorter messages were cut by the recorder."""
_GAP_S = 0.5
"""Seconds. A longer pause ends a stream."""
_STREAM_S = 3.0
_RATES = (8_000, 16_000, 24_000, 32_000, 44_100, 48_000)
_COMMON = (8_000, 16_000, 24_000, 44_100, 48_000)
_WIDTHS = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}


_KEPT = 1000
_encodings: KeptByHash[str] = KeptByHash(_KEPT)
_speeds: KeptByHash[Speed] = KeptByHash(_KEPT)


class InputAudio:
    """The formats of both directions, and statistics of the input in its declared format."""

    __slots__ = (
        "_estimates",
        "_loud",
        "_sound",
        "_stream_audio_s",
        "_stream_from",
        "_window",
        "appends",
        "audible_since_taken",
        "bytes_per_s",
        "encoding",
        "heard_any",
        "last_at",
        "odd",
        "out_bytes_per_s",
        "paces",
        "rate",
        "seconds",
        "since_taken",
        "speed",
        "streamed_s",
        "verdict",
        "wav",
    )

    def __init__(self) -> None:
        self.encoding, self.rate, self.bytes_per_s, self.out_bytes_per_s = "audio/pcm", 24_000, 48_000, 48_000.0
        self.appends = 0
        self.seconds = 0.0
        """Audio sent so far, in seconds of the declared format."""
        self.since_taken = 0
        """Messages since the buffer was last committed or cleared."""
        self.audible_since_taken = False
        self.heard_any = False
        """Anything but silence so far."""
        self.odd = 0
        """Messages of PCM16 that end in half a sample."""
        self.wav = False
        """The first message begins as WAV files do."""
        self.last_at: float | None = None
        self.streamed_s = 0.0
        """How long the client has been sending without a pause, in seconds."""
        self.paces: list[float] = []
        """Seconds of audio per second, in the last two stretches of an unbroken stream."""
        self.verdict = ""
        """The encoding that the audio seems to have, if it is not the declared one."""
        self._stream_from = 0.0
        self._stream_audio_s = 0.0
        self._loud = 0
        self._window: bytearray | None = bytearray()
        """Loud audio for the guess; None once the guess was made."""
        self.speed: Speed | None = None
        """How fast the audio plays; None if it is not known yet, or not PCM16."""
        self._estimates = 0
        """Estimates of the speed so far."""
        self._sound: bytearray | None = bytearray()
        """Audio from the first loud message on, for the speed; None once that is known."""

    def configure(self, audio: Mapping[str, Any]) -> None:
        """Take the formats of a session's `audio`."""
        if not audio:
            return
        encoding, rate = _form(audio.get("input"), self.encoding, self.rate)
        if encoding != self.encoding or rate != self.rate:
            self.encoding, self.rate, self._window, self.verdict = encoding, rate, bytearray(), ""
            self._sound, self.speed = bytearray() if encoding == "audio/pcm" else None, None
            self._estimates = 0
            self.bytes_per_s = rate * _WIDTHS.get(encoding, 2)
        if output := audio.get("output"):
            encoding, rate = _form(output, "audio/pcm", 24_000)
            if encoding:
                self.out_bytes_per_s = float(rate * _WIDTHS.get(encoding, 2))

    def taken(self) -> None:
        """The input buffer was committed or cleared."""
        self.since_taken, self.audible_since_taken = 0, False

    def append(self, at: float, data: str, start: int, end: int, listen: bool) -> None:
        """A message whose base64 is `data[start:end]`. `listen`: check for silence even after audible audio.

        Of a message of more than `MOST_JUDGED_S`, only that much from the middle on is listened to: the guesses need
        no more, and the server's other clients wait for them.
        """
        size = (end - start) * 3 // 4
        if size and data[end - 1] == "=":
            size -= 2 if data[end - 2] == "=" else 1
        if not self.appends and data.startswith("UklGR", start):
            self.wav = True
        self._count(at, size)
        if self._window is not None or not self.heard_any or (listen and not self.audible_since_taken):
            middle = start + max(0, (end - start) // 8 * 4 - _SLIVER // 2)
            sliver = _decoded(data[middle : min(end, middle + _SLIVER)])
            if self._peak(sliver) > LOUD and self._window is not None:
                first, last = self._part(start, end, coded=True)
                self._judge(_decoded(data[first:last]))
                return
        if self._sound:
            first, last = self._part(start, end, coded=True)
            self._listen(_decoded(data[first:last]))

    def _part(self, start: int, end: int, *, coded: bool = False) -> tuple[int, int]:
        """Where the part of a message begins and ends that is listened to, in bytes, or in characters of base64."""
        most = int(MOST_JUDGED_S * self.bytes_per_s)
        most = -(-most // 3) * 4 if coded else most
        first = start + max(0, end - start - most) // 32 * 16  # whole samples, also of two channels
        return first, min(end, first + most)

    def packet(self, at: float, data: bytes) -> None:
        """A binary message."""
        self._count(at, len(data))
        first, last = self._part(0, len(data))
        if (
            (self._window is not None or not self.heard_any)
            and self._peak(data[:66]) > LOUD
            and self._window is not None
        ):
            self._judge(data[first:last])
        elif self._sound:
            self._listen(data[first:last])

    def _count(self, at: float, size: int) -> None:
        encoding, last_at = self.encoding, self.last_at
        seconds = size / self.bytes_per_s if encoding in _WIDTHS else 0.0
        self.appends += 1
        self.since_taken += 1
        self.seconds += seconds
        if size & 1 and size >= _SHORTEST and encoding == "audio/pcm":
            self.odd += 1
        if last_at is None or at - last_at > _GAP_S:
            self._stream_from, self._stream_audio_s, self.streamed_s, self.paces = at, 0.0, 0.0, []
        else:
            self.streamed_s += at - last_at
            self._stream_audio_s += seconds
            if at - self._stream_from >= _STREAM_S:
                self.paces = [*self.paces[-1:], self._stream_audio_s / (at - self._stream_from)]
                self._stream_from, self._stream_audio_s = at, 0.0
        self.last_at = at

    @property
    def likely_rate(self) -> int | None:
        """The sample rate that an unbroken, steady stream seems to have, in Hz, if it is not the declared one."""
        if len(self.paces) < 2 or self.encoding != "audio/pcm":
            return None
        first, second = self.paces
        if 0.9 < first < 1.1:  # no rate below explains that
            return None
        for rate in _RATES:
            ratio = rate / self.rate
            if (
                rate != self.rate
                and abs(ratio - 1) > 0.15
                and max(abs(first / ratio - 1), abs(second / ratio - 1)) < 0.03
            ):
                return rate
        return None

    def judged(self, at: float) -> bool:
        """Whether speed and pace are known at second `at` as well as they will be."""
        streams = self.last_at is not None and at - self.last_at < _GAP_S and self.last_at - self._stream_from < SOON_S
        return self.speed is not None and self._sound is None and not (streams and not self.paces)

    @property
    def rates_by_sound(self) -> list[int]:
        """The sample rates, in Hz, at which the sound would play about as it was spoken, without the declared one."""
        if self.speed is None or not self.speed.speech or self.verdict:
            return []
        off = {rate: abs(math.log(rate * self.speed.times / self.rate)) for rate in _COMMON}
        nearest = min(off, key=lambda rate: off[rate])
        if nearest == self.rate:
            return []
        return [rate for rate in _COMMON if rate != self.rate and off[rate] <= max(NEAR, off[nearest])]

    @property
    def rate_by_both(self) -> int | None:
        """The sample rate that pace and sound agree on, in Hz, if it is not the declared one."""
        if self.speed is None or not self.speed.speech or self.verdict or self.speed.certainty < LIKELY:
            return None
        elapsed = (self.last_at or 0.0) - self._stream_from
        pace = self._stream_audio_s / elapsed if elapsed >= SOON_S else self.paces[-1] if self.paces else 1.0
        near = (rate for rate in _RATES if abs(pace * self.rate / rate - 1) < 0.04)
        rate = next(near, self.rate)
        return rate if rate != self.rate and (self.speed.times > 1) == (rate < self.rate) else None

    def _peak(self, data: bytes) -> int:
        if self.encoding == "audio/opus":
            self.heard_any = self.audible_since_taken = True
            return 0
        law = g711.law_of(self.encoding)
        samples = g711.from_little_endian(data) if law is None else g711.decode(data, law)
        peak = max(max(samples), -min(samples)) if samples else 0
        if peak > QUIET:
            self.heard_any = self.audible_since_taken = True
        return peak

    def _judge(self, data: bytes) -> None:
        assert self._window is not None
        self._window += data
        if len(self._window) < self.bytes_per_s * JUDGED_S:
            self._listen(data)
            return
        window, declared = bytes(self._window), self.encoding
        self.verdict = _encodings.get(window, declared, lambda: likely_encoding(window, declared))
        self._window = None
        if self._sound is not None:
            self._sound += data  # the speed is estimated with the next message: either takes 10 ms or more

    def _listen(self, data: bytes) -> None:
        """Estimate the speed of PCM16 once there is enough of it."""
        if self._sound is None:
            return
        self._sound += data
        if len(self._sound) < self.bytes_per_s * SPEED_AT_S[self._estimates]:
            return
        from replay.findings.speed import speed_of  # loads numpy

        whole, rate = bytes(self._sound[: len(self._sound) // 2 * 2]), self.rate
        self.speed = _speeds.get(whole, rate, lambda: speed_of(whole, rate))
        self._estimates += 1
        if self._estimates == len(SPEED_AT_S):
            self._sound = None


NO_AUDIO = InputAudio()
"""Of connections that are over."""


def _form(side: object, encoding: str, rate: int) -> tuple[str, int]:
    form = side.get("format") if isinstance(side, dict) else None
    kind = form.get("type") if isinstance(form, dict) else None
    if form is None or not isinstance(kind, str):
        return encoding, rate
    declared = form.get("rate")
    if kind in ("audio/pcmu", "audio/pcma"):
        return kind, 8_000
    return kind, declared if isinstance(declared, int) and declared > 0 else 24_000


def _decoded(coded: str) -> bytes:
    try:
        return binascii.a2b_base64(coded)
    except ValueError:
        return b""
