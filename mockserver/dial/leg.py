"""One call between a caller and a bridge, as a phone company carries it. No socket, no clock: messages and instants.

`now` is seconds since the stream began. The caller speaks and hears in frames of 20 ms. Sound of the bridge plays from
its arrival on, and a mark is sent back at the instant at which the sound before it has been played.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from typing_extensions import assert_never

from mockserver.audio.codecs import decode, encode
from mockserver.audio.formats import AudioFormat, Samples
from mockserver.calls.caller import FRAME_S, Act, Caller
from mockserver.dial.mistakes import Mistakes
from mockserver.dial.network import Direction, Network
from mockserver.dial.playout import Mark, Playout
from mockserver.dial.provider import Clear, Play, Provider, SendDigits, SetMark, Wrong
from mockserver.protocol.ids import stream
from replay.findings.encodings import likely_encoding

LONGEST_S = 3600.0
"""Seconds of a call."""
MOST_NOTED = 100_000
"""Marks, clears and messages with sound that the record of a call has, of each."""
MOST_SIZES = 1000
"""Sizes of messages that are counted."""
CHECKED_S = 1.0
"""Sound from which its encoding is guessed."""

Ended = Literal["caller", "bridge", "network", "limit"]


@dataclass(frozen=True, slots=True)
class MarkNote:
    """A mark of the bridge. returned_s: when it was sent back, None if never. cleared: a clear dropped what it
    follows."""

    name: str
    sent_s: float
    returned_s: float | None
    cleared: bool = False


@dataclass(frozen=True, slots=True)
class ClearNote:
    """A clear of the bridge: when it came, and how many seconds of sound it dropped."""

    at_s: float
    dropped_s: float


@dataclass(slots=True)
class Record:
    """What happened in a call, as it went on."""

    said: list[Samples | None] = field(default_factory=list)
    heard: list[Samples | None] = field(default_factory=list)
    """Frames of 20 ms, None for silence."""
    marks: list[MarkNote] = field(default_factory=list)
    clears: list[ClearNote] = field(default_factory=list)
    arrivals: list[tuple[float, float]] = field(default_factory=list)
    """Sound of the bridge: when it came, and its length, in seconds."""
    sizes: Counter[int] = field(default_factory=Counter)
    """Bytes of the bridge's media messages."""
    frames_sent: int = 0
    lost_to_bridge: int = 0
    lost_to_caller: int = 0
    digits_heard: str = ""
    """Keys that the bridge pressed."""
    ended: Ended | None = None
    close_code: int | None = None
    close_reason: str = ""


class CallLeg:
    """Drives the caller and the provider's protocol.

    The bridge's messages go in by `receive`. `take_output` gives the messages for it, up to an instant; `next_due` says
    when to ask again. The call is over when `over` is true; then the connection is closed, or dropped if
    `record.ended` is `network`. longest_s: the call is hung up then.
    """

    def __init__(
        self,
        provider: Provider,
        caller: Caller,
        network: Network | None = None,
        *,
        seed: str = "0",
        longest_s: float = 300.0,
        one_way: bool = False,
    ) -> None:
        if caller.size != round(FRAME_S * 8000):
            raise ValueError("the caller speaks at 8000 Hz on a telephone")
        self.provider = provider
        self.caller = caller
        self.record = Record()
        self.mistakes = Mistakes()
        self.over = False
        self._network = network or Network()
        self._to_bridge = Direction(self._network, stream(seed, "to the bridge"))
        self._to_caller = Direction(self._network, stream(seed, "to the caller"))
        self._longest_s = longest_s
        self._one_way = one_way
        self._playout = Playout(8000)
        self._arriving: deque[tuple[float, str | bytes]] = deque()
        self._leaving: deque[tuple[float, str]] = deque()
        self._ticks = 0
        self._said: Act | None = None
        """What the caller says in the frame that is being recorded."""
        self._checked = bytearray()
        for message in provider.opening():
            self._send(message, 0.0)

    def receive(self, data: str | bytes, now: float) -> None:
        """A message of the bridge arrived."""
        if not self.over:
            self._arriving.append((self._to_caller.arrival(now), data))

    def closed(self, code: int | None, reason: str, now: float) -> None:
        """The bridge closed the connection. code: None if it broke."""
        self._advance(now)
        if self.record.ended is None:
            self._end("bridge")
            self.record.close_code, self.record.close_reason = code, reason
        self.over = True

    def hang_up(self, now: float) -> None:
        """The caller hangs up, in the middle of the script."""
        self._advance(now)
        if self.record.ended is None:
            self._close("caller", now)

    @property
    def backlog(self) -> int:
        """Messages of the bridge that wait to be obeyed."""
        return len(self._arriving)

    def next_due(self) -> float | None:
        """When to call `take_output` next, None if the call is over."""
        if self.over:
            return None
        return min((each for each in (*self._next(), self._next_leaving()) if each is not None), default=None)

    def take_output(self, now: float) -> list[str]:
        """The messages for the bridge up to and including `now`, oldest first, each once."""
        self._advance(now)
        out = []
        while self._leaving and self._leaving[0][0] <= now:
            out.append(self._leaving.popleft()[1])
        if self.record.ended is not None and not self._leaving:
            self.over = True
        return out

    # --- Time ---

    def _next(self) -> tuple[float | None, float | None, float | None]:
        """When the next mark, arrival and frame are due."""
        if self.record.ended is not None:
            return None, None, None
        return (
            self._playout.next_mark(),
            self._arriving[0][0] if self._arriving else None,
            round(self._ticks * FRAME_S, 6),
        )

    def _next_leaving(self) -> float | None:
        return self._leaving[0][0] if self._leaving else None

    def _advance(self, now: float) -> None:
        """Let everything happen that is due up to `now`, in order."""
        while self.record.ended is None:
            mark, arrival, tick = self._next()
            due = min(each for each in (mark, arrival, tick) if each is not None)
            if due > now:
                return
            if due == mark:
                self._return(self._playout.take_mark(), due, cleared=False)
            elif due == arrival:
                self._obey(self._arriving.popleft()[1], due)
            else:
                self._tick(due)

    def _tick(self, now: float) -> None:
        """20 ms have gone by: the frame that the caller has said is sent, and the next one begins."""
        if self._said is not None:
            self._speak(self._said, now)
            begin = (self._ticks - 1) * self.caller.size
            heard = self._playout.heard(begin, begin + self.caller.size)
            if self._to_caller.loses():
                self.record.lost_to_caller += 1
                heard = None
            self.record.heard.append(heard)
        else:
            heard = None
        self._ticks += 1
        if self._network.drop_after_s is not None and now >= self._network.drop_after_s:
            self._end("network")
            return
        act = Act(hangs_up=True) if now >= self._longest_s else self.caller.frame(heard)
        for digit in act.digits:
            self._send(self.provider.digit(digit, now), now)
        self._said = act
        if act.hangs_up:
            self._close("caller" if now < self._longest_s else "limit", now)

    def _speak(self, act: Act, now: float) -> None:
        samples = act.samples
        self.record.said.append(samples)
        frame = np.zeros(self.caller.size, np.int16)
        if samples is not None:
            frame[: len(samples)] = samples
        if self._to_bridge.loses():
            # A guess: of what the caller's network lost, only the gap in the timestamps is left.
            self.record.lost_to_bridge += 1
            return
        self.record.frames_sent += 1
        self._send(self.provider.media(_as_sent(frame, self.provider.format), now - FRAME_S), now)

    def _send(self, message: str, now: float) -> None:
        self._leaving.append((self._to_bridge.arrival(now), message))

    def _close(self, by: Ended, now: float) -> None:
        for message in self.provider.closing():
            self._send(message, now)
        self._end(by)

    def _end(self, by: Ended) -> None:
        self.record.ended = by
        if by == "network":
            self._leaving.clear()
        while self._playout.next_mark() is not None:
            mark = self._playout.take_mark()
            self._note(MarkNote(mark.name, mark.sent_s, None))

    # --- What the bridge asks for ---

    def _obey(self, data: str | bytes, now: float) -> None:
        command = self.provider.read(data)
        if self._one_way and not isinstance(command, Wrong):
            command = Wrong("one-way", "the stream is one-way, and the bridge sends to it")
        match command:
            case Wrong(rule, message):
                self.mistakes.add(rule, now, message)
            case Play(data=sound):
                self._play(sound, now)
            case SetMark(name):
                if not self._playout.mark(name, now):
                    self.mistakes.add("too-much", now, "10,000 marks are waiting for the sound before them")
            case Clear():
                self._clear(now)
            case SendDigits(digits):
                self.record.digits_heard += digits[:100]
            case _:
                assert_never(command)

    def _play(self, sound: bytes, now: float) -> None:
        self._check_encoding(sound, now)
        if len(sound) % self.provider.format.bytes_per_sample:
            self.mistakes.add("half-sample", now, f"{len(sound)} bytes are no whole number of 16-bit samples")
        samples = _as_heard(sound, self.provider.format)
        if len(sound) in self.record.sizes or len(self.record.sizes) < MOST_SIZES:
            self.record.sizes[len(sound)] += 1
        if not self._playout.add(samples, now):
            self.mistakes.add("too-much", now, "more than an hour of sound is waiting to be played")
        elif len(self.record.arrivals) < MOST_NOTED:
            self.record.arrivals.append((now, len(samples) / 8000))

    def _clear(self, now: float) -> None:
        dropped_s, marks = self._playout.clear(now)
        if len(self.record.clears) < MOST_NOTED:
            self.record.clears.append(ClearNote(now, dropped_s))
        for message in self.provider.cleared():
            self._send(message, now)
        for mark in marks:
            if self.provider.clear_returns_marks:
                self._return(mark, now, cleared=True)
            else:
                self._note(MarkNote(mark.name, mark.sent_s, None, cleared=True))

    def _return(self, mark: Mark, now: float, *, cleared: bool) -> None:
        self._send(self.provider.played(mark.name), now)
        self._note(MarkNote(mark.name, mark.sent_s, now, cleared))

    def _note(self, mark: MarkNote) -> None:
        if len(self.record.marks) < MOST_NOTED:
            self.record.marks.append(mark)

    def _check_encoding(self, sound: bytes, now: float) -> None:
        """Look at the first second of sound that is not silent."""
        if self.provider.format.kind != "pcmu":
            return
        if len(sound) >= 80 and not any(sound):
            self.mistakes.add("zeros-as-silence", now, f"{len(sound)} bytes of sound are all 0x00")
        elif len(self._checked) < CHECKED_S * 8000 and len(set(sound)) > 4:
            self._checked += sound
            if len(self._checked) >= CHECKED_S * 8000 and likely_encoding(bytes(self._checked), "audio/pcmu"):
                self.mistakes.add("pcm-as-mulaw", now, "the sound looks like 16-bit PCM; the stream is µ-law at 8 kHz")


def _as_sent(frame: Samples, format: AudioFormat) -> bytes:
    """8 kHz samples in the stream's format. At 16 kHz each is sent twice, as a telephone's band holds no more."""
    return encode(frame.repeat(format.rate // 8000), format)


def _as_heard(sound: bytes, format: AudioFormat) -> Samples:
    """The stream's format as 8 kHz samples; of 16 kHz, the mean of two. Half a sample at the end is left out."""
    samples = decode(sound[: len(sound) // format.bytes_per_sample * format.bytes_per_sample], format)
    if format.rate == 8000:
        return samples
    pairs = samples[: len(samples) // 2 * 2].reshape(-1, 2)
    return pairs.mean(axis=1).astype(np.int16)
